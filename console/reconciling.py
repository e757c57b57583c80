"""What `topup reconcile` does and prints: tables for a person, JSON and CSV for a script."""

import csv
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final, Literal

from rich.table import Table

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.reconciling import ReconciliationBook
from configuration.processes import DifferencesSettings, ReconcileSettings
from console.display import out, print_json, shown
from console.exits import CommandFailed, Exit, say
from orders import four_eyes
from orders.errors import TopUpError
from orders.shown_text import one_line
from reconciliation.days import is_over
from reconciliation.differences import Difference
from reconciliation.run import Report
from reconciliation.summary import Summary
from runtime.clock import SystemClock
from workers.reconciling import open_reconciliation

Shape = Literal["table", "json", "csv"]
NO_KEY_NEEDED: Final = bytes(32)
"""Reconciliation reads no encrypted column."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""In the width of Chinese text too: spreadsheets of East Asia take these for the same."""


async def run(settings: ReconcileSettings, day: str, provider: str | None, *, as_json: bool) -> Exit:
    """Reconcile a day; the exit code of contracts §10."""
    clock = SystemClock()
    if not is_over(day, clock.now()):
        raise CommandFailed(f"{day} is not over in China: its bills are there on the next day.", code=Exit.WRONG_USAGE)
    if provider is not None and provider not in settings.payments:
        known = ", ".join(settings.payments) or "none"
        raise CommandFailed(
            f"{provider} is not configured here ({known} is): set its variables.", code=Exit.WRONG_USAGE
        )
    async with _book(settings) as book, open_reconciliation(settings, book, clock, _called) as reconciliation:
        with _sentences():
            report = await reconciliation.run(day, provider)
    code = exit_of(report)
    _print_report(report, code, as_json=as_json)
    return code


def exit_of(report: Report) -> Exit:
    """A bill that is missing comes before differences that are open."""
    if report.not_whole:
        return Exit.WRONG_USAGE
    return Exit.NOT_OK if report.open_differences else Exit.OK


async def show(settings: DifferencesSettings, day: str, *, open_only: bool, shape: Shape) -> None:
    """Print differences."""
    async with _books(settings) as books:
        with _sentences():
            found = await books.differences(day=day, open_only=open_only)
    if shape == "json":
        print_json([as_shown(one) for one in found])
    elif shape == "csv":
        _print_csv([as_shown(one) for one in found], tuple(_COLUMNS))
    elif found:
        out.print(_table(found))
    else:
        out.print("There is no difference." if not open_only else "There is no open difference.")


async def resolve(settings: DifferencesSettings, difference: str, *, operator: str, note: str, as_json: bool) -> None:
    """Close one; where two persons are demanded, once another operator gives the same word within the hour."""
    async with _books(settings) as books:
        with _sentences():
            closed = await books.resolve(difference, operator=operator, note=note, two_persons=settings.two_persons)
    if as_json:
        print_json(as_shown(closed))
    elif proposal := _proposal(closed):
        out.print(shown(f"{proposal}. Nothing follows yet: another operator must give it too."), soft_wrap=True)
    else:
        out.print(f"{closed.id} ({closed.kind}) is resolved by {closed.operator}.", markup=False, soft_wrap=True)


