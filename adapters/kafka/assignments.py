"""The partitions this process holds now, and the client's word on when that changes (rebalance listener)."""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from kafka.consumer.subscription_state import ConsumerRebalanceListener

from adapters.kafka.protocols import Headers, Partition
from adapters.kafka.watermark import PartitionAssignment


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka has it, and the assignment under which it was read."""

    assignment: PartitionAssignment
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def topic(self) -> str:
        """Where it was read."""
        return self.assignment.topic

    @property
    def partition(self) -> int:
        """Where it was read."""
        return self.assignment.partition

    def complete(self) -> None:
        """Nothing is left to do for it: its offset may be committed once all before it are."""
        self.assignment.complete(self.offset)


class Assignments:
    """One assignment per assigned partition. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Partition, PartitionAssignment] = {}

    def assign(self, partitions: Collection[Partition]) -> set[Partition]:
        """These are all that is held from now on; those that were not held before.

        One that was goes on with what it has in flight.
        """
        with self._lock:
            new = set(partitions) - self._held.keys()
            gone = self._held.keys() - set(partitions)
            ended = [self._held.pop(partition) for partition in gone]
            for partition in partitions:
                if partition not in self._held:
                    self._held[partition] = PartitionAssignment(*partition)
        for assignment in ended:
            assignment.end()
        return new

    def end(self, partitions: Collection[Partition]) -> None:
        """They were lost."""
        self.assign(self.held().keys() - set(partitions))

    def renew(self, partition: Partition) -> None:
        """Reading goes on further back: what was read before no longer moves the watermark, but must still be done."""
        with self._lock:
            before = self._held.get(partition)
            self._held[partition] = PartitionAssignment(*partition)
        if before is not None:
            before.end(read_again=False)

    def held(self) -> Mapping[Partition, PartitionAssignment]:
        """A snapshot."""
        with self._lock:
            return dict(self._held)

    def get(self, partition: Partition) -> PartitionAssignment | None:
        """The assignment of a partition, if it is held."""
        return self._held.get(partition)

    @property
    def in_flight(self) -> int:
        """Records read and not complete, over all partitions."""
        return sum(assignment.in_flight for assignment in self.held().values())

    @property
    def in_flight_bytes(self) -> int:
        """Their size."""
        return sum(assignment.in_flight_bytes for assignment in self.held().values())


class AssignmentListener(ConsumerRebalanceListener):
    """Keeps the assignments as the group coordinator says. Runs on the client's IO thread: it waits for nothing.

    With an eager assignor the client announces *all* partitions as revoked and then keeps its position in those that
    come back (measured: nothing uncommitted is read again). So only what is not assigned again is gone.

    Args:
        assignments: are kept.
        commit: commits what is complete, without waiting, which would hold up heartbeats (measured: a poll of 30 s).
        assigned: told what there is now, and what of it was not held before.
    """

    def __init__(
        self,
        assignments: Assignments,
        *,
        commit: Callable[[], None],
        assigned: Callable[[Collection[Partition], Collection[Partition]], None],
    ) -> None:
        self._assignments = assignments
        self._commit = commit
        self._assigned = assigned

    def on_partitions_revoked(self, revoked: Collection[Partition]) -> None:
        """A rebalance begins: commit, so that whoever comes next reads little again. Nothing in flight is awaited."""
        if revoked:
            self._commit()

    def on_partitions_assigned(self, assigned: Collection[Partition]) -> None:
        """These are all that is held from now on."""
        self._assigned(assigned, self._assignments.assign(assigned))

    def on_partitions_lost(self, lost: Collection[Partition]) -> None:
        """Another member has them by now, so nothing is committed; what comes back is read from the commit on."""
        self._assignments.end(lost)
