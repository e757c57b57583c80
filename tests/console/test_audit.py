"""The audit says yes to a right run and catches each kind of wrong one."""

import dataclasses
import hashlib
from collections.abc import Callable

import pytest

from devkit.demo.audit import Verdict, Violation, audit, with_violations
from devkit.demo.books import AtCarrier, AtProvider, Books, DeadLetter, NoticeSeen, Refunded, SentRecord
from devkit.demo.plan import Merchant, Plan, PlannedOrder, plan_load
from devkit.demo.scenarios import LOAD, NOTICES_OF

MERCHANT = Merchant("1900000109", "2088102146225135")
PLATFORMS = ("cars", "legacy")
REFUSED_AT, REFUNDED_AT = "2023-08-21T10:00:01.000000Z", "2023-08-21T10:00:02.000000Z"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_load(seed=7, total=221, merchant=MERCHANT)


def right_books(plan: Plan) -> Books:
    """The books after a run in which all went as it must."""
    books = Books()
    for order in plan.orders:
        scenario, delivered = order.scenario, order.scenario.end == "delivered"
        books.carrier[order.order_id] = AtCarrier(
            1, {"body"}, scenario.carrier_orders, int(delivered), "" if delivered else REFUSED_AT
        )
        payment = books.payments[order.transaction_id] = AtProvider(order.amount_fen, order.order_id)
        if not delivered:
            payment.refunds.append(Refunded(f"R{order.order_id}", order.amount_fen, REFUNDED_AT))
            payment.first_request_at = REFUNDED_AT
        books.notices += [
            notice(order, platform, result) for platform in PLATFORMS for result in NOTICES_OF[scenario.end]
        ]
    for offset, record in enumerate(plan.records):
        sent = SentRecord(record.scenario, 3, offset, record.key, record.value, record.headers, record.dead_letter)
        books.sent.append(sent)
        if record.dead_letter:
            books.dead_letters.append(dead_letter(sent))
    return books


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def notice(order: PlannedOrder, platform: str, result: str, **changes: object) -> NoticeSeen:
    right = NoticeSeen(
        platform=platform,
        order_id=order.order_id,
        id=f"{order.order_id}:{result}",
        type=f"topup.order.{result}",
        result=result,
        reason=order.scenario.reason if result == "failed" else None,
        amount_fen=order.amount_fen,
        topic_sha256=sha256(f"vehicles/{order.vin}/topup"),
        payload_sha256=sha256(f"{order.order_id}:{result}"),
    )
    return dataclasses.replace(right, **changes)


def dead_letter(sent: SentRecord, **changes: object) -> DeadLetter:
    ours = {"reason": sent.dead_letter, "partition": str(sent.partition), "offset": str(sent.offset)}
    headers = tuple((f"topup-dlq-{name}", value.encode()) for name, value in ours.items())
    return dataclasses.replace(DeadLetter(sent.key, sent.value, sent.headers + headers), **changes)


def verdict(plan: Plan, books: Books) -> Verdict:
    return audit(plan.orders, books, PLATFORMS)


def first(plan: Plan, scenario: str) -> PlannedOrder:
    return next(order for order in plan.orders if order.scenario.name == scenario)


def test_a_right_run_has_no_violation_and_a_row_per_scenario(plan):
    found = verdict(plan, right_books(plan))
    assert found.violations == ()
    assert {row.scenario for row in found.rows} == {scenario.name for scenario in LOAD} | {"poison"}
    assert all(row.expected == row.seen for row in found.rows)
    assert sum(row.records for row in found.rows) == len(plan.records)
    assert sum(row.orders for row in found.rows) == sum(row.delivered + row.refunded for row in found.rows) == 221


def test_a_repeat_of_the_same_bytes_is_no_violation(plan):
    books = right_books(plan)
    books.notices.append(books.notices[0])
    books.dead_letters.append(books.dead_letters[0])
    assert verdict(plan, books).ok


def test_what_was_seen_in_passing_spoils_the_verdict_and_its_row(plan):
    late = Violation("refused", "T1", "told too late")
    found = with_violations(verdict(plan, right_books(plan)), [late])
    assert found.violations == (late,)
    assert [row.scenario for row in found.rows if not row.ok] == ["refused"]


def two_carrier_orders(plan: Plan, books: Books) -> str:
    books.carrier[first(plan, "plain").order_id].orders = 2
    return "the carrier has 2 orders instead of 1"


def sold_twice(plan: Plan, books: Books) -> str:
    books.carrier[first(plan, "plain").order_id].sold = 2
    return "sold it 2 times"


def other_body(plan: Plan, books: Books) -> str:
    books.carrier[first(plan, "answer lost").order_id].bodies.add("other")
    return "2 different bodies"


def never_asked(plan: Plan, books: Books) -> str:
    del books.carrier[first(plan, "plain").order_id]
    return "never asked"


def refunded_twice(plan: Plan, books: Books) -> str:
    order = first(plan, "refused")
    books.payments[order.transaction_id].refunds.append(Refunded("R-2", order.amount_fen, REFUNDED_AT))
    return "refunded 2 times"


def refunded_and_delivered(plan: Plan, books: Books) -> str:
    books.carrier[first(plan, "refused").order_id].sold = 1
    return "delivered and refunded"


def neither(plan: Plan, books: Books) -> str:
    books.payments[first(plan, "refused").transaction_id].refunds.clear()
    return "neither delivered nor refunded"


def wrong_end(plan: Plan, books: Books) -> str:
    order = first(plan, "answer lost")
    books.carrier[order.order_id].sold = 0
    books.payments[order.transaction_id].refunds.append(Refunded("R", order.amount_fen, REFUNDED_AT))
    return "refunded instead of delivered"


