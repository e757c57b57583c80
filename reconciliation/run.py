"""One run: take in what is lacking, ask how refunds ended, judge, act, write down what has changed (contracts §10).

Whatever is done is done again without harm: a bill that is whole is never fetched again, a page is judged from what
stands in the books, and only what has changed is written. So a run that dies is begun anew.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from orders.clock import Clock
from orders.errors import Unavailable
from orders.outcomes import (
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundRequest,
    RefundUnknown,
)
from orders.paid_order import MOST_FEN
from reconciliation.days import CARRIER, DAYS_FOR_A_PAYMENT, DAYS_FOR_THE_REST, Horizon, after, bills_are_due
from reconciliation.differences import Difference, Found, changes, is_news
from reconciliation.evidence import BilledRefund, RefundEnd, Sale
from reconciliation.payment_rules import judge_payment
from reconciliation.ports import Bills, Books, Intake, NotWhole, ReadAgain, Statements, Totals
from reconciliation.sale_rules import judge_sale

ASK_SECONDS: Final = 20.0
"""How one refund ended; what isn't answered is asked again by the next run."""
AT_ONCE: Final = 8
"""Questions to a provider side by side: it must have room for the orders' own."""
READ_AGAIN_TIMES: Final = 3
"""A carrier whose statement changes under each reading is still writing it: the next run reads it."""

Alert = Callable[..., None]


@dataclass(slots=True)
class Report:
    """What a run did.

    Attributes:
        not_whole: bills and statements of the day that judge nothing: source → why.
        unanswered: questions that a provider did not answer; they are asked again.
        looked_at: payments and orders judged.
        opened: differences that were opened, or changed.
        closed: those that closed themselves.
        put: payments put to Kafka.
        open: the day's differences that are open now, `timing` among them.
    """

    day: str
    not_whole: dict[str, str] = field(default_factory=dict[str, str])
    unanswered: list[str] = field(default_factory=list[str])
    looked_at: int = 0
    opened: int = 0
    closed: int = 0
    put: int = 0
    open: list[Difference] = field(default_factory=list[Difference])

    @property
    def open_differences(self) -> int:
        """Those that need somebody: `timing` is none."""
        return sum(one.kind != "timing" for one in self.open)


