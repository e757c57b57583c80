"""One order in full: its run, what to do now, and what the order book has of it where that can be opened."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from rich.markdown import Markdown
from rich.table import Table

from adapters.order_book.book import Event, NoticeState, OrderBook, UnknownOrder
from adapters.order_book.worked_on import WorkedOn
from console import goodwill, runs
from console.connecting import order_book, temporal_client
from console.display import out, print_json, shown
from console.exits import CommandFailed
from console.stranded import NOBODY, not_confirmed_for_long, what_helps
from console.tables import status_markup
from orders.errors import TopUpError
from orders.identities import refund_number
from orders.state import OrderState
from orders.trace import trace_id
from runtime.settings.groups import OrdersAccess

LAST_EVENTS: Final = 5
_SHOWN_ELSEWHERE: Final = frozenset({"order_id", "status", "reason", "needs_operator", "first_pass", "body", "outcome"})


@dataclass(slots=True)
class Found:
    """What could be found about one order."""

    order_id: str
    trace_id: str = ""
    """Of the order's trace at the collector, and of its log lines, where orders are traced."""
    run: str = ""
    """The latest run, as in `Listed`; empty where Temporal was not reached."""
    status: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the open run says of itself (query `status`); of an order without one, what the book says, in its words."""
    do_now: str = ""
    """What to do, as the Web UI shows it: Markdown."""
    book: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timeline: Sequence[Event] = ()
    notices: Sequence[NoticeState] = ()
    goodwill: Sequence[Mapping[str, Any]] = ()
    """What was given back after the delivery, or is proposed to be."""
    remarks: list[str] = field(default_factory=list[str])
    """Sentences on what could not be asked."""

    @property
    def known(self) -> bool:
        """Whether the run or the book has the order."""
        return bool(self.status or self.timeline)


async def look(settings: OrdersAccess, order_id: str) -> Found:
    """Ask the run and the book; what one of them can't say stands in the remarks."""
    found = Found(order_id, trace_id(order_id))
    entry = await _read_book(settings, found)
    try:
        await _ask_the_run(settings, found)
    except CommandFailed as failure:
        found.remarks.extend(failure.sentences)
    if entry is not None and not found.status:
        found.status = _from_book(entry)
    if entry is not None and entry.outcome is None and found.run not in ("", "running"):
        found.do_now = f"**{NOBODY}.** {what_helps(order_id, found.run)}"
    elif entry is not None and not entry.needs_operator and not_confirmed_for_long(entry, datetime.now(UTC)):
        found.do_now = _silent_refund(order_id, entry)
    return found


def _silent_refund(order_id: str, entry: OrderState) -> str:
    number = refund_number(order_id, entry.refund_sequence)
    return (
        f"**The provider has not confirmed the refund since {_text(entry.refund_at)}.** It is asked about on and on, "
        f"and nothing is sent twice. Look at its merchant platform by `{number}`. Paid there: `topup orders retry "
        f"{order_id}`. Not paid after a day: ask the provider's service with that number (docs/runbook.md, The refund "
        "is silent)."
    )


async def _ask_the_run(settings: OrdersAccess, found: Found) -> None:
    client = await temporal_client(settings)
    latest = await runs.latest_run(client, found.order_id, settings.task_queue)
    found.run = latest.run if latest else "none"
    if latest is None:
        found.remarks.append(f"Temporal has no run for order {found.order_id}: it has forgotten it, or it never was.")
        return
    started = Event(latest.started_at, "run_started", {"run": latest.run, "by": "Temporal, the latest run"})
    found.timeline = sorted([*found.timeline, started], key=lambda event: event.at) if found.timeline else []
    if latest.run in ("running", "completed"):  # what any other run says of itself is no longer true
        found.status = await runs.status(client, found.order_id, settings.task_queue)
        if latest.run == "running":
            found.do_now = await runs.details(client, found.order_id, settings.task_queue)


