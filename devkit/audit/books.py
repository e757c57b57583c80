"""What the outside world has seen of each paid order: the entries of the simulators' books, found by order."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

End = Literal["delivered", "refunded", "either"]
Data = Mapping[str, Any]

BOOKS: Final[tuple[str, ...]] = ("carrier", "wechat", "alipay", "vehicle")
"""The simulators, each with a book of its own."""
REFUSALS: Final = frozenset({"rejected", "failed", "burnt"})
NOTICES_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "delivered": ("delivered",),
    "refunded": ("failed", "refunded"),
}
"""Contracts §6: which notices an end has, on every platform."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a book."""

    seq: int
    at: datetime
    kind: str
    data: Data


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """One paid order, and what the auditor must know of the circumstances.

    Attributes:
        end: what it must come to; `either` where circumstances decide, and only "exactly one" counts.
        reason: what the notice `failed` must give as its reason; None = not judged.
        carrier_orders: how many orders the carrier must have taken in; None = at most one.
        posts: how many POSTs the carrier must have seen; None = not judged.
        goodwill_fen: how much must have been given back after the delivery; None = not judged.
        zombies: a process was frozen and thawed: it may send the same bytes late (contracts §4).
        restored: the order book was rolled back under it: what that has lost is found out again, so that a POST after
            an empty `GET` may bear another date, a notice another moment.
        given_up: an operator has recorded the carrier's word on an order that it never ends (contracts §3).
        answered_seconds: from the answer of a POST, how long an empty `GET` proves nothing (the visibility lag).
        unanswered_seconds: likewise from a POST without an answer (longest latency + lag).
        burn_seconds: from the first POST to the earliest burn (completion window + lag).
    """

    order_id: str
    vin: str
    provider: str
    transaction_id: str
    out_trade_no: str
    amount_fen: int
    currency: str
    platforms: tuple[str, ...]
    end: End = "either"
    reason: str | None = None
    carrier_orders: int | None = None
    posts: int | None = None
    goodwill_fen: int | None = None
    zombies: bool = False
    restored: bool = False
    given_up: bool = False
    answered_seconds: float = 0.0
    unanswered_seconds: float = 0.0
    burn_seconds: float = 0.0


@dataclass(slots=True)
class Seen:
    """What the books hold about one order, each in its own order."""

    paid: Paid
    carrier: list[Entry] = field(default_factory=list[Entry])
    money: list[Entry] = field(default_factory=list[Entry])
    notices: list[Entry] = field(default_factory=list[Entry])

    def __len__(self) -> int:
        """How many entries the books hold about it."""
        return len(self.carrier) + len(self.money) + len(self.notices)

    def at_carrier(self, *kinds: str) -> list[Entry]:
        """Entries of these kinds in the carrier's book."""
        return [entry for entry in self.carrier if entry.kind in kinds]

    def at_provider(self, *kinds: str) -> list[Entry]:
        """Entries of these kinds in the providers' books; those of goodwill stand apart, they are no end."""
        return [entry for entry in self.money if entry.kind in kinds and not is_goodwill(entry)]

    def given_back(self, *kinds: str) -> list[Entry]:
        """Entries of these kinds about goodwill refunds."""
        return [entry for entry in self.money if entry.kind in kinds and is_goodwill(entry)]

    @property
    def refused_at(self) -> datetime | None:
        """When the carrier definitely refused or burnt it."""
        return next((entry.at for entry in self.at_carrier(*REFUSALS)), None)

    @property
    def ends(self) -> set[str]:
        """`delivered` and/or `refunded`, as the world has seen it."""
        delivered = {"delivered"} if self.at_carrier("sold") else set[str]()
        return delivered | ({"refunded"} if self.at_provider("refunded") else set())

    @property
    def told(self) -> set[tuple[str, str]]:
        """Platform and result of each notice that a car got, repeats once."""
        return {(entry.data["broker"], entry.data["result"]) for entry in self.notices}

    @property
    def to_be_told(self) -> set[tuple[str, str]]:
        """Platform and result of each notice that its end (or ends) must have."""
        return {(name, result) for end in self.ends for result in NOTICES_OF[end] for name in self.paid.platforms}

    @property
    def is_complete(self) -> bool:
        """Whether it has come to an end, and every platform was told."""
        return bool(self.ends) and self.to_be_told <= self.told

    @property
    def last_effect_at(self) -> datetime | None:
        """When the last thing happened to it that counts: sold, refused, refunded or told."""
        effects = (*self.at_carrier("sold", *REFUSALS), *self.at_provider("refunded"), *self.notices)
        return max((entry.at for entry in effects), default=None)


def is_goodwill(entry: Entry) -> bool:
    """Whether a provider's entry is about a goodwill refund, by its number (contracts §5)."""
    return re.match(r"G[0-9]+-[0-9]+-", str(entry.data.get("refund_no", ""))) is not None


class Books:
    """The entries of all books, as they come."""

    def __init__(self) -> None:
        self.carrier: list[Entry] = []
        self.money: list[Entry] = []
        self.vehicle: list[Entry] = []
        self._at_carrier: defaultdict[str, list[Entry]] = defaultdict(list)
        self._at_provider: defaultdict[str, list[Entry]] = defaultdict(list)
        self._notices: defaultdict[str, list[Entry]] = defaultdict(list)

    def read(self, book: str, lines: Iterable[Mapping[str, Any]]) -> list[Entry]:
        """Take in further lines of one of `BOOKS`, each once and in its order; the entries."""
        entries = [Entry(line["seq"], datetime.fromisoformat(line["at"]), line["kind"], line["data"]) for line in lines]
        for entry in entries:
            self.add(book, entry)
        return entries

    def add(self, book: str, entry: Entry) -> None:
        """Take in one entry."""
        match book:
            case "carrier":
                self.carrier.append(entry)
                self._at_carrier[str(entry.data.get("external_id") or "")].append(entry)
            case "vehicle":
                self.vehicle.append(entry)
                self._notices[str(entry.data.get("order_id") or "")].append(entry)
            case _:
                self.money.append(entry)
                self._at_provider[str(entry.data.get("transaction_id") or "")].append(entry)

    def about(self, paid: Paid) -> Seen:
        """What they hold about one order by now."""
        return Seen(
            paid,
            list(self._at_carrier.get(paid.order_id, ())),
            list(self._at_provider.get(paid.transaction_id, ())),
            list(self._notices.get(paid.order_id, ())),
        )

    def seen(self, paid: Sequence[Paid]) -> list[Seen]:
        """What they hold about each of these orders by now."""
        return [self.about(one) for one in paid]
