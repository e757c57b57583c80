"""The tables of rules, row by row; how a difference opens and closes; which day can be judged. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from reconciliation.days import CARRIER, Horizon, bills_are_due, day_of, from_to
from reconciliation.differences import Found, changes, compared, is_news
from reconciliation.evidence import (
    Billed,
    BilledRefund,
    BookOrder,
    GivenBack,
    KnownPayment,
    OrderEvidence,
    PaymentEvidence,
    Sale,
)
from reconciliation.evidence import Twin as Other
from reconciliation.payment_rules import judge_payment
from reconciliation.sale_rules import judge_sale
from reconciliation.summary import PLACES, Summary, place_of

DAY = "2026-03-10"
NOW = datetime(2026, 3, 13, 3, tzinfo=UTC)
ALL = Horizon({source: set(from_to("2026-03-01", "2026-03-31")) for source in ("wechat", CARRIER)})
ONLY_THE_DAY = Horizon({source: {DAY} for source in ("wechat", CARRIER)})
NOTHING = Horizon({})
ORDER = BookOrder(
    order_id="T1",
    provider="wechat",
    transaction_id="42",
    out_trade_no="T1",
    merchant_id="1900000109",
    amount_fen=9900,
    paid_on=DAY,
    claimed_on=DAY,
    carrier_outcome=None,
    outcome=None,
    settled_on=None,
    refund_sequence=0,
    refund_on=None,
    refund_confirmed_on=None,
    paid_another_way=False,
)
DELIVERED = replace(ORDER, carrier_outcome="completed", outcome="delivered", settled_on=DAY)
REFUSED = replace(ORDER, carrier_outcome="rejected")
REFUNDED = replace(
    REFUSED, outcome="refunded", settled_on=DAY, refund_sequence=1, refund_on=DAY, refund_confirmed_on=DAY
)
PART = GivenBack("T1", 1, 500, refund_sequence=1, refund_on=DAY, refund_confirmed_on=DAY)
GIVEN = replace(DELIVERED, goodwill=(PART,))
BILLED = Billed(DAY, f"{DAY} 12:00:00", "T1", 9900)
KNOWN = KnownPayment("unmatched", "wechat", "42", "T1", 9900, DAY)


def payment(**changes) -> PaymentEvidence:
    return replace(PaymentEvidence("wechat", "42", billed=BILLED, order=ORDER), **changes)


def refund(number: str, ended: str = "success", amount_fen: int = 9900, hour: int = 13) -> BilledRefund:
    return BilledRefund(DAY, f"{DAY} {hour}:00:00", number, amount_fen, ended)


def kinds(evidence: PaymentEvidence, horizon: Horizon = ALL) -> dict[str, str]:
    return {one.id: one.kind for one in judge_payment(evidence, horizon)}


QUIET = {
    "a paid order and its bill": payment(),
    "delivered": payment(order=DELIVERED),
    "refunded": payment(order=REFUNDED, refunds=(refund("RT1"),)),
    "refunded, not asked for": payment(order=REFUNDED, refunds=(refund("RT1", ""),)),
    "refund under way": payment(order=replace(REFUSED, refund_sequence=1), refunds=(refund("RT1", ""),)),
    "closed, then a second number": payment(
        order=replace(REFUNDED, refund_sequence=2), refunds=(refund("RT1", "closed"), refund("RT1-2"))
    ),
    "paid back another way": payment(order=replace(REFUNDED, paid_another_way=True)),
    "a part given back": payment(order=GIVEN, refunds=(refund("G1-1-T1", amount_fen=500),)),
    "a part given back, not asked for": payment(order=GIVEN, refunds=(refund("G1-1-T1", "", 500),)),
    "a part given back another way": payment(order=replace(GIVEN, goodwill=(replace(PART, ended_elsewhere=True),))),
    "goodwill under way": payment(
        order=replace(GIVEN, goodwill=(replace(PART, refund_confirmed_on=None),)),
        refunds=(refund("G1-1-T1", amount_fen=500),),
    ),
    "goodwill closed, then a second number": payment(
        order=replace(GIVEN, goodwill=(replace(PART, refund_sequence=2),)),
        refunds=(refund("G1-1-T1", "closed", 500), refund("G1-2-T1", amount_fen=500)),
    ),
    "all given back in two parts": payment(
        order=replace(GIVEN, goodwill=(PART, replace(PART, number=2, amount_fen=9400))),
        refunds=(refund("G1-1-T1", amount_fen=500), refund("G2-1-T1", amount_fen=9400)),
    ),
    "unmatched": payment(order=None, known=(KNOWN,)),
    "an unmatched payment that was ended, twice paid": payment(
        order=None, known=(replace(KNOWN, is_open=False),), twins=(Other("41", f"{DAY} 11:00:00", has_order=True),)
    ),
    "the first of two payments": payment(order=None, known=(KNOWN,), twins=(Other("43", f"{DAY} 13:00:00", False),)),
}


@pytest.mark.parametrize("case", QUIET)
def test_what_agrees_is_no_difference(case: str):
    assert kinds(QUIET[case]) == {}


CASES = {
    "second": (payment(order=None, twins=(Other("41", f"{DAY} 11:00:00", False),)), "payment:wechat:42"),
    "beside an order": (payment(order=None, twins=(Other("43", "", True),)), "payment:wechat:42"),
    "unknown": (payment(order=None), "payment:wechat:42"),
    "no bill": (payment(billed=None), "payment:wechat:42"),
    "other amount": (payment(billed=replace(BILLED, amount_fen=1)), "payment:wechat:42"),
    "other refund": (payment(order=REFUNDED, refunds=(refund("RT1", amount_fen=1),)), "refund:wechat:RT1"),
    "delivered and refunded": (payment(order=DELIVERED, refunds=(refund("X"),)), "refund:wechat:42:X"),
    "twice": (payment(order=REFUNDED, refunds=(refund("RT1"), refund("X"))), "refund:wechat:42:X"),
    "elsewhere": (payment(refunds=(refund("X", amount_fen=100),)), "refund:wechat:42:X"),
    "of nobody's payment": (PaymentEvidence("wechat", "42", refunds=(refund("X"),)), "refund:wechat:42:X"),
    "closed": (payment(order=REFUNDED, refunds=(refund("RT1", "closed"),)), "refund:wechat:RT1"),
    "unshown": (payment(order=REFUNDED), "refund:wechat:RT1"),
    "given elsewhere": (payment(order=DELIVERED, refunds=(refund("G1-1-T1"),)), "refund:wechat:42:G1-1-T1"),
    "another part": (payment(order=GIVEN, refunds=(refund("G1-1-T1", amount_fen=501),)), "refund:wechat:G1-1-T1"),
    "part closed": (payment(order=GIVEN, refunds=(refund("G1-1-T1", "closed", 500),)), "refund:wechat:G1-1-T1"),
    "part unshown": (payment(order=GIVEN), "refund:wechat:G1-1-T1"),
    "given above the payment": (
        payment(
            order=replace(GIVEN, goodwill=(PART, replace(PART, number=2, amount_fen=9401))),
            refunds=(refund("G1-1-T1", amount_fen=500), refund("G2-1-T1", amount_fen=9401)),
        ),
        "refund:wechat:G2-1-T1",
    ),
}
KIND_OF = {
    "second": "duplicate_payment",
    "beside an order": "duplicate_payment",
    "unknown": "payment_without_order",
    "no bill": "order_without_payment",
    "other amount": "amount_differs",
    "other refund": "refund_amount_differs",
    "delivered and refunded": "delivered_and_refunded",
    "twice": "refunded_twice",
    "elsewhere": "refund_unknown",
    "of nobody's payment": "refund_unknown",
    "closed": "refund_missing",
    "unshown": "refund_missing",
    "given elsewhere": "delivered_and_refunded",
    "another part": "refund_amount_differs",
    "part closed": "refund_missing",
    "part unshown": "refund_missing",
    "given above the payment": "refunded_twice",
}
LACKING = {"unknown", "no bill", "unshown", "part unshown"}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_is_found_and_what_is_lacking_waits_for_the_bills_that_could_show_it(case: str):
    evidence, name = CASES[case]

    assert kinds(evidence) == {name: KIND_OF[case]}
    assert kinds(evidence, ONLY_THE_DAY) == {name: "timing" if case in LACKING else KIND_OF[case]}
    assert kinds(evidence, NOTHING) == {}


def test_parts_of_a_refund_are_too_much_only_together():
    parts = (refund("A", amount_fen=6000, hour=13), refund("B", amount_fen=6000, hour=14))
    named = {"refund:wechat:42:A": "refund_unknown", "refund:wechat:42:B": "refunded_twice"}

    assert kinds(payment(refunds=parts)) == named
    assert kinds(payment(refunds=(parts[0], replace(parts[1], ended="closed")))) == dict.fromkeys(
        named, "refund_unknown"
    )


@pytest.mark.parametrize(("last", "waits"), [("2026-03-11", True), ("2026-03-12", False)])
def test_a_payment_waits_for_the_bills_of_its_day_and_the_two_after(last: str, waits):
    horizon = Horizon({"wechat": set(from_to(DAY, last))})
    [found] = judge_payment(payment(order=None), horizon)

    assert (found.kind, found.must_act) == (("timing", False) if waits else ("payment_without_order", True))


def test_a_second_payment_is_put_nowhere_before_its_time_and_never_as_an_order():
    evidence = payment(order=None, twins=(Other("43", "", True),))
    [early], [late] = (judge_payment(evidence, horizon) for horizon in (ONLY_THE_DAY, ALL))

    assert (early.must_act, late.must_act, late.never_an_order) == (False, True, True)


SOLD = (Sale("T1", "PO1", "completed", DAY),)
SALES = {
    "sold as booked": (OrderEvidence("T1", DELIVERED, SOLD), None, None),
    "refused as booked": (OrderEvidence("T1", REFUSED, (replace(SOLD[0], state="rejected"),)), None, None),
    "in flight": (OrderEvidence("T1", ORDER), None, None),
    "after its refusal": (OrderEvidence("T1", REFUNDED, SOLD), "sold_after_refusal", "sold_after_refusal"),
    "burnt": (
        OrderEvidence("T1", replace(ORDER, carrier_outcome="cancelled"), SOLD),
        "sold_after_refusal",
        "sold_after_refusal",
    ),
    "to nobody": (OrderEvidence("T1", None, SOLD), "sold_without_order", "timing"),
    "in doubt": (OrderEvidence("T1", ORDER, SOLD), "sold_without_order", "timing"),
    "unknown to the carrier": (OrderEvidence("T1", DELIVERED), "delivered_unknown_to_carrier", "timing"),
}


@pytest.mark.parametrize("case", SALES)
def test_an_order_at_the_carrier(case: str):
    evidence, settled, early = SALES[case]

    for horizon, kind in ((ALL, settled), (ONLY_THE_DAY, early), (NOTHING, None)):
        assert [one.kind for one in judge_sale(evidence, horizon)] == ([kind] if kind else [])


# --- how a difference opens and closes ---------------------------------------------------------------------------

FOUND = Found("order:T1", "sold_after_refusal", CARRIER, DAY, "why", book_fen=9900)


def test_a_difference_opens_once_closes_itself_and_opens_again():
    opened = compared(None, FOUND, NOW)
    assert opened is not None
    assert (opened.state, opened.first_seen, is_news(opened, None)) == ("open", NOW, True)
    later = NOW + timedelta(days=1)
    assert compared(opened, FOUND, later) is None
    closed = compared(opened, None, later)
    assert closed is not None
    assert (closed.state, closed.closed_at, is_news(closed, opened)) == ("closed_itself", later, False)
    assert compared(closed, None, later) is None
    again = compared(closed, FOUND, later)
    assert again is not None
    assert (again.state, again.first_seen, again.opened_at, is_news(again, closed)) == ("open", NOW, later, True)
    assert again.age_days(later) == 1


def test_what_a_person_has_resolved_opens_again_only_if_amount_or_kind_changes():
    opened = compared(None, FOUND, NOW)
    assert opened is not None
    resolved = replace(opened, state="resolved", operator="li", note="4711", closed_at=NOW)

    assert compared(resolved, FOUND, NOW) is None
    assert compared(resolved, None, NOW) is None
    for changed in (replace(FOUND, book_fen=1), replace(FOUND, kind="sold_without_order")):
        again = compared(resolved, changed, NOW)
        assert again is not None
        assert (again.state, again.kind, again.book_fen) == ("open", changed.kind, changed.book_fen)


def test_timing_that_becomes_money_calls_a_person_once():
    [(waiting, _)] = changes({}, [replace(FOUND, kind="timing")], NOW)
    [(money, before)] = changes({waiting.id: waiting}, [FOUND], NOW)

    assert (is_news(waiting, None), is_news(money, before)) == (False, True)


# --- days and places ---------------------------------------------------------------------------------------------


def test_a_day_is_chinas_and_no_bill_means_nothing_from_ten_in_the_morning_on():
    assert day_of(datetime(2026, 3, 9, 16, tzinfo=UTC)) == DAY
    assert day_of(datetime(2026, 3, 9, 15, 59, 59, tzinfo=UTC)) == "2026-03-09"
    assert not bills_are_due(DAY, datetime(2026, 3, 11, 1, 59, tzinfo=UTC))
    assert bills_are_due(DAY, datetime(2026, 3, 11, 2, 0, tzinfo=UTC))


def test_each_payment_has_one_place_and_they_add_up():
    ended = replace(KNOWN, is_open=False)
    payments = {
        "delivered": payment(order=DELIVERED),
        "refunded": payment(order=REFUNDED),
        "in_flight": payment(),
        "unmatched": payment(order=None, known=(KNOWN,)),
        "open_dead_letters": payment(order=None, known=(replace(KNOWN, place="dead_letter"),)),
        "ended_elsewhere": payment(order=None, known=(ended,)),
        "in_none_of_the_books": payment(order=None),
    }
    page = Summary(DAY)
    for one in payments.values():
        page.add(one)

    assert set(payments) == set(PLACES)
    assert {place: place_of(one) for place, one in payments.items()} == {place: place for place in PLACES}
    assert (page.paid.count, page.paid.fen, page.left_over_fen) == (7, 7 * 9900, 0)


def test_goodwill_moves_no_payment_and_stands_apart():
    page = Summary(DAY)
    for goodwill in (PART, replace(PART, ended_elsewhere=True), replace(PART, refund_confirmed_on=None)):
        page.add(payment(order=replace(GIVEN, goodwill=(goodwill,))))
    page.add(payment(order=replace(GIVEN, goodwill=(replace(PART, ended_elsewhere=True, given_up=True),))))

    assert (page.places["delivered"].fen, page.left_over_fen) == (4 * 9900, 0)
    assert (page.goodwill.count, page.goodwill.fen) == (2, 1000), "what is under way, or was given up, nobody has"


@pytest.mark.parametrize(
    ("order", "refunds", "place"),
    [
        (DELIVERED, (refund("M1"),), "delivered"),
        (REFUNDED, (refund("RT1"), refund("M1", hour=14)), "refunded"),
        (None, (refund("M1"),), "in_none_of_the_books"),
    ],
)
def test_a_refund_made_elsewhere_is_lost_whatever_its_kind_and_moves_no_payment(order, refunds, place):
    paid = payment(order=order, refunds=refunds)
    page = Summary(DAY)
    page.add(paid)
    page.add_differences(new for new, _ in changes({}, list(judge_payment(paid, ALL)), NOW))

    assert (page.places[place].fen, page.left_over_fen) == (9900, 0)
    assert (page.lost.count, page.lost.fen) == (1, 9900)
