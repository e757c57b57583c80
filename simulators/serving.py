"""The server of a simulator: one uvicorn per simulator, any number of them in one process, one signal ends all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Generator
from http import HTTPStatus
from typing import Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulators.book import Book, BookUnusableError
from simulators.wire import DropResponse, Pace, StoppingError, problem

KEEP_ALIVE_SECONDS = 600  # longer than any client's pool keeps a connection: no chance resets
SHUTDOWN_GRACE_SECONDS = 1


class Simulator(Protocol):
    """One simulator: a name, a book, its HTTP routes, and what runs beside them."""

    name: str
    book: Book
    pace: Pace

    def routes(self) -> list[Route]:
        """The HTTP surface: the wire that is simulated and the control API."""
        ...

    async def start(self) -> None:
        """Take up what the book says is under way."""
        ...

    async def stop(self) -> None:
        """End what runs beside the requests."""
        ...


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: one handler stops all servers of the process."""
        yield


def _http_protocol(connections: dict[tuple[str, int], asyncio.Transport]) -> type[asyncio.Protocol]:
    class KnownConnections(H11Protocol):
        """Tells which transport a request came by, so that an answer can be broken off."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] - uvicorn's own type
            super().connection_made(transport)
            if self.client is not None:
                connections[self.client] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.client is not None:
                connections.pop(self.client, None)

    return KnownConnections


async def _on_stopping(_request: Request, _error: Exception) -> Response:
    return DropResponse()


async def _on_book_unusable(_request: Request, error: Exception) -> Response:
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))


def _server(simulator: Simulator) -> _Server:
    app = Starlette(
        routes=simulator.routes(),
        exception_handlers={StoppingError: _on_stopping, BookUnusableError: _on_book_unusable},
    )
    connections: dict[tuple[str, int], asyncio.Transport] = {}
    app.state.connections = connections
    return _Server(
        uvicorn.Config(
            app,
            http=_http_protocol(connections),
            ws="none",
            lifespan="off",
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        sock.bind((host, port))
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock


def announce(simulator: str, sock: socket.socket) -> None:
    """One JSON line on stdout that tells the port."""
    line = json.dumps({"event": "listening", "simulator": simulator, "port": sock.getsockname()[1]})
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def stop_signal() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def serve(simulator: Simulator, sock: socket.socket, stop: asyncio.Event) -> None:
    """Serve one simulator until `stop` is set; then end within about a second, hung requests or not."""
    server = _server(simulator)
    await simulator.start()
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        while not server.started and not task.done():  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.005)
        announce(simulator.name, sock)
        await stop.wait()
    finally:
        simulator.pace.stopping.set()
        server.should_exit = True
        await task
        await simulator.stop()
        await simulator.book.close()
