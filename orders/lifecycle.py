"""Where an order stands, and from where it may go on (contracts §3, `TopUpStatus`)."""

from typing import Final, Literal, get_args

Status = Literal["placing", "in_doubt", "refunding", "parked", "delivered", "refunded"]
Outcome = Literal["delivered", "refunded"]

TRANSITIONS: Final[dict[Status, frozenset[Status]]] = {
    "placing": frozenset({"in_doubt", "refunding", "parked", "delivered"}),
    "in_doubt": frozenset({"refunding", "parked", "delivered"}),
    "parked": frozenset({"in_doubt", "refunding", "delivered", "refunded"}),
    "refunding": frozenset({"parked", "refunded"}),
    "delivered": frozenset(),
    "refunded": frozenset(),
}
assert set(TRANSITIONS) == set(get_args(Status))
assert all(not TRANSITIONS[end] for end in get_args(Outcome))


class IllegalTransition(Exception):
    """A move that the lifecycle does not know: a defect, or a late word about a settled order."""


def move(at: Status, to: Status) -> Status:
    """`to`, if an order may go there from `at`; staying is always allowed.

    Raises:
        IllegalTransition: it may not.
    """
    if to != at and to not in TRANSITIONS[at]:
        raise IllegalTransition(f"an order can't go from {at} to {to}")
    return to
