"""Waiting for a part that is away at start: back-off, a log line each minute, over at SIGTERM (contracts §8)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from runtime.backoff import Backoff
from runtime.redaction import in_one_line
from runtime.telemetry import get_logger

FIRST_PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE_SECONDS: Final = 10.0
"""A part that is back is noticed within this."""
LINE_EVERY_SECONDS: Final = 60.0
ATTEMPT_SECONDS: Final = 10.0
"""A frozen part accepts connections and says nothing: no attempt may take longer."""

T = TypeVar("T")
_log = get_logger(__name__)


class Stopped(Exception):
    """The process was told to stop while it waited; nothing was in hand."""


async def wait_for(
    part: str,
    attempt: Callable[[], Awaitable[T]],
    stop: asyncio.Event,
    *,
    attempt_seconds: float = ATTEMPT_SECONDS,
    on_wait: Callable[[str], None] = lambda _sentence: None,
) -> T:
    """Call `attempt` until it returns, for ever; its result.

    Args:
        part: What is waited for, as an operator calls it: "Temporal at 127.0.0.1:7233".
        attempt: One try; any `Exception` means "not yet", its text says why.
        stop: Ends the wait.
        attempt_seconds: Limit of one try.
        on_wait: Told the sentence after each failed try (for `/readyz`).

    Raises:
        Stopped: `stop` was set first.
    """
    since = time.monotonic()
    next_line = since
    backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
    while True:
        try:
            return await _unless_stopped(attempt(), stop, attempt_seconds)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - every part has its own errors, and all mean "not yet"
            reason = in_one_line(error)
        on_wait(f"{part} is away ({reason}); start it, or correct its address.")
        if time.monotonic() >= next_line:
            waited_seconds = round(time.monotonic() - since)
            _log.warning("waiting", part=part, waited_seconds=waited_seconds, reason=reason)
            next_line = time.monotonic() + LINE_EVERY_SECONDS
        await _sleep(backoff.next_seconds(), stop)


async def _unless_stopped(work: Awaitable[T], stop: asyncio.Event, limit_seconds: float) -> T:
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # read, also where nobody waits any more
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, stopped), timeout=limit_seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if stopped.done():
            raise Stopped
        raise TimeoutError
    finally:
        task.cancel()
        stopped.cancel()


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
    raise Stopped
