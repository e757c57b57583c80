"""The auditor is tested itself: honest books are clean, and each kind of violation is caught by its rule."""

import ast
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devkit.audit import auditor
from devkit.audit.auditor import CONSERVED, NO_STRANGERS, UNDISTURBED, audit, audit_undisturbed, audit_whole
from devkit.audit.books import Books, Entry, Paid
from devkit.audit.files import BookFiles
from devkit.audit.records import DeadLetter, SentRecord, audit_records
from devkit.audit.rules import RULES

NOON = datetime(2023, 8, 21, 12, tzinfo=UTC)
PAID = Paid(
    order_id="T20230821000001",
    vin="LSGBC5342AG000001",
    provider="wechat",
    transaction_id="4200001923",
    out_trade_no="T20230821000001",
    amount_fen=9900,
    currency="CNY",
    platforms=("new", "old"),
    answered_seconds=1.5,
    unanswered_seconds=7.5,
    burn_seconds=31.5,
)


@dataclass
class Story:
    """Books that grow entry by entry, a second apart unless said otherwise."""

    paid: Paid = PAID
    books: Books = field(default_factory=Books)
    at: datetime = NOON

    def wait(self, seconds: float) -> "Story":
        self.at += timedelta(seconds=seconds)
        return self

    def carrier(self, kind: str, **data: Any) -> int:
        self.wait(1)
        entry = Entry(len(self.books.carrier) + 1, self.at, kind, {"external_id": self.paid.order_id, **data})
        self.books.add("carrier", entry)
        return entry.seq

    def post(self, *, body: str = "b1", answered: bool = True) -> "Story":
        number = self.carrier("post", body_sha256=body)
        if answered:
            self.carrier("answer", to=number, status=500, shown=None)
        return self

    def get(self, shown: str = "empty", *, status: int = 200, answered: bool = True) -> "Story":
        number = self.carrier("get")
        if answered:
            self.carrier("answer", to=number, status=status, shown=shown)
        return self

    def sold(self) -> "Story":
        self.carrier("accepted", id="PO1")
        self.carrier("sold", code=None)
        return self

    def rejected(self) -> "Story":
        self.carrier("accepted", id="PO1")
        self.carrier("rejected", code="SIM_SUSPENDED")
        return self

    def burnt(self) -> "Story":
        self.carrier("cancel")
        self.carrier("burnt", id="PO1")
        return self

    def money(self, kind: str, **data: Any) -> "Story":
        self.wait(1)
        facts = {"transaction_id": self.paid.transaction_id, "out_trade_no": self.paid.out_trade_no}
        facts |= {"refund_no": f"R{self.paid.order_id}", "amount_fen": self.paid.amount_fen, "currency": "CNY"}
        self.books.add("wechat", Entry(len(self.books.money) + 1, self.at, kind, facts | data))
        return self

    def refunded(self, **data: Any) -> "Story":
        return self.money("refund", **data).money("refunded", **data)

    def gave(self, number: int, amount_fen: int) -> "Story":
        return self.refunded(refund_no=f"G{number}-1-{self.paid.order_id}", amount_fen=amount_fen)

    def called_back(self, *faults: str, stored: bool, about: str = "payment") -> "Story":
        return self.money("notice", about=about, faults=list(faults), stored=stored)

    def told(self, *results: str, platforms: tuple[str, ...] = PAID.platforms, **data: Any) -> "Story":
        self.wait(1)
        for result in results:
            for platform in platforms:
                facts = {
                    "broker": platform,
                    "order_id": self.paid.order_id,
                    "id": f"{self.paid.order_id}:{result}",
                    "type": f"topup.order.{result}",
                    "result": result,
                    "reason": "SIM_SUSPENDED" if result == "failed" else None,
                    "amount_fen": self.paid.amount_fen,
                    "payload_sha256": f"payload {result}",
                    "topic_sha256": hashlib.sha256(f"vehicles/{self.paid.vin}/topup".encode()).hexdigest(),
                }
                self.books.add("vehicle", Entry(len(self.books.vehicle) + 1, self.at, "notice", facts | data))
        return self

    def broken(self) -> set[str]:
        report = audit([self.paid], self.books)
        report.merge(audit_whole([self.paid], self.books))
        report.merge(audit_undisturbed(self.books))
        return {violation.rule for violation in report.violations}

    def but(self, **changes: Any) -> "Story":
        self.paid = replace(self.paid, **changes)
        return self