async def summary(settings: DifferencesSettings, day: str, *, shape: Shape) -> None:
    """Print the page for finance."""
    async with _books(settings) as books:
        with _sentences():
            page = await page_of(books, day)
    if shape == "json":
        print_json(
            {
                "day": page.day,
                "paid": asdict(page.paid),
                **{place: asdict(amount) for place, amount in page.places.items()},
                "left_over_fen": page.left_over_fen,
                "goodwill": asdict(page.goodwill),
                "lost": asdict(page.lost),
                "open_differences": page.open_differences,
                "not_whole": list(page.not_whole),
            }
        )
        return
    rows = [
        {"what": name, "payments": amount.count, "fen": amount.fen}
        for name, amount in (("paid", page.paid), *page.places.items())
    ]
    rows.append({"what": "left_over", "payments": "", "fen": page.left_over_fen})
    rows.append({"what": "goodwill", "payments": page.goodwill.count, "fen": page.goodwill.fen})
    rows.append({"what": "lost", "payments": page.lost.count, "fen": page.lost.fen})
    if shape == "csv":
        _print_csv(rows, ("what", "payments", "fen"))
        return
    table = Table(f"{day}", box=None, pad_edge=False)
    for heading in ("payments", "fen"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(str(row["what"]).replace("_", " "), str(row["payments"]), f"{row['fen']:,}")
    out.print(table)
    out.print(f"{page.open_differences} differences of the day are open.")
    for source in page.not_whole:
        out.print(f"Without the bill or statement of {source}, which is not whole.", markup=False)


async def page_of(books: ReconciliationBook, day: str) -> Summary:
    """The page of a day, as the book stands now.

    Raises:
        Unavailable: the order book can't be read.
    """
    page = Summary(day)
    for provider in await books.providers():
        async for payments in books.payments_paid_on(provider, day):
            for payment in payments:
                page.add(payment)
    page.add_differences(await books.differences(day=day))
    page.not_whole = tuple(await books.not_whole(day))
    return page


# --- how they are shown ------------------------------------------------------------------------------------------

_COLUMNS: Final = (
    "id",
    "kind",
    "state",
    "day",
    "age_days",
    "source",
    "order_id",
    "transaction_id",
    "book_fen",
    "outside_fen",
    "put_as",
    "first_seen",
    "closed_at",
    "operator",
    "note",
    "why",
    "proposal",
)


def as_shown(one: Difference) -> dict[str, Any]:
    """A difference as JSON and CSV have it."""
    values = asdict(one) | {"age_days": one.age_days(datetime.now(UTC)), "proposal": _proposal(one)}
    return {name: value.isoformat() if isinstance(value := values[name], datetime) else value for name in _COLUMNS}


def _proposal(one: Difference) -> str:
    return four_eyes.open_proposal(one, datetime.now(UTC)) if one.state == "open" else ""


def _table(differences: Sequence[Difference]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "kind", "state", "day", "days old", "book fen", "outside fen", "why"):
        table.add_column(heading, justify="right" if "fen" in heading or "old" in heading else "left", overflow="fold")
    now = datetime.now(UTC)
    for one in differences:
        why = f"{one.operator}: {one.note}" if one.state == "resolved" else one.why
        why = f"{proposal}. {why}" if (proposal := _proposal(one)) else why
        amounts = ["" if fen is None else str(fen) for fen in (one.book_fen, one.outside_fen)]
        cells = [one.id, one.kind, one.state, one.day, str(one.age_days(now)), *amounts, why]
        table.add_row(*(shown(cell) for cell in cells))
    return table


def _print_report(report: Report, code: Exit, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "day": report.day,
                "exit": int(code),
                "looked_at": report.looked_at,
                "opened": report.opened,
                "closed": report.closed,
                "put": report.put,
                "not_whole": report.not_whole,
                "unanswered": report.unanswered,
                "open": [as_shown(one) for one in report.open],
            }
        )
        return
    for source, why in report.not_whole.items():
        say(f"{source}: {why}")
    for sentence in report.unanswered:
        say(sentence)
    if report.open:
        out.print(_table(report.open))
    waiting = len(report.open) - report.open_differences
    out.print(
        f"{report.day}: {report.looked_at} payments and orders looked at, {report.open_differences} differences open, "
        f"{waiting} wait for the next days' bills, {report.closed} closed themselves, {report.put} put to Kafka.",
        soft_wrap=True,
    )


def _print_csv(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(row[name]) for name in columns})


def _cell(value: object) -> object:
    """A text from outside is no formula of a spreadsheet."""
    if not isinstance(value, str):
        return value
    plain = one_line(value)
    return f"'{plain}" if plain.startswith(_FORMULA) else plain


# --- the book ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _book(settings: DifferencesSettings | ReconcileSettings) -> AsyncGenerator[OrderBook, None]:
    book = OrderBook.open(settings.database_url, FieldCipher(NO_KEY_NEEDED), SystemClock())
    try:
        yield book
    finally:
        await book.close()


@asynccontextmanager
async def _books(settings: DifferencesSettings) -> AsyncGenerator[ReconciliationBook, None]:
    async with _book(settings) as book:
        yield book.reconciliation()


class _sentences:  # noqa: N801 - reads as a word of the block that it begins
    """What the product itself says becomes the command's sentence."""

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Say it."""
        if isinstance(error, TopUpError):
            raise CommandFailed(str(error)) from error


def _called(kind: str, **fields: object) -> None:
    """An alert of a command is a sentence on standard error; the worker's metrics count what is open."""
    del kind
    say(f"ALERT {fields.get('differs')}: {fields.get('difference')}. {fields.get('sentence')}")
