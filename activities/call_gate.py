"""Whether a call to carrier or provider may leave now: nobody holds them, and the limit of calls per second has room.

Asked right before an attempt takes the right to send, or asks. What is turned away has sent nothing and written
nothing; the engine brings it again. So neither decides anything: to the rules it is an attempt that came later (ADR 8).
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

from activities.context import is_local, raise_retryable
from activities.ports import CallSlots, HoldsBook
from orders.clock import Clock
from orders.holds import Hold, in_force
from workflows import policies
from workflows.policies import held_pace_seconds


@dataclass(frozen=True, slots=True)
class Stopped:
    """No call may leave now: why, and when to come again."""

    kind: str
    why: str
    after_seconds: float

    def again_later(self) -> NoReturn:
        """Fail this attempt so that the engine tries again then."""
        raise_retryable(self.kind, self.why, after_seconds=self.after_seconds)


class Gate(Protocol):
    """What the steps ask before each call."""

    async def stopped(self, part: str) -> Stopped | None:
        """None: one call to the part may leave now, and this was it. Raises `Unavailable`."""
        ...


class OpenGate:
    """A gate that stops nothing."""

    async def stopped(self, part: str) -> Stopped | None:
        """Never."""
        del part
        return None


class CallGate:
    """The gate of one worker. Bound to one event loop.

    Args:
        holds: read at most once in `HOLD_TRUSTED_SECONDS`; while it can't be read nothing leaves, for what needs the
            gate needs the same order book.
        slots: the moments that all workers share.
        clock: by which a hold ends.
        per_second: the limit, by part; a part without one is not limited.
        scale: `TOPUP_TIME_SCALE`.
        turned_away: hears of each part that a call was turned away from.
    """

    def __init__(
        self,
        holds: HoldsBook,
        slots: CallSlots,
        clock: Clock,
        per_second: Mapping[str, float],
        *,
        scale: float,
        turned_away: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._holds = _HoldsRead(holds)
        self._clock = clock
        self._scale = scale
        self._turned_away = turned_away
        self._paces = {part: Pace(part, slots, rate) for part, rate in per_second.items()}

    async def stopped(self, part: str) -> Stopped | None:
        """None: one call to the part may leave now, and this was it. Raises `Unavailable`."""
        stopped = await self._held(part) or await self._too_fast(part)
        if stopped is not None:
            self._turned_away(part)
        return stopped

    async def _held(self, part: str) -> Stopped | None:
        now = self._clock.now()
        hold = in_force(await self._holds.read(), now).get(part)
        if hold is None:
            return None
        held_seconds = (now - hold.held_at).total_seconds()
        why = f"{hold.sentence()}. Nothing was sent."
        return Stopped("Held", why, held_pace_seconds(held_seconds, self._scale))

    async def _too_fast(self, part: str) -> Stopped | None:
        pace = self._paces.get(part)
        if pace is None:
            return None
        most = policies.LOCAL_SLOT_SECONDS if is_local() else policies.SLOT_SECONDS
        come_back_seconds = await pace.take(most)
        if come_back_seconds is None:
            return None
        why = f"{part} is called as often as TOPUP_CALLS_PER_SECOND allows. Nothing was sent."
        return Stopped("Paced", why, come_back_seconds)


class _HoldsRead:
    """The holds as they were read a moment ago; whoever finds them too old reads them for all that wait."""

    def __init__(self, holds: HoldsBook) -> None:
        self._holds = holds
        self._one_reads = asyncio.Lock()
        self._last: Sequence[Hold] = ()
        self._read_at = -math.inf

    async def read(self) -> Sequence[Hold]:
        if self._too_old():
            async with self._one_reads:
                if self._too_old():
                    asked_at = time.monotonic()
                    self._last = await self._holds.not_released()
                    self._read_at = asked_at
        return self._last

    def _too_old(self) -> bool:
        return time.monotonic() - self._read_at > policies.HOLD_TRUSTED_SECONDS


SLOT_LIVES_SECONDS: Final = 0.25
"""So long after its moment a slot may be used: of a limit of r per second all workers together let go at most
r * (t + 0.25 + d) + 1 calls within any t seconds, where d is how long the order book takes to answer."""
TAKEN_AHEAD_SECONDS: Final = 0.1
"""Slots of so long are taken at a time, and at most two and a half times as many where calls wait for them: 10
transactions a second and worker, however high the limit."""


class Pace:
    """One part's slots in this process.

    Args:
        part: which.
        slots: the moments that all workers share.
        per_second: the limit over all of them.
        now: seconds, monotonic.
    """

    def __init__(
        self, part: str, slots: CallSlots, per_second: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._part = part
        self._slots = slots
        self._per_second = per_second
        self._now = now
        self._mine: deque[float] = deque()
        self._one_takes = asyncio.Lock()
        self._waiting = 0
        self._full_until = -math.inf
        self._back_at = -math.inf

    async def take(self, most_seconds: float) -> float | None:
        """Wait for a slot, at most so long. None: it is this moment; else come back in so many seconds.

        Whoever is turned away gets a moment of its own to come back, so that what has gathered in an outage comes as
        fast as it is let through.
        """
        self._waiting += 1
        try:
            async with self._one_takes:
                slot = await self._next(most_seconds)
        finally:
            self._waiting -= 1
        if slot is None:
            return self._come_back_seconds()
        await asyncio.sleep(max(0.0, slot - self._now()))
        return None

    async def _next(self, most_seconds: float) -> float | None:
        while self._mine and self._mine[0] < self._now() - SLOT_LIVES_SECONDS:
            self._mine.popleft()
        if not self._mine and self._now() >= self._full_until:
            await self._take_some()
        if not self._mine or self._mine[0] > self._now() + most_seconds:
            return None
        return self._mine.popleft()

    async def _take_some(self) -> None:
        ahead = math.ceil(self._per_second * TAKEN_AHEAD_SECONDS)
        count = max(ahead, min(self._waiting, math.ceil(2.5 * ahead)))
        asked_at = self._now()
        taken, begins_seconds = await self._slots.take(
            self._part, count, per_second=self._per_second, at_most_seconds=policies.SLOT_SECONDS
        )
        # Counted from the answer, a slot is never earlier than the database means it.
        first = self._now() + begins_seconds
        self._mine.extend(first + number / self._per_second for number in range(taken))
        if not taken:
            self._full_until = asked_at + max(begins_seconds - policies.SLOT_SECONDS, 1 / self._per_second)

    def _come_back_seconds(self) -> float:
        now = self._now()
        self._back_at = max(self._back_at, now + policies.SLOT_SECONDS) + 1 / self._per_second
        self._back_at = min(self._back_at, now + policies.PACED_LONGEST_SECONDS)
        return self._back_at - now