async def _read_book(settings: OrdersAccess, found: Found) -> OrderState | None:
    async with order_book(settings) as book:
        if book is None:
            found.remarks.append("Set TOPUP_DATABASE_URL and TOPUP_PII_KEY to see what the order book has of it too.")
            return None
        try:
            entry, found.notices = await _read_with_notices(book, found.order_id)
            order_id = found.order_id.partition("/")[0]  # a goodwill refund's lines stand in its order's trail
            found.timeline = await book.events(order_id)
            given = await book.goodwill.of(order_id)
            now = datetime.now(UTC)
            found.goodwill = [goodwill.shown(one, now) for one in given if found.order_id in (order_id, one.name)]
        except UnknownOrder:
            found.remarks.append(f"The order book has no order {found.order_id}.")
        except TopUpError as error:
            found.remarks.append(str(error))
        else:
            found.book = _worth_showing(entry)
            return entry
    return None


async def _read_with_notices(book: OrderBook, name: str) -> tuple[OrderState, Sequence[NoticeState]]:
    stored, notices = await WorkedOn(book).read_with_notices(name)
    return stored.state, notices


def _from_book(entry: OrderState) -> Mapping[str, Any]:
    return {
        "order_id": entry.order_id,
        "state": entry.status,
        "reason": entry.shown_reason,
        "needs_operator": entry.needs_operator,
    }


def _worth_showing(entry: OrderState) -> Mapping[str, Any]:
    """The row's columns that say something."""
    columns = {column.name: getattr(entry, column.name) for column in dataclasses.fields(entry)}
    if entry.refund_sequence:  # what a provider's desk and merchant platform look for
        columns["refund_number"] = refund_number(entry.order_id, entry.refund_sequence)
    return {
        name: value
        for name, value in columns.items()
        if name not in _SHOWN_ELSEWHERE and value not in ("", None, 0, False)
    }


def print_order(found: Found, *, all_events: bool, as_json: bool) -> None:
    """The order for a person, or (with all events) as JSON."""
    if as_json:
        print_json(asdict(found))
        return
    if found.status:
        state = str(found.status.get("state", ""))
        needs = ", [red]needs an operator[/red]" if found.status.get("needs_operator") else ""
        run = f"  (run: {found.run})" if found.run else ""
        out.print(f"[bold]{shown(found.order_id)}[/bold]  {status_markup(state)}{needs}{run}")
        for name, value in found.status.items():
            if name not in {"order_id", "state", "needs_operator"} and value not in ("", None, [], {}):
                out.print(f"  {shown(name)}: {shown(_text(value))}", soft_wrap=True)
    if found.known:
        out.print(f"  trace: {found.trace_id}")
    if found.do_now:
        out.print(Markdown(found.do_now, hyperlinks=False))
    for name, value in found.book.items():
        out.print(f"  book: {name}: {shown(_text(value))}", soft_wrap=True)
    for line in (*map(_notice, found.notices), *map(goodwill.line, found.goodwill)):
        out.print("  " + shown(line), soft_wrap=True)
    _print_events(found.timeline, all_events=all_events)
    for remark in found.remarks:
        out.print(shown(remark), soft_wrap=True)


def _notice(notice: NoticeState) -> str:
    remark = f" ({notice.remark})" if notice.remark else ""
    return f"notice {notice.result} on {notice.platform}: {notice.state}{remark}"


def _print_events(events: Sequence[Event], *, all_events: bool) -> None:
    if not events:
        return
    listed = events if all_events else events[-LAST_EVENTS:]
    table = Table(box=None, pad_edge=False)
    for heading in ("when (UTC)", "what", "details"):
        table.add_column(heading, no_wrap=heading != "details")
    for event in listed:
        details = ", ".join(
            f"{shown(name)}: {shown(value)}" for name, value in event.detail.items() if value not in ("", None)
        )
        table.add_row(_moment(event.at), shown(event.kind), details)
    out.print(table)
    if len(listed) < len(events):
        out.print(f"{len(events) - len(listed)} earlier events: --events shows them.")


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{_moment(value)} UTC"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else str(value)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
