"""How many orders are admitted: as long as fewer than the limit are in their first pass.

Measured: 500 orders waiting at once took 93/s with a p99 of 12 s; with at most 80 open, 137/s and 4 s.
"""

import time
from collections.abc import Awaitable, Callable

from bridge import policies


class AdmissionLimit:
    """Capacity for new orders. The book counts; between two counts this bridge adds what it admitted itself.

    Args:
        count: orders in their first pass. Those claimed and not started yet are among them.
        limit: at so many no more are admitted.
        clock: seconds, monotonic.
    """

    def __init__(
        self, count: Callable[[], Awaitable[int]], limit: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._limit = limit
        self._clock = clock
        self._at_most = limit
        self._asked_at = -policies.CAPACITY_TRUSTED_SECONDS
        self._full_since: float | None = None

    @property
    def at_most(self) -> int:
        """The orders in their first pass, as last counted and admitted since."""
        return self._at_most

    @property
    def full_seconds(self) -> float:
        """How long there has been no capacity."""
        return 0.0 if self._full_since is None else self._clock() - self._full_since

    async def capacity(self) -> int:
        """How many orders may be claimed now. Asks the book when it must, at most every 100 ms.

        Raises:
            Unavailable: the book can't be asked.
        """
        age = self._clock() - self._asked_at
        if age >= (
            policies.CAPACITY_TRUSTED_SECONDS if self._at_most < self._limit else policies.CAPACITY_ASKED_EVERY_SECONDS
        ):
            self._at_most = await self._count()
            self._asked_at = self._clock()
        capacity = max(0, self._limit - self._at_most)
        if capacity:
            self._full_since = None
        elif self._full_since is None:
            self._full_since = self._clock()
        return capacity

    def admit(self, orders: int) -> None:
        """Count new orders that were claimed."""
        self._at_most += orders
