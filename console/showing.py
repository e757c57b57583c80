"""One order in full: what its run says, and its timeline out of the order book where that can be opened."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.markup import escape
from rich.table import Table

from adapters.order_book import Event, NoticeState, OrderBook, UnknownOrder
from adapters.vault import Vault
from console import runs
from console.connecting import temporal_client
from console.display import out, print_json
from console.exits import CommandFailed
from console.tables import status_markup
from orders.errors import TopUpError
from runtime.clock import SystemClock
from runtime.settings import Settings


@dataclass(slots=True)
class Found:
    """What could be found about one order."""

    order_id: str
    status: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timeline: Sequence[Event] = ()
    notices: Sequence[NoticeState] = ()
    remarks: list[str] = field(default_factory=list[str])
    """Sentences on what could not be asked."""

    @property
    def known(self) -> bool:
        """Whether the run or the book has the order."""
        return bool(self.status or self.timeline)


async def look(settings: Settings, order_id: str) -> Found:
    """Ask the run and the book; what one of them can't say stands in the remarks."""
    found = Found(order_id)
    try:
        found.status = await runs.status(await temporal_client(settings), order_id)
    except CommandFailed as failure:
        found.remarks.extend(failure.sentences)
    await _read_book(settings, found)
    return found


async def _read_book(settings: Settings, found: Found) -> None:
    if not settings.database_url or not settings.pii_key:
        found.remarks.append("Set TOPUP_DATABASE_URL and TOPUP_PII_KEY to see the order's timeline too.")
        return
    book = OrderBook.open(settings.database_url, Vault(settings.pii_key), SystemClock())
    try:
        await book.read(found.order_id)
        found.timeline = await book.events(found.order_id)
        found.notices = await book.notices(found.order_id)
    except UnknownOrder:
        found.remarks.append(f"The order book has no order {found.order_id}.")
    except TopUpError as error:
        found.remarks.append(str(error))
    finally:
        await book.close()


def print_order(found: Found, *, as_json: bool) -> None:
    """The order for a person, or as JSON."""
    if as_json:
        print_json(asdict(found))
        return
    if found.status:
        state = str(found.status.get("state", ""))
        needs = ", [red]needs an operator[/red]" if found.status.get("needs_operator") else ""
        out.print(f"[bold]{found.order_id}[/bold]  {status_markup(state)}{needs}")
        for name, value in found.status.items():
            if name not in {"order_id", "state", "needs_operator"} and value not in ("", None, [], {}):
                text = json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else value
                out.print(f"  {name}: {text}", markup=False, soft_wrap=True)
    if found.timeline:
        table = Table(box=None, pad_edge=False)
        for heading in ("when (UTC)", "what", "details"):
            table.add_column(heading, no_wrap=heading != "details")
        for event in found.timeline:
            details = ", ".join(f"{name}: {value}" for name, value in event.detail.items() if value not in ("", None))
            table.add_row(event.at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3], event.kind, escape(details))
        out.print(table)
    for notice in found.notices:
        remark = f" ({notice.remark})" if notice.remark else ""
        out.print(
            f"  notice {notice.result} on {notice.platform}: {notice.state}{remark}", markup=False, soft_wrap=True
        )
    for remark in found.remarks:
        out.print(remark, markup=False, soft_wrap=True)
