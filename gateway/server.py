"""HTTP/1.1 for the callback port alone: whole, small, timely requests reach the handler, nothing else does.

Built on h11, uvicorn's parser, and not on uvicorn: it shows what must be refused (a length beside chunks), and leaves
room to give each head and each body its own time limit, and each flood its bounds (contracts §7); uvicorn has no
settings for those. Where connections run out, the one that has waited longest for the rest of a request is closed, so
that neither idle nor slow clients keep a good one out.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Final

import h11

MAX_HEAD_BYTES: Final = 16 * 1024
MAX_BODY_BYTES: Final = 64 * 1024
MAX_CHUNKS: Final = 4096
"""A body of single bytes would cost a second of this process (measured: 20 µs a chunk)."""
HEAD_SECONDS: Final = 5.0
BODY_SECONDS: Final = 5.0
KEEP_ALIVE_SECONDS: Final = 60.0
LINGER_SECONDS: Final = 1.0
"""How long a refused client is still read from: a reset could overtake the answer that tells it why."""
MAX_CONNECTIONS: Final = 1000
BACKLOG: Final = 1024
STOP_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. `headers`: names in lower case, as often as they came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = ""

    def head(self) -> h11.Response:
        """Always the same bytes: no date, nothing of the request."""
        headers: list[tuple[str, str]] = [("Content-Type", self.content_type)] if self.content_type else []
        if self.status is not HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(self.body))))
        return h11.Response(status_code=self.status, headers=headers, reason=self.status.phrase.encode())


Handler = Callable[[Request], Awaitable[Response]]
"""Answers every request, within its time; may not raise."""


class _Phase(Enum):
    IDLE = "nothing of a request has come"
    HEAD = "a part of a head has come"
    BODY = "the head has come"
    ANSWERING = "the handler has the request"
    ENDING = "whatever still comes is thrown away"


class CallbackServer:
    """Serves in the background of the running event loop.

    Args:
        handler: answers what is a whole request.
        max_connections: more are not held; the one that has waited longest is closed.
    """

    def __init__(self, handler: Handler, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self._handler = handler
        self._max_connections = max_connections
        self._open: dict[_Connection, None] = {}
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Take requests on `listener`, which is bound."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._handler, self), sock=listener, backlog=BACKLOG
        )

    async def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Take no more, answer what is in hand, close."""
        if self._server is not None:
            self._server.close()
        in_hand = [task for connection in list(self._open) if (task := connection.finish()) is not None]
        if in_hand:
            await asyncio.wait(in_hand, timeout=timeout_seconds)
        for connection in list(self._open):
            connection.abort()

    def entered(self, connection: "_Connection") -> None:
        """A connection came, or begins to wait anew: it is the last to give way."""
        self._open.pop(connection, None)
        self._open[connection] = None
        if len(self._open) > self._max_connections:
            next((one for one in self._open if one.may_give_way), connection).abort()

    def left(self, connection: "_Connection") -> None:
        """A connection is gone."""
        self._open.pop(connection, None)


