"""What is said on the wire, well or badly: JSON, waiting, dropping and hanging."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

RESET_PAUSE_SECONDS = 0.05  # lets the first half of an answer arrive before the reset
LINGER_NOT = struct.pack("ii", 1, 0)  # close() sends RST

Json = dict[str, Any]


class StoppingError(Exception):
    """The simulator ends while a request waits; its connection is dropped."""


class Pace:
    """Waiting that follows the time scale and ends at once when the simulator ends."""

    def __init__(self, time_scale: float) -> None:
        self.time_scale = time_scale
        self.stopping = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait so many unscaled seconds.

        Raises:
            StoppingError: the simulator ends.
        """
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds * self.time_scale):
                await self.stopping.wait()
        except TimeoutError:
            return
        raise StoppingError


def json_response(content: object, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer, compact, UTF-8."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return Response(body, status, headers=headers, media_type="application/json")


def problem(status: int, sentence: str) -> Response:
    """An answer of the control API that tells what to do."""
    return json_response({"error": sentence}, status)


async def read_json(request: Request) -> object:
    """The request's JSON.

    Raises:
        ValueError: it is none; NaN and Infinity are none either (RFC 8259).
    """
    return parse_json(await request.body())


def parse_json(body: bytes) -> object:
    """RFC 8259 JSON in UTF-8; raises ValueError for anything else."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(body.decode("utf-8"), parse_constant=refuse)


def _connection(scope: Scope) -> asyncio.Transport | None:
    connections: dict[tuple[str, int], asyncio.Transport] = scope["app"].state.connections
    return connections.get(tuple(scope["client"]))


class DropResponse(Response):
    """Drops the connection with RST; with an answer, after sending half of it."""

    def __init__(self, answer: Response | None = None) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what is to be sent, then reset."""
        if self._answer is not None:
            answer = self._answer
            await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
            half = bytes(answer.body)[: len(answer.body) // 2]
            await send({"type": "http.response.body", "body": half, "more_body": True})
            await asyncio.sleep(RESET_PAUSE_SECONDS)
        transport = _connection(scope)
        if transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class HangResponse(Response):
    """Never answers; ends when the caller hangs up or the simulator stops."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait for the caller to give up."""
        stopping = asyncio.create_task(self._pace.stopping.wait())
        gone = asyncio.create_task(self._until_gone(receive))
        try:
            await asyncio.wait({stopping, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            gone.cancel()
        await DropResponse()(scope, receive, send)

    @staticmethod
    async def _until_gone(receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
