"""Whether Kafka answers and has its topics, asked apart from the consumer and the producer.

A consumer doesn't tell: with its broker killed or frozen for 25 s it stays in a stable group, polls nothing, and raises
nothing (measured). What the watch hears is also what a consumer's progress is compared with.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.kafka import limits
from adapters.kafka.clients import EMBEDDED_API_VERSION, administrator
from adapters.kafka.protocols import Admin, Partition
from runtime.redaction import in_one_line
from runtime.settings.groups import KafkaConnection

LATEST: Final = -1
"""ListOffsets: the offset that the next record gets; with `read_committed`, the end of what consumers may see."""


@dataclass(frozen=True, slots=True)
class TopicSnapshot:
    """A topic as Kafka has it. Offsets are those that a reader of committed records gets to."""

    topic_id: str | None
    """A topic made anew under its name has another one; None where the broker has no IDs."""
    end_offsets: Mapping[int, int]
    """By partition; empty where the broker can't be asked."""


class BrokerWatch:
    """Asks Kafka for topics, again and again.

    Args:
        settings: Kafka's.
        topics: must be there; the first is the one that snapshots are of.
        on_snapshot: told how the first topic stands, on a thread; None asks for no offsets.
        make_admin: connects; tests pass their own.
    """

    def __init__(
        self,
        settings: KafkaConnection,
        topics: Sequence[str],
        *,
        on_snapshot: Callable[[TopicSnapshot], None] | None = None,
        make_admin: Callable[[KafkaConnection], Admin] = administrator,
    ) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._on_snapshot = on_snapshot
        self._make_admin = make_admin
        self._question: _Question | None = None
        self._idle: Admin | None = None
        self.trouble: str | None = f"Kafka at {settings.kafka_bootstrap_servers} was not reached yet."
        """What is wrong, as a sentence; None while Kafka answers and has the topics."""

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask_once()
            await asyncio.sleep(limits.WATCH_EVERY_SECONDS)

    async def ask_once(self) -> None:
        """Ask, and wait for the answer for 3 s; a late one is taken at the next call."""
        question = self._question
        if question is None or question.age_seconds > limits.WATCH_ABANDON_SECONDS:
            admin, self._idle = self._idle, None
            question = self._question = _Question(self._ask, admin)
        done, _ = await asyncio.wait((question.answer,), timeout=limits.WATCH_ANSWER_SECONDS)
        if not done:
            self.trouble = self._away("no answer in time")
            return
        self._question = None
        self.trouble, self._idle = question.answer.result()

    def _ask(self, admin: Admin | None) -> tuple[str | None, Admin | None]:
        """On a thread: the client's calls block. What is wrong, and the client to ask with again."""
        try:
            if admin is None:
                admin = self._make_admin(self._settings)
            described = [topic for topic in admin.describe_topics(self._topics) if not topic["error_code"]]
            found = {topic["name"]: topic for topic in described}
            first = found.get(self._topics[0])
            if self._on_snapshot is not None and first is not None:
                self._on_snapshot(TopicSnapshot(_topic_id(first), self._end_offsets(admin, first)))
        except Exception as error:  # noqa: BLE001 - the client's own, the operating system's: all mean "away"
            if admin is not None:
                with contextlib.suppress(Exception):
                    admin.close()
            return self._away(in_one_line(error)), None
        missing = [topic for topic in self._topics if topic not in found]
        return (f"Kafka has no topic {' and no topic '.join(missing)}: run `topup setup`." if missing else None), admin

    def _end_offsets(self, admin: Admin, topic: Mapping[str, Any]) -> Mapping[int, int]:
        if self._settings.kafka_api_version == EMBEDDED_API_VERSION:
            return {}
        numbers = [partition["partition_index"] for partition in topic["partitions"]]
        asked = {Partition(self._topics[0], number): LATEST for number in numbers}
        found = admin.list_partition_offsets(asked, "read_committed", limits.OFFSETS_MS)
        return {partition.partition: at.offset for partition, at in found.items()}

    def _away(self, reason: str) -> str:
        servers = self._settings.kafka_bootstrap_servers
        return f"Kafka at {servers} is away ({reason}); start it, or correct its address."


class _Question:
    """One question on a thread of its own, which may never end: the default executor has few threads to lose."""

    def __init__(self, ask: Callable[[Admin | None], tuple[str | None, Admin | None]], admin: Admin | None) -> None:
        self._since = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[tuple[str | None, Admin | None]] = self._loop.create_future()
        threading.Thread(target=self._run, args=(ask, admin), name="kafka-watch", daemon=True).start()

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self._since

    def _run(self, ask: Callable[[Admin | None], tuple[str | None, Admin | None]], admin: Admin | None) -> None:
        answer = ask(admin)
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._settle, answer)

    def _settle(self, answer: tuple[str | None, Admin | None]) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


def _topic_id(topic: Mapping[str, Any]) -> str | None:
    topic_id = topic.get("topic_id")
    return str(topic_id) if topic_id else None