def wrong_amount(plan: Plan, books: Books) -> str:
    order = first(plan, "refused")
    books.payments[order.transaction_id].refunds[:] = [Refunded("R", order.amount_fen - 1, REFUNDED_AT)]
    return f"{order.amount_fen - 1} fen were refunded"


def refund_in_doubt(plan: Plan, books: Books) -> str:
    books.payments[first(plan, "never reached").transaction_id].first_request_at = "2023-08-21T09:59:00.000000Z"
    return "before the carrier had refused or burnt it"


def notice_missing(plan: Plan, books: Books) -> str:
    order = first(plan, "refused")
    books.notices.remove(notice(order, "legacy", "refunded"))
    return "refunded is missing on legacy"


def notice_too_many(plan: Plan, books: Books) -> str:
    books.notices.append(notice(first(plan, "plain"), "cars", "failed"))
    return "failed on cars that must not be"


def notice_with_other_bytes(plan: Plan, books: Books) -> str:
    books.notices.append(dataclasses.replace(books.notices[0], payload_sha256=sha256("other")))
    return "repeated with other bytes"


def notice_of_other_bytes_on_one_platform(plan: Plan, books: Books) -> str:
    books.notices[1] = dataclasses.replace(books.notices[1], payload_sha256=sha256("other"))
    return "repeated with other bytes"


def changed(plan: Plan, books: Books, result: str, **changes: object) -> None:
    order = first(plan, "refused")
    index = books.notices.index(notice(order, "cars", result))
    books.notices[index] = dataclasses.replace(books.notices[index], **changes)


def notice_with_wrong_amount(plan: Plan, books: Books) -> str:
    changed(plan, books, "refunded", amount_fen=1)
    return "speaks of 1 fen instead of"


def notice_with_wrong_reason(plan: Plan, books: Books) -> str:
    changed(plan, books, "failed", reason="CANCELLED")
    return "the reason CANCELLED instead of SIM_SUSPENDED"


def notice_with_a_reason_too_many(plan: Plan, books: Books) -> str:
    changed(plan, books, "refunded", reason="SIM_SUSPENDED")
    return "the reason SIM_SUSPENDED instead of None"


def notice_with_another_id(plan: Plan, books: Books) -> str:
    changed(plan, books, "refunded", id="4711")
    return "bears the id 4711"


def notice_to_another_car(plan: Plan, books: Books) -> str:
    changed(plan, books, "refunded", topic_sha256=sha256("vehicles/OTHER/topup"))
    return "another vehicle's topic"


def malformed_notice(plan: Plan, books: Books) -> str:
    books.malformed_notices = 1
    return "1 notices that they could not read"


def dead_letter_missing(plan: Plan, books: Books) -> str:
    books.dead_letters.pop()
    return "has no dead letter"


def dead_letter_changed(plan: Plan, books: Books) -> str:
    books.dead_letters[0] = dataclasses.replace(books.dead_letters[0], value=b"{}")
    return "dead letter with other bytes"


def dead_letter_header_lost(plan: Plan, books: Books) -> str:
    letter = books.dead_letters[0]
    books.dead_letters[0] = dataclasses.replace(letter, headers=letter.headers[1:])
    return "dead letter with other bytes"


def dead_letter_reason(plan: Plan, books: Books) -> str:
    sent = next(one for one in books.sent if one.dead_letter == "conflict")
    books.dead_letters.remove(dead_letter(sent))
    books.dead_letters.append(dead_letter(dataclasses.replace(sent, dead_letter="invalid")))
    return "reason invalid instead of conflict"


def good_record_as_dead_letter(plan: Plan, books: Books) -> str:
    books.dead_letters.append(dead_letter(next(one for one in books.sent if not one.dead_letter)))
    return "became a dead letter"


def dead_letter_of_nothing(plan: Plan, books: Books) -> str:
    books.dead_letters.append(dead_letter(dataclasses.replace(books.sent[0], offset=999_999)))
    return "where nothing was"


def poison_became_an_order(plan: Plan, books: Books) -> str:
    books.carrier["P20230821190000900001"] = AtCarrier(1, {"body"}, 1, 1)
    return "an order that nobody paid"


def strange_refund(plan: Plan, books: Books) -> str:
    books.payments["4711"] = AtProvider(1, "X", [Refunded("RX", 1, REFUNDED_AT)])
    return "refunded that no order has"


def strange_notice(plan: Plan, books: Books) -> str:
    order = dataclasses.replace(first(plan, "plain"), order_id="U20230821190000000001")
    books.notices.append(notice(order, "cars", "delivered"))
    return "told about an order that nobody paid"


BREACHES: list[Callable[[Plan, Books], str]] = [
    two_carrier_orders, sold_twice, other_body, never_asked, refunded_twice, refunded_and_delivered, neither,
    wrong_end, wrong_amount, refund_in_doubt, notice_missing, notice_too_many, notice_with_other_bytes,
    notice_of_other_bytes_on_one_platform, notice_with_wrong_amount, notice_with_wrong_reason,
    notice_with_a_reason_too_many, notice_with_another_id, notice_to_another_car, malformed_notice,
    dead_letter_missing, dead_letter_changed, dead_letter_header_lost, dead_letter_reason,
    good_record_as_dead_letter, dead_letter_of_nothing, poison_became_an_order, strange_refund, strange_notice,
]  # fmt: skip


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.__name__)
def test_each_breach_is_caught_and_named(plan, breach):
    books = right_books(plan)
    sentence = breach(plan, books)
    found = verdict(plan, books)
    assert not found.ok
    assert any(sentence in violation.sentence for violation in found.violations), found.violations
