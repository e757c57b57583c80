"""The demonstration's verdict: what the audit found, counted by scenario."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from devkit.audit.auditor import NO_STRANGERS, Violation, audit_seen, audit_whole
from devkit.audit.books import NOTICES_OF, Books, Seen
from devkit.audit.records import DeadLetter, SentRecord, audit_records
from devkit.demo.plan import PlannedOrder

POISON = "poison"


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is counted per scenario."""

    carrier_orders: int = 0
    refunds: int = 0
    notices: int = 0
    dead_letters: int = 0

    def __add__(self, other: "Numbers") -> "Numbers":
        return Numbers(
            self.carrier_orders + other.carrier_orders,
            self.refunds + other.refunds,
            self.notices + other.notices,
            self.dead_letters + other.dead_letters,
        )


@dataclass(slots=True)
class Row:
    """One scenario of the final table."""

    scenario: str
    orders: int = 0
    records: int = 0
    delivered: int = 0
    refunded: int = 0
    expected: Numbers = field(default_factory=Numbers)
    seen: Numbers = field(default_factory=Numbers)
    violations: list[Violation] = field(default_factory=list[Violation])

    @property
    def ok(self) -> bool:
        """Whether all is as it must be."""
        return not self.violations


@dataclass(frozen=True, slots=True)
class Verdict:
    """The audit's result: a row per scenario in the plan's order, and what belongs to no scenario."""

    rows: tuple[Row, ...]
    strangers: tuple[Violation, ...] = ()

    @property
    def violations(self) -> tuple[tuple[str, Violation], ...]:
        """All of them, each with its scenario; "" where it belongs to none."""
        of_rows = [(row.scenario, violation) for row in self.rows for violation in row.violations]
        return (*of_rows, *(("", violation) for violation in self.strangers))

    @property
    def ok(self) -> bool:
        """Whether all is as it must be."""
        return not self.violations


def with_strangers(verdict: Verdict, found: Sequence[Violation]) -> Verdict:
    """The verdict with what belongs to no scenario."""
    return Verdict(verdict.rows, (*verdict.strangers, *found))


def with_violations(verdict: Verdict, scenario: str, found: Sequence[Violation]) -> Verdict:
    """The verdict with what only a look at the right moment could show of a scenario."""
    rows = tuple(
        replace(row, violations=[*row.violations, *found]) if row.scenario == scenario else row for row in verdict.rows
    )
    return Verdict(rows, verdict.strangers)


def judge(
    orders: Sequence[PlannedOrder],
    books: Books,
    sent: Sequence[SentRecord],
    letters: Sequence[DeadLetter],
    *,
    platforms: Sequence[str],
    time_scale: float,
) -> Verdict:
    """Audit the books and the dead-letter topic against the plan.

    Args:
        orders: every paid order.
        books: what carrier, providers and vehicles have seen.
        sent: what stands in Kafka: the gateway's records and strays; of scenario "" where nobody paid for it.
        letters: what stands in the dead-letter topic.
        platforms: the MQTT platforms, each of which must have had each notice.
        time_scale: of the product's waits.
    """
    rows: dict[str, Row] = {}
    paid = [order.paid(platforms, time_scale) for order in orders]
    for order, seen in zip(orders, books.seen(paid), strict=True):
        _count_order(rows.setdefault(order.scenario.name, Row(order.scenario.name)), order, seen)
    origins = {letter.origin for letter in letters}
    strangers: list[Violation] = []
    for record in sent:
        if not record.scenario:
            name = (record.key or b"").decode(errors="replace")
            strangers.append(Violation(NO_STRANGERS, name, "a record stands in Kafka that no payment of the plan made"))
            continue
        row = rows.setdefault(record.scenario, Row(record.scenario))
        row.records += 1
        row.expected += Numbers(dead_letters=int(bool(record.dead_letter)))
        row.seen += Numbers(dead_letters=int((str(record.partition), str(record.offset)) in origins))
    for record, violation in audit_records(sent, letters):
        scenario = record.scenario if record else POISON
        rows.setdefault(scenario, Row(scenario)).violations.append(violation)
    return Verdict(tuple(rows.values()), (*strangers, *audit_whole(paid, books).violations))


def _count_order(row: Row, order: PlannedOrder, seen: Seen) -> None:
    scenario = order.scenario
    row.orders += 1
    row.delivered += "delivered" in seen.ends
    row.refunded += "refunded" in seen.ends
    row.expected += Numbers(
        carrier_orders=scenario.carrier_orders,
        refunds=int(scenario.end == "refunded") + int(order.goodwill_fen > 0),
        notices=len(NOTICES_OF[scenario.end]) * len(seen.paid.platforms),
    )
    refunds = len(seen.at_provider("refunded")) + len(seen.given_back("refunded"))
    row.seen += Numbers(len(seen.at_carrier("accepted")), refunds, len(seen.told))
    row.violations += audit_seen([seen]).violations
