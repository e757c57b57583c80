"""Committing the watermark, and where to read on when the committed offset doesn't exist."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from kafka.errors import KafkaError, NoOffsetForPartitionError

from bridge.kafka_client import commit_of
from bridge.kafka_types import Consumer, Partition
from bridge.leases import Leases
from runtime.alerts import Alerts
from runtime.telemetry import get_logger
from runtime.waiting import in_one_line

COMMIT_EVERY_SECONDS: Final = 0.5
COMMIT_LOST_SECONDS: Final = 30.0
OFFSETS_MS: Final = 5_000

_log = get_logger(__name__)


class Commits:
    """Commits what is complete, of one consumer. On the poll thread, but for `before_a_rebalance`."""

    def __init__(self, consumer: Consumer, leases: Leases) -> None:
        self._consumer = consumer
        self._leases = leases
        self._sent_at: float | None = None
        self._next_at = 0.0

    def when_due(self) -> None:
        """Commit without waiting, one at a time, so that none overtakes another."""
        now = time.monotonic()
        under_way = self._sent_at is not None and now - self._sent_at < COMMIT_LOST_SECONDS
        if under_way or now < self._next_at:
            return
        offsets = self.committable()
        if offsets:
            self._next_at = now + COMMIT_EVERY_SECONDS
            self._sent_at = now
            self._send(offsets)

    def before_a_rebalance(self) -> None:
        """Commit without waiting for the answer. On the client's IO thread, where the position can't be asked."""
        offsets = {
            partition: offset
            for partition, lease in self._leases.held().items()
            if (offset := lease.committable()) is not None and offset != lease.committed
        }
        if offsets:
            self._send(offsets)

    def _send(self, offsets: Mapping[Partition, int]) -> None:
        self._consumer.commit_async({p: commit_of(offset) for p, offset in offsets.items()}, callback=self._on_answer)

    def now(self, timeout_ms: int) -> None:
        """Commit and wait.

        Raises:
            KafkaError: it was not acknowledged in time; the records come again.
        """
        offsets = self.committable()
        if offsets:
            self._consumer.commit({p: commit_of(offset) for p, offset in offsets.items()}, timeout_ms=timeout_ms)
            self._note(offsets)

    def committable(self) -> dict[Partition, int]:
        """What may be committed and was not."""
        offsets: dict[Partition, int] = {}
        for partition, lease in self._leases.held().items():
            # With nothing in flight the position counts: it stands behind markers and aborted records.
            offset = lease.committable(None if lease.in_flight else self.position(partition))
            if offset is not None and offset != lease.committed:
                offsets[partition] = offset
        return offsets

    def position(self, partition: Partition) -> int | None:
        """Where the partition is read next, as far as the client knows without asking."""
        with suppress(KafkaError, AssertionError):  # revoked in this moment
            return self._consumer.position(partition, timeout_ms=0)
        return None

    def _on_answer(self, offsets: Mapping[Partition, object], answer: object) -> None:
        self._sent_at = None
        if isinstance(answer, BaseException):  # not fatal: a rebalance is under way, or the next one says more
            _log.info("commit refused", reason=in_one_line(answer))
        else:
            self._note({partition: getattr(committed, "offset", -1) for partition, committed in offsets.items()})

    def _note(self, offsets: Mapping[Partition, int]) -> None:
        for partition, offset in offsets.items():
            lease = self._leases.get(partition)
            if lease is not None:
                lease.committed = offset


def begin_at_the_earliest(consumer: Consumer, error: NoOffsetForPartitionError) -> None:
    """The group has never committed here: its first record is the first there is."""
    partitions = set(error.args[0]) & consumer.assignment()
    _log.info("no committed offset", partitions=sorted(p.partition for p in partitions), begins="earliest")
    if partitions:  # without an argument it would mean all
        consumer.seek_to_beginning(*partitions)


def read_on(consumer: Consumer, leases: Leases, missing: Mapping[Partition, int | None], alert: Alerts) -> None:
    """The next offset doesn't exist: retention deleted it, or the log was cut. Say so, and read on at the first.

    Args:
        consumer: stands at the missing offsets.
        leases: those whose log was cut are renewed, because offsets begin again.
        missing: the offset that should have come next, where it is known.
        alert: calls a person.

    Raises:
        KafkaError: the first offsets can't be asked for now.
    """
    partitions = [partition for partition in missing if partition in consumer.assignment()]
    first = consumer.beginning_offsets(partitions, timeout_ms=OFFSETS_MS)
    for partition in partitions:
        expected = missing[partition]
        deleted = expected is not None and expected < first[partition]
        alert(
            "records_deleted_unread" if deleted else "log_truncated",
            topic=partition.topic,
            partition=partition.partition,
            expected_offset=expected,
            first_offset=first[partition],
            sentence="Retention deleted records before they were read: raise the topic's retention, and find their "
            "orders in the payment provider's bill."
            if deleted
            else "The log ends before what was read last (unclean leader election, or the topic was made anew): it is "
            "read again from its beginning, which starts nothing twice.",
        )
        if not deleted:
            leases.renew(partition)
        consumer.seek(partition, first[partition])
