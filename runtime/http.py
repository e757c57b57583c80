"""`/healthz`, `/readyz`, `/metrics` of every process, and what else it serves on the same port (contracts §7, §8)."""

import asyncio
import contextlib
import socket
from collections.abc import Generator, Sequence
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from runtime.health import Health
from runtime.metrics import CONTENT_TYPE, Metrics
from runtime.settings import SettingsError
from runtime.settings.groups import ServerSettings

STOP_SECONDS: Final = 5
"""What a request in hand has left at stop; a callback must be answered within 5 s anyway (contracts §7)."""


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: `runtime.process` has them."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class HttpServer:
    """Serves in the background of the running event loop."""

    def __init__(self, health: Health, metrics: Metrics, routes: Sequence[BaseRoute] = ()) -> None:
        async def readyz(_request: Request) -> Response:
            report = await health.report()
            body = {"ready": report.ready, "checks": report.checks}
            return JSONResponse(body, status_code=200 if report.ready else 503)

        async def healthz(_request: Request) -> Response:
            return PlainTextResponse("ok\n")

        async def exposition(_request: Request) -> Response:
            return Response(metrics.exposition(), media_type=CONTENT_TYPE)

        app = Starlette(
            routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", exposition), *routes]
        )
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket) -> None:
        """Serve on `listener`, which is bound; returns once requests are taken."""
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP server ended before it served")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Finish requests in hand, then close; does nothing where it never started."""
        if self._task is not None:
            self._server.should_exit = True
            await asyncio.wait((self._task,), timeout=STOP_SECONDS + 1)


def bind(settings: ServerSettings) -> socket.socket:
    """A listener on `TOPUP_HTTP_HOST`, `TOPUP_HTTP_PORT`; raises as `open_listener` does."""
    return open_listener(
        settings.http_host, settings.http_port, host_name="TOPUP_HTTP_HOST", port_name="TOPUP_HTTP_PORT"
    )


def open_listener(host: str, port: int, *, host_name: str, port_name: str) -> socket.socket:
    """A listener on this address; port 0 takes any free one. `…_name`: the variables that say so.

    Raises:
        SettingsError: the port is taken or may not be opened, or the address isn't this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise SettingsError((f"{host_name}={host} can't be resolved, for example {host_name}=127.0.0.1.",)) from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        fault = (
            f"{port_name}={port} can't be opened on {host_name}={host} ({error.strerror}): stop what has it, or take "
            f"another one, for example {port_name}=0 for any free port."
        )
        raise SettingsError((fault,)) from None
    listener.setblocking(False)
    return listener
