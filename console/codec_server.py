"""`topup codec-server`: decrypts payloads for Web UI and `temporal` command, for signed-in operators (contracts §11).

Temporal's protocol: POST `/decode` or `/encode`, `{"payloads": […]}`, the same back. Who asks is known by a bearer
token: an operator's own, or that of the sign-in proxy, which then names the operator in `X-Forwarded-User`. Each answer
is a log line with the operator and the workflows.

`/encode` encrypts nothing, since it can't know for which workflow, and what a person types holds no personal data. It
writes into an operator's request who is signed in, whatever name was typed.
"""

import asyncio
import hmac
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NoReturn

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from temporalio.api.common.v1 import Payload, Payloads

from configuration.processes import CodecServerSettings
from orders import shown_text, strict_json
from runtime.exits import EXIT_OK
from runtime.payload_codec import EncryptingCodec, workflow_of
from runtime.process import ProcessContext, run
from runtime.telemetry import get_logger
from runtime.values import LONGEST_NAME

MOST_BYTES: Final = 16 * 1024 * 1024
"""Of a request: a page of the Web UI is one, and Temporal takes at most 2 MiB a payload."""
BODY_SECONDS: Final = 10.0
"""Web UI and CLI are near; who sends slower holds a connection for nothing."""
SHOWN_WORKFLOWS: Final = 20
"""In one log line; how many more there were is said."""
USER_HEADER: Final = "X-Forwarded-User"
_HEADERS: Final = ("Authorization", "Authorization-Extras", "Content-Type", "X-Namespace")
"""What Web UI and CLI send."""
_SCHEME: Final = "bearer "
_NO_STORE: Final = {"Cache-Control": "no-store"}

_log = get_logger(__name__)


def main() -> NoReturn:
    """Run the codec server until SIGTERM; ends the process."""
    run(CodecServerSettings, _serve, routes=_routes)


async def _serve(context: ProcessContext[CodecServerSettings]) -> int:
    """It needs no other part: its answers come from what is asked and the keys."""
    context.health.started()
    await context.stop.wait()
    return EXIT_OK


def _routes(context: ProcessContext[CodecServerSettings]) -> Sequence[BaseRoute]:
    return CodecServer(context).routes()


class Unknown(Exception):
    """Nobody that may ask."""


