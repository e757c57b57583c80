"""A month outside, simulated: providers, a carrier, a gateway, and what each of them forgets, does twice or too late.

`World.play` lives through the days, each morning with a run; `expected` says what must be open in the end, and what
must have closed itself.
"""

import contextlib
import io
import random
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from sqlalchemy import event, update

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.reconciling import ReconciliationBook
from adapters.order_book.rows import ORDERS
from adapters.order_book.worked_on import WorkedOn
from adapters.payments.alipay import bills as alipay
from adapters.payments.bills import in_batches, text_lines
from adapters.payments.wechat import bills as wechat
from orders import goodwill, refund_rules
from orders.errors import Unavailable
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundInDoubt,
    RefundRequest,
    RefundUnknown,
)
from orders.paid_order import CHINA, PaidOrder
from reconciliation.days import day_of
from reconciliation.differences import Kind
from reconciliation.evidence import BillLine, KnownPayment, Sale
from reconciliation.ports import NotWhole, OpenBill, PaymentNow, ReadAgain
from reconciliation.run import Reconciliation, Report
from tests.orders.states import TIMES
from tests.reconciliation.files import MCHID, SELLER, alipay_details, alipay_line, wechat_bill, wechat_line

PRICE_FEN = 9900
FIRST = datetime(2026, 3, 1, tzinfo=CHINA)
PROVIDERS = ("wechat", "alipay")
NAMES = ("车载流量包", "流量,30天", r"\"10 GB\"", "a,b")


class HandClock:
    """Moved by hand."""

    def __init__(self) -> None:
        self.at = FIRST

    def now(self) -> datetime:
        return self.at.astimezone(UTC)


