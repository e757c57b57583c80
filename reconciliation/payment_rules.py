"""The differences of one payment and of its refunds: a provider's bills against the book (contracts §10). Pure.

Two tables, read from the top: the first row that fits is the kind.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from reconciliation.days import DAYS_FOR_A_PAYMENT, DAYS_FOR_THE_REST, Horizon, after
from reconciliation.differences import Found, payment_id, refund_id
from reconciliation.evidence import BilledRefund, GivenBack, PaymentEvidence
from reconciliation.rule import Rule, first_that_fits


def judge_payment(evidence: PaymentEvidence, horizon: Horizon) -> list[Found]:
    """Every difference of a payment and its refunds, at most one for each of them.

    Those of a day whose bill is not whole are not among them: of that day nothing is judged.
    """
    found = [*_of_the_payment(evidence, horizon), *_of_its_refunds(evidence, horizon)]
    return [one for one in found if horizon.has(one.source, one.day)]


# --- the payment -------------------------------------------------------------------------------------------------


def is_second(one: PaymentEvidence) -> bool:
    """Whether another transaction paid this `out_trade_no` before: the one that is an order, else the earlier."""
    if one.billed is None or one.order is not None:
        return False
    if any(twin.has_order for twin in one.twins):
        return True
    mine = (one.billed.at, one.transaction_id)
    return any((twin.at, twin.transaction_id) < mine for twin in one.twins)


def _is_ended(one: PaymentEvidence) -> bool:
    """Somebody has ended it as an unmatched payment or a dead letter."""
    return bool(one.known) and not any(known.is_open for known in one.known)


def _bills_of_the_payment(one: PaymentEvidence) -> tuple[str, str]:
    return one.paid_on, after(one.paid_on, DAYS_FOR_A_PAYMENT)


PAYMENT_RULES: Final[tuple[Rule[PaymentEvidence], ...]] = (
    Rule(
        "duplicate_payment",
        lambda one: is_second(one) and not _is_ended(one),
        "A second transaction paid one order number: pay it back (`topup payments refund`).",
    ),
    Rule(
        "payment_without_order",
        lambda one: one.billed is not None and not one.is_known,
        "The provider has this payment, and neither an order, an unmatched payment nor a dead letter holds it.",
        shown_by=_bills_of_the_payment,
    ),
    Rule(
        "order_without_payment",
        lambda one: one.order is not None and one.billed is None,
        "The book has a paid order that no bill shows: look the payment up at the provider.",
        shown_by=_bills_of_the_payment,
    ),
    Rule(
        "amount_differs",
        lambda one: None not in (one.booked_fen, one.billed) and one.booked_fen != one.amount_fen,
        "Bill and book have another amount for one payment.",
    ),
)


def _of_the_payment(one: PaymentEvidence, horizon: Horizon) -> Iterator[Found]:
    matched = first_that_fits(PAYMENT_RULES, one, one.provider, horizon)
    if matched is None:
        return
    rule, kind = matched
    is_second_payment = rule.kind == "duplicate_payment"
    time_is_over = horizon.has_all(one.provider, *_bills_of_the_payment(one))
    yield Found(
        id=payment_id(one.provider, one.transaction_id),
        kind=kind,
        source=one.provider,
        day=one.paid_on,
        why=rule.why,
        transaction_id=one.transaction_id,
        order_id="" if one.order is None else one.order.order_id,
        book_fen=one.booked_fen,
        outside_fen=None if one.billed is None else one.billed.amount_fen,
        must_act=not one.is_known and time_is_over,
        never_an_order=is_second_payment,
    )


# --- its refunds -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Refund:
    """One refund number of a payment."""

    payment: PaymentEvidence
    number: str
    billed: BilledRefund | None
    is_too_much: bool

    @property
    def goodwill(self) -> GivenBack | None:
        """What it gives back of a delivered order; None where it is the refund of a whole payment, or nobody's."""
        return self.payment.goodwill_of(self.number)

    @property
    def booked_fen(self) -> int | None:
        """What the book says that it is of."""
        return self.payment.booked_fen if self.goodwill is None else self.goodwill.amount_fen

    @property
    def is_ours(self) -> bool:
        return self.number in self.payment.intents

    @property
    def is_confirmed(self) -> bool:
        """The book says that the provider has paid it back."""
        if self.goodwill is not None:
            return self.goodwill.confirmed_number == self.number
        order = self.payment.order
        return bool(order and order.confirmed_number == self.number) or (
            self.is_ours
            and any(one.is_refunded and self.number == one.refund_numbers[-1] for one in self.payment.known)
        )

    @property
    def has_succeeded(self) -> bool:
        """As the provider says; where it was not asked, as it said to the book."""
        ended = self.billed.ended if self.billed else ""
        return ended == "success" or (ended == "" and self.is_confirmed)

    @property
    def amount_fen(self) -> int | None:
        return self.billed.amount_fen if self.billed else self.booked_fen


