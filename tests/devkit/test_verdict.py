"""The demonstration's verdict says yes to a right run, and puts what is wrong into the row of its scenario."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devkit.audit.auditor import Violation
from devkit.audit.books import NOTICES_OF, Books, Entry
from devkit.audit.records import DeadLetter, SentRecord
from devkit.demo.money import lines_of
from devkit.demo.plan import Merchant, Plan, PlannedOrder, plan_load
from devkit.demo.scenarios import LOAD
from devkit.demo.verdict import Verdict, judge, with_violations
from reconciliation.summary import Summary

MERCHANT = Merchant("1900000109", "2088102146225135")
PLATFORMS = ("cars", "legacy")
NOON = datetime(2023, 8, 21, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_load(seed=7, total=221, merchant=MERCHANT)


class Run:
    """Books and topic as a run leaves them; entries a second apart."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.books = Books()
        self.at = NOON
        self.sent = [
            SentRecord(one.scenario, 3, offset, one.key, one.value, one.headers, one.dead_letter)
            for offset, one in enumerate(plan.strays)
        ]
        self.sent += [
            SentRecord(one.scenario.name, 3, offset, one.order_id.encode(), b"{}", (), "")
            for offset, one in enumerate(plan.orders, start=1000)
        ]
        self.letters = [letter_of(one) for one in self.sent if one.dead_letter]

    def book(self, name: str, kind: str, **data: Any) -> None:
        self.at += timedelta(seconds=1)
        self.books.add(name, Entry(len(self.books.carrier) + 1, self.at, kind, data))

    def play(self, order: PlannedOrder) -> None:
        """What must come of it."""
        scenario = order.scenario
        self.hear(order, stored=True)
        self.book("carrier", "post", external_id=order.order_id, body_sha256="body")
        for _ in range(scenario.carrier_orders):
            self.book("carrier", "accepted", external_id=order.order_id)
        kind = "sold" if scenario.end == "delivered" else "rejected" if scenario.carrier_orders else "burnt"
        self.book("carrier", kind, external_id=order.order_id)
        if scenario.end == "refunded":
            facts = {"transaction_id": order.transaction_id, "refund_no": f"R{order.order_id}", "currency": "CNY"}
            facts |= {"out_trade_no": order.order_id, "amount_fen": order.amount_fen}
            self.book(order.provider, "refund", **facts)
            self.book(order.provider, "refunded", **facts)
        if order.goodwill_fen:
            self.give_back(order, order.goodwill_fen)
        for result in NOTICES_OF[scenario.end]:
            for platform in PLATFORMS:
                self.tell(order, platform, result)

    def give_back(self, order: PlannedOrder, fen: int, number: int = 1) -> None:
        facts = {"transaction_id": order.transaction_id, "refund_no": f"G{number}-1-{order.order_id}"}
        facts |= {"out_trade_no": order.order_id, "currency": "CNY"}
        self.book(order.provider, "refund", **facts, amount_fen=fen)
        self.book(order.provider, "refunded", **facts, amount_fen=fen)

    def hear(self, order: PlannedOrder, *faults: str, stored: bool) -> None:
        """An attempt at its callback."""
        names = {"about": "payment", "transaction_id": order.transaction_id, "out_trade_no": order.order_id}
        self.book(order.provider, "notice", **names, faults=list(faults), stored=stored)

    def tell(self, order: PlannedOrder, platform: str, result: str) -> None:
        self.book(
            "vehicle",
            "notice",
            broker=platform,
            order_id=order.order_id,
            id=f"{order.order_id}:{result}",
            type=f"topup.order.{result}",
            result=result,
            reason=order.scenario.reason if result == "failed" else None,
            amount_fen=order.amount_fen,
            topic_sha256=hashlib.sha256(f"vehicles/{order.vin}/topup".encode()).hexdigest(),
            payload_sha256=f"payload {result}",
        )

    def verdict(self) -> Verdict:
        return judge(self.plan.orders, self.books, self.sent, self.letters, platforms=PLATFORMS, time_scale=0.1)


def letter_of(sent: SentRecord) -> DeadLetter:
    ours = {"reason": sent.dead_letter, "partition": str(sent.partition), "offset": str(sent.offset)}
    headers = tuple((f"topup-dlq-{name}", value.encode()) for name, value in ours.items())
    return DeadLetter(sent.key, sent.value, sent.headers + headers)


@pytest.fixture
def run(plan: Plan) -> Run:
    made = Run(plan)
    for order in plan.orders:
        made.play(order)
    return made


