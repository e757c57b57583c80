"""What `topup payments` does: every word is written in the order book before anything follows from it."""

import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from temporalio.service import RPCError

from activities.reopening import Reopened
from adapters.kafka.producer import AcknowledgedProducer
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.unmatched import SignedBy, StoredUnmatched
from console import runs
from console.by_hand import reopening_by_hand
from console.connecting import order_book, temporal_client
from console.display import out, print_json, shown
from console.exits import CommandFailed, say
from console.settings import PaymentsSettings
from orders import four_eyes, unmatched
from orders.errors import TopUpError
from orders.record import PoisonRecord, parse
from orders.record_mac import HEADER, sign, verify
from orders.unmatched import UnmatchedPayment, UnmatchedState

Named = tuple[str, str]
"""Provider and transaction."""
Word = Mapping[str, str]
"""Operator and note."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one person's word on one payment. `order_id`: which it became, or is refunded as; or empty."""

    payment: str
    order_id: str
    says: str
    ok: bool = True


WAITS = "Nothing follows yet: another operator must give it too"
Rule = Callable[[UnmatchedState, datetime, str, str], tuple[UnmatchedState, str]]


async def show_list(settings: PaymentsSettings, *, open_only: bool, as_json: bool) -> None:
    """Print them."""
    async with _book(settings) as book:
        found = await book.unmatched.listed(signed_by(settings), open_only=open_only)
    _print_all(found, "No payment waits to be ended." if open_only else "There is no unmatched payment.", as_json)


async def show_named(settings: PaymentsSettings, payments: Sequence[Named], *, as_json: bool) -> None:
    """Print these, as the list does."""
    async with _book(settings) as book:
        found = [await book.unmatched.read(*named, signed_by(settings)) for named in payments]
    _print_all(found, "", as_json)


def _print_all(found: Sequence[StoredUnmatched], none: str, as_json: bool) -> None:
    if as_json:
        print_json([_summary(one) for one in found])
        return
    if not found:
        out.print(none)
        return
    table = Table("payment", "fen", "paid at", "reason", "order number", "stands", box=None, pad_edge=False)
    for one in found:
        summary = _summary(one)
        cells = ("payment", "amount_fen", "paid_at", "reason", "out_trade_no", "stands")
        table.add_row(*(shown(summary[name]) for name in cells))
    out.print(table)


async def show_one(settings: PaymentsSettings, named: Named, *, as_json: bool) -> None:
    """Print one."""
    async with _book(settings) as book:
        summary = _summary(await book.unmatched.read(*named, signed_by(settings)))
    if as_json:
        print_json(summary)
        return
    for name, value in summary.items():
        if value != "":
            out.print(f"{name}: {shown(value)}", soft_wrap=True)


async def adopt(
    settings: PaymentsSettings, named: Named, vehicle: dict[str, str], package_id: str, word: Word
) -> Answer:
    """Write the adoption, then produce its paid order; said again while it is no order, the record goes again.

    Raises:
        CommandFailed: it can't become an order, or was ended otherwise.
    """
    async with _book(settings) as book:
        payment = (await book.unmatched.read(*named, signed_by(settings))).state.payment
        key, value = _record(payment, vehicle, package_id)
        wish = _adoption(settings, value)
        _, proposal = await _decide(book, settings, named, unmatched.adopt, word, wish=wish, kind="adopted")
    if proposal:
        return Answer(payment.name, "", f"{proposal}. {WAITS}, with the same car and package.")
    producer = AcknowledgedProducer(settings)
    try:
        headers = [] if settings.record_key is None else [(HEADER, sign(settings.record_key, key, value))]
        await producer.send(settings.kafka_topic, key=key, value=value, headers=headers)
    except TopUpError as error:
        raise CommandFailed(
            f"The adoption is written, and its order is not known to be in Kafka: give the command again. {error}"
        ) from error
    finally:
        await producer.close()
    order_id = payment.order_id
    return Answer(payment.name, order_id, f"Adopted as order {order_id}: `topup orders show {order_id}`.")


async def refund(settings: PaymentsSettings, named: Named, word: Word) -> Answer:
    """Write the refund, then start its run; where that fails the sweep starts it.

    Raises:
        CommandFailed: it can't be refunded, or was ended otherwise.
    """
    if settings.restored_at is not None:
        raise CommandFailed(
            "The order book comes from a backup (TOPUP_RESTORED_AT) and may have forgotten an adoption: wait until "
            "docs/restore.md says that it is unset. Nothing was done."
        )
    async with _book(settings) as book:
        state, proposal = await _decide(
            book, settings, named, unmatched.refund, word, wish=four_eyes.REFUND_NOW, kind="unmatched_refund"
        )
        payment, order_id = state.payment, state.payment.order_id
        if proposal:
            return Answer(payment.name, "", f"{proposal}. {WAITS}.")
        says = f"The refund of {payment.name} is written as order {order_id}: `topup orders show {order_id}`."
        try:
            client = await temporal_client(settings)
            reopening = reopening_by_hand(client, book, settings)
            if await reopening.reopen(order_id) is Reopened.SETTLED:
                says = f"{payment.name} is refunded: `topup orders show {order_id}`."
        except (RPCError, CommandFailed) as error:
            why = runs.failed(error, order_id) if isinstance(error, RPCError) else error
            say(f"{why.sentences[0]} The refund is written all the same: the sweep starts its run within 10 min.")
    return Answer(payment.name, order_id, says)


