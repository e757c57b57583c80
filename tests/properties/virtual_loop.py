"""An event loop whose clock jumps to the next timer: a month of waiting takes as long as the work in it."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


class _Jumping:
    """Stands where a selector does: nothing comes from outside, so waiting means that time has passed."""

    def __init__(self) -> None:
        self.now = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("Nothing will ever happen any more: a future that nobody resolves is awaited.")
        self.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """One example's loop, without threads and sockets: everything in it follows from what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = _Jumping()
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._selector.now

    def _process_events(self, event_list: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """There are no other threads."""


class LoopClock:
    """`orders.clock.Clock` on a virtual loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return START + timedelta(seconds=self._loop.time())


def in_virtual_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """What takes 0.02 s takes that long on each machine, and a stopped process comes back to the same moment."""

    def run() -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test())

    return run
