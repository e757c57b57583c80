"""A broker with a log and a group, as one consumer sees it: honest state, no mocks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka.errors import KafkaTimeoutError
from kafka.structs import MemberState
from kafka.structs import TopicPartition as Partition

__all__ = ["FakeConsumer", "FakeProducer", "Partition"]


@dataclass
class FakeMessage:
    topic: str
    partition: int
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b"{}"
    headers: list[tuple[str, bytes | None]] = field(default_factory=list)


@dataclass
class FakeGroup:
    state: str


@dataclass
class FakeCommitted:
    offset: int
    metadata: str


class FakeConsumer:
    """One member that has joined: `logs` are the partitions, `raises` comes from the next poll."""

    def __init__(self, topic: str, partitions: int = 2) -> None:
        self.topic = topic
        self.logs: dict[Partition, list[FakeMessage]] = {Partition(topic, n): [] for n in range(partitions)}
        self.positions: dict[Partition, int] = dict.fromkeys(self.logs, 0)
        self.first: dict[Partition, int] = dict.fromkeys(self.logs, 0)
        self.commits: list[dict[Partition, int]] = []
        self.commit_log: dict[Partition, int] = {}
        self.commit_answer: object = None
        self.answers_commits = True
        self.raises: Exception | None = None
        self.state = MemberState.STABLE
        self.paused_now: set[Partition] = set()
        self.owned: set[Partition] = set()
        self.closed = False
        self.listener: Any = None
        self.timeouts_ms: list[int] = []
        self.heartbeat_age: float | None = 0.0
        self.topic_ids: str | None = None
        self.committed_metadata: dict[Partition, str] = {}
        self._callbacks: list[tuple[Callable[..., None], Mapping[Partition, Any]]] = []

    def append(self, partition: int, *offsets: int) -> None:
        self.logs[Partition(self.topic, partition)] += [FakeMessage(self.topic, partition, n) for n in offsets]

    # --- the group ---

    def subscribe(self, topics: Sequence[str], *, listener: Any) -> None:
        assert topics == [self.topic]
        self.listener = listener

    def topics(self) -> set[str]:
        return {self.topic} if self.logs else set()

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {partition.partition for partition in self.logs}

    def rebalance(self, *partitions: int) -> None:
        """As kafka-python does it with an eager assignor: all are revoked, and what comes back keeps its position."""
        new = {Partition(self.topic, n) for n in partitions}
        self.listener.on_partitions_revoked(set(self.owned))
        self._hold(new)

    def lose(self) -> None:
        self.listener.on_partitions_lost(set(self.owned))
        self.owned, self.paused_now = set(), set()

    def _hold(self, new: set[Partition]) -> None:
        for partition in new - self.owned:
            self.positions[partition] = self.commit_log.get(partition, self.first[partition])
        self.owned = new
        self.paused_now &= new
        self.listener.on_partitions_assigned(new)

    def assignment(self) -> set[Partition]:
        return set(self.owned)

    def group_metadata(self) -> FakeGroup:
        return FakeGroup(self.state)

    def heartbeat_age_seconds(self) -> float | None:
        return self.heartbeat_age

    def topic_id(self, topic: str) -> str | None:
        return self.topic_ids

    # --- records ---

    def poll(self, timeout_ms: int, max_records: int | None = None) -> dict[Partition, list[FakeMessage]]:
        self.timeouts_ms.append(timeout_ms)
        for callback, offsets in self._callbacks if self.answers_commits else ():
            callback(offsets, self.commit_answer)
        if self.answers_commits:
            self._callbacks.clear()
        if self.raises is not None:
            error, self.raises = self.raises, None
            raise error
        found: dict[Partition, list[FakeMessage]] = {}
        for partition in sorted(self.owned - self.paused_now):
            messages = [m for m in self.logs[partition] if m.offset >= self.positions[partition]]
            if messages:
                found[partition] = messages
                self.positions[partition] = messages[-1].offset + 1
        return found

    def pause(self, *partitions: Partition) -> None:
        self.paused_now |= set(partitions)

    def resume(self, *partitions: Partition) -> None:
        self.paused_now -= set(partitions)

    def paused(self) -> set[Partition]:
        return set(self.paused_now)

    def position(self, partition: Partition, timeout_ms: int | None = None) -> int:
        return self.positions[partition]

    def highwater(self, partition: Partition) -> int:
        return self.logs[partition][-1].offset + 1 if self.logs[partition] else 0

    def seek(self, partition: Partition, offset: int) -> None:
        self.positions[partition] = offset

    def seek_to_beginning(self, *partitions: Partition) -> None:
        for partition in partitions:
            self.positions[partition] = self.first[partition]

    def beginning_offsets(self, partitions: Collection[Partition], timeout_ms: int) -> dict[Partition, int]:
        return {partition: self.first[partition] for partition in partitions}

    def end_offsets(self, partitions: Collection[Partition], timeout_ms: int) -> dict[Partition, int]:
        return {partition: self.highwater(partition) for partition in partitions}

    # --- commits ---

    def committed(self, partition: Partition, *, metadata: bool, timeout_ms: int) -> FakeCommitted | None:
        offset = self.commit_log.get(partition)
        return None if offset is None else FakeCommitted(offset, self.committed_metadata.get(partition, ""))

    def commit_async(self, offsets: Mapping[Partition, Any], callback: Callable[..., None]) -> None:
        self._note(offsets)
        self._callbacks.append((callback, offsets))

    def commit(self, offsets: Mapping[Partition, Any], timeout_ms: int) -> None:
        if not self.answers_commits:
            raise KafkaTimeoutError
        self._note(offsets)

    def _note(self, offsets: Mapping[Partition, Any]) -> None:
        self.commits.append({partition: committed.offset for partition, committed in offsets.items()})
        if not isinstance(self.commit_answer, BaseException):
            self.commit_log.update(self.commits[-1])
            self.committed_metadata.update({p: committed.metadata for p, committed in offsets.items()})

    def close(self, *, autocommit: bool, timeout_ms: int) -> None:
        assert not autocommit
        self.closed = True


class FakeFuture:
    def __init__(self, error: Exception | None, *, answers: bool) -> None:
        self.error = error
        self.answers = answers

    def add_callback(self, function: Any) -> None:
        if self.answers and self.error is None:
            function(object())

    def add_errback(self, function: Any) -> None:
        if self.answers and self.error is not None:
            function(self.error)


class FakeProducer:
    """Each send has the next of the outcomes; the last one stays."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[dict[str, Any]] = []
        self.closed = False
        self.answers = True

    def send(self, topic: str, **members: Any) -> FakeFuture:
        self.sent.append({"topic": topic, **members})
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        return FakeFuture(outcome, answers=self.answers)

    def close(self, timeout: float) -> None:
        self.closed = True
        raise KafkaTimeoutError("a record was pending")
