"""Which partitions may give records now: pause and resume, so that what is in hand stays bounded."""

from collections.abc import Collection
from contextlib import suppress

from adapters.kafka import limits
from adapters.kafka.assignments import Assignments
from adapters.kafka.protocols import Consumer, Partition


def apply_backpressure(
    consumer: Consumer, assignments: Assignments, *, pause_all: bool, never: Collection[Partition]
) -> bool:
    """Pause and resume partitions; whether any is paused that will soon go on.

    Args:
        consumer: is polled on all the same, so that the group stays as it is.
        assignments: know how much is in hand.
        pause_all: nothing may come at all.
        never: partitions that stay paused.
    """
    assigned = consumer.assignment()
    held = assignments.held()
    cap = max(limits.MIN_IN_FLIGHT_PER_PARTITION, limits.MAX_IN_FLIGHT // max(1, len(assigned)))
    full = {p for p in assigned if (assignment := held.get(p)) is not None and assignment.in_flight >= cap}
    all_of_them = pause_all or assignments.in_flight_bytes > limits.MAX_IN_FLIGHT_BYTES
    wanted = set(assigned) if all_of_them else full | (assigned & set(never))
    paused = consumer.paused()
    with suppress(KeyError):  # revoked in this moment
        consumer.pause(*(wanted - paused))
        consumer.resume(*((paused & assigned) - wanted))
    return all_of_them or bool(full)
