"""What looks through a run's traces is tested itself: it finds what is planted, and a product that says too much."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from adapters.order_book.book import Event
from devkit.audit.books import Entry, Paid, Seen
from orders.paid_order import PaidOrder
from tests.reliability.mutants.leaks import LEAK_MUTANTS
from tests.reliability.personal_data_scan import Left, calls_missing, found_in, secrets_of, transitions_missing
from tests.reliability.running import Shown

NOON = datetime(2023, 8, 21, 12, tzinfo=UTC)
ORDER = PaidOrder.model_validate(
    {
        "schema": "topup.paid-order/1",
        "order_id": "T20230821000001",
        "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015", "msisdn": "14400000001"},
        "package_id": "CT-DATA-10GB-30D",
        "amount_fen": 9900,
        "currency": "CNY",
        "payment": {
            "provider": "wechat",
            "merchant_id": "1900000109",
            "out_trade_no": "T20230821000001",
            "transaction_id": "4200001923",
            "paid_at": "2023-08-21T18:33:55+08:00",
        },
    }
)
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n-----END PRIVATE KEY-----\n"
SECRETS = secrets_of([ORDER], {"TOPUP_WECHAT_API_V3_KEY": "k" * 32, "TOPUP_ALIPAY_PRIVATE_KEY": PEM})


# --- personal data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planted", "what"),
    [
        (b'{"vin":"LSGBC5342AG000001"}', "a VIN"),
        (b"vehicles/lsgbc5342ag000001/topup", "a VIN"),
        (b"\x00\x0189860321247550000015\xff", "an ICCID"),
        (b"phone 14400000001.", "a phone number"),
        (b"\\x" + b"LSGBC5342AG000001".hex().encode(), "a VIN in hex"),
        (b"Bearer carrier-token", "the carrier's token"),
        (b"k" * 32, "TOPUP_WECHAT_API_V3_KEY"),
        (PEM.encode(), "TOPUP_ALIPAY_PRIVATE_KEY"),
    ],
)
def test_what_is_planted_is_found_and_its_place_named(planted: bytes, what: str) -> None:
    assert found_in([Left("the log", b"well"), Left("a row", planted)], SECRETS) == [f"a row holds {what}"]


def test_what_is_no_secret_is_not_found() -> None:
    harmless = b"T20230821000001 4200001923 CT-DATA-10GB-30D 9900 1900000109"
    assert found_in([Left("the log", harmless)], SECRETS) == []


# --- the audit trail -------------------------------------------------------------------------------------------------

PAID = Paid(
    order_id=ORDER.order_id,
    vin=ORDER.vehicle.vin,
    provider="wechat",
    transaction_id="4200001923",
    out_trade_no=ORDER.order_id,
    amount_fen=9900,
    currency="CNY",
    platforms=("cars",),
)


def _seen(carrier: Sequence[str] = (), money: Sequence[str] = ()) -> Seen:
    def entries(kinds: Sequence[str]) -> list[Entry]:
        return [Entry(number, NOON, kind, {}) for number, kind in enumerate(kinds, 1)]

    return Seen(PAID, entries(carrier), entries(money))


def _trail(*lines: tuple[str, Mapping[str, object]]) -> list[Event]:
    return [Event(NOON + timedelta(seconds=number), kind, detail) for number, (kind, detail) in enumerate(lines)]


@pytest.mark.parametrize(
    ("outside", "line"),
    [
        ("post", ("post_intent", {"post": 1})),
        ("get", ("query", {"says": "empty"})),
        ("cancel", ("burn_intent", {"burn": "granted"})),
        ("refund", ("refund_send", {"leaves": True})),
        ("query", ("refund_query", {"says": "accepted"})),
    ],
)
def test_each_call_needs_a_line_of_its_own(outside: str, line: tuple[str, Mapping[str, object]]) -> None:
    seen = _seen(money=[outside, outside]) if outside in ("refund", "query") else _seen([outside, outside])

    assert list(calls_missing(seen, _trail(line, line))) == []
    assert len(list(calls_missing(seen, _trail(line)))) == 1


def test_an_intent_that_was_refused_is_no_line_of_a_call() -> None:
    refused = ("post_intent", {"says": "in_doubt"})
    assert len(list(calls_missing(_seen(["post"]), _trail(refused)))) == 1


def test_after_a_kill_what_was_sent_must_stand_there_still_and_a_look_need_not() -> None:
    assert list(calls_missing(_seen(["get"]), [], killed=True)) == []
    assert len(list(calls_missing(_seen(["post"]), [], killed=True))) == 1


Line = tuple[str, Mapping[str, object]]
CLAIMED: Line = ("claimed", {})
IN_DOUBT: Line = ("post", {"status": "in_doubt"})
DELIVERED: Line = ("settle", {"status": "delivered"})


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        ([CLAIMED, IN_DOUBT], "in_doubt", ""),
        ([IN_DOUBT], "in_doubt", "begin with the claim"),
        ([CLAIMED, IN_DOUBT], "refunding", "ends with in_doubt"),
        ([CLAIMED, DELIVERED, IN_DOUBT], "in_doubt", "no legal"),
    ],
)
def test_a_trail_tells_each_transition(lines: Sequence[Line], status: str, words: str) -> None:
    sentences = list(transitions_missing(status, _trail(*lines)))
    assert words in " ".join(sentences)
    assert bool(sentences) is bool(words)


# --- in a real run ---------------------------------------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", LEAK_MUTANTS)
async def test_a_product_that_says_too_much_or_too_little_is_caught(
    mutant: str, caught: Mapping[str, "asyncio.Task[Shown]"]
) -> None:
    shown = await caught[mutant]
    found = [one.sentence for one in shown.report.violations if one.rule == LEAK_MUTANTS[mutant].rule]
    assert any(LEAK_MUTANTS[mutant].where in sentence for sentence in found), shown.report.violations