class Malformed(Exception):
    """No request of the protocol; the text says why."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


class Operators:
    """Who a request comes from. Tokens are compared by digests in constant time, all of them each time."""

    def __init__(self, tokens: Mapping[str, str], proxy_token: str) -> None:
        self._digests = {name: _digest(token) for name, token in tokens.items()}
        self._proxy = _digest(proxy_token) if proxy_token else None

    def named(self, request: Request) -> str:
        """The operator's name.

        Raises:
            Unknown: no token, a wrong one, or a proxy that names nobody.
        """
        given = request.headers.getlist("authorization")
        if len(given) != 1 or not given[0].lower().startswith(_SCHEME):
            raise Unknown
        digest = _digest(given[0][len(_SCHEME) :].strip())
        found = [name for name, known in self._digests.items() if hmac.compare_digest(known, digest)]
        if self._proxy is not None and hmac.compare_digest(self._proxy, digest):
            found += [shown_text.one_line(name, LONGEST_NAME) for name in request.headers.getlist(USER_HEADER)]
        if len(found) != 1 or not found[0]:
            raise Unknown
        return found[0]


class CodecServer:
    """Its two routes."""

    def __init__(self, context: ProcessContext[CodecServerSettings]) -> None:
        settings = context.settings
        self._codec = EncryptingCodec(settings.codec_key, settings.codec_old_keys)
        self._operators = Operators(settings.codec_tokens, settings.codec_proxy_token)
        self._requests = context.metrics.counter("topup_codec_requests_total")
        self._payloads = context.metrics.counter("topup_codec_payloads_total")
        self._cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.codec_origins,
            allow_methods=("POST",),
            allow_headers=_HEADERS,
            allow_credentials=True,  # the sign-in proxy's cookie
        )

    def routes(self) -> tuple[BaseRoute, ...]:
        """`/decode` and `/encode`, with what a browser asks beforehand (OPTIONS)."""
        methods, cors = ["POST", "OPTIONS"], [self._cors]
        return (
            Route("/decode", self._decode, methods=methods, middleware=cors),
            Route("/encode", self._encode, methods=methods, middleware=cors),
        )

    async def _decode(self, request: Request) -> Response:
        return await self._answer(request, decode=True)

    async def _encode(self, request: Request) -> Response:
        return await self._answer(request, decode=False)

    async def _answer(self, request: Request, *, decode: bool) -> Response:
        try:
            operator = self._operators.named(request)  # before a byte of the body is read
            payloads = await _payloads_of(request)
            if not decode:
                payloads = [_signed(payload, operator) for payload in payloads]
        except Unknown:
            self._requests.labels("refused").inc()
            headers = {"WWW-Authenticate": "Bearer", **_NO_STORE}
            return _error(401, "Sign in, or send `Authorization: Bearer` and your token (docs/security.md).", headers)
        except Malformed as error:
            self._requests.labels("malformed").inc()
            return _error(error.status, str(error), _NO_STORE)
        if decode:
            payloads = self._decoded(payloads, operator)
        self._requests.labels("answered").inc()
        answered = {"payloads": [MessageToDict(payload) for payload in payloads]}
        return JSONResponse(answered, headers=_NO_STORE)

    def _decoded(self, payloads: Sequence[Payload], operator: str) -> list[Payload]:
        tried = [self._codec.try_decode(payload) for payload in payloads]
        results = Counter(result for _, result in tried)
        for result, count in results.items():
            self._payloads.labels(result).inc(count)
        named = [
            workflow_of(payload) for payload, (_, result) in zip(payloads, tried, strict=True) if result == "decoded"
        ]
        workflows = list(dict.fromkeys(named))
        _log.info(
            "payloads decoded",
            operator=operator,
            workflows=workflows[:SHOWN_WORKFLOWS],
            more_workflows=max(len(workflows) - SHOWN_WORKFLOWS, 0),
            **results,
        )
        return [payload for payload, _ in tried]


def _signed(payload: Payload, operator: str) -> Payload:
    """An operator's request (contracts §3) with the name of who is signed in; anything else as it is.

    Raises:
        Malformed: a worker would read it as such a request, and it is no strict JSON: the typed name would stand.
    """
    if payload.metadata.get("encoding") != b"json/plain":
        return payload
    try:
        read: object = json.loads(payload.data)
    except (ValueError, RecursionError):  # no worker reads it either
        return payload
    if not isinstance(read, dict) or not read.keys() & {"operator", "note"}:
        return payload
    try:
        signed = json.dumps(strict_json.decode_object(payload.data) | {"operator": operator}, ensure_ascii=False)
    except (strict_json.NotStrictJson, TypeError):  # TypeError: a number with a fraction
        raise Malformed(
            "An operator's request is one JSON object in UTF-8, each member once, and no number with a fraction in it."
        ) from None
    return Payload(metadata=payload.metadata, data=signed.encode())


async def _payloads_of(request: Request) -> list[Payload]:
    """What is asked for.

    Raises:
        Malformed: it is too long, too slow, or no `{"payloads": […]}`.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise Malformed(f"A request has at most {MOST_BYTES} bytes.", 413)
    except TimeoutError:
        raise Malformed(f"A request comes within {BODY_SECONDS:g} s.", 408) from None
    try:
        members: dict[str, Any] = strict_json.decode_object(bytes(body))
        return list(ParseDict(members, Payloads(), ignore_unknown_fields=True).payloads)
    except (strict_json.NotStrictJson, ParseError):
        raise Malformed('Send {"payloads": [{"metadata": {…}, "data": …}]} with base64 in it.') from None


def _error(status: int, sentence: str, headers: Mapping[str, str]) -> Response:
    return JSONResponse({"error": sentence}, status_code=status, headers=headers)


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
