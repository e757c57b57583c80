"""`TOPUP_TIME_SCALE` applied (contracts §9): what waits for the outside world waits shorter in a demonstration."""

from typing import Final

SHORTEST_SECONDS: Final = 0.2
"""No scaled wait is below this, so that a demonstration still lives through a real network (contracts §9)."""


def scaled(seconds: float, scale: float) -> float:
    """`seconds × scale`, never below 200 ms.

    Only for waits for the outside world: limits of the database, Temporal tasks, Kafka and the message expiry, and a
    carrier's or provider's `Retry-After`, keep their values.
    """
    return max(SHORTEST_SECONDS, seconds * scale)
