"""Reads whole topics in order, from positions that its caller keeps, outside any group.

For topics whose records stay of use until a person has ended them: the positions stand beside what was made of the
records, so that a restored database reads again what it has lost, and several readers do no harm.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kafka.errors import KafkaError

from adapters.kafka import limits
from adapters.kafka.clients import reader
from adapters.kafka.polling import BoundedPolling
from adapters.kafka.protocols import Consumer, Message, Partition
from adapters.kafka.unreadable import Undecodable
from orders.errors import Unavailable
from runtime.redaction import in_one_line
from runtime.settings.groups import KafkaConnection

Positions = Mapping[tuple[str, int], tuple[str, int]]
"""Topic and partition → ID of that topic ("" where the broker has none), and the next offset."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The next records, and where reading goes on behind them.

    Attributes:
        deleted_unread: partitions whose records retention deleted before they were read.
    """

    messages: Sequence[Message]
    positions: Positions
    deleted_unread: Sequence[tuple[str, int]] = field(default=())


class WholeTopics:
    """One reader. Blocks; for one thread at a time.

    Args:
        settings: Kafka's.
        topics: are read.
        make_reader: connects; tests pass their own.
    """

    def __init__(
        self,
        settings: KafkaConnection,
        topics: Sequence[str],
        *,
        make_reader: Callable[[KafkaConnection], Consumer] = reader,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._make_reader = make_reader
        self._consumer: Consumer | None = None
        self._polling: BoundedPolling | None = None
        self._placed: set[Partition] = set()

    @property
    def stands(self) -> bool:
        """Whether it goes on where it stands; else the next read asks for the positions that were kept."""
        return self._consumer is not None

    def read(self, kept: Positions) -> Batch:
        """The next records, as many as memory has room for; none after about a second without any.

        Args:
            kept: where each partition goes on; used where this reader does not stand yet. A partition that is not
                among them, and a topic that was made anew, begin at their beginning.

        Raises:
            Unavailable: Kafka doesn't answer, a topic isn't there, or a record can't be decoded: nothing is skipped,
                and the next read begins at the kept positions.
        """
        try:
            return self._read(kept)
        except (KafkaError, Undecodable, OSError) as error:
            self.close()
            raise Unavailable(
                f"{' and '.join(self._topics)} can't be read ({in_one_line(error)}): check Kafka; nothing is skipped."
            ) from error

    def close(self) -> None:
        """Let go of the connection; the next read begins at the kept positions."""
        consumer, self._consumer, self._polling = self._consumer, None, None
        self._placed = set()
        if consumer is not None:
            with contextlib.suppress(Exception):
                consumer.close(autocommit=False, timeout_ms=limits.CLOSE_MS)

    def _read(self, kept: Positions) -> Batch:
        if self._consumer is None or self._polling is None:
            self._consumer = self._make_reader(self._settings)
            self._polling = BoundedPolling(self._consumer)
        consumer, polling = self._consumer, self._polling
        deleted = self._place(consumer, kept)
        fetched = polling.some(limits.POLL_MS)
        messages = [message for partition in sorted(fetched) for message in fetched[partition]]
        positions = {
            (partition.topic, partition.partition): (
                consumer.topic_id(partition.topic) or "",
                consumer.position(partition, timeout_ms=limits.READ_MS) or 0,
            )
            for partition in fetched
        }
        return Batch(messages, positions, deleted)

    def _place(self, consumer: Consumer, kept: Positions) -> list[tuple[str, int]]:
        """Stand in every partition that there is now; those that were cut by retention since they were read."""
        there = set[Partition]()
        for topic in self._topics:
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                self.close()
                raise Unavailable(f"Kafka has no topic {topic}: run `topup setup`.")
            there |= {Partition(topic, number) for number in numbers}
        if there == self._placed:
            return []
        positions = {
            p: consumer.position(p, timeout_ms=limits.READ_MS) for p in self._placed & there
        }  # assigning anew forgets them
        consumer.assign(sorted(there))
        firsts = consumer.beginning_offsets(sorted(there), timeout_ms=limits.READ_MS)
        ends = consumer.end_offsets(sorted(there), timeout_ms=limits.READ_MS)
        deleted: list[tuple[str, int]] = []
        for partition in sorted(there):
            at = positions.get(partition)
            if at is None:
                topic_id, at = kept.get((partition.topic, partition.partition), ("", firsts[partition]))
                now_id = consumer.topic_id(partition.topic) or ""
                anew = at > ends[partition] or (bool(topic_id) and bool(now_id) and topic_id != now_id)
                if not anew and at < firsts[partition]:
                    deleted.append((partition.topic, partition.partition))
                at = firsts[partition] if anew else max(at, firsts[partition])
            consumer.seek(partition, at)
        self._placed = there
        return deleted
