"""Lists of orders: what Temporal shows, and what only the order book knows."""

from collections.abc import Sequence
from enum import Enum, auto

from temporalio.client import Client

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import Personal
from console import runs
from console.connecting import order_book, temporal_client
from console.exits import CommandFailed
from console.runs import Listed
from console.stranded import unsettled, with_reasons
from orders.errors import TopUpError
from runtime.settings.groups import OrdersAccess

NO_BOOK = "Set TOPUP_DATABASE_URL and TOPUP_PII_KEY to see why each waits, and the orders that nobody works on."


class Which(Enum):
    """What is asked for."""

    TROUBLED = auto()
    """Those that need a person, and those that nobody works on."""
    STRANDED = auto()
    """The latter alone."""
    ALL = auto()
    """All, or those of a query."""


async def orders(settings: OrdersAccess, which: Which, query: str, limit: int) -> tuple[list[Listed], str]:
    """The orders, and a sentence on what could not be looked at.

    Raises:
        CommandFailed: Temporal doesn't answer, or the query can't be read; for `STRANDED` also the book.
    """
    client = await temporal_client(settings)
    async with order_book(settings) as book:
        if which is Which.STRANDED:
            assert book is not None, "OrdersSettings has checked it"
            return (await stranded(client, book, settings))[:limit], ""
        wanted = runs.NEED_AN_OPERATOR if which is Which.TROUBLED else query
        found = await runs.listed(client, settings.task_queue, wanted, limit)
        if book is None:
            return found, NO_BOOK
        found = await with_reasons(book, found)
        if which is Which.ALL:
            return found, ""
        try:
            return (await unsettled(client, book, settings)).stranded[:limit] + found, ""
        except TopUpError as error:
            return found, str(error)


async def stranded(client: Client, book: OrderBook, settings: OrdersAccess) -> list[Listed]:
    """The orders that nobody works on.

    Raises:
        CommandFailed: Temporal or the book doesn't answer.
    """
    try:
        return (await unsettled(client, book, settings)).stranded
    except TopUpError as error:
        raise CommandFailed(str(error)) from error


async def find(settings: OrdersAccess, kind: Personal | None, value: str) -> tuple[list[Listed], str]:
    """The orders of a number (`kind` None) or of a personal value, and sentences on what Temporal doesn't have.

    The book finds personal values under every configured key, so that a rotation hides none; runs are then looked up
    by order.

    Raises:
        CommandFailed: Temporal or the book doesn't answer.
    """
    client = await temporal_client(settings)
    async with order_book(settings) as book:
        assert book is not None, "OrdersSettings has checked it"
        try:
            if kind is not None:
                order_ids, remarks = await book.filed_under(kind, *_spellings(kind, value)), list[str]()
            else:
                order_ids, remarks = await book.referred_to(value), await _not_orders(book, value)
        except TopUpError as error:
            raise CommandFailed(str(error)) from error
    found = await named(client, settings.task_queue, order_ids)
    forgotten = [one for one in order_ids if one not in {run.order_id for run in found}]
    if forgotten:
        sentence = f"Temporal has no run (any more) of {', '.join(forgotten)}: `topup orders show` reads the book."
        remarks = [sentence, *remarks]
    return found, "\n".join(remarks)


async def _not_orders(book: OrderBook, number: str) -> list[str]:
    """Sentences on the unmatched payments and dead letters of this number."""
    payments = await book.unmatched.of(number)
    letters = await book.letters.of(number)
    return [
        *(f"Unmatched payment {one.state.payment.name}: `topup payments show` says how it stands." for one in payments),
        *(f"Dead letter {one.place} names it: `topup dlq show {one.place}` says why it died." for one in letters),
    ]


def _spellings(kind: Personal, value: str) -> tuple[str, ...]:
    """As people write it, and as a record may have it."""
    match kind:
        case "vehicle":
            return (value.upper(),)
        case "iccid":  # the last of 20 digits is a check digit, which not everybody writes
            digits = "".join(filter(str.isdigit, value))
            return (digits, digits[:19])
        case "msisdn":  # with and without the country's code
            digits = "".join(filter(str.isdigit, value))
            return (digits, f"86{digits}", digits.removeprefix("86"))


async def named(client: Client, task_queue: str, order_ids: Sequence[str]) -> list[Listed]:
    """The latest runs of these orders, those that there are."""
    found = [await runs.latest_run(client, order_id, task_queue) for order_id in order_ids]
    return [one for one in found if one is not None]
