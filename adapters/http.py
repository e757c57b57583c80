"""One HTTP send, bounded in time and size, that says exactly what is known when no answer comes.

The question that money hangs on is whether the other side can have seen the request. httpx's error types alone do not
answer it (a total time limit may end in any phase), so the exchange watches httpcore's own trace: a request whose
`send_request_headers` never started has sent no byte. All else that fails is unanswered, whatever the error is called.

The same trace is the last look before a request that may leave in time only: httpcore writes the head, and then the
body, without giving way to anything between the event and the write.
"""

import asyncio
import contextlib
import functools
import importlib.util
import json
import re
import ssl
import sys
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import ModuleType
from typing import Final, Literal, cast

import httpx

from adapters.http_pools import SpreadTransport
from adapters.tls import trusting

MAX_BODY_BYTES: Final = 1024 * 1024
"""Answers of this world are a few KiB; more than this is not read."""

MAX_RETRY_AFTER_SECONDS: Final = 60.0
"""The most a `Retry-After` can ask of us (contracts §4)."""

_CONNECT_TIMEOUT_SECONDS: Final = 5.0
_CONNECTIONS: Final = 200
_POOLS: Final = 5
"""httpcore looks at each of its pool's connections at each request: small pools cost a third (docs/performance.md)."""
_KEEPALIVE_SECONDS: Final = 3.0
"""Below the 5 s after which common servers close an idle connection: a request on one just closed ends unanswered."""

_LATE_LOOP_SECONDS: Final = 5.0
"""How much later than its limit a call may end on a busy machine; later, and the process itself stood still."""
_SILENCE_FORGOTTEN_SECONDS: Final = 3600.0

_CONNECTING: Final = "connection.connect_tcp.started"
_SENDING: Final = "send_request_headers.started"
_SENDING_BODY: Final = "send_request_body.started"
_SECONDS: Final = re.compile(r"[0-9]+")
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""Not asked for, and sent all the same by proxies that pack whatever passes: unpacked, as far as a body may go."""
_UNREADABLE: Final = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
"""Content codings that are not unpacked. What stands in neither list (`utf-8`) names no coding: servers that mean the
charset send it, and the body is as it is."""
_LATE: Final = "It was too late to send this request when the connection stood; nothing was sent."
_LATE_WITHIN: Final = "It was too late to send the rest of this request; it was broken off within."
_NEVER_CONNECTED: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer, its body not yet believed."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def is_success(self) -> bool:
        """A 2xx."""
        return httpx.codes.is_success(self.status)

    def retry_after_seconds(self, now: datetime) -> float | None:
        """The answer's `Retry-After`, capped; None where there is none that can be read."""
        return retry_after_seconds(self.headers.get("retry-after", ""), now)


@dataclass(frozen=True, slots=True)
class NoResponse:
    """No usable answer.

    Attributes:
        cause: `not_sent` only where no byte of the request can have left; `answered` where an answer came that is
            too large or packed beyond reading; else `unanswered`: the other side may have acted, or may still.
        why: a sentence for the operator.
    """

    cause: Literal["not_sent", "unanswered", "answered"]
    why: str


class _Trace:
    """How far a request got, told by httpcore while it happens; what it raises ends the request there."""

    def __init__(self, in_time: Callable[[], bool]) -> None:
        self._in_time = in_time
        self.connecting = False
        self.sending = False

    async def __call__(self, event: str, _info: Mapping[str, object]) -> None:
        self.connecting |= event == _CONNECTING
        if event.endswith((_SENDING, _SENDING_BODY)) and not self._in_time():
            raise TooLate
        self.sending |= event.endswith(_SENDING)


class EndpointHealth:
    """Whether the other side answers at all, as one adapter's calls have found.

    A call that was cut short counts too: what it leaves open, the next one that is answered closes. One that took far
    longer than it may take was held up by this process, which was frozen: it says nothing of the other side, and what
    was seen before it is stale.
    """

    def __init__(self) -> None:
        self._unanswered_from: float | None = None
        self._last_try_at = 0.0

    def note(self, reply: Reply | NoResponse, began: float, limit_seconds: float) -> None:
        """What became of a call that began then (`time.monotonic`) and might take so long."""
        self._last_try_at = time.monotonic()
        stood_still = self._last_try_at - began > limit_seconds + _LATE_LOOP_SECONDS
        if stood_still or isinstance(reply, Reply) or reply.cause == "answered":
            self._unanswered_from = None
        elif reply.cause == "unanswered" and self._unanswered_from is None:
            self._unanswered_from = began

    def silent_seconds(self) -> float:
        """How long it did not answer, from the first call that it left open to the end of the last.

        0 where nobody has asked for 1 h. Time in which nobody asks, such as a freeze of this process, is no silence.
        """
        if self._unanswered_from is None or time.monotonic() - self._last_try_at > _SILENCE_FORGOTTEN_SECONDS:
            return 0.0
        return self._last_try_at - self._unanswered_from