def story() -> Story:
    return Story()


def delivered() -> Story:
    return story().post().sold().told("delivered")


def refunded() -> Story:
    return story().post().rejected().refunded().told("failed", "refunded")


HONEST: dict[str, Callable[[], Story]] = {
    "delivered": delivered,
    "refunded": refunded,
    "given back in two parts": lambda: delivered().gave(1, 500).gave(2, 9400),
    "burnt without a POST": lambda: story().burnt().refunded().told("failed", "refunded"),
    "burnt after the date": lambda: story().post(answered=False).wait(32).burnt().refunded().told("failed", "refunded"),
    "posted again after an empty GET": lambda: story().post().wait(2).get().post().sold().told("delivered"),
    "posted again, not answered": lambda: story().post(answered=False).wait(7).get().post().sold().told("delivered"),
    "a zombie's late bytes": lambda: story().but(zombies=True).post().post().sold().told("delivered"),
    "asked again for the same refund": lambda: (
        story().post().rejected().money("refund").refunded().told("failed", "refunded")
    ),
    "a notice repeated with the same bytes": lambda: delivered().told("delivered"),
    "a callback refused, and the next one stored": lambda: (
        story().called_back("wrong_signature", stored=False).called_back(stored=True).post().sold().told("delivered")
    ),
    "a refund notice that nobody has taken yet": lambda: refunded().called_back(stored=False, about="RT1"),
    "given up by the carrier, on an operator's record": lambda: (
        story().but(given_up=True).post().refunded().told("failed", "refunded")
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_books_are_clean(name: str) -> None:
    assert HONEST[name]().broken() == set()


def two_orders() -> Story:
    return delivered().sold()


CAUGHT: dict[str, tuple[Callable[[], Story], str]] = {
    "two carrier orders": (two_orders, "at most one carrier order"),
    "two refunds under two numbers": (
        lambda: refunded().refunded(refund_no="R-2").told("refunded"),
        "at most one refund",
    ),
    "a refund of another amount": (
        lambda: story().post().rejected().refunded(amount_fen=9901).told("failed", "refunded"),
        "refund is exact",
    ),
    "a refund in another currency": (
        lambda: story().post().rejected().refunded(currency="USD").told("failed", "refunded"),
        "refund is exact",
    ),
    "a refund of another payment": (
        lambda: story().post().rejected().refunded(out_trade_no="T2").told("failed", "refunded"),
        "refund is exact",
    ),
    "delivered and refunded": (lambda: delivered().refunded().told("failed", "refunded"), "exactly one end"),
    "given back before the delivery": (
        lambda: story().post().gave(1, 500).sold().told("delivered"),
        "goodwill only after delivery",
    ),
    "given back and refunded": (lambda: refunded().gave(1, 500), "goodwill only after delivery"),
    "more given back than was paid": (lambda: delivered().gave(1, 500).gave(2, 9401), "goodwill only after delivery"),
    "given back twice under one number": (
        lambda: delivered().gave(1, 500).gave(1, 500),
        "goodwill only after delivery",
    ),
    "given back, and nobody decided it": (
        lambda: delivered().but(goodwill_fen=0).gave(1, 500),
        "goodwill is exact",
    ),
    "less given back than was decided": (lambda: delivered().but(goodwill_fen=501).gave(1, 500), "goodwill is exact"),
    "neither delivered nor refunded": (lambda: story().post().rejected().told("failed"), "exactly one end"),
    "refunded instead of delivered": (lambda: refunded().but(end="delivered"), "exactly one end"),
    "refunded in doubt": (
        lambda: story().post().refunded().told("refunded"),
        "refund only after refusal or burn",
    ),
    "asked for a refund before the refusal": (
        lambda: story().post().money("refund").rejected().refunded().told("failed", "refunded"),
        "refund only after refusal or burn",
    ),
    "two bodies": (
        lambda: story().post().wait(2).get().post(body="b2").sold().told("delivered"),
        "one body per serial",
    ),
    "a blind second POST": (lambda: story().post().post().sold().told("delivered"), "asked between two POSTs"),
    "a second POST after a GET without answer": (
        lambda: story().post().wait(2).get(answered=False).post().sold().told("delivered"),
        "asked between two POSTs",
    ),
    "a second POST after a GET that failed": (
        lambda: story().post().wait(2).get(status=500).post().sold().told("delivered"),
        "asked between two POSTs",
    ),
    "a second POST after a GET that showed the order": (
        lambda: story().post().wait(2).get(shown="inProgress").post().sold().told("delivered"),
        "asked between two POSTs",
    ),
    "a second POST on a GET within the visibility lag": (
        lambda: story().but(answered_seconds=10).post().get().post().sold().told("delivered"),
        "asked between two POSTs",
    ),
    "a second POST on a GET within the longest latency": (
        lambda: story().post(answered=False).wait(3).get().post().sold().told("delivered"),
        "asked between two POSTs",
    ),
    "burnt before the date": (
        lambda: story().post().burnt().refunded().told("failed", "refunded"),
        "burnt late enough",
    ),
    "posted after a burn": (
        lambda: story().burnt().post().refunded().told("failed", "refunded"),
        "no POST after a burn",
    ),
    "a platform not told": (lambda: story().post().sold().told("delivered", platforms=("new",)), "the car is told"),
    "told of an end that is not": (lambda: delivered().told("failed"), "the car is told"),
    "a notice repeated with other bytes": (
        lambda: delivered().told("delivered", payload_sha256="?"),
        "the car is told",
    ),
    "told before it was sold": (lambda: story().post().told("delivered").sold(), "notices are true"),
    "told another car": (lambda: story().post().sold().told("delivered", topic_sha256="?"), "notices are true"),
    "told of another amount": (lambda: story().post().sold().told("delivered", amount_fen=1), "notices are true"),
    "told under another name": (lambda: story().post().sold().told("delivered", id="4711"), "notices are true"),
    "told as another type": (lambda: story().post().sold().told("delivered", type="topup"), "notices are true"),
    "told another reason": (lambda: refunded().but(reason="FAILED"), "notices are true"),
    "told no reason": (
        lambda: story().post().rejected().refunded().told("failed", reason=None).told("refunded"),
        "notices are true",
    ),
    "told a reason too many": (lambda: story().post().sold().told("delivered", reason="OK"), "notices are true"),
    "no carrier order where one must be": (
        lambda: story().but(carrier_orders=1).burnt().refunded().told("failed", "refunded"),
        "as many as expected",
    ),
    "a carrier order too many": (lambda: delivered().but(carrier_orders=0), "as many as expected"),
    "asked twice where once must do": (
        lambda: story().but(posts=1).post().wait(2).get().post().sold().told("delivered"),
        "as many as expected",
    ),
    "a request that the carrier could not read": (lambda: _with(delivered(), "carrier", "invalid"), UNDISTURBED),
    "a request that a provider could not trust": (lambda: _with(refunded(), "alipay", "sign_error"), UNDISTURBED),
    "an order that nobody paid": (lambda: _with_a_stranger(delivered()), NO_STRANGERS),
    "a notice that no car can read": (lambda: _with_malformed(delivered()), NO_STRANGERS),
    "a callback that is never stored": (
        lambda: story().called_back(stored=False).post().sold().told("delivered"),
        "heard of by callback",
    ),
    "a forged callback that is stored": (
        lambda: story().called_back("old_key", stored=True).post().sold().told("delivered"),
        "heard of by callback",
    ),
    "money that does not balance": (lambda: story().post().rejected(), CONSERVED),
}  # fmt: skip


def _with_a_stranger(there: Story) -> Story:
    there.carrier("sold", external_id="STRANGER")
    return there


def _with(there: Story, book: str, kind: str) -> Story:
    there.books.add(book, Entry(99, there.at, kind, {}))
    return there


def _with_malformed(there: Story) -> Story:
    there.books.add("vehicle", Entry(99, there.at, "malformed", {"broker": "new"}))
    return there


@pytest.mark.parametrize("name", CAUGHT)
def test_each_kind_of_violation_is_caught_by_its_rule(name: str) -> None:
    make, rule = CAUGHT[name]
    assert rule in make().broken()


def test_every_rule_is_seen_to_catch_something() -> None:
    assert {rule for _, rule in CAUGHT.values()} == {*RULES, NO_STRANGERS, CONSERVED, UNDISTURBED}


def test_an_order_that_left_no_trace_is_caught() -> None:
    assert "exactly one end" in story().broken()


# --- records -------------------------------------------------------------------------------------------------------

GOOD = SentRecord("plain", 0, 7, b"T1", b"{}", (("source", b"1"),), "")
POISON = SentRecord("poison", 1, 8, b"T2", b"not JSON", (("twice", b"1"), ("twice", b"2")), "invalid")


def letter_of(sent: SentRecord, **changes: Any) -> DeadLetter:
    ours = {"reason": sent.dead_letter, "partition": str(sent.partition), "offset": str(sent.offset)}
    headers = tuple((f"topup-dlq-{name}", value.encode()) for name, value in ours.items())
    return replace(DeadLetter(sent.key, sent.value, sent.headers + headers), **changes)


def said_of(*letters: DeadLetter) -> list[str]:
    return [violation.sentence for _, violation in audit_records([GOOD, POISON], letters)]


def test_a_dead_letter_may_come_twice() -> None:
    assert said_of(letter_of(POISON), letter_of(POISON)) == []


@pytest.mark.parametrize(
    ("letters", "sentence"),
    [
        ([], "has no dead letter"),
        ([letter_of(POISON, value=b"{}")], "with other bytes"),
        ([letter_of(POISON, key=b"T3")], "with other bytes"),
        ([letter_of(replace(POISON, headers=POISON.headers[1:]))], "with other bytes"),
        ([letter_of(replace(POISON, dead_letter="conflict"))], "reason conflict instead of invalid"),
        ([letter_of(POISON), letter_of(GOOD)], "became a dead letter"),
        ([letter_of(POISON), letter_of(replace(GOOD, offset=999))], "where nothing was"),
    ],
)
def test_each_wrong_dead_letter_is_caught(letters: list[DeadLetter], sentence: str) -> None:
    assert any(sentence in said for said in said_of(*letters))


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_growing_file_is_read_once_and_in_whole_lines(tmp_path: Path) -> None:
    files = BookFiles(tmp_path)
    line = json.dumps({"seq": 1, "at": "2023-08-21T12:00:00.000001Z", "kind": "sold", "data": {"external_id": "T1"}})
    with (tmp_path / "carrier.jsonl").open("a") as book:
        book.write(line + "\n" + line[:20])
        book.flush()
        assert len(files.look().carrier) == 1
        book.write(line[20:] + "\n")
        book.flush()
        assert len(files.look().carrier) == 2


def test_the_auditor_imports_nothing_of_the_product() -> None:
    """Beside the standard library only itself; and the simulators' own check of a book's chain."""
    imported: set[str] = set()
    for module in Path(auditor.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    ours = {name for name in imported if name.split(".")[0] not in sys.stdlib_module_names}
    assert {name for name in ours if not name.startswith("devkit.audit.")} == {"simulators.book"}
