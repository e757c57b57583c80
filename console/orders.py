"""`topup orders …`: what an operator sees of orders and does with them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer

from console.exits import Exit
from console.options import Json, NeededNote, Note, Operator, word

if TYPE_CHECKING:
    from temporalio.client import Client

    from adapters.order_book.field_cipher import Personal as FiledUnder
    from console.choosing import Choice

app = typer.Typer(
    help="See what becomes of orders, and free those that wait for a person.",
    epilog="Example: topup orders list",
    no_args_is_help=True,
)

OrderArgument = Annotated[str, typer.Argument(metavar="ORDER", help="Order ID, or its workflow ID (topup/…).")]
OrdersArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ORDER]...", help="Order IDs, or workflow IDs (topup/…).")
]
Query = Annotated[
    str,
    typer.Option("--query", help="Instead of ORDER: all open orders that match this Temporal visibility query."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show which orders it would be.")]
Yes = Annotated[
    int | None,
    typer.Option("--yes", metavar="N", min=0, help="Go on if exactly N orders match, the number you looked at."),
]
BY_HAND = "asked by hand"


class Outcome(StrEnum):
    """What a person can have found out about an order."""

    DELIVERED = "delivered"
    NOT_DELIVERED = "not_delivered"
    REFUNDED = "refunded"


class Personal(StrEnum):
    """What of a person an order can be found by."""

    VIN = "vin"
    ICCID = "iccid"
    PHONE = "phone"


_FILED_UNDER: Final["dict[Personal, FiledUnder]"] = {
    Personal.VIN: "vehicle",
    Personal.ICCID: "iccid",
    Personal.PHONE: "msisdn",
}


@app.command("list", epilog="Example: topup orders list --query 'TopUpStatus = \"refunding\"' --json")
def list_orders(
    *,
    query: Annotated[str, typer.Option(help="A Temporal visibility query, instead of those that need a person.")] = "",
    every: Annotated[bool, typer.Option("--all", help="All orders that Temporal knows.")] = False,
    stranded: Annotated[bool, typer.Option("--stranded", help="Only those that nobody works on.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """List orders, newest first; without options those that need a person, or that nobody works on."""
    from console import listing, tables  # noqa: PLC0415 - heavy
    from console.settings import OrdersSettings, RunsSettings, settings_for  # noqa: PLC0415 - heavy

    if sum((bool(query), every, stranded)) > 1:
        raise typer.BadParameter("give one of --query, --all and --stranded")
    settings = settings_for(OrdersSettings if stranded else RunsSettings)
    which = listing.Which.STRANDED if stranded else listing.Which.ALL if query or every else listing.Which.TROUBLED
    found, remark = asyncio.run(listing.orders(settings, which, query, limit))
    none = {
        listing.Which.ALL: "No such order.",
        listing.Which.STRANDED: "Each order that is not settled has its run.",
        listing.Which.TROUBLED: "No order needs a person.",
    }[which]
    tables.print_orders(found, as_json=as_json, none=none, remark=remark)


@app.command("of-vehicle", epilog="Example: topup orders of-vehicle < vin.txt")
def of_vehicle(*, as_json: Json = False) -> None:
    """List a vehicle's orders; the VIN comes on standard input, so that no shell history and no process list has it."""
    _find("", Personal.VIN, as_json=as_json)


