"""A record that became no order: what it may be a payment of, and how a person ends it, once. Pure."""

import json
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, cast, get_args

from orders.identities import is_order_id
from orders.paid_order import MOST_FEN, Provider, day_in_china
from orders.record import MAX_VALUE_BYTES

Ending = Literal["", "redriven", "settled", "discarded"]
"""`redriven`: sent to its topic again; what is still wrong is another dead letter. `discarded`: it was no payment."""
MOST_READ_BYTES: Final = 2 * MAX_VALUE_BYTES
"""Beyond an order's largest size by far: it is no order, and 31 KB of gzip can hold what fills 867 MiB (measured)."""
_REFERENCE: Final = re.compile(r"[!-~]{1,64}")


@dataclass(frozen=True, slots=True)
class Names:
    """What a dead letter says of itself, as far as it can be read; proven is none of it. `""` and 0: nothing."""

    order_id: str = ""
    provider: str = ""
    transaction_id: str = ""
    amount_fen: int = 0
    paid_on: str = ""
    """The day in China."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the original was: what tells dead letters apart (contracts §2).

    `timestamp_ms` too, because a topic that is made anew under its name begins with offset 0 again.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A dead letter in the book. `place`: where it lies in the dead-letter topic, `partition:offset`."""

    source: Source
    place: str
    reason: str
    error: str
    dead_at: str
    names: Names
    ending: Ending = ""
    ended_at: datetime | None = None
    ended_by: str = ""
    ended_note: str = ""

    proposal: str = ""
    """As in `OrderState`: what the first of two persons wishes (`orders.four_eyes`)."""
    proposed_by: str = ""
    proposed_at: datetime | None = None
    proposed_note: str = ""
    confirmed_by: str = ""
    confirmed_note: str = ""

    @property
    def alone(self) -> Source:
        """What tells it apart where its source is another letter's: its own place."""
        partition, _, offset = self.place.partition(":")
        return Source("", int(partition), int(offset), 0)

    def may_repeat(self, other: "KeptLetter") -> bool:
        """Whether both name the same payment; two of one source that don't are no repeats: somebody forged one."""
        return replace(self.names, paid_on="") == replace(other.names, paid_on="")


def end(letter: KeptLetter, now: datetime, ending: Ending, operator: str, note: str) -> tuple[KeptLetter, str]:
    """Note how it was ended, once. Returns why not, or "". Said again in the same words, it is the same ending."""
    if not letter.ending:
        return replace(letter, ending=ending, ended_at=now, ended_by=operator, ended_note=note), ""
    if (letter.ending, letter.ended_by, letter.ended_note) == (ending, operator, note):
        return letter, ""
    return letter, (
        f"{letter.place} was {letter.ending} by {letter.ended_by} ({letter.ended_note}) before: it is ended once. "
        "Nothing was done."
    )


def names_in(value: bytes | None) -> Names:
    """What payment a record may be of. Raises nothing, whatever the bytes are; a giant names none."""
    if value is None or len(value) > MOST_READ_BYTES:
        return Names()
    try:
        root: object = json.loads(value)
    except (ValueError, RecursionError):
        return Names()
    members = _members(root)
    payment = _members(members.get("payment"))
    order_id, provider, transaction_id = members.get("order_id"), payment.get("provider"), payment.get("transaction_id")
    if provider is None:  # an unmatched payment's record
        provider, transaction_id = members.get("provider"), members.get("transaction_id")
    amount_fen = members.get("amount_fen")
    paid_at = payment.get("paid_at", members.get("paid_at"))
    known = isinstance(provider, str) and provider in get_args(Provider)
    named = isinstance(transaction_id, str) and _REFERENCE.fullmatch(transaction_id) is not None
    return Names(
        order_id=order_id if isinstance(order_id, str) and is_order_id(order_id) else "",
        provider=str(provider) if known and named else "",
        transaction_id=str(transaction_id) if known and named else "",
        amount_fen=amount_fen if type(amount_fen) is int and 0 <= amount_fen <= MOST_FEN else 0,
        paid_on=_day(paid_at),
    )


def _day(paid_at: object) -> str:
    try:
        return day_in_china(paid_at) if isinstance(paid_at, str) else ""
    except ValueError:
        return ""


def _members(node: object) -> dict[str, Any]:
    return cast("dict[str, Any]", node) if isinstance(node, dict) else {}
