"""How many attempts may wait at one platform at once, so that a broken one can't take every slot of a worker."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from orders.time_scale import SHORTEST_SECONDS

_PATIENCE_SECONDS: Final = 0.5
"""How long an attempt waits at a full platform that still moves: a burst at a healthy one is through by then."""


class Full(Exception):
    """No place came free. `come_back_seconds` from now there may be one."""

    def __init__(self, come_back_seconds: float) -> None:
        super().__init__()
        self.come_back_seconds = come_back_seconds


class ConcurrencyLimit:
    """The places at one platform. Bound to one event loop.

    Whoever is turned away gets a moment of its own to come back, spaced as the platform has been taking notices: so a
    slow or rate-limited one finds somebody waiting whenever it can take the next, and nobody comes in vain for it.
    """

    def __init__(self, most: int, *, longest_seconds: float) -> None:
        self._most = most
        self._longest_seconds = longest_seconds
        self._free = asyncio.Semaphore(most)
        self._since: dict[object, float] = {}
        self._took_seconds = 0.0
        self._next_at = 0.0

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Hold a place for as long as the block takes.

        Raises:
            Full: at once where nothing moves, else after half a second.
        """
        await self._take()
        ticket = object()
        self._since[ticket] = _now()
        try:
            yield
        finally:
            self._took_seconds = _now() - self._since.pop(ticket)
            self._free.release()

    async def _take(self) -> None:
        if self._free.locked() and self._oldest_seconds() >= _PATIENCE_SECONDS:
            raise Full(self._come_back_seconds())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._free.acquire()
        except TimeoutError:
            raise Full(self._come_back_seconds()) from None

    def _oldest_seconds(self) -> float:
        return _now() - next(iter(self._since.values()), _now())

    def _come_back_seconds(self) -> float:
        """By Little's law a full platform takes `most` in the time that one spends there; it grows while none ends."""
        spacing = max(self._took_seconds, self._oldest_seconds()) / self._most
        now = _now()
        self._next_at = min(max(now, self._next_at) + spacing, now + self._longest_seconds)
        return max(SHORTEST_SECONDS, self._next_at - now)


def _now() -> float:
    return asyncio.get_running_loop().time()
