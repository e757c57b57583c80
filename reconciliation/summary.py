"""The page for finance: where each payment of a day stands now. It adds up to zero (contracts §10). Pure; fen."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from reconciliation.differences import Difference
from reconciliation.evidence import PaymentEvidence

Place = Literal[
    "delivered",
    "refunded",
    "in_flight",
    "unmatched",
    "open_dead_letters",
    "ended_elsewhere",
    "in_none_of_the_books",
]
PLACES: Final[tuple[Place, ...]] = get_args(Place)
LOSSES: Final = frozenset({"refund_unknown", "refunded_twice", "delivered_and_refunded"})
"""Kinds of money that is gone beside what became of its payment."""


@dataclass(slots=True)
class Amount:
    """So many payments or refunds, so much money."""

    count: int = 0
    fen: int = 0

    def add(self, amount_fen: int) -> None:
        """One more."""
        self.count += 1
        self.fen += amount_fen


@dataclass(slots=True)
class Summary:
    """A day's.

    Attributes:
        goodwill: what two persons have given back of what was delivered; it moves no payment either.
        lost: refunds made elsewhere, a second one too, and of what was delivered: they move no payment, and are money
            that is gone.
        not_whole: bills and statements that this page had to do without.
    """

    day: str
    paid: Amount = field(default_factory=Amount)
    places: dict[Place, Amount] = field(default_factory=lambda: {place: Amount() for place in PLACES})
    goodwill: Amount = field(default_factory=Amount)
    lost: Amount = field(default_factory=Amount)
    open_differences: int = 0
    not_whole: tuple[str, ...] = ()

    def add(self, payment: PaymentEvidence) -> None:
        """Count one payment of the day."""
        amount_fen = payment.amount_fen or 0
        self.paid.add(amount_fen)
        self.places[place_of(payment)].add(amount_fen)
        for given in () if payment.order is None else payment.order.goodwill:
            if given.is_given:
                self.goodwill.add(given.amount_fen)

    def add_differences(self, differences: Iterable[Difference]) -> None:
        """Those of the day."""
        for one in differences:
            if one.state == "open" and one.kind != "timing":
                self.open_differences += 1
            if one.kind in LOSSES and one.state != "closed_itself":
                self.lost.add(one.outside_fen or one.book_fen or 0)

    @property
    def left_over_fen(self) -> int:
        """Zero: paid less everything that it has become."""
        return self.paid.fen - sum(amount.fen for amount in self.places.values())


def place_of(payment: PaymentEvidence) -> Place:
    """Where a payment stands now; one place for each."""
    if payment.order is not None:
        return payment.order.outcome or "in_flight"
    if not payment.known:
        return "in_none_of_the_books"
    open_ones = [one for one in payment.known if one.is_open]
    if any(one.place == "unmatched" for one in open_ones):
        return "unmatched"
    if open_ones:
        return "open_dead_letters"
    return "refunded" if any(one.is_refunded for one in payment.known) else "ended_elsewhere"
