"""A process as `runtime.process` runs it, for tests to start and to signal: `python child.py BEHAVIOUR`."""

import asyncio
import sys
import threading
import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from configuration.processes import BridgeSettings
from runtime.process import ProcessContext, run
from runtime.settings import SettingsError
from runtime.telemetry import get_logger
from runtime.temporal import wait_for_temporal
from tests.limits import WAIT_SECONDS


async def works(context: ProcessContext) -> int:
    context.health.started()
    await context.stop.wait()
    await asyncio.sleep(0.2)  # what is in hand
    get_logger("child").info("finished")
    return 0


async def waits(context: ProcessContext) -> int:
    async def attempt() -> None:
        raise OSError("connection refused")

    await context.wait_for("the database", attempt)
    return 1


async def waits_for_temporal(context: ProcessContext) -> int:
    await wait_for_temporal(context.settings, context.stop, on_wait=context.health.starting)
    return 1


async def fails(_context: ProcessContext) -> int:
    raise KeyError("car LSGBC5342AG000001")


async def gives_up(_context: ProcessContext) -> int:
    raise SystemExit(7)


async def finds_fault(_context: ProcessContext) -> int:
    raise SettingsError(("TOPUP_X is wrong, for example TOPUP_X=1.",))


async def never_ends(context: ProcessContext) -> int:
    context.health.started()
    await asyncio.Event().wait()
    return 0


async def is_stuck(context: ProcessContext) -> int:
    context.health.started()
    await context.stop.wait()
    time.sleep(600)  # noqa: ASYNC251 - a stuck loop is what this one is for
    return 0


async def leaves_threads(context: ProcessContext) -> int:
    threading.Thread(target=time.sleep, args=(600,)).start()
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)
    context.health.started()
    return 3


async def hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


if __name__ == "__main__":
    behaviour = globals()[sys.argv[1]]
    grace_seconds = 1 if behaviour is never_ends else WAIT_SECONDS
    run(BridgeSettings, behaviour, routes=lambda _context: [Route("/hello", hello)], grace_seconds=grace_seconds)
