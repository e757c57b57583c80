"""The differences of one order at the carrier: its statements against the book (contracts §10). Pure.

A table, read from the top: the first row that fits is the kind.
"""

from typing import Final

from reconciliation.days import CARRIER, DAYS_FOR_THE_REST, Horizon, after
from reconciliation.differences import Found, sale_id
from reconciliation.evidence import OrderEvidence
from reconciliation.rule import Rule, first_that_fits


def is_sold(one: OrderEvidence) -> bool:
    """Whether a statement shows it delivered."""
    return any(sale.is_sold for sale in one.sales)


def _statements_of_the_sale(one: OrderEvidence) -> tuple[str, str]:
    """Those of its day and the next: until then the book may still hear of it."""
    day = max(sale.day for sale in one.sales if sale.is_sold)
    return day, after(day, DAYS_FOR_THE_REST)


def _statements_of_the_delivery(one: OrderEvidence) -> tuple[str, str]:
    """The carrier may have sold it on any day from the claim on: a doubt may have lasted for days."""
    assert one.order is not None
    last = one.order.settled_on or one.order.claimed_on
    return one.order.claimed_on, after(last, DAYS_FOR_THE_REST)


SALE_RULES: Final[tuple[Rule[OrderEvidence], ...]] = (
    Rule(
        "sold_after_refusal",
        lambda one: is_sold(one) and one.order is not None and one.order.is_refused,
        "The carrier has sold what it had refused, or confirmed as burnt: have it taken back, or not charged.",
    ),
    Rule(
        "sold_without_order",
        lambda one: is_sold(one) and one.order is None,
        "The carrier has sold what the book does not know: ask the carrier who ordered it.",
        shown_by=_statements_of_the_sale,
    ),
    Rule(
        "sold_without_order",
        lambda one: is_sold(one) and one.order is not None and one.order.carrier_outcome is None,
        "The carrier has sold what the book still holds in doubt: `topup orders retry` makes the run ask.",
        shown_by=_statements_of_the_sale,
    ),
    Rule(
        "delivered_unknown_to_carrier",
        lambda one: one.order is not None and one.order.is_delivered and not is_sold(one),
        "The book says delivered, and no statement shows it: ask the carrier.",
        shown_by=_statements_of_the_delivery,
    ),
)


def judge_sale(evidence: OrderEvidence, horizon: Horizon) -> list[Found]:
    """The difference of an order at the carrier, if there is one; none of a day whose statement is not whole."""
    matched = first_that_fits(SALE_RULES, evidence, CARRIER, horizon)
    if matched is None:
        return []
    rule, kind = matched
    order = evidence.order
    day = _statements_of_the_sale(evidence)[0] if is_sold(evidence) else ""
    if not day:
        assert order is not None
        day = order.settled_on or order.claimed_on
    if not horizon.has(CARRIER, day):
        return []
    amount_fen = None if order is None else order.amount_fen
    found = Found(
        id=sale_id(evidence.order_id),
        kind=kind,
        source=CARRIER,
        day=day,
        why=rule.why,
        order_id=evidence.order_id,
        transaction_id="" if order is None else order.transaction_id,
        book_fen=amount_fen,
    )
    return [found]