@app.command(
    epilog="Example: topup orders find 4200001923202308213518640001   or: topup orders find --by phone < phone"
)
def find(
    number: Annotated[
        str,
        typer.Argument(metavar="[NUMBER]", help="The payment's transaction number, or the merchant's order number."),
    ] = "",
    *,
    by: Annotated[
        Personal | None, typer.Option(help="Instead of NUMBER: a personal value, read from standard input.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find orders by what a complainant knows; personal values come on standard input, so that no history has them.

    By number, unmatched payments and dead letters are looked through too.
    """
    if bool(number) == bool(by):
        raise typer.BadParameter("give a number, or --by vin, iccid or phone with the value on standard input")
    _find(number, by, as_json=as_json)


def _find(number: str, by: Personal | None, *, as_json: bool) -> None:
    from console import listing, tables  # noqa: PLC0415 - heavy
    from console.settings import OrdersSettings, settings_for  # noqa: PLC0415 - heavy

    value = number
    if by is not None:
        value = typer.prompt(by.name) if sys.stdin.isatty() else sys.stdin.readline()
    kind = None if by is None else _FILED_UNDER[by]
    found, remark = asyncio.run(listing.find(settings_for(OrdersSettings), kind, value.strip()))
    none = "This vehicle has no order." if by is Personal.VIN else "There is no such order."
    tables.print_orders(found, as_json=as_json, none=none, remark=remark)


@app.command(epilog="Example: topup orders show T20230821183406000001 --events")
def show(
    order: OrderArgument,
    *,
    events: Annotated[bool, typer.Option("--events", help="The whole audit trail, not only its end.")] = False,
    as_json: Json = False,
) -> None:
    """Show where one order stands, what to do now, and what happened to it so far."""
    from console import runs, showing  # noqa: PLC0415 - heavy
    from console.settings import RunsSettings, settings_for  # noqa: PLC0415 - heavy

    order_id = runs.order_id_from(order)
    found = asyncio.run(showing.look(settings_for(RunsSettings), order_id))
    showing.print_order(found, all_events=events, as_json=as_json)
    raise typer.Exit(Exit.OK if found.known else Exit.NOT_OK)


@app.command(epilog='Example: topup orders retry T20230821183406000001 --note "the carrier is back"')
def retry(
    orders: OrdersArgument = None,
    *,
    query: Query = "",
    dry_run: DryRun = False,
    yes: Yes = None,
    note: Note = BY_HAND,
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Do now what the order waits to do again (update `retry_now`)."""
    choice = _choice(orders, query=query, dry_run=dry_run, yes=yes)
    _update(choice, query, "retry_now", word(operator, note), as_json=as_json)


@app.command(
    epilog='Example: topup orders resolve T20230821183406000001 --outcome refunded --note "bank transfer 4711"'
)
def resolve(
    orders: OrdersArgument = None,
    *,
    outcome: Annotated[Outcome, typer.Option(help="What became of the order.")],
    query: Query = "",
    dry_run: DryRun = False,
    yes: Yes = None,
    note: NeededNote = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Tell the order what a person has found out (update `resolve`); the note says from whom, with a reference.

    delivered: the carrier says that it was delivered. not_delivered: that it never will be; refunds nothing by itself,
    the serial is burnt first. refunded: the money went back on another way.
    """
    choice = _choice(orders, query=query, dry_run=dry_run, yes=yes)
    _update(choice, query, "resolve", word(operator, note) | {"outcome": outcome.value}, as_json=as_json)


@app.command(epilog='Example: topup orders refund T20230821183406000001 --note "the customer called, ticket 4711"')
def refund(
    orders: OrdersArgument = None,
    *,
    query: Query = "",
    dry_run: DryRun = False,
    yes: Yes = None,
    note: NeededNote = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Have an order cancelled at the carrier and then refunded (update `refund_now`); refunds nothing in doubt."""
    choice = _choice(orders, query=query, dry_run=dry_run, yes=yes)
    _update(choice, query, "refund_now", word(operator, note), as_json=as_json)


@app.command(epilog='Example: topup orders cancel T20230821183406000001 --note "the customer called"')
def cancel(
    orders: OrdersArgument = None,
    *,
    query: Query = "",
    dry_run: DryRun = False,
    yes: Yes = None,
    note: Note = BY_HAND,
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Cancel an order: refunded once the carrier has confirmed that it will never deliver; else it stays delivered."""
    from console import runs  # noqa: PLC0415 - heavy

    choice = _choice(orders, query=query, dry_run=dry_run, yes=yes)
    said = word(operator, note)
    reason = f"{said['operator']}: {said['note']}"
    _act(choice, query, "a cancel", lambda client, queue, one: runs.cancel(client, one, queue, reason), as_json=as_json)


@app.command(epilog='Example: topup orders renotify T20230821183406000001 --note "the platform is back"')
def renotify(
    orders: OrdersArgument = None,
    *,
    query: Query = "",
    dry_run: DryRun = False,
    yes: Yes = None,
    note: Note = BY_HAND,
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Publish the notices that a platform has not acknowledged again now (update `renotify`)."""
    choice = _choice(orders, query=query, dry_run=dry_run, yes=yes)
    _update(choice, query, "renotify", word(operator, note), as_json=as_json)


@app.command(epilog="Example: topup orders reopen T20230821183406000001   or: topup orders reopen --stranded --dry-run")
def reopen(
    orders: OrdersArgument = None,
    *,
    stranded: Annotated[
        bool, typer.Option("--stranded", help="Instead of ORDER: all that nobody works on (`topup orders list`).")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = None,
    as_json: Json = False,
) -> None:
    """Take up an order again whose run was terminated or is gone with its money unsettled.

    The new run asks the carrier before it sends anything to it. Refused while a run is open or the order is settled.
    """
    from console import choosing, reopening  # noqa: PLC0415 - heavy
    from console.settings import OrdersSettings, settings_for  # noqa: PLC0415 - heavy

    choice = choosing.checked(orders, by_search=stranded, dry_run=dry_run, confirmed=yes)
    raise typer.Exit(asyncio.run(reopening.reopen(settings_for(OrdersSettings), choice, as_json=as_json)))


@app.command(
    epilog="Example: topup orders goodwill T20230821183406000001 --amount-fen 500 --reason 'late, ticket 4711'"
)
def goodwill(
    order: OrderArgument,
    *,
    amount_fen: Annotated[
        int, typer.Option("--amount-fen", min=0, metavar="N", help="How much is given back, in fen (1 yuan = 100 fen).")
    ] = 0,
    give_up: Annotated[
        int, typer.Option("--give-up", min=0, metavar="N", help="Instead: end goodwill N, which the provider refuses.")
    ] = 0,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, with a reference; goes into the audit trail, not to the customer.")
    ] = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Give money back for an order that was delivered, and stays delivered: all of it, or a part.

    Two persons decide: the first one's command proposes, the same command by another within 1 h confirms, whatever
    TOPUP_TWO_PERSONS says. The same command of the same person, given again, is the same refund: for a second one give
    another reason.
    """
    from console import goodwill as giving  # noqa: PLC0415 - heavy
    from console import runs  # noqa: PLC0415 - heavy
    from console.settings import GoodwillSettings, settings_for  # noqa: PLC0415 - heavy

    if bool(amount_fen) == bool(give_up):
        raise typer.BadParameter("give --amount-fen, or --give-up: one of the two, above 0")
    said, order_id = word(operator, reason, option="--reason"), runs.order_id_from(order)
    settings = settings_for(GoodwillSettings)
    if give_up:
        work = giving.give_up(settings, order_id, give_up, said, as_json=as_json)
    else:
        work = giving.give(settings, order_id, amount_fen, said, as_json=as_json)
    asyncio.run(work)


@app.command("erase-person", epilog='Example: topup orders erase-person --note "request 4711" --yes 3 < vin.txt')
def erase_person(
    *, dry_run: DryRun = False, yes: Yes = None, note: NeededNote = "", operator: Operator = "", as_json: Json = False
) -> None:
    """Take a person out of a vehicle's settled orders: vehicle data goes for good, the money's trail stays.

    The VIN comes on standard input. Orders that are not settled, or whose car has not got its notice, are named and
    left. A record that comes again stays a duplicate.
    """
    from console import erasing  # noqa: PLC0415 - heavy
    from console.settings import OrdersSettings, settings_for  # noqa: PLC0415 - heavy

    said = word(operator, note)
    vin = (typer.prompt("VIN") if sys.stdin.isatty() else sys.stdin.readline()).strip().upper()
    work = erasing.erase_vehicle(settings_for(OrdersSettings), vin, **said, dry_run=dry_run, yes=yes, as_json=as_json)
    raise typer.Exit(asyncio.run(work))


@app.command(
    "retire-platform", epilog='Example: topup orders retire-platform legacy --note "switched off, ticket 4711"'
)
def retire_platform(
    platform: Annotated[str, typer.Argument(metavar="PLATFORM", help="Its name in TOPUP_MQTT_BROKERS.")],
    *,
    dry_run: DryRun = False,
    note: NeededNote = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """End the notices that wait for an MQTT platform that is no more; what each car was told elsewhere stands.

    First take it out of TOPUP_MQTT_BROKERS and restart the workers: one that is configured is tried on.
    """
    from console import retiring  # noqa: PLC0415 - heavy
    from console.settings import OrdersSettings, settings_for  # noqa: PLC0415 - heavy

    said = word(operator, note)
    work = retiring.retire_platform(settings_for(OrdersSettings), platform, **said, dry_run=dry_run, as_json=as_json)
    raise typer.Exit(asyncio.run(work))


@app.command(epilog="Example: topup orders verify --json   or: topup orders verify T20230821183406000001")
def verify(orders: OrdersArgument = None, *, as_json: Json = False) -> None:
    """Verify that the audit trail is as it was written; exit code 1 names the orders whose trail is broken.

    Keep the printed digest elsewhere: while the book is the same, it is the same.
    """
    from console import runs, verifying  # noqa: PLC0415 - heavy
    from console.settings import OrdersSettings, settings_for  # noqa: PLC0415 - heavy

    names = [runs.order_id_from(one) for one in orders or ()]
    raise typer.Exit(asyncio.run(verifying.verify(settings_for(OrdersSettings), names, as_json=as_json)))


def _choice(orders: list[str] | None, *, query: str, dry_run: bool, yes: int | None) -> "Choice":
    from console import choosing  # noqa: PLC0415 - heavy

    return choosing.checked(orders, by_search=bool(query), dry_run=dry_run, confirmed=yes)


def _update(choice: "Choice", query: str, name: str, message: dict[str, str], *, as_json: bool) -> None:
    from console import runs  # noqa: PLC0415 - heavy

    def update(client: "Client", task_queue: str, order_id: str) -> Awaitable[str]:
        return runs.update(client, order_id, task_queue, name, message)

    _act(choice, query, name, update, as_json=as_json)


def _act(
    choice: "Choice", query: str, what: str, action: "Callable[[Client, str, str], Awaitable[str]]", *, as_json: bool
) -> None:
    """Connect with the settings of the environment and act on the chosen orders."""
    from console import acting, choosing, listing, runs  # noqa: PLC0415 - heavy
    from console.connecting import temporal_client  # noqa: PLC0415 - heavy
    from console.settings import RunsSettings, settings_for  # noqa: PLC0415 - heavy

    settings = settings_for(RunsSettings)

    async def work() -> Exit:
        client = await temporal_client(settings)
        if choice.by_search:
            found = await runs.listed(client, settings.task_queue, query, choosing.MOST_ORDERS + 1, open_only=True)
        else:
            found = await listing.named(client, settings.task_queue, choice.names) if choice.dry_run else []
        names = [one.order_id for one in found] if choice.by_search else choice.names
        if not choosing.confirm(choice, found, len(names), what, as_json=as_json):
            return Exit.OK
        one = not choice.by_search and len(names) == 1
        return await acting.act(
            names, lambda order_id: action(client, settings.task_queue, order_id), one=one, as_json=as_json
        )

    raise typer.Exit(asyncio.run(work()))