class Reconciliation:
    """Reconciles days.

    Args:
        books: the order book.
        bills: of the configured providers.
        statements: the carrier's; None where its dialect has none.
        intake: to Kafka; None where this process can't write there.
        clock: wall-clock time.
        alert: calls a person: `money_differs`, and fields.
        beat: called now and then while it works.
    """

    def __init__(
        self,
        *,
        books: Books,
        bills: Mapping[str, Bills],
        statements: Statements | None,
        intake: Intake | None,
        clock: Clock,
        alert: Alert,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._books = books
        self._bills = bills
        self._statements = statements
        self._intake = intake
        self._clock = clock
        self._alert = alert
        self._beat = beat

    async def run(self, day: str, provider: str | None = None, *, only_open: bool = False) -> Report:
        """Reconcile one day; of one provider alone, where it is named.

        `only_open`: look at its open differences alone. That is enough of a day that is judged whole.

        Raises:
            Unavailable: the order book can't be reached; run it again.
        """
        report = Report(day)
        bills = {name: one for name, one in self._bills.items() if provider in (None, name)}
        with_carrier = provider is None and self._statements is not None
        horizon = await self._books.horizon()
        lacking = [name for name in (*bills, *((CARRIER,) if with_carrier else ())) if not horizon.has(name, day)]
        for name in lacking:
            await self._take_in(name, day, report)
        if lacking:
            horizon = await self._books.horizon()
        for name in bills:
            if horizon.has(name, day):
                await self._ask_how_refunds_ended(name, day, report)
                await self._judge_payments(name, day, horizon, report, only_open=only_open)
                await self._note_judged(name, day, horizon, report)
        if with_carrier and horizon.has(CARRIER, day):
            await self._judge_sales(day, horizon, report, only_open=only_open)
            await self._note_judged(CARRIER, day, horizon, report)
        sources = {*bills, *((CARRIER,) if with_carrier else ())}
        there = await self._books.differences(day=day, open_only=True)
        report.open += [one for one in there if one.source in sources]
        return report

    # --- taking in ---------------------------------------------------------------------------------------------------

    async def _take_in(self, source: str, day: str, report: Report) -> None:
        try:
            if source == CARRIER:
                await self._take_in_statement(day)
            else:
                await self._take_in_bill(source, day)
        except NotWhole as why:
            await self._books.note_not_whole(source, day, str(why))
            report.not_whole[source] = str(why)

    async def _take_in_bill(self, source: str, day: str) -> None:
        async with self._bills[source].open(day) as bill:
            if bill is None and not bills_are_due(day, self._clock.now()):
                raise NotWhole(f"{source} has no bill of {day} yet: it is there from 10:00 of the next day, in China.")
            token = await self._books.begin(source, day)
            lines, payments_fen, refunds_fen = 0, 0, 0
            while bill is not None and (batch := await asyncio.to_thread(next, bill.batches, None)) is not None:
                await self._books.add_bill(source, day, token, batch)
                self._beat()
                lines += len(batch)
                payments_fen += sum(line.amount_fen for line in batch if line.kind == "payment")
                refunds_fen += sum(line.amount_fen for line in batch if line.kind == "refund")
            if max(payments_fen, refunds_fen) > MOST_FEN:  # an Alipay bill's own totals say nothing of its prices
                raise NotWhole(f"{source}'s bill of {day} comes to more than a day's payments can: see who made it.")
            sha256, size_bytes = ("", 0) if bill is None else (bill.sha256, bill.size_bytes)
            totals = Totals(sha256, size_bytes, lines, payments_fen, refunds_fen)
            await self._books.finish(source, day, token, totals)

    async def _take_in_statement(self, day: str) -> None:
        assert self._statements is not None
        for attempt in range(1, READ_AGAIN_TIMES + 1):
            token = await self._books.begin(CARRIER, day)
            lines = 0
            try:
                async for sales in self._statements.read(day):
                    await self._books.add_statement(day, token, _of_day(day, sales))
                    self._beat()
                    lines += len(sales)
            except ReadAgain:
                if attempt == READ_AGAIN_TIMES:
                    raise
            else:
                await self._books.finish(CARRIER, day, token, Totals("", 0, lines, 0, 0))
                return

    # --- how refunds ended -------------------------------------------------------------------------------------------

    async def _ask_how_refunds_ended(self, source: str, day: str, report: Report) -> None:
        """A refund's line shows that it was taken in, and is never corrected."""
        async for refunds in self._books.unended_refunds(source, day):
            ends: dict[tuple[str, str], RefundEnd] = {}
            for start in range(0, len(refunds), AT_ONCE):
                some = refunds[start : start + AT_ONCE]
                answers = await asyncio.gather(*(self._ended(source, *one) for one in some))
                for (transaction_id, refund), end in zip(some, answers, strict=True):
                    if end:
                        ends[transaction_id, refund.number] = end
                    else:
                        report.unanswered.append(f"{source} does not say how refund {refund.number} ended")
                self._beat()
            await self._books.note_ends(source, day, ends)

    async def _ended(self, source: str, transaction_id: str, refund: BilledRefund) -> RefundEnd:
        bills = self._bills[source]
        request = RefundRequest(
            refund_number=refund.number,
            transaction_id=transaction_id,
            out_trade_no="",
            merchant_id=bills.merchant_id,
            amount_fen=refund.amount_fen,
            total_fen=refund.amount_fen,
            currency="CNY",
            reason="",
        )
        return end_of(await bills.refund(request, timeout_seconds=ASK_SECONDS))

    # --- judging -----------------------------------------------------------------------------------------------------

    async def _judge_payments(
        self, provider: str, day: str, horizon: Horizon, report: Report, *, only_open: bool
    ) -> None:
        async for page in self._books.payments(provider, day, only_open=only_open):
            stored = await self._books.stored(payments={provider: [one.transaction_id for one in page]}, orders=())
            stored = {name: one for name, one in stored.items() if horizon.has(provider, one.day)}
            found = [one for evidence in page for one in judge_payment(evidence, horizon)]
            await self._settle(stored, found, report)
            await self._act(stored, found, report)
            report.looked_at += len(page)
            self._beat()

    async def _judge_sales(self, day: str, horizon: Horizon, report: Report, *, only_open: bool) -> None:
        async for page in self._books.orders(day, only_open=only_open):
            stored = await self._books.stored(payments={}, orders=[one.order_id for one in page])
            stored = {name: one for name, one in stored.items() if horizon.has(CARRIER, one.day)}
            found = [one for evidence in page for one in judge_sale(evidence, horizon)]
            await self._settle(stored, found, report)
            report.looked_at += len(page)
            self._beat()

    async def _settle(self, stored: dict[str, Difference], found: Sequence[Found], report: Report) -> None:
        """Write what has changed; `stored` is then as it stands.

        Who must be called is called before that: dying in between calls twice, and never not at all.
        """
        changed = changes(stored, found, self._clock.now())
        if not changed:
            return
        for new, old in changed:
            if is_news(new, old):
                self._alert(
                    "money_differs", difference=new.id, differs=new.kind, order_id=new.order_id, sentence=new.why
                )
        await self._books.write([new for new, _ in changed])
        for new, _ in changed:
            stored[new.id] = new
            report.opened += new.state == "open"
            report.closed += new.state == "closed_itself"

    # --- acting ------------------------------------------------------------------------------------------------------

    async def _act(self, stored: Mapping[str, Difference], found: Sequence[Found], report: Report) -> None:
        """Put to Kafka what is in none of the books and whose time is over, once."""
        for one in found:
            there = stored[one.id]
            if not one.must_act or there.put_as or there.state != "open":
                continue
            put_as = await self._put(one, report)
            if put_as:
                report.put += 1
                await self._books.note_put(one.id, put_as)
            self._beat()

    async def _put(self, one: Found, report: Report) -> Literal["", "order", "unmatched"]:
        if self._intake is None:
            report.unanswered.append(f"this process can't write to Kafka: {one.id} waits")
            return ""
        try:
            payment = await self._bills[one.source].payment(one.transaction_id)
            if payment is None or not payment.is_paid:
                report.unanswered.append(f"{one.source} bills {one.id} and, asked now, does not say that it is paid")
                return ""
            spoilt = one.never_an_order or payment.is_refunded or payment.amount_fen != one.outside_fen
            return await self._intake.put(one.source, payment, never_an_order=spoilt)
        except (Unavailable, TimeoutError) as away:
            report.unanswered.append(f"{one.id} waits: {away}")
            return ""

    async def _note_judged(self, source: str, day: str, horizon: Horizon, report: Report) -> None:
        days = DAYS_FOR_THE_REST if source == CARRIER else DAYS_FOR_A_PAYMENT
        whole = not report.unanswered and horizon.has_all(source, day, after(day, days))
        await self._books.note_judged(source, day, whole=whole)


def end_of(answer: RefundAnswer) -> RefundEnd:
    """How a refund ended, where the provider's answer says it."""
    match answer:
        case RefundConfirmed():
            return "success"
        case RefundClosed():
            return "closed"
        case RefundDenied():
            return "denied"
        case RefundUnknown():
            return "unknown"
        case _:
            return ""


def _of_day(day: str, sales: Sequence[Sale]) -> Sequence[Sale]:
    """Refuse a statement that holds another day's."""
    if any(sale.day != day for sale in sales):
        raise NotWhole("The carrier's statement holds orders of another day than was asked for: ask the carrier.")
    return sales
