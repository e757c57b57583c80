"""Committing the watermark, and where to read on when the committed offset doesn't exist."""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from kafka.errors import KafkaError, NoOffsetForPartitionError

from adapters.kafka import limits
from adapters.kafka.assignments import Assignments
from adapters.kafka.clients import commit_of
from adapters.kafka.protocols import Consumer, Partition
from runtime.alerts import Alerts
from runtime.redaction import in_one_line
from runtime.telemetry import get_logger

_log = get_logger(__name__)


class Commits:
    """Commits what is complete, of one consumer. On the poll thread, but for `before_a_rebalance`.

    Args:
        consumer: whose offsets they are.
        assignments: know what is complete.
        unplaced: partitions whose offset is not known to be of this topic: committing it would say that it is.
    """

    def __init__(
        self,
        consumer: Consumer,
        assignments: Assignments,
        *,
        unplaced: Callable[[], Collection[Partition]] = tuple,
    ) -> None:
        self._consumer = consumer
        self._unplaced = unplaced
        self.topic_id: str | None = None
        """Of the topic that the consumer joined; written beside each offset (`begin_again_in_another_topic`)."""
        self._assignments = assignments
        self._sent_at: float | None = None
        self._next_at = 0.0

    def when_due(self) -> None:
        """Commit without waiting, one at a time, so that none overtakes another."""
        now = time.monotonic()
        under_way = self._sent_at is not None and now - self._sent_at < limits.COMMIT_LOST_SECONDS
        if under_way or now < self._next_at:
            return
        offsets = self.committable()
        if offsets:
            self._next_at = now + limits.COMMIT_EVERY_SECONDS
            self._sent_at = now
            self._send(offsets)

    def before_a_rebalance(self) -> None:
        """Commit without waiting for the answer. On the client's IO thread, where the position can't be asked."""
        offsets = {
            partition: offset
            for partition, assignment in self._assignments.held().items()
            if (offset := assignment.committable()) is not None and offset != assignment.committed
        }
        if offsets:
            self._send(offsets)

    def _send(self, offsets: Mapping[Partition, int]) -> None:
        self._consumer.commit_async(self._as_committed(offsets), callback=self._on_answer)

    def now(self, timeout_ms: int) -> None:
        """Commit and wait.

        Raises:
            KafkaError: it was not acknowledged in time; the records come again.
        """
        offsets = self.committable()
        if offsets:
            self._consumer.commit(self._as_committed(offsets), timeout_ms=timeout_ms)
            self._note(offsets)

    def committable(self) -> dict[Partition, int]:
        """What may be committed and was not."""
        offsets: dict[Partition, int] = {}
        for partition, assignment in self._assignments.held().items():
            if partition in self._unplaced():
                continue
            # With nothing in flight the position counts: it stands behind markers and aborted records.
            offset = assignment.committable(None if assignment.in_flight else self.position(partition))
            if offset is not None and offset != assignment.committed:
                offsets[partition] = offset
        return offsets

    def position(self, partition: Partition) -> int | None:
        """Where the partition is read next, as far as the client knows without asking."""
        with suppress(KafkaError, AssertionError):  # revoked in this moment
            return self._consumer.position(partition, timeout_ms=0)
        return None

    def _as_committed(self, offsets: Mapping[Partition, int]) -> Mapping[Partition, object]:
        return {partition: commit_of(offset, self.topic_id) for partition, offset in offsets.items()}

    def _on_answer(self, offsets: Mapping[Partition, object], answer: object) -> None:
        self._sent_at = None
        if isinstance(answer, BaseException):  # not fatal: a rebalance is under way, or the next one says more
            _log.info("commit refused", reason=in_one_line(answer))
        else:
            self._note({partition: getattr(committed, "offset", -1) for partition, committed in offsets.items()})

    def _note(self, offsets: Mapping[Partition, int]) -> None:
        for partition, offset in offsets.items():
            assignment = self._assignments.get(partition)
            if assignment is not None:
                assignment.committed = offset


def begin_at_the_earliest(consumer: Consumer, error: NoOffsetForPartitionError) -> None:
    """The group has never committed here: its first record is the first there is."""
    partitions = set(error.args[0]) & consumer.assignment()
    _log.info("no committed offset", partitions=sorted(p.partition for p in partitions), begins="earliest")
    if partitions:  # without an argument it would mean all
        consumer.seek_to_beginning(*partitions)


def read_on(
    consumer: Consumer, assignments: Assignments, missing: Mapping[Partition, int | None], alert: Alerts
) -> None:
    """The next offset doesn't exist: retention deleted it, or the log was cut. Say so, and read on at the first.

    Args:
        consumer: stands at the missing offsets.
        assignments: those whose log was cut are renewed, because offsets begin again.
        missing: the offset that should have come next, where it is known.
        alert: calls a person.

    Raises:
        KafkaError: the first offsets can't be asked for now.
    """
    partitions = [partition for partition in missing if partition in consumer.assignment()]
    first = consumer.beginning_offsets(partitions, timeout_ms=limits.OFFSETS_MS)
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
            assignments.renew(partition)
        consumer.seek(partition, first[partition])


def begin_again_in_another_topic(
    consumer: Consumer, partitions: Collection[Partition], topic_id: str | None, alert: Alerts
) -> None:
    """Where the group's offset is of another topic that had this name, read from the beginning.

    A bridge that ran when the topic was made anew goes on committing the old one's offsets, and Kafka takes them:
    reading on there would skip as many records of the new topic in silence. A commit that names no topic (an older
    bridge's, a tool's) is believed.

    Args:
        consumer: stands at the committed offsets of these partitions.
        partitions: newly assigned.
        topic_id: the topic's now; None where the broker has no IDs.
        alert: calls a person.

    Raises:
        KafkaError: the committed offsets can't be asked for now.
    """
    for partition in partitions if topic_id else ():
        committed = consumer.committed(partition, metadata=True, timeout_ms=limits.OFFSETS_MS)
        if committed is None or committed.metadata in ("", topic_id) or partition not in consumer.assignment():
            continue
        first = consumer.beginning_offsets([partition], timeout_ms=limits.OFFSETS_MS)[partition]
        alert(
            "log_truncated",
            topic=partition.topic,
            partition=partition.partition,
            expected_offset=committed.offset,
            first_offset=first,
            sentence="The topic was made anew under its name: it is read from its beginning, which starts nothing "
            "twice. What the old one held beyond this offset is gone: find its orders in the payment provider's bill.",
        )
        consumer.seek(partition, first)
