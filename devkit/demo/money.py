"""The demonstration's last morning: bills × order book × statement, and what the outside world's own books say."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from configuration.processes import ReconcileSettings
from console.exits import CommandFailed
from console.reconciling import NO_KEY_NEEDED, page_of
from devkit.audit.auditor import Violation
from devkit.audit.books import Books, is_goodwill
from orders.errors import TopUpError
from reconciliation.days import DAYS_FOR_A_PAYMENT, after, day_of, from_to
from reconciliation.differences import Difference
from reconciliation.run import Reconciliation, Report
from reconciliation.summary import Summary
from runtime.clock import SystemClock
from runtime.settings import load
from workers.reconciling import open_reconciliation

AGREES: Final = "the books agree to the fen"
AHEAD: Final = timedelta(days=DAYS_FOR_A_PAYMENT + 2)
"""By then every bill is there that could show one of today's payments."""
PROVIDERS: Final = ("wechat", "alipay")

Say = Callable[[str], None]


class AheadClock:
    """The wall clock, some days ahead."""

    def now(self) -> datetime:
        """Aware, UTC."""
        return datetime.now(UTC) + AHEAD


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the page for finance, beside what the books outside say; None = they know no such place."""

    what: str
    payments: int
    fen: int
    outside_fen: int | None

    @property
    def agrees(self) -> bool:
        """Whether both say the same; what only the page knows must be nothing."""
        return self.fen == (self.outside_fen or 0)


@dataclass(frozen=True, slots=True)
class Money:
    """What the morning found.

    Attributes:
        put: payments that no callback had told of, put to Kafka.
        closed: differences that closed themselves.
        open: differences that did not.
        lacking: bills, statements and answers that could not be had.
    """

    lines: tuple[Line, ...]
    put: int
    closed: int
    open: tuple[Difference, ...]
    lacking: tuple[str, ...]

    @property
    def violations(self) -> list[Violation]:
        """What is wrong with it, in words."""
        differ = [
            f"{line.what}: {line.fen} fen by the product, {line.outside_fen or 0} by the books outside"
            for line in self.lines
            if not line.agrees
        ]
        still = [f"{one.id} is {one.kind}: {one.why}" for one in self.open]
        return [Violation(AGREES, "", sentence) for sentence in (*differ, *still, *self.lacking)]


@dataclass(slots=True)
class _Sums:
    put: int = 0
    closed: int = 0
    lacking: list[str] = field(default_factory=list[str])

    def add(self, report: Report) -> None:
        self.put += report.put
        self.closed += report.closed
        self.lacking += [f"{source}, {report.day}: {why}" for source, why in report.not_whole.items()]


class MoneysDay:
    """Reconciles the days on which the demonstration ran.

    Args:
        environment: the stack's settings.
        since: when its first payment was made.
        say: told what calls a person.
    """

    def __init__(self, environment: Mapping[str, str], since: datetime, say: Say) -> None:
        self._settings = load(environment, ReconcileSettings)
        self._say = say
        self._days = list(from_to(day_of(since), day_of(datetime.now(UTC))))
        self._sums = _Sums()

    async def judge_bills(self) -> None:
        """Both providers' bills, and of the days after; what nobody here knows is put to Kafka.

        Raises:
            CommandFailed: the order book can't be read.
        """
        later = list(from_to(after(self._days[-1], 1), after(self._days[-1], DAYS_FOR_A_PAYMENT)))
        async with self._open() as (_, reconciliation):
            for provider in PROVIDERS:
                for day in (*later, *self._days):
                    self._sums.add(await reconciliation.run(day, provider))

    async def judge(self, outside: Books) -> Money:
        """All of it, the carrier's statement too, against the outside world's books.

        Raises:
            CommandFailed: the order book can't be read.
        """
        page, open_ones, unanswered = Summary(self._days[0]), list[Difference](), list[str]()
        async with self._open() as (book, reconciliation):
            for day in (after(self._days[-1], 1), *self._days):
                report = await reconciliation.run(day)
                self._sums.add(report)
                open_ones += report.open
                unanswered += report.unanswered
            for day in self._days:
                one = await page_of(book.reconciliation(), day)
                page.paid.count += one.paid.count
                page.paid.fen += one.paid.fen
                page.goodwill.count += one.goodwill.count
                page.goodwill.fen += one.goodwill.fen
                for place, amount in one.places.items():
                    page.places[place].count += amount.count
                    page.places[place].fen += amount.fen
        lacking = (*self._sums.lacking, *unanswered)
        return Money(lines_of(page, outside), self._sums.put, self._sums.closed, tuple(open_ones), lacking)

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncGenerator[tuple[OrderBook, Reconciliation]]:
        book = OrderBook.open(self._settings.database_url, FieldCipher(NO_KEY_NEEDED), SystemClock())
        try:
            async with open_reconciliation(self._settings, book, AheadClock(), self._called) as reconciliation:
                yield book, reconciliation
        except TopUpError as error:
            raise CommandFailed(str(error)) from error
        finally:
            await book.close()

    def _called(self, kind: str, **fields: Any) -> None:
        self._say(f"ALERT {kind}: {fields.get('differs')}, {fields.get('difference')}. {fields.get('sentence')}")


def lines_of(page: Summary, outside: Books) -> tuple[Line, ...]:
    """The page's lines, each beside the books outside; what was given back of deliveries comes last, and apart."""
    paid = {entry.data["out_trade_no"]: entry.data["amount_fen"] for entry in outside.money if entry.kind == "paid"}
    sold = [entry.data["external_id"] for entry in outside.carrier if entry.kind == "sold"]
    went_back = [entry for entry in outside.money if entry.kind == "refunded"]
    given = sum(entry.data["amount_fen"] for entry in went_back if is_goodwill(entry))
    known = {
        "paid": sum(paid.values()),
        "delivered": sum(paid.get(order_id, 0) for order_id in sold),
        "refunded": sum(entry.data["amount_fen"] for entry in went_back) - given,
        "goodwill": given,
    }
    lines = [("paid", page.paid.count, page.paid.fen)]
    lines += [(place, amount.count, amount.fen) for place, amount in page.places.items()]
    lines.append(("left over", 0, page.left_over_fen))
    lines.append(("goodwill", page.goodwill.count, page.goodwill.fen))
    return tuple(Line(what.replace("_", " "), count, fen, known.get(what)) for what, count, fen in lines)
