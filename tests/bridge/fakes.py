"""Fakes with honest state: a book that remembers, a Temporal that knows its runs, a broker with a log and a group."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka.errors import KafkaTimeoutError
from kafka.structs import MemberState
from kafka.structs import TopicPartition as Partition

from adapters.order_book.book import Claim, ClaimResult
from bridge.leases import Record
from bridge.offsets import Lease
from orders.errors import Unavailable
from orders.paid_order import PaidOrder

__all__ = ["FakeBook", "FakeConsumer", "FakeDeadLetters", "FakeTemporal", "Partition", "records"]


class FakeBook:
    """Claims as the order book does; `away` makes it unavailable, `settled` and `first_pass` are its state."""

    def __init__(self) -> None:
        self.away = False
        self.content: dict[str, str] = {}
        self.payments: dict[tuple[str, str], str] = {}
        self.settled: set[str] = set()
        self.calls = 0
        self.counted = 0

    def _here(self) -> None:
        if self.away:
            raise Unavailable("The order book's database doesn't answer.")

    async def claim(self, orders: Sequence[PaidOrder]) -> list[ClaimResult]:
        self.calls += 1
        await asyncio.sleep(0)
        self._here()
        return [self._claim(order) for order in orders]

    def _claim(self, order: PaidOrder) -> ClaimResult:
        order_id, digest = order.order_id, order.content_digest()
        payment = (order.payment.provider, order.payment.transaction_id)
        if order_id in self.content:
            if self.content[order_id] != digest:
                return ClaimResult(order_id, Claim.CONFLICT, "other content")
            return ClaimResult(order_id, Claim.SETTLED if order_id in self.settled else Claim.UNSETTLED)
        if payment in self.payments:
            return ClaimResult(order_id, Claim.CONFLICT, "this payment was accepted before")
        self.content[order_id], self.payments[payment] = digest, order_id
        return ClaimResult(order_id, Claim.NEW)

    async def first_pass_count(self) -> int:
        self.counted += 1
        self._here()
        return len(self.content) - len(self.settled)

    async def known(self, order_ids: Sequence[str]) -> set[str]:
        self._here()
        return {order_id for order_id in order_ids if order_id in self.content}


class FakeTemporal:
    """`away` refuses; `loses_answers` starts the run and fails all the same, so many times."""

    def __init__(self) -> None:
        self.away = False
        self.loses_answers = 0
        self.runs: list[str] = []
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0

    async def start(self, order: PaidOrder) -> bool:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.001)
        self.at_once -= 1
        if self.away:
            raise Unavailable("Temporal doesn't start runs.")
        if order.order_id in self.runs:
            return False
        self.runs.append(order.order_id)
        if self.loses_answers:
            self.loses_answers -= 1
            raise Unavailable("no answer in time")
        return True


class FakeDeadLetters:
    def __init__(self) -> None:
        self.away = False
        self.letters: list[tuple[int, str, str]] = []

    async def send(self, record: Record, reason: str, error: str) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("Dead letters can't be written.")
        self.letters.append((record.offset, reason, error))


def records(lease: Lease, values: Sequence[bytes | None], *, first: int = 0) -> list[Record]:
    """Delivered records of one partition, at offsets that rise from `first`."""
    made: list[Record] = []
    for offset, value in enumerate(values, first):
        lease.deliver(offset, len(value or b""))
        made.append(Record(lease, offset, 1692614035000, None, value, []))
    return made


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


class FakeConsumer:
    """One member that has joined: `logs` are the partitions, `raises` comes from the next poll."""

    def __init__(self, topic: str, partitions: int = 2) -> None:
        self.topic = topic
        self.logs: dict[Partition, list[FakeMessage]] = {Partition(topic, n): [] for n in range(partitions)}
        self.positions: dict[Partition, int] = dict.fromkeys(self.logs, 0)
        self.first: dict[Partition, int] = dict.fromkeys(self.logs, 0)
        self.commits: list[dict[Partition, int]] = []
        self.committed: dict[Partition, int] = {}
        self.commit_answer: object = None
        self.answers_commits = True
        self.raises: Exception | None = None
        self.state = MemberState.STABLE
        self.paused_now: set[Partition] = set()
        self.owned: set[Partition] = set()
        self.closed = False
        self.listener: Any = None
        self.timeouts_ms: list[int] = []
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
            self.positions[partition] = self.committed.get(partition, self.first[partition])
        self.owned = new
        self.paused_now &= new
        self.listener.on_partitions_assigned(new)

    def assignment(self) -> set[Partition]:
        return set(self.owned)

    def group_metadata(self) -> FakeGroup:
        return FakeGroup(self.state)

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
            self.committed.update(self.commits[-1])

    def close(self, *, autocommit: bool, timeout_ms: int) -> None:
        assert not autocommit
        self.closed = True
