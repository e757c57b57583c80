"""Orders as a table on a terminal, or as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from console.display import out, print_json
from console.runs import Listed

_COLOURS = {"delivered": "green", "refunded": "cyan", "parked": "red", "in_doubt": "yellow", "refunding": "magenta"}


def status_markup(status: str) -> str:
    """A status in its colour."""
    colour = _COLOURS.get(status)
    return f"[{colour}]{status}[/{colour}]" if colour else status


def print_orders(orders: Sequence[Listed], *, as_json: bool, none: str) -> None:
    """A line per order; `none` is said where there is none."""
    if as_json:
        print_json([asdict(order) for order in orders])
        return
    if not orders:
        out.print(none)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("order", "status", "operator", "run", "package", "paid with", "since (UTC)"):
        table.add_column(heading, no_wrap=heading in ("order", "status"))
    for order in orders:
        needs = "[red]needed[/red]" if order.needs_operator else ""
        since = order.started_at.strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(
            order.order_id, status_markup(order.status), needs, order.run, order.package, order.provider, since
        )
    out.print(table)


def print_done(order_id: str, said: str, *, as_json: bool) -> None:
    """What an operator's action led to."""
    if as_json:
        print_json({"order_id": order_id, "ok": True, "says": said})
    else:
        out.print(said, markup=False, soft_wrap=True)