@dataclass
class Provider:
    """A payment provider: its payments and refunds, its bills, and what it says when asked."""

    name: str
    merchant_id: str
    clock: HandClock
    lines: defaultdict[str, list[BillLine]] = field(default_factory=lambda: defaultdict(list))
    payments: dict[str, PaymentNow] = field(default_factory=dict[str, PaymentNow])
    ends: dict[str, RefundAnswer] = field(default_factory=dict[str, RefundAnswer])
    comes_on: dict[str, str] = field(default_factory=dict[str, str])
    """Bills that are late: day → the day on which they are there."""
    cut_until: dict[str, str] = field(default_factory=dict[str, str])
    fetched: Counter[str] = field(default_factory=Counter[str])
    asked: Counter[str] = field(default_factory=Counter[str])

    @asynccontextmanager
    async def open(self, day: str) -> AsyncGenerator[OpenBill | None, None]:
        today = day_of(self.clock.now())
        if today < self.comes_on.get(day, ""):
            raise NotWhole(f"{self.name} has not made the bill of {day} yet.")
        self.fetched[day] += 1
        lines = sorted(self.lines[day], key=lambda line: line.at)
        if not lines:
            yield None
            return
        names = [NAMES[number % len(NAMES)] for number in range(len(lines))]
        if self.name == "wechat":
            bill = wechat_bill(lines, [wechat_line(line, name=name) for line, name in zip(lines, names, strict=True)])
        else:
            texts = [alipay_line(line, name=name) for line, name in zip(lines, names, strict=True)]
            bill = alipay_details(lines, day, texts)
        if today < self.cut_until.get(day, ""):
            bill = bill[: len(bill) * 2 // 3]
        if self.name == "wechat":
            read = wechat.read_trade_bill(text_lines(io.BytesIO(bill), "utf-8", "WeChat Pay"), MCHID)
        else:
            read = alipay.read_trade_bill(text_lines(io.BytesIO(bill), alipay.ENCODING, "Alipay"), SELLER, day)
        yield OpenBill(in_batches(read), "", len(bill))

    async def payment(self, transaction_id: str) -> PaymentNow | None:
        self.asked[transaction_id] += 1
        return self.payments.get(transaction_id)

    async def refund(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        del timeout_seconds
        self.asked[request.refund_number] += 1
        return self.ends.get(request.refund_number, RefundUnknown())


@dataclass
class Carrier:
    """The carrier's statement; now and then it changes while it is read."""

    clock: HandClock
    sales: defaultdict[str, list[Sale]] = field(default_factory=lambda: defaultdict(list))
    comes_on: dict[str, str] = field(default_factory=dict[str, str])
    restless: set[str] = field(default_factory=set[str])

    async def read(self, day: str) -> AsyncIterator[Sequence[Sale]]:
        if day_of(self.clock.now()) < self.comes_on.get(day, ""):
            raise NotWhole(f"The carrier has no statement of {day} yet.")
        if day in self.restless:
            self.restless.discard(day)
            yield [Sale("GHOST-ORDER", "PO0", "completed", day)]
            raise ReadAgain("It changed while it was read.")
        yield self.sales[day]


@dataclass
class Elsewhere:
    """Unmatched payments and dead letters."""

    payments: list[KnownPayment] = field(default_factory=list[KnownPayment])

    async def of(self, provider: str, transaction_ids: Sequence[str]) -> Sequence[KnownPayment]:
        wanted = set(transaction_ids)
        return [one for one in self.payments if one.provider == provider and one.transaction_id in wanted]

    async def paid_on(self, provider: str, day: str) -> AsyncIterator[Sequence[KnownPayment]]:
        yield [one for one in self.payments if one.provider == provider and one.paid_on == day]


class World:
    """Everything, in one place; nothing happens but by `at` and `play`."""

    def __init__(self, book: OrderBook, clock: HandClock, seed: int, *, known_to_the_book: bool = True) -> None:
        self.clock = clock
        self.random = random.Random(seed)
        self.book = book
        self.providers = {
            name: Provider(name, merchant, clock) for name, merchant in (("wechat", MCHID), ("alipay", SELLER))
        }
        self.carrier = Carrier(clock)
        self.elsewhere = Elsewhere()
        self.books: ReconciliationBook = book.reconciliation(self.elsewhere)
        self.expected: dict[str, Kind] = {}
        """What must be open in the end."""
        self.closed: dict[str, Kind] = {}
        """What must have been open, and have closed itself."""
        self.alerts: list[dict[str, Any]] = []
        self.put: list[tuple[str, str]] = []
        self.kafka_is_away_until = FIRST
        self._events: list[tuple[datetime, int, Callable[[], Any]]] = []
        self._count = 0
        self._number = 0
        self.known_to_the_book = known_to_the_book

    # --- what can happen ---------------------------------------------------------------------------------------------

    def at(self, moment: datetime, what: Callable[[], Any]) -> None:
        self._events.append((moment, self._number, what))
        self._number += 1

    def moment(self, day: int, hours: float | None = None) -> datetime:
        hour = self.random.uniform(0.1, 23.5) if hours is None else hours
        return FIRST + timedelta(days=day, seconds=round(hour * 3600))

    def name(self) -> str:
        self._count += 1
        return f"T{self._count:012d}"

    def paid_order(self, name: str, provider: str, paid: datetime, amount_fen: int = PRICE_FEN) -> PaidOrder:
        return PaidOrder.model_validate(
            {
                "schema": "topup.paid-order/1",
                "order_id": name,
                "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015"},
                "package_id": "CT-DATA-10GB-30D",
                "amount_fen": amount_fen,
                "currency": "CNY",
                "payment": {
                    "provider": provider,
                    "merchant_id": self.providers[provider].merchant_id,
                    "out_trade_no": name,
                    "transaction_id": f"42{name}",
                    "paid_at": paid.isoformat(),
                },
            }
        )

    def bill(self, provider: str, moment: datetime, line: BillLine, *, on_day: str = "") -> None:
        self.providers[provider].lines[on_day or day_of(moment)].append(line)

    def pays(
        self,
        name: str,
        provider: str,
        moment: datetime,
        *,
        billed_fen: int = PRICE_FEN,
        attachment: str | None = "proves",
        transaction: str = "",
        billed_on: str = "",
    ) -> str:
        """A payment that the bill shows and the provider knows; its transaction."""
        transaction_id = transaction or f"42{name}"
        at = f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
        self.bill(provider, moment, BillLine("payment", transaction_id, name, billed_fen, at), on_day=billed_on)
        self.providers[provider].payments[transaction_id] = PaymentNow(
            is_paid=True,
            is_refunded=False,
            transaction_id=transaction_id,
            out_trade_no=name,
            amount_fen=billed_fen,
            currency="CNY",
            paid_at=moment.isoformat(),
            attachment=attachment,
        )
        return transaction_id

    def refunds(  # noqa: PLR0917 - a story reads it in this order
        self, name: str, provider: str, moment: datetime, number: str, answer: RefundAnswer, fen: int = PRICE_FEN
    ) -> None:
        """A refund that the bill shows, and how the provider says that it ended."""
        at = f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M:%S}"
        self.bill(provider, moment, BillLine("refund", f"42{name}", name, fen, at, number))
        self.providers[provider].ends[number] = answer

    def sells(self, name: str, moment: datetime, state: str = "completed") -> None:
        self.carrier.sales[day_of(moment)].append(Sale(name, f"PO{name}", state, day_of(moment)))

    def claims(self, name: str, provider: str, paid: datetime, at: datetime, amount_fen: int = PRICE_FEN) -> None:
        """The book takes the order in."""
        order = self.paid_order(name, provider, paid, amount_fen)

        async def claim() -> None:
            await self.book.claim([order])

        self.at(at, claim)

    def books_as(self, name: str, at: datetime, **values: Any) -> None:
        """The book writes this of the order: as the rules of `orders` would have it."""

        async def write() -> None:
            async with self.book._transaction(write=True) as connection:
                done = await connection.execute(update(ORDERS).where(ORDERS.c.order_id == name).values(**values))
                assert done.rowcount == 1, name

        self.at(at, write)

    def delivers(self, name: str, at: datetime) -> None:
        self.books_as(
            name,
            at,
            carrier_outcome="completed",
            carrier_outcome_at=at,
            outcome="delivered",
            settled_at=at,
            status="delivered",
        )

    def refuses(self, name: str, at: datetime, outcome: str = "rejected") -> None:
        self.books_as(name, at, carrier_outcome=outcome, carrier_outcome_at=at, status="refunding")

    def refund_confirmed(self, name: str, sent: datetime, at: datetime, sequence: int = 1) -> None:
        """The intent stands in the book before the refund is sent."""
        self.books_as(name, sent, refund_sequence=sequence, refund_at=sent, refund_sent_at=sent)
        self.books_as(
            name,
            at,
            refund_confirmed_at=at,
            provider_refund_id="5030",
            outcome="refunded",
            settled_at=at,
            status="refunded",
        )

    def gives_back(self, name: str, sent: datetime, at: datetime, fen: int, number: int = 1) -> None:
        """Two persons have decided it; the intent stands in the book before it is sent."""

        async def decide() -> None:
            for operator in ("li", "wang"):
                rule = partial(goodwill.ask, amount_fen=fen, operator=operator, note=f"ticket {number}")
                await self.book.goodwill.ask(name, rule, detail=lambda _: {})
            await step(lambda stored: refund_rules.start_refund(stored.state, sent, TIMES))
            await step(lambda stored: refund_rules.authorize_refund(stored.state, sent, TIMES, 1))

        async def confirm() -> None:
            await step(lambda stored: refund_rules.record_refund_response(stored.state, at, TIMES, DONE, of_number=1))
            await step(lambda stored: refund_rules.settle(stored.state, at, TIMES))

        async def step(rule: Any) -> None:
            await WorkedOn(self.book).decide(f"{name}/{number}", rule, kind="test", detail=lambda _: {})

        self.at(sent, decide)
        self.at(at, confirm)

    def is_unmatched(self, name: str, provider: str, paid: datetime, transaction: str = "", **values: Any) -> None:
        known = KnownPayment("unmatched", provider, transaction or f"42{name}", name, PRICE_FEN, day_of(paid), **values)
        self.elsewhere.payments.append(known)

    # --- the run -----------------------------------------------------------------------------------------------------

    async def put_to_kafka(self, provider: str, payment: PaymentNow, *, never_an_order: bool) -> Any:
        """`reconciliation.ports.Intake.put`: what is put is taken in within the hour."""
        if self.clock.at < self.kafka_is_away_until:
            raise Unavailable("Kafka is away.")
        put_as: Literal["order", "unmatched"] = (
            "order" if payment.attachment == "proves" and not never_an_order else "unmatched"
        )
        self.put.append((payment.transaction_id, put_as))
        paid = datetime.fromisoformat(payment.paid_at)
        soon = self.clock.at + timedelta(hours=1)
        if put_as == "order":
            self.claims(payment.out_trade_no, provider, paid, soon)
        elif self.known_to_the_book:
            self.at(
                soon,
                lambda: self.is_unmatched(payment.out_trade_no, provider, paid, payment.transaction_id),
            )
        return put_as

    def alert(self, kind: str, **fields: Any) -> None:
        self.alerts.append({"alert": kind, **fields})

    def reconciliation(self) -> Reconciliation:
        intake = _Intake(self.put_to_kafka)
        return Reconciliation(
            books=self.books,
            bills=self.providers,
            statements=self.carrier,
            intake=intake,
            clock=self.clock,
            alert=self.alert,
        )

    async def until(self, moment: datetime) -> None:
        """Let happen what is due, in order."""
        while due := sorted(one for one in self._events if one[0] <= moment):
            when, number, what = due[0]
            self._events.remove((when, number, what))
            self.clock.at = max(self.clock.at, when)
            happens = what()
            if happens is not None:
                await happens
        self.clock.at = moment

    async def morning(self, day: int) -> list[Report]:
        """11:00 of a day: the day before, and each that is open or not judged whole."""
        await self.until(FIRST + timedelta(days=day, hours=11))
        yesterday = day_of(self.clock.now() - timedelta(days=1))
        reports = [
            await self.reconciliation().run(due, only_open=await self.books.is_judged(due))
            for due in await self.books.days_due(yesterday)
        ]
        await self.somebody_looks()
        return reports

    async def somebody_looks(self) -> None:
        """What is what it should be in the end is closed with a note: its day is not looked at again."""
        for one in await self.books.differences(open_only=True):
            if self.expected.get(one.id) == one.kind and one.put_as in ("", "unmatched"):
                await self.books.resolve(one.id, operator="li", note="seen")

    async def play(self, days: int) -> None:
        for day in range(1, days + 1):
            await self.morning(day)


@dataclass
class _Intake:
    put: Callable[..., Any]


def _not_durable(connection: Any, _record: object) -> None:
    """A month's thousand transactions need no disk."""
    connection.execute("PRAGMA synchronous=OFF")


@contextlib.asynccontextmanager
async def opened(url: str, clock: HandClock) -> AsyncGenerator[OrderBook, None]:
    book = OrderBook.open(url, FieldCipher(bytes(32)), clock)
    event.listen(book._transaction._writing.sync_engine, "connect", _not_durable)
    await book.migrate()
    try:
        yield book
    finally:
        await book.close()


DONE = RefundConfirmed(provider_refund_id="5030")
CLOSED = RefundClosed()
UNDER_WAY = RefundAccepted(why="WeChat Pay says PROCESSING.")
SILENT = RefundInDoubt(why="no answer")
