"""Reads the simulators' books and Kafka's topics while a demonstration runs."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from devkit.audit.books import Books, Entry
from devkit.audit.records import DeadLetter, SentRecord
from devkit.demo.kafka_records import KafkaRecord, dead_letters, read_topics, sent_records
from devkit.demo.plan import PlannedOrder
from devkit.demo.verdict import Verdict, judge
from devkit.simulation.control import SimulatorControl
from devkit.stack.local import LocalStack

LOOK_SECONDS: Final = 0.5
TOPICS_EACH_LOOKS: Final = 6


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

    def __init__(
        self, control: SimulatorControl, stack: LocalStack, on_news: Callable[[dict[str, Sequence[Entry]]], None]
    ) -> None:
        self.orders: list[PlannedOrder] = []
        self.strays: list[SentRecord] = []
        self._records: list[KafkaRecord] = []
        self._dead_letters: list[DeadLetter] = []
        self._control = control
        self._stack = stack
        self._on_news = on_news
        self._last_news = time.monotonic()

    @property
    def books(self) -> Books:
        """What was read of the books so far."""
        return self._control.books

    @property
    def quiet_seconds(self) -> float:
        """How long no book has had a new line."""
        return time.monotonic() - self._last_news

    async def watch(self) -> None:
        """Look again and again, for ever."""
        looks = 0
        while True:
            await self.look()
            if looks % TOPICS_EACH_LOOKS == 0:
                await self.look_at_topics()
            looks += 1
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Read what is new in the books."""
        news = await self._control.read_news()
        if any(news.values()):
            self._last_news = time.monotonic()
        self._on_news(news)

    async def look_at_topics(self) -> None:
        """Read the paid orders and the dead letters anew."""
        settings = self._stack.settings
        topics = (settings.kafka_topic, settings.kafka_dlq_topic)
        self._records, letters = await asyncio.to_thread(read_topics, settings, *topics)
        self._dead_letters = dead_letters(letters)

    def counts(self) -> Counts:
        """Where the planned orders stand."""
        ends = [order.seen(self.books).ends for order in self.orders]
        notices = {(entry.data["broker"], entry.data["id"]) for entry in self.books.vehicle if entry.kind == "notice"}
        delivered = sum("delivered" in end for end in ends)
        refunded = sum(end == {"refunded"} for end in ends)
        return Counts(len(ends), delivered, refunded, len(notices), len(self._dead_letters))

    def ended(self) -> set[str]:
        """The orders that were delivered or refunded."""
        return {order.order_id for order in self.orders if order.seen(self.books).ends}

    def heard_of(self, order: PlannedOrder) -> bool:
        """Whether the provider's callback about it was stored."""
        return any(entry.data["stored"] for entry in order.seen(self.books).at_provider("notice"))

    def verdict(self) -> Verdict:
        """The audit as of now."""
        stack = self._stack
        return judge(
            self.orders,
            self.books,
            sent_records(self._records, self.strays, self.orders),
            self._dead_letters,
            platforms=stack.platforms,
            time_scale=stack.choices.time_scale,
        )

    async def until(self, condition: Callable[[], bool], limit_seconds: float) -> bool:
        """Wait for a condition on what was seen; False when it did not come in time."""
        deadline = time.monotonic() + limit_seconds
        while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 - what is seen comes by looking
            await asyncio.sleep(LOOK_SECONDS)
        return condition()