def _is_delivered(payment: PaymentEvidence) -> bool:
    return payment.order is not None and payment.order.is_delivered


def _bills_of_the_refund(one: _Refund) -> tuple[str, str]:
    """It stands in the bill of the day on which it was taken in: between the intent and the confirmation."""
    order, goodwill = one.payment.order, one.goodwill
    if goodwill is not None:
        first = goodwill.refund_on or one.payment.paid_on
        return first, after(goodwill.refund_confirmed_on or first, DAYS_FOR_THE_REST)
    first = (order and (order.refund_on or order.claimed_on)) or one.payment.paid_on
    last = (order and order.refund_confirmed_on) or first
    return first, after(last, DAYS_FOR_THE_REST)


REFUND_RULES: Final[tuple[Rule[_Refund], ...]] = (
    Rule(
        "refund_amount_differs",
        lambda one: one.is_ours and one.billed is not None and one.billed.amount_fen != one.booked_fen,
        "The provider took this refund in with another amount than the book's.",
    ),
    Rule(
        "delivered_and_refunded",
        lambda one: one.has_succeeded and _is_delivered(one.payment) and one.goodwill is None,
        "The order is delivered, and its payment was paid back, which is no goodwill that two persons have decided.",
    ),
    Rule(
        "refunded_twice",
        lambda one: one.has_succeeded and one.is_too_much,
        "The refunds of this payment that succeeded are together above what was paid.",
    ),
    Rule(
        "refund_unknown",
        lambda one: one.billed is not None and not one.is_ours,
        "A refund whose number the book has no intent for: somebody made it elsewhere (merchant platform).",
    ),
    Rule(
        "refund_missing",
        lambda one: one.is_confirmed and one.billed is not None and one.billed.ended in ("closed", "denied", "unknown"),
        "The book says refunded, and the provider, asked now, says that this refund was not paid.",
    ),
    Rule(
        "refund_missing",
        lambda one: one.is_confirmed and one.billed is None,
        "The book says refunded, and no bill shows the refund.",
        shown_by=_bills_of_the_refund,
    ),
)


def _of_its_refunds(payment: PaymentEvidence, horizon: Horizon) -> Iterator[Found]:
    for one in _refunds(payment):
        matched = first_that_fits(REFUND_RULES, one, payment.provider, horizon)
        if matched is None:
            continue
        rule, kind = matched
        order = payment.order
        yield Found(
            id=refund_id(payment.provider, one.number, payment="" if one.is_ours else payment.transaction_id),
            kind=kind,
            source=payment.provider,
            day=one.billed.day if one.billed else _confirmed_on(one) or payment.paid_on,
            why=rule.why,
            transaction_id=payment.transaction_id,
            order_id="" if order is None else order.order_id,
            book_fen=one.booked_fen if one.is_ours else None,
            outside_fen=None if one.billed is None else one.billed.amount_fen,
        )


def _confirmed_on(one: _Refund) -> str | None:
    booked = one.goodwill or one.payment.order
    return booked and booked.refund_confirmed_on


def _refunds(payment: PaymentEvidence) -> list[_Refund]:
    """Those that a bill shows, and those of which the book says that they were paid; ours first, then as they came."""
    billed: Mapping[str, BilledRefund] = MappingProxyType({one.number: one for one in payment.refunds})
    numbers = dict.fromkeys(
        one.number for one in sorted(payment.refunds, key=lambda one: (one.number not in payment.intents, one.at))
    )
    if (order := payment.order) is not None:
        confirmed = (order.confirmed_number, *(one.confirmed_number for one in order.goodwill))
        numbers = dict.fromkeys(number for number in confirmed if number) | numbers
    paid_fen = payment.amount_fen
    refunds: list[_Refund] = []
    out_fen = 0
    for number in numbers:
        one = _Refund(payment, number, billed.get(number), is_too_much=False)
        if one.has_succeeded:
            out_fen += one.amount_fen or 0
            one = _Refund(payment, number, one.billed, is_too_much=paid_fen is not None and out_fen > paid_fen)
        refunds.append(one)
    return refunds
