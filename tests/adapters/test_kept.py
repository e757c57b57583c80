"""What became no order, in the book: kept once, ended once, and one order per payment whoever is first."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from adapters.kafka.dead_letters import DeadLetter, kept_letter
from adapters.order_book.book import Claim, OrderBook
from adapters.order_book.known_payments import KnownPayments
from adapters.order_book.unmatched import StoredUnmatched, UnknownPayment, UnmatchedRecord
from orders import unmatched
from orders.arrival import Arrival
from orders.dead_letter import KeptLetter, Names, Source
from orders.errors import TopUpError
from orders.record_mac import HEADER, sign, verify
from orders.unmatched import MOST_CHARACTERS, UnmatchedPayment, UnmatchedState, parse_unmatched
from reconciliation.evidence import KnownPayment
from tests.adapters.book_process import KEY, VIN, paid_order

TRANSACTION = "4200001923202308213518640001"
NAMED = ("wechat", TRANSACTION)
DAY = "2023-08-21"


def record(*, mac: bytes | None = None, offset: int = 7, **changes: Any) -> UnmatchedRecord:
    members = {
        "schema": "topup.unmatched-payment/1",
        "provider": "wechat",
        "merchant_id": "1900000109",
        "out_trade_no": "T00001",
        "transaction_id": TRANSACTION,
        "amount_fen": 9900,
        "currency": "CNY",
        "paid_at": "2023-08-21T18:33:55+08:00",
        "reason": "lookup",
        **changes,
    }
    value = json.dumps(members).encode()
    return UnmatchedRecord(parse_unmatched(None, value), value, mac, 0, offset)


def letter(offset: int = 3, *, place: str = "0:1", **names: Any) -> KeptLetter:
    return KeptLetter(Source("orders", 1, offset, 1692614035000), place, "invalid", "why", "", Names(**names))


def anybody(payment: UnmatchedPayment, value: bytes, mac: bytes | None) -> bool:
    del payment, value, mac
    return True


def keyed(payment: UnmatchedPayment, value: bytes, mac: bytes | None) -> bool:
    return verify([KEY], payment.out_trade_no.encode(), value, [(HEADER, mac)])


async def say(book: OrderBook, rule: Any, operator: str = "li") -> str:
    """The refusal of an operator's word."""

    def run(state: UnmatchedState, now: datetime) -> tuple[UnmatchedState, str]:
        return rule(state, now, operator, "why")

    _, refusal = await book.unmatched.decide(*NAMED, anybody, run, kind="test", detail=lambda said: {"refused": said})
    return refusal


async def read(book: OrderBook) -> StoredUnmatched:
    return await book.unmatched.read(*NAMED, anybody)


async def test_rows_and_positions_are_kept_together_and_repeats_are_one(book: OrderBook):
    at = {("topup.payments.unmatched", 0): ("id", 8), ("dlq", 2): ("", 1)}
    for _ in range(3):
        await book.kept.keep([record(), record(offset=8, reason="amount")], [letter(), letter()], at)

    assert await book.kept.positions() == at
    [one] = await book.unmatched.listed(anybody)
    assert (one.state.payment.reason, one.offset) == ("lookup", 7)
    assert len(await book.letters.listed(open_only=True)) == 1
    counts = await book.kept.open_counts()
    assert (counts.unmatched_payments, counts.dead_letters) == (1, 1)


async def test_a_record_that_is_signed_stands_above_one_that_is_not(book: OrderBook):
    forged, genuine = record(amount_fen=1), record()
    mac = sign(KEY, b"T00001", genuine.value)
    await book.kept.keep([forged], [], {})
    assert not (await book.unmatched.read(*NAMED, keyed)).state.signed
    await book.kept.keep([record(mac=mac)], [], {})
    await book.kept.keep([forged], [], {})

    state = (await book.unmatched.read(*NAMED, keyed)).state
    assert state.signed
    assert state.payment.amount_fen == 9900


async def test_what_nobody_signed_and_somebody_ended_hides_nothing_that_is_signed(book: OrderBook):
    await book.kept.keep([record(amount_fen=1)], [], {})
    await say(book, unmatched.settle)
    genuine = record(mac=sign(KEY, b"T00001", record().value))
    await book.kept.keep([genuine], [], {})

    assert (await book.kept.open_counts()).unmatched_payments == 1
    state = (await book.unmatched.read(*NAMED, keyed)).state
    assert (state.signed, state.is_open, state.payment.amount_fen) == (True, True, 9900)
    assert state.ended_by == "li"

    await say(book, unmatched.settle, "wang")
    await book.kept.keep([genuine], [], {})
    assert (await book.kept.open_counts()).unmatched_payments == 0


