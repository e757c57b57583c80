"""Orders as a table on a terminal, or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from console.display import out, print_json, shown
from console.exits import say
from console.runs import Listed

_COLOURS = {"delivered": "green", "refunded": "cyan", "parked": "red", "in_doubt": "yellow", "refunding": "magenta"}


def status_markup(status: str) -> str:
    """A status in its colour."""
    colour = _COLOURS.get(status)
    return f"[{colour}]{status}[/{colour}]" if colour else shown(status)


def print_orders(orders: Sequence[Listed], *, as_json: bool, none: str, remark: str = "") -> None:
    """A line per order; `none` is said where there is none, `remark` (on standard error) of what is not shown."""
    if remark:
        say(remark)
    if as_json:
        print_json([asdict(order) for order in orders])
        return
    if not orders:
        out.print(none)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("order", "status", "person", "run", "package", "paid with", "since (UTC)", "why"):
        table.add_column(heading, no_wrap=heading in ("order", "status", "since (UTC)"))
    for order in orders:
        needs = "[red]needed[/red]" if order.needs_operator or order.stranded else ""
        since = order.started_at.strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            shown(order.order_id),
            status_markup(order.status),
            needs,
            shown(order.run),
            shown(order.package),
            shown(order.provider),
            since,
            shown(order.reason),
        )
    out.print(table)