class _Connection(asyncio.Protocol):
    """One client: one request after the other, each whole before it is handed on."""

    def __init__(self, handler: Handler, server: CallbackServer) -> None:
        self._handler = handler
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._phase = _Phase.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._half_closed = False
        self._chunks = 0

    @property
    def may_give_way(self) -> bool:
        """Whether no whole request is in hand."""
        return self._phase is not _Phase.ANSWERING

    def finish(self) -> asyncio.Task[None] | None:
        """End after the answer in hand, or at once; the task of the former."""
        self._stopping = True
        if self._phase is _Phase.ANSWERING:
            return self._task
        self.abort()
        return None

    def abort(self) -> None:
        """End now."""
        self._enter(_Phase.ENDING, None)
        self._server.left(self)
        self._transport.abort()

    # --- asyncio -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._enter(_Phase.IDLE, HEAD_SECONDS)
        self._server.entered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`. A request in hand is finished: the provider sends again, and it is a repeat."""
        del exc
        self._enter(_Phase.ENDING, None)
        self._server.left(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._phase is _Phase.ENDING:
            return
        self._http.receive_data(data)
        if self._phase is _Phase.ANSWERING:  # the next request waits; `pause_reading` takes hold after this
            return
        if self._phase is _Phase.IDLE:
            self._enter(_Phase.HEAD, HEAD_SECONDS)
        self._read_on()

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`. A client that has said all still gets its answer."""
        self._half_closed = True
        return self._phase is _Phase.ANSWERING

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`. Who asks and asks and reads no answer is let go."""
        self.abort()

    # --- a request -----------------------------------------------------------------------------------------------

    def _read_on(self) -> None:
        while self._phase in (_Phase.IDLE, _Phase.HEAD, _Phase.BODY):
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                self._refuse(HTTPStatus.BAD_REQUEST)
                return
            match event:
                case h11.Request():
                    self._take_head(event)
                case h11.Data():
                    self._take_data(event)
                case h11.EndOfMessage():
                    self._hand_on()
                case h11.ConnectionClosed() | h11.PAUSED:
                    self.abort()
                case _:  # NEED_DATA
                    if self._http.they_are_waiting_for_100_continue:
                        self._send(h11.InformationalResponse(status_code=100, headers=[]))
                    return

    def _take_head(self, head: h11.Request) -> None:
        values = {name: value for name, value in head.headers}  # noqa: C416 - h11's own type, not pairs
        chunked = b"transfer-encoding" in values
        if chunked and (b"content-length" in values or head.http_version != b"1.1"):
            self._refuse(HTTPStatus.BAD_REQUEST)  # two readers would see two requests in it
            return
        size_bytes = len(head.target) + sum(len(name) + len(value) for name, value in head.headers)
        if size_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        if int(values.get(b"content-length", b"0")) > MAX_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        self._head, self._body, self._chunks = head, bytearray(), MAX_CHUNKS if chunked else -1
        self._enter(_Phase.BODY, BODY_SECONDS)

    def _take_data(self, data: h11.Data) -> None:
        self._body += data.data
        self._chunks -= 1
        if len(self._body) > MAX_BODY_BYTES or self._chunks == 0:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def _hand_on(self) -> None:
        head = self._head
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
        request = Request(head.method.decode("latin-1"), head.target.decode("latin-1"), headers, bytes(self._body))
        self._enter(_Phase.ANSWERING, None)
        self._transport.pause_reading()
        self._task = self._loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        response = await self._handler(request)
        if self._phase is not _Phase.ANSWERING or self._transport.is_closing():
            return
        self._send(response.head())
        if response.body and request.method != "HEAD":
            self._send(h11.Data(data=response.body))
        self._send(h11.EndOfMessage())
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE or self._stopping:
            self._end()
            return
        self._http.start_next_cycle()
        self._enter(_Phase.IDLE, KEEP_ALIVE_SECONDS)
        self._server.entered(self)
        if self._half_closed:
            self._end()
            return
        with contextlib.suppress(RuntimeError):  # it went away meanwhile
            self._transport.resume_reading()
        if self._http.trailing_data[0]:
            self._enter(_Phase.HEAD, HEAD_SECONDS)
            self._read_on()

    # --- ends ----------------------------------------------------------------------------------------------------

    def _too_slow(self) -> None:
        if self._phase is _Phase.IDLE:
            self._end()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        """What came is no whole request: a bare answer, and the end."""
        self._transport.write(
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        self._end()

    def _end(self) -> None:
        """Let the answer arrive, then be gone."""
        if self._transport.is_closing():
            return
        self._enter(_Phase.ENDING, LINGER_SECONDS)
        if self._half_closed:
            self._transport.close()
            return
        with contextlib.suppress(RuntimeError, OSError):
            self._transport.resume_reading()
        with contextlib.suppress(RuntimeError, OSError):
            self._transport.write_eof()

    def _enter(self, phase: _Phase, limit_seconds: float | None) -> None:
        self._phase = phase
        if self._timer is not None:
            self._timer.cancel()
        late = self.abort if phase is _Phase.ENDING else self._too_slow
        self._timer = None if limit_seconds is None else self._loop.call_later(limit_seconds, late)

    def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._transport.write(data)