async def test_the_widest_that_is_read_is_kept(book: OrderBook):
    wide = record(out_trade_no="".join(chr(0x4E00 + n * 37) for n in range(MOST_CHARACTERS)))
    headers: dict[str, bytes] = {
        "topic": bytes(97 + n * n % 26 for n in range(249)),
        "partition": b"2147483647",
        "offset": b"9" * 15,
        "timestamp": b"9" * 15,
        "reason": b"\x00\xff" * 4096,
    }
    forged = DeadLetter(0, 1, None, b"{", [(f"topup-dlq-{name}", text) for name, text in headers.items()])
    await book.kept.keep([wide], [kept_letter(forged)], {})

    [kept] = await book.letters.listed()
    assert (kept.source.partition, len(kept.source.topic)) == (2**31 - 1, 249)
    assert (await read(book)).state.payment == wide.payment


async def test_a_refund_is_an_order_that_begins_refused_and_excludes_its_adoption(book: OrderBook):
    await book.kept.keep([record()], [], {})

    assert not await say(book, unmatched.refund)
    assert not await say(book, unmatched.refund), "said again, it is the same refund"

    stored = await book.read("T00001")
    assert (stored.state.carrier_outcome, stored.state.status, stored.state.posts) == ("rejected", "refunding", 0)
    assert (stored.order.amount_fen, stored.order.payment.transaction_id) == (9900, TRANSACTION)
    assert [event.kind for event in await book.events("T00001")] == ["claimed", "test"]
    assert (await read(book)).state.order_id == "T00001"
    assert (await book.kept.open_counts()).unmatched_payments == 0
    assert await say(book, unmatched.adopt)
    [claimed] = await book.claim([paid_order("T00001", transaction=TRANSACTION)])
    assert claimed.outcome is Claim.CONFLICT
    [claimed] = await book.claim([paid_order("T00002", transaction=TRANSACTION)])
    assert claimed.outcome is Claim.CONFLICT
    assert [
        one.order_id
        for one in await book.unsettled(claimed_before=datetime.max.replace(tzinfo=stored.claimed_at.tzinfo))
    ] == ["T00001"]


async def test_an_adopted_payment_is_open_until_its_order_is_claimed_and_is_never_refunded_from_here(book: OrderBook):
    await book.kept.keep([record()], [], {})
    assert not await say(book, unmatched.adopt)
    assert (await book.kept.open_counts()).unmatched_payments == 1
    assert await say(book, unmatched.refund)

    [claimed] = await book.claim([paid_order("T00001", transaction=TRANSACTION)])

    assert claimed.outcome is Claim.NEW
    assert (await book.kept.open_counts()).unmatched_payments == 0
    assert "is order T00001 already" in await say(book, unmatched.adopt)
    assert await say(book, unmatched.refund)


async def test_a_payment_that_became_an_order_by_itself_is_closed(book: OrderBook):
    await book.kept.keep([record()], [], {})
    await book.claim([paid_order("T00009", transaction=TRANSACTION)])

    assert await book.unmatched.listed(anybody) == []
    assert "is order T00009 by now" in await say(book, unmatched.refund)
    assert [one.state.order_id for one in await book.unmatched.listed(anybody, open_only=False)] == ["T00009"]


async def test_a_number_that_another_payment_has_is_not_refunded_under_it(book: OrderBook):
    await book.claim([paid_order("T00001")])
    await book.kept.keep([record()], [], {})

    assert (await read(book)).state.taken
    assert "paid a second time" in await say(book, unmatched.refund)
    assert not await say(book, unmatched.settle)


@pytest.mark.parametrize("prefix", ["T1000", "X1000"], ids=["the adoption's", "another order"])
async def test_of_an_order_and_a_refund_at_once_there_is_one(book: OrderBook, prefix: str):
    """The record of an adoption, or of a late callback, is claimed while an operator refunds."""
    for number in range(4):
        transaction = f"{TRANSACTION[:-1]}{number}"
        await book.kept.keep([record(transaction_id=transaction, out_trade_no=f"T1000{number}")], [], {})

        async def refunds(transaction: str = transaction) -> str:
            def run(state: UnmatchedState, now: datetime) -> tuple[UnmatchedState, str]:
                return unmatched.refund(state, now, "li", "why")

            try:
                decided = await book.unmatched.decide(
                    "wechat", transaction, anybody, run, kind="test", detail=lambda said: {"refused": said}
                )
            except TopUpError as refused:
                return str(refused)
            return decided[1]

        order = paid_order(f"{prefix}{number}", transaction=transaction)
        refusal, [claimed] = await asyncio.gather(refunds(), book.claim([order]))
        stands = (await book.unmatched.read("wechat", transaction, anybody)).state
        assert bool(refusal) == (claimed.outcome is Claim.NEW)
        assert (stands.ending == "refund") == (claimed.outcome is Claim.CONFLICT)