def first(plan: Plan, scenario: str) -> PlannedOrder:
    return next(order for order in plan.orders if order.scenario.name == scenario)


def wrong_rows(verdict: Verdict) -> set[str]:
    return {row.scenario for row in verdict.rows if not row.ok}


def test_a_right_run_has_no_violation_and_a_row_per_scenario(run):
    found = run.verdict()
    assert found.violations == ()
    assert {row.scenario for row in found.rows} == {scenario.name for scenario in LOAD} | {"poison"}
    assert all(row.expected == row.seen for row in found.rows)
    assert sum(row.records for row in found.rows) == len(run.sent)
    assert sum(row.orders for row in found.rows) == sum(row.delivered + row.refunded for row in found.rows) == 221


def test_what_is_wrong_with_an_order_stands_in_the_row_of_its_scenario(run, plan):
    order = first(plan, "refused")
    run.book("carrier", "sold", external_id=order.order_id)
    found = run.verdict()
    assert wrong_rows(found) == {"refused"}
    assert {(scenario, one.order_id) for scenario, one in found.violations} >= {("refused", order.order_id)}


def test_goodwill_that_nobody_decided_or_another_amount_of_it_spoils_the_row_of_its_order(run, plan):
    run.give_back(first(plan, "plain"), 1)
    run.give_back(first(plan, "goodwill"), 1, number=2)
    assert wrong_rows(run.verdict()) == {"plain", "goodwill"}


def test_goodwill_that_was_never_given_back_spoils_the_row_of_its_order(plan):
    run = Run(plan)
    for order in plan.orders:
        run.play(order)
    given = [entry for entry in run.books.money if entry.data.get("refund_no", "").startswith("G1-1-")]
    assert given, "of the plan's goodwill"
    for entry in given:
        entry.data["amount_fen"] = 0
    assert wrong_rows(run.verdict()) == {"goodwill"}


def test_the_page_for_finance_shows_goodwill_apart_and_as_the_books_outside_do(run, plan):
    fen = first(plan, "goodwill").goodwill_fen
    assert 0 < fen < first(plan, "goodwill").amount_fen
    page = Summary("2023-08-21")
    page.goodwill.add(fen)
    lines = {line.what: line for line in lines_of(page, run.books)}
    refunded = sum(order.amount_fen for order in plan.orders if order.scenario.end == "refunded")
    assert lines["goodwill"].agrees
    assert lines["goodwill"].outside_fen == fen
    assert lines["refunded"].outside_fen == refunded
    page.goodwill.add(1)
    assert not {line.what: line for line in lines_of(page, run.books)}["goodwill"].agrees


def test_a_dead_letter_that_is_missing_spoils_the_row_of_its_record(run):
    lost = run.letters.pop()
    (record,) = [one for one in run.sent if (str(one.partition), str(one.offset)) == lost.origin]
    assert wrong_rows(run.verdict()) == {record.scenario}


def test_a_dead_letter_of_nothing_is_poison(run):
    run.letters.append(DeadLetter(b"T", b"", ()))
    assert wrong_rows(run.verdict()) == {"poison"}


def test_poison_that_became_an_order_spoils_the_verdict(run):
    run.book("carrier", "post", external_id="P20230821190000900001", body_sha256="body")
    found = run.verdict()
    assert not found.ok
    assert wrong_rows(found) == set()


def test_what_was_seen_in_passing_spoils_the_verdict_and_its_row(run):
    late = Violation("in time", "T1", "told too late")
    found = with_violations(run.verdict(), "refused", [late])
    assert found.violations == (("refused", late),)
    assert wrong_rows(found) == {"refused"}


def test_a_callback_that_was_forged_and_stored_spoils_the_row_of_its_order(run, plan):
    order = first(plan, "plain")
    run.hear(order, "tampered_amount", stored=True)
    assert wrong_rows(run.verdict()) == {"plain"}


def test_a_payment_whose_callback_is_never_stored_spoils_the_row_of_its_order(plan):
    order = first(plan, "plain")
    run = Run(plan)
    for one in plan.orders:
        run.play(one)
    entries = run.books.about(order.paid(PLATFORMS, 0.1)).at_provider("notice")
    for entry in entries:
        entry.data["stored"] = False
    assert wrong_rows(run.verdict()) == {"plain"}


def test_a_record_that_nobody_paid_for_spoils_the_verdict(run):
    run.sent.append(SentRecord("", 0, 5, b"T20230821190000999999", b"{}", (), ""))
    found = run.verdict()
    assert [one.order_id for _, one in found.violations] == ["T20230821190000999999"]
