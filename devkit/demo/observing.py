"""Reads the simulators' books and the dead-letter topic while a demonstration runs."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from devkit.demo.audit import Verdict, audit
from devkit.demo.books import Books
from devkit.demo.kafka_records import read_dead_letters
from devkit.demo.plan import PlannedOrder
from devkit.stack.world import Entry, World
from runtime.settings.groups import Topics

LOOK_SECONDS: Final = 0.5
LETTERS_EACH_LOOKS: Final = 6


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the orders stand, by the books of the outside world."""

    orders: int
    delivered: int
    refunded: int
    notices: int
    dead_letters: int

    @property
    def open(self) -> int:
        """Neither delivered nor refunded yet."""
        return self.orders - self.delivered - self.refunded


class Observer:
    """All that can be seen from outside. `watch` runs beside the demonstration; the rest reads what it found.

    Args:
        on_news: told the new entries of each book.
    """

    def __init__(self, world: World, settings: Topics, on_news: Callable[[dict[str, Sequence[Entry]]], None]) -> None:
        self.books = Books()
        self.orders: list[PlannedOrder] = []
        self._world = world
        self._settings = settings
        self._on_news = on_news
        self._last_news = time.monotonic()

    @property
    def quiet_seconds(self) -> float:
        """How long no book has had a new line."""
        return time.monotonic() - self._last_news

    async def watch(self) -> None:
        """Look again and again, for ever."""
        looks = 0
        while True:
            await self.look()
            if looks % LETTERS_EACH_LOOKS == 0:
                await self.look_at_dead_letters()
            looks += 1
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Fold what is new in the books."""
        news = await self._world.new_entries()
        self.books.read_carrier(news["carrier"])
        for provider in ("wechat", "alipay"):
            self.books.read_payments(news[provider])
        self.books.read_vehicle(news["vehicle"])
        if any(news.values()):
            self._last_news = time.monotonic()
        self._on_news(news)

    async def look_at_dead_letters(self) -> None:
        """Read the dead-letter topic anew."""
        self.books.dead_letters = await asyncio.to_thread(read_dead_letters, self._settings)

    def counts(self) -> Counts:
        """Where the planned orders stand."""
        books = self.books
        delivered = sum(1 for order in self.orders if (seen := books.carrier.get(order.order_id)) and seen.sold)
        refunded = sum(
            1 for order in self.orders if (seen := books.payments.get(order.transaction_id)) and seen.refunds
        )
        notices = {(notice.platform, notice.id) for notice in books.notices}
        return Counts(len(self.orders), delivered, refunded, len(notices), len(books.dead_letters))

    def ended(self) -> set[str]:
        """The orders that were delivered or refunded."""
        books = self.books
        delivered = {order_id for order_id, seen in books.carrier.items() if seen.sold}
        return delivered | {seen.out_trade_no for seen in books.payments.values() if seen.refunds}

    def verdict(self, platforms: Sequence[str]) -> Verdict:
        """The audit as of now."""
        return audit(self.orders, self.books, platforms)

    async def until(self, condition: Callable[[], bool], limit_seconds: float) -> bool:
        """Wait for a condition on what was seen; False when it did not come in time."""
        deadline = time.monotonic() + limit_seconds
        while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - what is seen comes by looking
            await asyncio.sleep(LOOK_SECONDS)
        return condition()