async def settle(settings: PaymentsSettings, named: Named, word: Word) -> Answer:
    """Write how it was ended elsewhere.

    Raises:
        CommandFailed: it was ended before.
    """
    async with _book(settings) as book:
        state, proposal = await _decide(
            book, settings, named, unmatched.settle, word, wish="settled", kind="unmatched_settled"
        )
    says = f"{proposal}. {WAITS}." if proposal else f"{state.payment.name} is noted as settled elsewhere."
    return Answer(state.payment.name, "", says)


def signed_by(settings: PaymentsSettings) -> SignedBy:
    """Whether one of the configured keys signed a record; where none is configured, every record counts."""

    def signed(payment: UnmatchedPayment, value: bytes, mac: bytes | None) -> bool:
        keys = settings.record_keys
        return not keys or verify(keys, payment.out_trade_no.encode(), value, [(HEADER, mac)] if mac else [])

    return signed


async def _decide(
    book: OrderBook, settings: PaymentsSettings, named: Named, rule: Rule, word: Word, *, wish: str, kind: str
) -> tuple[UnmatchedState, str]:
    """Write an operator's word; the state after it, and the proposal where a second person is waited for.

    Raises:
        CommandFailed: it is refused; nothing was changed.
    """
    operator, note = word["operator"], word["note"]

    def run(state: UnmatchedState, now: datetime) -> tuple[UnmatchedState, tuple[str, str]]:
        after, refusal = rule(state, now, operator, note)
        # What is said again changes nothing here, but an adoption sends its record again: of the car agreed on alone.
        agreed = after == state and (rule is not unmatched.adopt or bool(state.confirmed_by and state.proposal == wish))
        if refusal or agreed or not settings.two_persons:
            return after, (refusal, "")
        after, *answer = four_eyes.agree(state, now, rule, wish=wish, operator=operator, note=note)
        return after, (answer[0], answer[1])

    def detail(answer: tuple[str, str]) -> dict[str, Any]:
        refusal, proposal = answer
        more = {"refused": refusal} if refusal else {"two_persons": "proposed"} if proposal else {}
        return {"payment": ":".join(named), **word, **more}

    state, (refusal, proposal) = await book.unmatched.decide(*named, signed_by(settings), run, kind=kind, detail=detail)
    if refusal:
        raise CommandFailed(refusal)
    return state, proposal


def _adoption(settings: PaymentsSettings, value: bytes) -> str:
    """What stands for an adoption of this car and package; keyed, or a list of cars would be matched with it."""
    return f"adopt {FieldCipher(*settings.pii_keys).keyed_hash('vehicle', value.decode())}"


def _record(payment: UnmatchedPayment, vehicle: dict[str, str], package_id: str) -> tuple[bytes, bytes]:
    """Key and value of its paid order.

    Raises:
        CommandFailed: they break a rule of contracts §1.
    """
    key = payment.order_id.encode()
    value = json.dumps(payment.paid_order(vehicle, package_id), separators=(",", ":")).encode()
    try:
        parse(key, value)
    except PoisonRecord as poison:
        raise CommandFailed(f"It can't become this order ({poison.error}): nothing was done.") from poison
    return key, value


def _summary(one: StoredUnmatched) -> dict[str, Any]:
    state, payment = one.state, one.state.payment
    at = "" if state.ended_at is None else state.ended_at.astimezone(UTC).isoformat()
    now = datetime.now(UTC)
    return {
        "payment": payment.name,
        "stands": _stands(state),
        "open": state.is_open,
        "order_id": state.order_id,
        "amount_fen": payment.amount_fen,
        "currency": payment.currency,
        "paid_at": payment.paid_at,
        "out_trade_no": payment.out_trade_no,
        "merchant_id": payment.merchant_id,
        "reason": payment.reason,
        "signed": state.signed,
        "kept_at": one.kept_at.astimezone(UTC).isoformat(),
        "partition": one.partition,
        "offset": one.offset,
        "ended_at": at,
        "ended_by": state.ended_by,
        "ended_note": state.ended_note,
        "proposal": four_eyes.open_proposal(state, now) if state.ending in ("", "adopted") else "",
    }


def _stands(state: UnmatchedState) -> str:
    """In a few words."""
    match state.ending:
        case "adopted":
            return f"adopted as {state.order_id}" if state.order_id else "adopted, no order yet: adopt it again"
        case "refund":
            return f"refund ordered, see order {state.order_id}"
        case "settled":
            return "settled elsewhere"
        case "":
            if state.order_id:
                return f"became order {state.order_id}"
            return "open" if state.signed else "open, NOT SIGNED"


def print_answer(answer: Answer, *, as_json: bool) -> None:
    """As a sentence, or as an object."""
    if as_json:
        print_json(asdict(answer))
        return
    out.print(answer.says, markup=False, soft_wrap=True)


@asynccontextmanager
async def _book(settings: PaymentsSettings) -> AsyncGenerator[OrderBook, None]:
    async with order_book(settings) as book:
        assert book is not None, "PaymentsSettings has checked it"
        yield book
