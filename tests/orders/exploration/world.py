"""One state of an order and of the world around it, in one tuple, and what the names in it mean."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from orders.outcomes import (
    Completed,
    InDoubt,
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundInDoubt,
    RefundUnknown,
    Refused,
)

KINDS = ("place", "query", "burn", "refund")
ASKING = ("place", "query")
BURNING = ("place", "query", "burn")
REFUNDING = ("place", "refund")
TICKS = (0, 91, 241, 316, 406)
"""Seconds: POST allowed; latency + lag over since it may have left; date - latency passed; date + lag passed; all over
for a date that was fixed at the second tick, too. No step is shorter than the lag, so what happens within one tick is
what lags."""
TICKS_EARLY = (0, 76, 91, 241, 316, 406)
"""Beside these: latency + lag over since the POST was granted, not yet since it may have left."""
LAST_RESTORE_TICK = 1
MOST_GRANTS = 3
MOST_REFUND_NUMBERS = 3
REFERENCE = "C-4711"

SAYS: dict[str, Completed | Refused | InDoubt] = {
    "completed": Completed(carrier_order_id=REFERENCE),
    "rejected": Refused(code="SIM_SUSPENDED", carrier_order_id=REFERENCE),
    "cancelled": Refused(code="CANCELLED", burnt=True),
    "in flight": InDoubt(cause="in_flight", why="works on it", carrier_order_id=REFERENCE),
    "hangs": InDoubt(cause="in_flight", why="works on it", carrier_order_id=REFERENCE),
    "409": InDoubt(cause="answered", why="HTTP 409"),
    "500": InDoubt(cause="answered", why="HTTP 500"),
    "nothing": InDoubt(cause="unanswered", why="no answer"),
}
PROVIDER_SAYS: dict[str, RefundAnswer] = {
    "-": RefundUnknown(),
    "processing": RefundAccepted(),
    "success": RefundConfirmed(provider_refund_id="P"),
    "closed": RefundClosed(),
    "abnormal": RefundDenied(code="ABNORMAL", why="can't pay it out"),
    "refused": RefundDenied(code="TRADE_HAS_FINISHED", why="can't refund it"),
    "nothing": RefundInDoubt(why="no answer"),
}


class Attempt(NamedTuple):
    """One attempt of an activity: what it does next, with what it has in hand."""

    kind: str
    step: str
    hand: tuple[Any, ...] = ()


class World(NamedTuple):
    """One state. `row` is the number of a state (`Exploration.states`); the last line is for the invariants alone."""

    row: int
    tick: int = 0
    carrier: str = "-"
    body: bytes = b""
    since: int = 0
    sold: int = 0
    provider: tuple[str, ...] = ("-",) * MOST_REFUND_NUMBERS
    bank: int = 0
    late: tuple[tuple[str, Any], ...] = ()
    attempts: tuple[Attempt, ...] = ()
    faults: int = 0
    grants: int = 0
    asked: int = -1
    """The tick at which the newest `GET` was asked that was heard, empty, with no POST authorized since."""
    reopened: int = -1
    """The tick at which another run took the order up."""
    leaves_before: tuple[datetime, ...] = ()
    """For each POST that the row knows, until when its right lasts."""
    on_its_way: bytes = b""
    backup: int = -1
    """The row that a backup holds; -1: there is none."""
    restored: int = -1
    """The tick at which that row came back; -1: it has not."""
    asked_for: tuple[int, ...] = ()
    """Refund numbers that the provider was asked for since."""
    denied: tuple[int, ...] = ()
    """Refund numbers that are known as refused, and that nobody has asked for again."""
    closed: tuple[int, ...] = ()
    """Refund numbers that were seen `CLOSED`, each as often as it was."""


class Broken(Exception):
    """An invariant doesn't hold; the text ends with the path to it."""


Moves = Iterator[tuple[str, World]]


def with_attempt(world: World, kind: str, step: str, *hand: Any) -> World:
    return world._replace(attempts=tuple(sorted((*world.attempts, Attempt(kind, step, hand)))))


def hold(rule: str, holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise Broken(rule)