class TooLate(Exception):
    """The request may not leave any more."""


def always() -> bool:
    """For a request that may leave at any time."""
    return True


@asynccontextmanager
async def client(*, cafile: str | None = None) -> AsyncGenerator[httpx.AsyncClient, None]:
    """The client of one adapter: nothing from the environment, no redirects, no retries.

    Args:
        cafile: whom it trusts, in place of the public authorities.
    """
    _sniffio_is_not_there()
    each = _CONNECTIONS // _POOLS
    limits = httpx.Limits(max_connections=each, max_keepalive_connections=each, keepalive_expiry=_KEEPALIVE_SECONDS)
    pools = [httpx.AsyncHTTPTransport(verify=trusted(cafile), trust_env=False, limits=limits) for _ in range(_POOLS)]
    async with httpx.AsyncClient(transport=SpreadTransport(pools), trust_env=False, follow_redirects=False) as opened:
        yield opened


@functools.cache
def _sniffio_is_not_there() -> None:
    """Say so once; where it is installed, it is used.

    httpcore 1.0 tries to import it four times a request, through all of `sys.path`: a quarter of what a request costs
    (measured).
    """
    if importlib.util.find_spec("sniffio") is None:
        cast("dict[str, ModuleType | None]", sys.modules)["sniffio"] = None


@functools.cache
def trusted(cafile: str | None) -> ssl.SSLContext:
    """Whom all clients of this process trust (certifi's list, unless told), read once: 60 ms each (measured)."""
    return httpx.create_ssl_context(trust_env=False) if cafile is None else trusting(cafile)


def origin(url: str) -> str:
    """`url` without its trailing slash.

    Raises:
        ValueError: it is not an absolute http(s) address without user, query and fragment.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo or parsed.query or parsed.fragment:
        raise ValueError("must be an http or https address without user, query and fragment, as https://host/path")
    return str(parsed).rstrip("/")


async def send(
    http: httpx.AsyncClient,
    request: httpx.Request,
    *,
    whom: str,
    timeout_seconds: float,
    health: EndpointHealth,
    in_time: Callable[[], bool] = always,
) -> Reply | NoResponse:
    """Send `request` once and read the whole answer within `timeout_seconds`, connect included.

    Raises nothing but cancellation: whatever else fails is an answer.

    Args:
        http: the adapter's client.
        request: built by the caller, so that the bytes it signed are the bytes that go out.
        whom: the other side in the operator's words.
        timeout_seconds: from the connect to the last byte of the body.
        health: told what became of the call.
        in_time: whether the request may leave now. Asked before the connect and right before head and body are
            written: a request that is late sends nothing more. Only one that had sent nothing yet is `not_sent`.
    """
    if not in_time():
        return NoResponse("not_sent", _LATE)
    began = time.monotonic()
    reply = await _exchange(http, request, whom, timeout_seconds, in_time)
    health.note(reply, began, timeout_seconds)
    return reply


async def _exchange(
    http: httpx.AsyncClient, request: httpx.Request, whom: str, timeout_seconds: float, in_time: Callable[[], bool]
) -> Reply | NoResponse:
    trace = _Trace(in_time)
    connect_seconds = min(_CONNECT_TIMEOUT_SECONDS, timeout_seconds)
    limits = httpx.Timeout(timeout_seconds, connect=connect_seconds, pool=connect_seconds / 2)
    request.extensions.update(timeout=limits.as_dict(), trace=trace)
    try:
        async with asyncio.timeout(timeout_seconds):
            response = await http.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                return await _read(response, whom)
            finally:
                await response.aclose()
    except Exception as error:  # noqa: BLE001 - whatever failed after the first byte is the same doubt
        return _failure(error, trace, whom, timeout_seconds)


async def _read(response: httpx.Response, whom: str) -> Reply | NoResponse:
    # Taken out of the head, so that httpx gives the body as it came, and nothing is unpacked without a bound.
    named = response.headers.pop("content-encoding", "")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return NoResponse("answered", f"{whom} answered with more than {MAX_BODY_BYTES} bytes; nothing is known.")
    try:
        plain = unpacked(bytes(body), named)
    except ValueError as error:
        return NoResponse("answered", f"{whom} answered with what can't be unpacked ({error}); nothing is known.")
    return Reply(response.status_code, response.headers, plain)


def unpacked(body: bytes, content_encoding: str, most_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body without its content codings, the last of which was applied last.

    Raises:
        ValueError: it is not whole, becomes larger than `most_bytes`, or is of a coding that is not unpacked.
    """
    named = (one.strip() for one in content_encoding.lower().split(","))
    codings = [coding for coding in named if coding in _PACKED | _UNREADABLE]
    for coding in reversed(codings if body else []):
        if coding in _UNREADABLE:
            raise ValueError(coding)
        unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # the head says which of the two it is
        try:
            body = unpacking.decompress(body, most_bytes + 1)
        except zlib.error:
            return body  # the header is wrong, as of servers that unpack and leave it; what the body is, is seen by it
        if len(body) > most_bytes:
            raise ValueError(f"more than {most_bytes} bytes")
        if not unpacking.eof:
            raise ValueError(f"{coding} that ends early")
    return body


