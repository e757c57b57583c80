"""What every long-running process does around its work: start, wait, serve its health, stop, exit (contracts §8).

Exit codes: 0 stopped as told, 1 an error nobody expected (or work that didn't end within the grace period), 2 wrong
configuration, 130 a second Ctrl-C.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final, Generic, NoReturn, TypeVar

from starlette.routing import BaseRoute

from runtime.exits import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    end_on_sigterm,
    exit_now,
    leave_no_core,
)
from runtime.health import Health, export_parts
from runtime.http import HttpServer, bind
from runtime.metrics import Metrics
from runtime.redaction import in_one_line
from runtime.settings import SettingsError, load
from runtime.settings.groups import ServerSettings
from runtime.telemetry import configure_logging, get_logger
from runtime.waiting import ATTEMPT_SECONDS, Stopped, wait_for

GRACE_SECONDS: Final = 110.0
"""Above the longest call in hand (a slow carrier's POST, contracts §4) and below Compose's `stop_grace_period`."""
CLEAN_UP_SECONDS: Final = 3.0
GARBAGE_AT: Final = 20_000
"""Objects made and not freed before the collector looks at the young: at 700, the default, it looks 30 times as often,
each time at what is in hand and will be freed without it."""

T = TypeVar("T")
S = TypeVar("S", bound=ServerSettings)
S_co = TypeVar("S_co", bound=ServerSettings, covariant=True)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessContext(Generic[S_co]):
    """What a process's main function works with.

    Attributes:
        settings: Valid for this process.
        stop: Set by SIGTERM or Ctrl-C: take nothing new, finish what is in hand, return.
        health: Behind `/readyz`; call `health.started()` once the work goes on.
        metrics: Behind `/metrics`.
    """

    settings: S_co
    stop: asyncio.Event
    health: Health
    metrics: Metrics

    async def wait_for(
        self, part: str, attempt: Callable[[], Awaitable[T]], *, attempt_seconds: float = ATTEMPT_SECONDS
    ) -> T:
        """`runtime.waiting.wait_for`, ended by `stop` and shown on `/readyz`. `Stopped` may pass through `main`."""
        self.health.starting(f"Waiting for {part}.")
        result = await wait_for(part, attempt, self.stop, attempt_seconds=attempt_seconds, on_wait=self.health.starting)
        self.health.starting("The process is starting.")
        return result


Main = Callable[[ProcessContext[S]], Awaitable[int]]
Routes = Callable[[ProcessContext[S]], Sequence[BaseRoute]]


def run(
    model: type[S],
    main: Main[S],
    *,
    environ: Mapping[str, str] | None = None,
    routes: Routes[S] = lambda _context: (),
    grace_seconds: float = GRACE_SECONDS,
) -> NoReturn:
    """Load the settings, run `main` until it returns, or is told to stop and has; then end the process with its code.

    Never returns and raises nothing: the process ends in `os._exit`, because the Temporal SDK sometimes aborts or hangs
    at interpreter exit (measured). `routes` are served beside `/healthz`, `/readyz` and `/metrics`.
    """
    process = model.process
    leave_no_core()
    end_on_sigterm()
    configure_logging()
    try:
        settings = load(os.environ if environ is None else environ, model)
        listener = bind(settings)
    except SettingsError as error:
        for fault in error.faults:
            print(fault, file=sys.stderr)  # noqa: T201 - one sentence per line, for people (contracts §8)
        exit_now(EXIT_CONFIGURATION)
    for warning in settings.warnings:
        _log.warning("configuration", sentence=warning)
    _collect_seldom()

    async def everything() -> int:
        context = ProcessContext(settings, asyncio.Event(), Health(), Metrics())
        _stop_on_signals(context)
        server = HttpServer(context.health, context.metrics, routes(context))
        host, port = listener.getsockname()[:2]
        await server.start(listener)
        _log.info("listening", port=port, host=host, process=process)
        parts = asyncio.create_task(export_parts(context.health, context.metrics), name="parts")
        code = await _until_done(main, context, grace_seconds)
        parts.cancel()
        await server.stop()
        return code

    try:
        code = asyncio.new_event_loop().run_until_complete(everything())  # not `run`: it would wait for threads
    except BaseException:  # noqa: BLE001 - nothing may end this process but `exit_now`
        _log.exception("failed", process=process, sentence=_unexpected(process))
        code = EXIT_FAILED
    _log.info("stopped", process=process, exit_code=code)
    exit_now(code)


def _collect_seldom() -> None:
    """What was imported stays for good: the garbage collector needn't look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_AT, *gc.get_threshold()[1:])


async def _until_done(main: Main[S], context: ProcessContext[S], grace_seconds: float) -> int:
    """The code of `main`: its own, or what its error or its slowness stands for."""
    process = context.settings.process
    task = asyncio.ensure_future(main(context))
    stopped = asyncio.ensure_future(context.stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        await asyncio.wait((task,), timeout=grace_seconds)
    if not task.done():
        _log.error(
            "grace period over",
            process=process,
            sentence=f"The {process} did not finish what it had in hand within {grace_seconds:g} s; nothing is lost, "
            "the next start takes it up again.",
        )
        task.cancel()
        await asyncio.wait((task,), timeout=CLEAN_UP_SECONDS)
        return EXIT_FAILED
    try:
        return task.result()
    except Stopped:
        return EXIT_OK
    except SettingsError as error:
        for fault in error.faults:
            _log.error("configuration", sentence=fault)
        return EXIT_CONFIGURATION
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the last place that can say what happened
        _log.error("failed", process=process, reason=in_one_line(error), sentence=_unexpected(process), exc_info=error)
        return EXIT_FAILED


def _unexpected(process: str) -> str:
    return (
        f"The {process} ended on an error that nobody expected; nothing is lost, start it again, and report the "
        "traceback in this line."
    )


def _stop_on_signals(context: ProcessContext[S]) -> None:
    """SIGTERM and Ctrl-C set `stop`; a second Ctrl-C ends the process at once."""
    loop = asyncio.get_running_loop()
    told = False

    def stop() -> None:
        if not context.stop.is_set():
            context.health.stopping()
            _log.info("stopping", process=context.settings.process)
            context.stop.set()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        # A plain handler, not the loop's: a second Ctrl-C must work also where the loop is stuck.
        nonlocal told
        if number == signal.SIGINT and told:
            os._exit(EXIT_INTERRUPTED)
        told = True
        loop.call_soon_threadsafe(stop)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
