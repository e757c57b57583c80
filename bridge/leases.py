"""The partitions this process holds now, and the client's word on when that changes (rebalance listener)."""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from kafka.consumer.subscription_state import ConsumerRebalanceListener

from bridge.kafka_types import Headers, Partition
from bridge.offsets import Lease


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka has it, and the lease under which it was read."""

    lease: Lease
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def topic(self) -> str:
        """Where it was read."""
        return self.lease.topic

    @property
    def partition(self) -> int:
        """Where it was read."""
        return self.lease.partition

    def complete(self) -> None:
        """Nothing is left to do for it: its offset may be committed once all before it are."""
        self.lease.complete(self.offset)


class Leases:
    """One lease per assigned partition. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Partition, Lease] = {}

    def begin(self, partitions: Collection[Partition]) -> None:
        """They were assigned. One that is held already goes on (cooperative assignment)."""
        with self._lock:
            for partition in partitions:
                self._held.setdefault(Partition(*partition), Lease(*partition))

    def end(self, partitions: Collection[Partition], *, read_again: bool = True) -> dict[Partition, int]:
        """They were taken away; what is still to be committed for them."""
        with self._lock:
            ended = {p: lease for p in partitions if (lease := self._held.pop(Partition(*p), None))}
        return {p: last for p, lease in ended.items() if (last := lease.end(read_again=read_again)) is not None}

    def end_all(self) -> dict[Partition, int]:
        """The membership is over; what is still to be committed."""
        return self.end(list(self.held()))

    def renew(self, partition: Partition) -> None:
        """Reading goes on further back: what was read before no longer moves the watermark, but must still be done."""
        self.end([partition], read_again=False)
        self.begin([partition])

    def held(self) -> Mapping[Partition, Lease]:
        """A snapshot."""
        with self._lock:
            return dict(self._held)

    def get(self, partition: Partition) -> Lease | None:
        """The lease of a partition, if it is held."""
        return self._held.get(partition)

    @property
    def in_flight(self) -> int:
        """Records read and not complete, over all partitions."""
        return sum(lease.in_flight for lease in self.held().values())

    @property
    def in_flight_bytes(self) -> int:
        """Their size."""
        return sum(lease.in_flight_bytes for lease in self.held().values())


class LeaseListener(ConsumerRebalanceListener):
    """Keeps the leases as the group coordinator says. Runs on the client's IO thread: it waits for nothing.

    Args:
        leases: are kept.
        commit: commits without waiting; waiting here holds up heartbeats (measured: a poll of 30 s).
        assigned: told what came.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        commit: Callable[[Mapping[Partition, int]], None],
        assigned: Callable[[Collection[Partition]], None],
    ) -> None:
        self._leases = leases
        self._commit = commit
        self._assigned = assigned

    def on_partitions_revoked(self, revoked: Collection[Partition]) -> None:
        """Fence them and commit the watermark; what is in flight is not waited for (starting twice is a no-op)."""
        last = self._leases.end(revoked)
        if last:
            self._commit(last)

    def on_partitions_assigned(self, assigned: Collection[Partition]) -> None:
        """Begin to hold them."""
        self._leases.begin(assigned)
        self._assigned(assigned)

    def on_partitions_lost(self, lost: Collection[Partition]) -> None:
        """Fence them; another member has them by now, so nothing is committed."""
        self._leases.end(lost)
