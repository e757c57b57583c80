"""Applies the rules: to each order, and to all of them together."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from devkit.audit.books import Books, Paid, Seen
from devkit.audit.rules import RULES

NO_STRANGERS: Final = "no effect without a paid order"
CONSERVED: Final = "paid = delivered + refunded"
UNDISTURBED: Final = "nothing that only a fault or a mistake brings about"
ODD: Final[Mapping[str, frozenset[str]]] = {
    "the carrier": frozenset({"invalid", "unauthorized", "partial", "burnt_blind"}),
    "a provider": frozenset({"invalid", "sign_error", "abnormal", "closed"}),
}
"""Entries that a run without such faults must not have."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule. `order_id` is empty where it belongs to no order."""

    rule: str
    order_id: str
    sentence: str


@dataclass(slots=True)
class Report:
    """How often each rule was applied, and what it found."""

    runs: Counter[str] = field(default_factory=Counter[str])
    violations: list[Violation] = field(default_factory=list[Violation])

    def add(self, rule: str, order_id: str, sentences: Iterable[str]) -> None:
        """One application of one rule."""
        self.runs[rule] += 1
        self.violations += [Violation(rule, order_id, sentence) for sentence in sentences]

    def merge(self, other: "Report") -> None:
        """Take another report in."""
        self.runs += other.runs
        self.violations += other.violations


def audit(paid: Sequence[Paid], books: Books) -> Report:
    """Apply every rule to each of these orders; others in the books are left alone (see `audit_whole`)."""
    return audit_seen(books.seen(paid))


def audit_seen(orders: Iterable[Seen]) -> Report:
    """Apply every rule to what the books held about each of these orders."""
    report = Report()
    for seen in orders:
        for name, rule in RULES.items():
            report.add(name, seen.paid.order_id, rule(seen))
    return report


def audit_whole(paid: Sequence[Paid], books: Books) -> Report:
    """What holds in total, given *all* paid orders of these books: no strangers, and money is conserved."""
    report = Report()
    report.add(NO_STRANGERS, "", _strangers(paid, books))
    report.add(CONSERVED, "", _unbalanced(books.seen(paid)))
    return report


def audit_undisturbed(books: Books) -> Report:
    """That nothing in the books is what only a fault or a mistake brings about; for runs without such faults."""
    report = Report()
    report.add(UNDISTURBED, "", _odd(books))
    return report


def _strangers(paid: Sequence[Paid], books: Books) -> Iterator[str]:
    order_ids, payments = {one.order_id for one in paid}, {one.transaction_id for one in paid}
    effects, asked = ("post", "accepted", "sold"), ("refund", "refunded")
    strangers = {
        *({entry.data["external_id"] for entry in books.carrier if entry.kind in effects} - order_ids),
        *({entry.data["transaction_id"] for entry in books.money if entry.kind in asked} - payments),
        *({str(entry.data.get("order_id")) for entry in books.vehicle if entry.kind == "notice"} - order_ids),
    }
    yield from (f"{name} was acted on and was never paid" for name in sorted(strangers))
    malformed = sum(entry.kind == "malformed" for entry in books.vehicle)
    if malformed:
        yield f"cars could not read {malformed} notices"


def _unbalanced(orders: Sequence[Seen]) -> Iterator[str]:
    came = sum(seen.paid.amount_fen for seen in orders)
    delivered = sum(seen.paid.amount_fen for seen in orders for _ in seen.at_carrier("sold"))
    refunded = sum(entry.data["amount_fen"] for seen in orders for entry in seen.at_provider("refunded"))
    if came != delivered + refunded:
        yield f"{came} fen were paid, {delivered} fen delivered and {refunded} fen refunded"


def _odd(books: Books) -> Iterator[str]:
    for who, entries in (("the carrier", books.carrier), ("a provider", books.money)):
        yield from (f"{who} booked `{entry.kind}`: {entry.data}" for entry in entries if entry.kind in ODD[who])
