"""Whether a call to carrier or provider may leave now: nobody holds them, and the limit of calls per second has room.

Asked right before an attempt takes the right to send, or asks. What is turned away has sent nothing and written
nothing; the engine brings it again. So neither decides anything: to the rules it is an attempt that came later (ADR 8).
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
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
    """No call may leave now: why, and when to come again (None: by the step's policy)."""

    kind: str
    why: str
    after_seconds: float | None

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
        local = is_local()
        if await pace.take(policies.LOCAL_SLOT_SECONDS if local else policies.SLOT_SECONDS):
            return None
        why = f"{part} is called as often as TOPUP_CALLS_PER_SECOND allows. Nothing was sent."
        # A regular attempt follows a local try at once, and gets the moment to come back.
        return Stopped("Paced", why, None if local else pace.come_back_seconds())


class _Shared:
    """One question to the order book at a time: whoever comes meanwhile gets the same answer, or the same failure.

    So a book that hangs costs each waiter one limit of a transaction and not the limits of all before it, and an
    attempt that is cancelled (the local limit) takes nobody's answer along.
    """

    def __init__(self, ask: Callable[[], Coroutine[None, None, None]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(_heard)
        await asyncio.shield(self._asking)


def _heard(asked: asyncio.Task[None]) -> None:
    """All who waited may be gone: then nobody else looks at what it has failed with."""
    if not asked.cancelled():
        asked.exception()


class _HoldsRead:
    """The holds as they were read last. Once they are too old, one caller reads them for all that come meanwhile."""

    def __init__(self, holds: HoldsBook) -> None:
        self._holds = holds
        self._read = _Shared(self._read_once)
        self._last: Sequence[Hold] = ()
        self._read_at = -math.inf

    async def read(self) -> Sequence[Hold]:
        if time.monotonic() - self._read_at > policies.HOLD_TRUSTED_SECONDS:
            await self._read()
        return self._last

    async def _read_once(self) -> None:
        asked_at = time.monotonic()
        self._last = await self._holds.not_released()
        self._read_at = asked_at


SLOT_LIVES_SECONDS: Final = 0.25
"""How long after its moment a slot may still be used. Of a limit of r per second, all workers together let go at most
r * (t + 0.25 + d) + 1 calls within any t seconds, where d is how long the order book takes to answer and the worker to
hear it."""
TAKEN_AHEAD_SECONDS: Final = 0.1
"""How many seconds' slots are taken at a time (two and a half times as many where calls wait for them): 10 transactions
a second and worker, however high the limit."""


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
        self._take_some = _Shared(self._take_some_once)
        self._waiting = 0
        self._full_until = -math.inf
        self._back_at = -math.inf

    async def take(self, most_seconds: float) -> bool:
        """Wait for a slot, at most so long. True: there was one, and it is now. Raises `Unavailable`."""
        while self._mine and self._mine[0] < self._now() - SLOT_LIVES_SECONDS:
            self._mine.popleft()
        self._waiting += 1
        try:
            while not self._mine and self._now() >= self._full_until:
                await self._take_some()
        finally:
            self._waiting -= 1
        if not self._mine or self._mine[0] > self._now() + most_seconds:
            return False
        await asyncio.sleep(max(0.0, self._mine.popleft() - self._now()))
        return True

    def come_back_seconds(self) -> float:
        """In how many seconds a call that got no slot comes again: each at a moment of its own.

        So what has gathered in an outage comes as fast as it is let through.
        """
        now = self._now()
        self._back_at = max(self._back_at, now + policies.SLOT_SECONDS) + 1 / self._per_second
        self._back_at = min(self._back_at, now + policies.PACED_LONGEST_SECONDS)
        return self._back_at - now

    async def _take_some_once(self) -> None:
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
