"""Whether a consumer still gets anywhere, seen from outside: what it says of itself is that all is well (measured).

kafka-python never asks its bootstrap servers again: once every address it knows is gone it stays in a stable group for
ever, reads nothing and raises nothing (measured: all brokers back under other addresses). So a heartbeat must be
answered, a partition that has records must give some, and the topic must be the one that was joined.
"""

import time
from collections.abc import Callable

from adapters.kafka import limits
from adapters.kafka.broker_watch import TopicSnapshot
from adapters.kafka.protocols import STABLE, Consumer, Partition


class Stalled(Exception):
    """The consumer gets nowhere; a new one does, or says why not."""


class TopicRecreated(Exception):
    """The topic was deleted and made anew under its name: its offsets begin again."""


class Progress:
    """Watches one consumer after the other. On the poll thread, but for `trouble` and `observe`.

    Args:
        topic: that is read.
        clock: seconds, monotonic.
    """

    def __init__(self, topic: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._topic = topic
        self._clock = clock
        self._snapshot: TopicSnapshot | None = None
        self._topic_id: str | None = None
        self._joined_at = self._heard_at = clock()
        self._unstable_since: float | None = None
        self._standing: dict[Partition, tuple[int, float]] = {}
        self._rebuilt_at: dict[Partition, tuple[int, int]] = {}

    def observe(self, snapshot: TopicSnapshot) -> None:
        """What Kafka says of the topic, asked by another client (`BrokerWatch`)."""
        self._snapshot = snapshot

    def begin(self, topic_id: str | None) -> None:
        """A new consumer joins the group, to read the topic with this ID."""
        self._topic_id = topic_id
        self._joined_at = self._heard_at = self._clock()
        self._unstable_since = None
        self._standing = {}
        self._snapshot = None  # it may be older than what the consumer knows

    def trouble(self) -> str | None:
        """Why the consumer is not believed, as a sentence; None while it gets on."""
        now = self._clock()
        if now - self._heard_at > limits.UNHEARD_SECONDS:
            return (
                f"The group's coordinator answered no heartbeat for {now - self._heard_at:.0f} s; Kafka is away, or "
                "has other addresses by now: they are asked for anew."
            )
        for partition, (_, since) in dict(self._standing).items():
            if now - since > limits.LATE_SECONDS:
                return (
                    f"Partition {partition.partition} of {self._topic} has records and gave none for "
                    f"{now - since:.0f} s; a new consumer is made if this stays."
                )
        return None

    def watch_group(self, consumer: Consumer, state: str) -> None:
        """After each poll.

        Raises:
            Stalled: the group isn't stable, or silent, for longer than it may be.
        """
        now = self._clock()
        if state != STABLE:  # nobody need have answered: a rebalance is waited for as long as it may last
            self._joined_at = self._heard_at = now
            self._unstable_since = self._unstable_since or now
            if now - self._unstable_since > limits.UNSTABLE_SECONDS:
                raise Stalled(f"the group was not stable for {limits.UNSTABLE_SECONDS:g} s")
            return
        self._unstable_since = None
        age_seconds = consumer.heartbeat_age_seconds()
        self._heard_at = self._joined_at if age_seconds is None else max(self._joined_at, now - age_seconds)
        if now - self._heard_at > limits.SILENT_SECONDS:
            raise Stalled(f"the coordinator answered no heartbeat for {limits.SILENT_SECONDS:g} s")

    def watch_partitions(self, consumer: Consumer, position: Callable[[Partition], int | None]) -> None:
        """Now and then.

        Raises:
            Stalled: a partition that is read has records and gives none.
            TopicRecreated: the topic is another one.
        """
        snapshot = self._snapshot
        self._compare(consumer.topic_id(self._topic))
        self._compare(snapshot.topic_id if snapshot else None)
        now = self._clock()
        standing: dict[Partition, tuple[int, float]] = {}
        for partition in consumer.assignment() - consumer.paused():
            end = snapshot.end_offsets.get(partition.partition) if snapshot else None
            at = position(partition)
            end = consumer.highwater(partition) if end is None else end
            if at is None or end is None or at >= end:
                continue
            since_at, since = self._standing.get(partition, (at, now))
            standing[partition] = (at, since if since_at == at else now)
        self._standing = standing
        for partition, (at, since) in standing.items():
            if now - since > self._patience_seconds(partition, at):
                raise Stalled(f"partition {partition.partition} gave nothing for {now - since:.0f} s")

    def end(self, consumer: Consumer, partition: Partition) -> int | None:
        """Where the partition ends; None where nobody knows.

        The consumer hears of it with the records it fetches, so of a paused partition no more (measured: 5 behind in
        the metrics, 197 in Kafka). Kafka itself is asked by another client, but for the embedded broker.
        """
        asked = self._snapshot.end_offsets.get(partition.partition) if self._snapshot else None
        heard = consumer.highwater(partition)
        return max((end for end in (asked, heard) if end is not None), default=None)

    def _compare(self, topic_id: str | None) -> None:
        if topic_id is not None and self._topic_id is not None and topic_id != self._topic_id:
            raise TopicRecreated

    def _patience_seconds(self, partition: Partition, at: int) -> float:
        """Twice as long after each consumer that did not help: each is a rebalance for the whole group."""
        was_at, times = self._rebuilt_at.get(partition, (at, 0))
        return limits.STALLED_SECONDS * 2 ** min(times if was_at == at else 0, limits.LONGEST_PATIENCE_DOUBLINGS)

    def note_rebuilt(self) -> None:
        """A new consumer is made: whatever stands still gets more time from it than the last had."""
        now = self._clock()
        for partition, (at, since) in self._standing.items():
            if now - since > limits.LATE_SECONDS:
                was_at, times = self._rebuilt_at.get(partition, (at, 0))
                self._rebuilt_at[partition] = (at, times + 1 if was_at == at else 1)
