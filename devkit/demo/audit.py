"""The audit of a demonstration: one pure function over the outside world's books and the dead-letter topic.

It never looks into the product's tables or Temporal, so it finds what the product hides from itself.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from devkit.demo.books import AtCarrier, AtProvider, Books, DeadLetter, NoticeSeen, SentRecord
from devkit.demo.plan import PlannedOrder
from devkit.demo.scenarios import NOTICES_OF

OURS: Final = "topup-dlq-"
"""Headers that the product adds to a dead letter (contracts §2)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be. `order_id` is empty for a record that belongs to no order."""

    scenario: str
    order_id: str
    sentence: str


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
    """The audit's result, a row per scenario in the plan's order."""

    rows: tuple[Row, ...]
    violations: tuple[Violation, ...]

    @property
    def ok(self) -> bool:
        """Whether all is as it must be."""
        return not self.violations


def with_violations(verdict: Verdict, found: Sequence[Violation]) -> Verdict:
    """The verdict with what only a look at the right moment could show."""
    rows = tuple(
        replace(row, violations=[*row.violations, *(one for one in found if one.scenario == row.scenario)])
        for row in verdict.rows
    )
    return Verdict(rows, (*verdict.violations, *found))


def audit(orders: Sequence[PlannedOrder], books: Books, platforms: Sequence[str]) -> Verdict:
    """Compare what the books show with what each order must have come to.

    Args:
        orders: every paid order.
        books: what carrier, providers, vehicles and Kafka have seen.
        platforms: the MQTT platforms, each of which must have had each notice.
    """
    rows: dict[str, Row] = {}
    notices: dict[str, list[NoticeSeen]] = defaultdict(list)
    for notice in books.notices:
        notices[notice.order_id].append(notice)
    for order in orders:
        row = rows.setdefault(order.scenario.name, Row(order.scenario.name))
        at_carrier = books.carrier.get(order.order_id, AtCarrier())
        at_provider = books.payments.get(order.transaction_id, AtProvider())
        seen = notices.pop(order.order_id, [])
        row.orders += 1
        row.delivered += at_carrier.sold > 0
        row.refunded += bool(at_provider.refunds)
        row.expected += _expected(order, len(platforms))
        row.seen += Numbers(
            at_carrier.orders, len(at_provider.refunds), len({(one.platform, one.result) for one in seen})
        )
        sentences = [
            *_at_carrier(order, at_carrier),
            *_money(order, at_carrier, at_provider),
            *_notices(order, seen, platforms),
        ]
        row.violations += [Violation(row.scenario, order.order_id, sentence) for sentence in sentences]
    _records(books, rows)
    strangers = [Violation("", order_id, sentence) for order_id, sentence in _strangers(orders, books, notices)]
    found = [violation for row in rows.values() for violation in row.violations] + strangers
    return Verdict(tuple(rows.values()), tuple(found))


def _expected(order: PlannedOrder, platforms: int) -> Numbers:
    scenario = order.scenario
    return Numbers(
        carrier_orders=scenario.carrier_orders,
        refunds=int(scenario.end == "refunded"),
        notices=len(NOTICES_OF[scenario.end]) * platforms,
    )


def _at_carrier(order: PlannedOrder, seen: AtCarrier) -> Iterator[str]:
    scenario = order.scenario
    if seen.orders != scenario.carrier_orders:
        yield f"the carrier has {seen.orders} orders instead of {scenario.carrier_orders}"
    if seen.sold > 1:
        yield f"the carrier has sold it {seen.sold} times"
    if len(seen.bodies) > 1:
        yield f"the carrier was sent {len(seen.bodies)} different bodies under one externalId"
    if not seen.posts:
        yield "the carrier was never asked"


def _money(order: PlannedOrder, at_carrier: AtCarrier, at_provider: AtProvider) -> Iterator[str]:
    end, refunds = order.scenario.end, at_provider.refunds
    delivered = at_carrier.sold > 0
    if delivered and refunds:
        yield "it was delivered and refunded"
    if not delivered and not refunds:
        yield f"it was neither delivered nor refunded, and should be {end}"
    elif delivered != (end == "delivered"):
        yield f"it was {'delivered' if delivered else 'refunded'} instead of {end}"
    if len(refunds) > 1:
        yield f"it was refunded {len(refunds)} times: {', '.join(refund.refund_no for refund in refunds)}"
    yield from (
        f"{refund.amount_fen} fen were refunded of {order.amount_fen} fen"
        for refund in refunds
        if refund.amount_fen != order.amount_fen
    )
    asked_at = at_provider.first_request_at
    if asked_at and (not at_carrier.refused_at or asked_at < at_carrier.refused_at):
        yield "a refund was asked for before the carrier had refused or burnt it"


def _notices(order: PlannedOrder, seen: Sequence[NoticeSeen], platforms: Sequence[str]) -> Iterator[str]:
    wanted = {(platform, result) for platform in platforms for result in NOTICES_OF[order.scenario.end]}
    payloads: dict[str, set[str]] = defaultdict(set)
    there: set[tuple[str, str]] = set()
    for notice in seen:
        there.add((notice.platform, notice.result))
        payloads[notice.result].add(notice.payload_sha256)
        yield from _content(order, notice)
    for platform, result in sorted(wanted - there):
        yield f"the notice {result} is missing on {platform}"
    for platform, result in sorted(there - wanted):
        yield f"there is a notice {result} on {platform} that must not be"
    for result, variants in sorted(payloads.items()):
        if len(variants) > 1:
            yield f"the notice {result} was repeated with other bytes"


def _content(order: PlannedOrder, notice: NoticeSeen) -> Iterator[str]:
    result, platform = notice.result, notice.platform
    topic = hashlib.sha256(f"vehicles/{order.vin}/topup".encode()).hexdigest()
    if notice.topic_sha256 != topic:
        yield f"the notice {result} on {platform} went to another vehicle's topic"
    if (notice.id, notice.type) != (f"{order.order_id}:{result}", f"topup.order.{result}"):
        yield f"the notice {result} on {platform} bears the id {notice.id} and the type {notice.type}"
    if notice.amount_fen != order.amount_fen:
        yield f"the notice {result} on {platform} speaks of {notice.amount_fen} fen instead of {order.amount_fen}"
    reason = order.scenario.reason if result == "failed" else None
    if notice.reason != reason:
        yield f"the notice {result} on {platform} gives the reason {notice.reason} instead of {reason}"


def _records(books: Books, rows: dict[str, Row]) -> None:
    """Records in = orders, duplicates and dead letters; each dead letter byte-identical, in rows of their scenario."""
    by_origin: dict[tuple[str, str], list[DeadLetter]] = defaultdict(list)
    for letter in books.dead_letters:
        by_origin[_origin(letter)].append(letter)
    for record in books.sent:
        row = rows.setdefault(record.scenario, Row(record.scenario))
        letters = by_origin.pop((str(record.partition), str(record.offset)), [])
        row.records += 1
        row.expected += Numbers(dead_letters=int(bool(record.dead_letter)))
        row.seen += Numbers(dead_letters=int(bool(letters)))
        name = (record.key or b"").decode(errors="replace")
        row.violations += [Violation(row.scenario, name, sentence) for sentence in _dead_letter(record, letters)]
    for partition, offset in by_origin:
        row = rows.setdefault("poison", Row("poison"))
        row.violations.append(
            Violation(
                "poison", "", f"there is a dead letter of partition {partition}, offset {offset}, where nothing was"
            )
        )


def _dead_letter(record: SentRecord, letters: Sequence[DeadLetter]) -> Iterator[str]:
    where = f"the record at partition {record.partition}, offset {record.offset}"
    if not letters and record.dead_letter:
        yield f"{where} has no dead letter ({record.dead_letter} expected)"
    for letter in letters:  # at least once: a repeat is allowed, and must be the same
        ours = dict(header for header in letter.headers if header[0].startswith(OURS))
        theirs = tuple(header for header in letter.headers if not header[0].startswith(OURS))
        reason = ours.get(f"{OURS}reason", b"").decode(errors="replace")
        if not record.dead_letter:
            yield f"{where} became a dead letter ({reason}) and is an order"
        elif reason != record.dead_letter:
            yield f"{where} has a dead letter with reason {reason} instead of {record.dead_letter}"
        if (letter.key, letter.value, theirs) != (record.key, record.value, record.headers):
            yield f"{where} has a dead letter with other bytes"


def _origin(letter: DeadLetter) -> tuple[str, str]:
    ours = dict(letter.headers)
    partition, offset = (ours.get(f"{OURS}{name}", b"?").decode(errors="replace") for name in ("partition", "offset"))
    return partition, offset


def _strangers(
    orders: Iterable[PlannedOrder], books: Books, notices_left: Mapping[str, Sequence[NoticeSeen]]
) -> Iterator[tuple[str, str]]:
    """Effects that belong to no paid order."""
    order_ids, payments = set[str](), Counter[str]()
    for order in orders:
        order_ids.add(order.order_id)
        payments[order.transaction_id] += 1
    for order_id, seen in books.carrier.items():
        if order_id not in order_ids and (seen.posts or seen.orders):
            yield order_id, "the carrier was sent an order that nobody paid"
    for transaction_id, seen in books.payments.items():
        if transaction_id not in payments and (seen.refunds or seen.first_request_at):
            yield seen.out_trade_no, "a payment was refunded that no order has"
    if books.malformed_notices:
        yield "", f"vehicles got {books.malformed_notices} notices that they could not read"
    for order_id, left in notices_left.items():
        if left:
            yield order_id, "a vehicle was told about an order that nobody paid"
