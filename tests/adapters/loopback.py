"""A TCP server on loopback that behaves as badly as a test asks, and remembers what it saw."""

import asyncio
import contextlib
import re
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TypeVar

import pytest

from adapters import http
from tests.limits import WAIT_SECONDS

T = TypeVar("T")


class RequestLimits:
    """The limits of time of the requests under way, which pass when a test says so, whatever the machine's pace."""

    def __init__(self) -> None:
        self._running: list[asyncio.Timeout] = []

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """As `asyncio.timeout`."""
        self._running.append(asyncio.timeout(seconds))
        return self._running[-1]

    def let_pass(self) -> None:
        """Now the time of each request is over."""
        for limit in self._running:
            with contextlib.suppress(RuntimeError):  # its request has ended
                limit.reschedule(0)


@contextlib.contextmanager
def request_limits() -> Iterator[RequestLimits]:
    """Those of all requests that begin in the block."""
    limits = RequestLimits()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "asyncio", SimpleNamespace(timeout=limits.timeout))
        patch.setattr(http, "_CONNECT_TIMEOUT_SECONDS", PATIENCE_SECONDS)
        yield limits


async def too_late(request: Coroutine[object, object, T], acted: Callable[[], Awaitable[object]]) -> T:
    """What comes of a request whose time is over once the other side has acted, and has not answered."""
    with request_limits() as limits:
        asking = asyncio.ensure_future(request)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await acted():
                await asyncio.sleep(0.02)
            assert not asking.done()
            limits.let_pass()
            return await asking


@dataclass
class Loopback:
    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list[bytes])
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    limits: RequestLimits = field(default_factory=RequestLimits)


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: Loopback, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one whole request."""
        whole = await self._reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", whole)
        whole += await self._reader.readexactly(int(length[1]) if length else 0)
        self._server.requests.append(whole)
        self._server.asked.set()
        return whole

    async def say(self, text: bytes) -> None:
        """Send, as fast as it is taken."""
        self._writer.write(text)
        await self._writer.drain()

    async def client_gone(self) -> None:
        """Wait until the client has closed."""
        while await self._reader.read(65536):
            pass

    async def let_the_limit_pass(self) -> None:
        """The client has what was said, unless this machine is slow, and its time is over."""
        await asyncio.sleep(0.05)
        self._server.limits.let_pass()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Behaviour = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def loopback(behaviour: Behaviour) -> AsyncGenerator[Loopback, None]:
    """Serve each connection with `behaviour`, then close it, until the end of the block."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.connections += 1
        try:
            await behaviour(Peer(served, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client gave up
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        with request_limits() as limits:
            served = Loopback(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", limits=limits)
            yield served
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def head(length: int | None, status: str = "200 OK", *extra: str) -> bytes:
    """The head of an answer with a body of `length` bytes; None for one that ends with the connection."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *extra]
    lines += ["Connection: close"] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


async def close_at_once(_peer: Peer) -> None:
    """Say nothing, read nothing."""


async def reset_at_once(peer: Peer) -> None:
    peer.reset()


async def close_after_request(peer: Peer) -> None:
    await peer.request()


async def never_answer(peer: Peer) -> None:
    await peer.request()
    await peer.client_gone()


async def never_answer_in_time(peer: Peer) -> None:
    await peer.request()
    await peer.let_the_limit_pass()
    await peer.client_gone()


async def never_end_the_head(peer: Peer) -> None:
    await peer.request()
    await peer.say(head(10)[:20])
    await peer.let_the_limit_pass()
    await peer.client_gone()


async def hang_after_the_head(peer: Peer) -> None:
    await peer.request()
    await peer.say(head(10))
    await peer.let_the_limit_pass()
    await peer.client_gone()


async def reset_in_the_body(peer: Peer) -> None:
    await peer.request()
    await peer.say(head(100) + b"{" + b" " * 50)
    await asyncio.sleep(0.05)
    peer.reset()


async def close_in_the_body(peer: Peer) -> None:
    await peer.request()
    await peer.say(head(100) + b"{" + b" " * 50)


async def drip(peer: Peer) -> None:
    """A byte each 50 ms, without end: no single read ever times out."""
    await peer.request()
    await peer.say(head(1_000_000))
    while True:
        await peer.say(b" ")
        await peer.let_the_limit_pass()


async def giant(peer: Peer) -> None:
    """A body without end, as fast as it is taken."""
    await peer.request()
    await peer.say(head(None))
    while True:
        await peer.say(b" " * 65536)


async def not_http(peer: Peer) -> None:
    await peer.request()
    await peer.say(b"220 mail.example.com ESMTP\r\n")


def answering(*answers: bytes) -> Behaviour:
    """The answers one after the other on one connection."""

    async def behave(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.say(answer)

    return behave


BROKEN: dict[str, Behaviour] = {
    "closed at once": close_at_once,
    "reset at once": reset_at_once,
    "closed after the request": close_after_request,
    "reset in the body": reset_in_the_body,
    "closed in the body": close_in_the_body,
    "no HTTP": not_http,
}
"""What ends by itself."""

SILENT: dict[str, Behaviour] = {
    "no answer": never_answer_in_time,
    "half a head": never_end_the_head,
    "head and no body": hang_after_the_head,
    "a byte now and then": drip,
}
"""What only a time limit ends, which passes once they have said what they say."""

PATIENCE_SECONDS = WAIT_SECONDS
"""Where something must come before any limit; a machine under load gets there too."""

UNANSWERED: dict[str, Behaviour] = {**BROKEN, **SILENT}
"""Whatever happens after the connection stands may have reached the other side."""


def dead_url() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