async def test_a_dead_letter_is_ended_once_even_before_the_bridge_has_kept_it(book: OrderBook):
    ended = await book.letters.end(letter(), "settled", "li", "refunded by hand")
    assert (ended.ending, ended.ended_by) == ("settled", "li")

    again = await book.letters.end(letter(), "discarded", "wang", "a test")
    await book.kept.keep([], [letter(place="0:9")], {})

    assert again == ended
    assert await book.letters.listed() == [ended]
    assert await book.letters.listed(open_only=True) == []


async def test_a_topic_made_anew_under_its_name_hides_no_letter(book: OrderBook):
    await book.letters.end(letter(), "settled", "li", "why")
    anew = KeptLetter(Source("orders", 1, 3, 1700000000000), "0:0", "invalid", "why", "", Names())
    await book.kept.keep([], [anew], {})
    assert len(await book.letters.listed(open_only=True)) == 1


async def test_a_letter_with_anothers_source_and_another_payment_is_open_on_its_own(book: OrderBook):
    await book.letters.end(letter(), "discarded", "li", "forged")
    await book.kept.keep([], [letter(place="2:7", order_id="T00001"), letter(place="2:8")], {})

    [left] = await book.letters.listed(open_only=True)
    assert (left.source, left.names.order_id) == (Source("", 2, 7, 0), "T00001")


async def test_reconciliation_knows_every_payment_that_is_held(book: OrderBook):
    names = {"order_id": "T00002", "provider": "alipay", "transaction_id": "2023", "amount_fen": 5}
    await book.kept.keep([record()], [letter(4, **names), letter(5)], {})
    await book.letters.end(letter(4, **names), "settled", "li", "why")

    known = KnownPayments(book.kept._transaction)
    [dead] = await known.of("alipay", ["2023", "2024"])
    [unmatched] = await known.of("wechat", [TRANSACTION])
    assert dead == KnownPayment("dead_letter", "alipay", "2023", "T00002", 5, DAY, is_open=False)
    assert unmatched == KnownPayment("unmatched", "wechat", TRANSACTION, "T00001", 9900, DAY)

    assert [page async for page in known.paid_on("wechat", DAY)] == [[unmatched]]
    assert [page async for page in known.paid_on("alipay", DAY)] == [[dead]]
    assert [page async for page in known.paid_on("alipay", "2023-08-20")] == []


async def test_an_unknown_payment_is_named(book: OrderBook):
    with pytest.raises(UnknownPayment, match="wechat:42"):
        await book.unmatched.read("wechat", "42", anybody)


async def test_the_trail_tells_of_each_record_and_a_flood_makes_one_line_a_batch(book: OrderBook):
    """Rule: "did it come twice, and who doubled it" is answered by the trail alone."""
    order, other = paid_order("T00001"), paid_order("T00001", amount_fen=1)
    notified = "0123456789abcdef0123456789abcdef"
    first = Arrival(3, 17, notified, "2026-11-28T10:00:00.000000Z")

    await book.claim([order], [first])
    copies = [paid_order("T00001") for _ in range(100)]
    await book.claim(copies, [Arrival(3, 18 + number, notified) for number in range(100)])
    await book.claim([other], [Arrival(4, 1)])
    await book.claim([paid_order("T00002", transaction="42T00001")], [Arrival(5, 1)])

    claimed, doubled, *conflicts = await book.events("T00001")
    assert (claimed.kind, dict(claimed.detail)) == (
        "claimed",
        {"partition": 3, "offset": 17, "notification_id": notified, "notified_at": "2026-11-28T10:00:00.000000Z"},
    )
    assert (doubled.kind, doubled.detail["times"], doubled.detail["offset"]) == ("duplicate", 100, 18)
    assert doubled.detail["last"]["offset"] == 117
    assert [(one.kind, one.detail["partition"]) for one in conflicts] == [("conflict", 4), ("conflict", 5)]
    assert VIN not in str([claimed, doubled, *conflicts])


async def test_orders_are_found_by_every_number_of_their_payment(book: OrderBook):
    await book.claim([paid_order("T00001", transaction=TRANSACTION), paid_order("T00002")])
    for number in ("T00001", TRANSACTION):
        assert await book.referred_to(number) == ["T00001"]
    assert await book.referred_to("none") == []
