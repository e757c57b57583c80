"""How fast one platform may be published to: evenly spaced turns, first come, first served."""

import asyncio
import contextlib
from collections import deque
from typing import Final

_SLACK_SECONDS: Final = 0.02
"""A timer that comes late may be made up for by this much, so that a high rate is reached with coarse timers; more
would let a stalled loop send a burst that a platform which counts per second punishes."""


class RateLimiter:
    """A token bucket that holds one token: `publishes_per_second` in any second, no burst after a pause.

    Waiting in it costs nothing when it is cancelled: the turn goes to the next in line. Bound to one event loop.
    """

    def __init__(self, publishes_per_second: float | None) -> None:
        self._interval_seconds = 0.0 if publishes_per_second is None else 1.0 / publishes_per_second
        self._next_at = 0.0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def seconds_to_wait(self) -> float:
        """How long one who comes now would wait, if all before take their turns."""
        ready_in = self._next_at - asyncio.get_running_loop().time()
        return max(0.0, ready_in + self._interval_seconds * len(self._waiting))

    async def turn(self) -> bool:
        """Wait for a turn. False: `wake_all` was called instead, and there was none."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if not self._waiting and now >= self._next_at:
            self._next_at = now + self._interval_seconds
            return True
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(waiter)
        self._arm(loop)
        try:
            return await waiter
        finally:
            if waiter.cancelled():
                with contextlib.suppress(ValueError):  # its turn came while it was being cancelled
                    self._waiting.remove(waiter)

    def hold(self, seconds: float) -> None:
        """No turn for `seconds`: the platform has asked for less."""
        loop = asyncio.get_running_loop()
        self._next_at = max(self._next_at, loop.time() + seconds)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._arm(loop)

    def wake_all(self) -> None:
        """Send everyone away who waits: there is nothing to wait for."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(False)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None and self._waiting:
            self._timer = loop.call_at(self._next_at, self._release, loop)

    def _release(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        while self._waiting and loop.time() >= self._next_at:
            waiter = self._waiting.popleft()
            if not waiter.done():
                on_time = max(self._next_at, loop.time() - _SLACK_SECONDS)
                self._next_at = on_time + self._interval_seconds
                waiter.set_result(True)
        self._arm(loop)
