"""`topup orders …`: what an operator sees of orders and does with them."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from console.exits import Exit

if TYPE_CHECKING:
    from temporalio.client import Client

T = TypeVar("T")

app = typer.Typer(
    help="See what becomes of orders, and free those that wait for a person.",
    epilog="Example: topup orders list",
    no_args_is_help=True,
)

OrderArgument = Annotated[str, typer.Argument(metavar="ORDER", help="Order ID, or its workflow ID (topup/…).")]
Operator = Annotated[str, typer.Option("--operator", help="Who does this; goes into the order's history.")]
Note = Annotated[str, typer.Option("--note", help="Why; goes into the order's history.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        return ""


@app.command("list", epilog="Example: topup orders list --query 'TopUpStatus = \"refunding\"' --json")
def list_orders(
    *,
    query: Annotated[
        str, typer.Option(help="Temporal visibility query; default: the orders that need an operator.")
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="All orders that Temporal knows.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 100,
    as_json: Json = False,
) -> None:
    """List orders, newest first; without options those that wait for a person."""
    from console import runs, tables  # noqa: PLC0415 - heavy

    wanted = query if query or every else runs.NEED_AN_OPERATOR
    found = _with_temporal(lambda client: runs.listed(client, wanted, limit))
    tables.print_orders(
        found,
        as_json=as_json,
        none="No order needs an operator." if wanted == runs.NEED_AN_OPERATOR else "No such order.",
    )


@app.command(epilog="Example: topup orders show T20230821183406000001")
def show(order: OrderArgument, *, as_json: Json = False) -> None:
    """Show where one order stands, what it waits for, and what happened to it so far."""
    from console import runs, showing  # noqa: PLC0415 - heavy
    from console.settings import settings_for  # noqa: PLC0415 - heavy

    order_id = runs.order_id_from(order)
    found = asyncio.run(showing.look(settings_for("doctor"), order_id))
    showing.print_order(found, as_json=as_json)
    raise typer.Exit(Exit.OK if found.known else Exit.NOT_OK)


@app.command(epilog='Example: topup orders retry T20230821183406000001 --note "the carrier is back"')
def retry(order: OrderArgument, *, note: Note = "", operator: Operator = "", as_json: Json = False) -> None:
    """Do now what the order waits to do again (update `retry_now`)."""
    _update(order, "retry_now", {"operator": operator or _me(), "note": note}, as_json=as_json)


class Outcome(StrEnum):
    """What a person can have found out about an order."""

    DELIVERED = "delivered"
    NOT_DELIVERED = "not_delivered"
    REFUNDED = "refunded"


@app.command(
    epilog='Example: topup orders resolve T20230821183406000001 --outcome refunded --note "bank transfer 4711"'
)
def resolve(
    order: OrderArgument,
    *,
    outcome: Annotated[Outcome, typer.Option(help="What became of the order.")],
    note: Note = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Tell the order what a person has found out (update `resolve`); the note says from whom, with a reference.

    delivered: the carrier says that it was delivered. not_delivered: that it never will be; refunds nothing by itself,
    the serial is burnt first. refunded: the money went back on another way.
    """
    message = {"operator": operator or _me(), "note": note, "outcome": outcome.value}
    _update(order, "resolve", message, as_json=as_json)


@app.command(epilog='Example: topup orders cancel T20230821183406000001 --note "the customer called"')
def cancel(order: OrderArgument, *, note: Note = "", operator: Operator = "", as_json: Json = False) -> None:
    """Cancel an order: refunded once the carrier has confirmed that it will never deliver; else it stays delivered."""
    from console import runs, tables  # noqa: PLC0415 - heavy

    order_id = runs.order_id_from(order)
    reason = f"{operator or _me()}: {note}"
    said = _with_temporal(lambda client: runs.cancel(client, order_id, reason))
    tables.print_done(order_id, said, as_json=as_json)


@app.command(epilog="Example: topup orders reopen T20230821183406000001")
def reopen(order: OrderArgument, *, as_json: Json = False) -> None:
    """Take up an order again whose run was terminated or is gone with its money unsettled.

    The new run asks the carrier before it sends anything to it. Refused while a run is open or the order is settled.
    """
    from console import reopening, runs, tables  # noqa: PLC0415 - heavy
    from console.settings import settings_for  # noqa: PLC0415 - heavy

    order_id = runs.order_id_from(order)
    said = asyncio.run(reopening.reopen(settings_for("orders"), order_id))
    tables.print_done(order_id, said, as_json=as_json)


def _update(order: str, name: str, message: dict[str, str], *, as_json: bool) -> None:
    from console import runs, tables  # noqa: PLC0415 - heavy

    order_id = runs.order_id_from(order)
    said = _with_temporal(lambda client: runs.update(client, order_id, name, message))
    tables.print_done(order_id, said, as_json=as_json)


def _with_temporal(work: "Callable[[Client], Awaitable[T]]") -> T:
    """Connect with the settings of the environment and do one thing."""
    from console.connecting import temporal_client  # noqa: PLC0415 - heavy
    from console.settings import settings_for  # noqa: PLC0415 - heavy

    async def connected() -> T:
        return await work(await temporal_client(settings_for("doctor")))

    return asyncio.run(connected())
