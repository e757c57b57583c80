"""What the worker's `/metrics` say of holds: which parts are held, and which have been for longer than they should."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from adapters.order_book.holds import Holds
from orders.clock import Clock
from orders.errors import Unavailable
from orders.holds import PARTS
from runtime.metrics import Metrics

LOOK_SECONDS: Final = 15.0


class ShowingHolds:
    """Looks at the holds, each worker for itself: they all say the same.

    Args:
        holds: what is looked at.
        clock: by which a hold ages.
        metrics: where it is said.
        long_seconds: after how long a hold calls a person.
    """

    def __init__(self, holds: Holds, clock: Clock, metrics: Metrics, *, long_seconds: float) -> None:
        self._holds = holds
        self._clock = clock
        self._held = metrics.gauge("topup_held")
        self._held_long = metrics.gauge("topup_held_long")
        self._long_seconds = long_seconds

    async def run(self) -> None:
        """For ever. A book that is away leaves the last look: nothing leaves then either."""
        while True:
            with contextlib.suppress(Unavailable):
                await self.run_once()
            await asyncio.sleep(LOOK_SECONDS)

    async def run_once(self) -> None:
        """Look, and say so. Raises `Unavailable`."""
        held, now = await self._holds.in_force(), self._clock.now()
        for part in PARTS:
            age = (now - held[part].held_at).total_seconds() if part in held else 0.0
            self._held.labels(part).set(part in held)
            self._held_long.labels(part).set(age > self._long_seconds)


def counting_turned_away(metrics: Metrics) -> Callable[[str], None]:
    """Counts the calls that were turned away, from 0 on for each part."""
    counter = metrics.counter("topup_calls_turned_away_total")
    for part in PARTS:
        counter.labels(part)
    return lambda part: counter.labels(part).inc()