def _failure(error: Exception, trace: _Trace, whom: str, timeout_seconds: float) -> NoResponse:
    kind = type(error).__name__
    if isinstance(error, TooLate):
        return NoResponse("unanswered", _LATE_WITHIN) if trace.sending else NoResponse("not_sent", _LATE)
    # The trace is silent on transports other than httpcore's (tests): there only the error's type can prove it.
    if not trace.sending and (trace.connecting or isinstance(error, _NEVER_CONNECTED)):
        if (found := untrusted(error)) is not None:
            why = f"its certificate is not trusted ({found.verify_message}): is its authority in its TOPUP_…_CAFILE?"
            return NoResponse("not_sent", f"No connection to {whom}: {why}")
        return NoResponse("not_sent", f"No connection to {whom} ({kind}): check its address and the network.")
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return NoResponse("unanswered", f"{whom} did not answer within {timeout_seconds:g} s.")
    return NoResponse("unanswered", f"The connection to {whom} broke before its answer was whole ({kind}).")


def untrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The certificate that a connection failed for; None where it failed for anything else."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def retry_after_seconds(value: str, now: datetime) -> float | None:
    """A `Retry-After` (RFC 9110: seconds or a date) as seconds from `now`, 0 to `MAX_RETRY_AFTER_SECONDS`."""
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), MAX_RETRY_AFTER_SECONDS)
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)  # "-0000" means UTC with the zone unknown
    return min(max(0.0, (date - now).total_seconds()), MAX_RETRY_AFTER_SECONDS)


def charset_of(body: bytes) -> str:
    """In which charset `body` stands: UTF-8, with or without a mark before it, or else GB18030.

    Carriers and providers in China have been seen to answer in GBK, part of GB18030, whatever was asked for and
    whatever the header says (docs/reports.md). JSON's quotation marks are no part of a GB18030 character, so that no
    other charset's letters hide the end of a text.

    Raises:
        ValueError: it is neither.
    """
    for charset in ("utf-8-sig", "gb18030"):
        with contextlib.suppress(UnicodeDecodeError):
            body.decode(charset)
            return charset
    raise ValueError("is in no charset that is known here")


def parse_json(
    body: bytes, *, pairs_hook: Callable[[list[tuple[str, object]]], dict[str, object]] | None = None
) -> object:
    """The JSON value of an answer; `pairs_hook` makes its objects.

    Raises:
        ValueError: it is none, or one that is nested beyond what can be read.
    """
    try:
        return cast("object", json.loads(body.decode(charset_of(body)), object_pairs_hook=pairs_hook))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def json_object(body: bytes) -> dict[str, object] | None:
    """The JSON object of an answer; None where it is anything else."""
    try:
        return as_object(parse_json(body))
    except ValueError:
        return None


def as_object(value: object) -> dict[str, object] | None:
    """`value` if it is a JSON object, else None."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else None
