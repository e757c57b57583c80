"""The statement of a carrier that speaks the TMF622 profile: orders in a final state, by their day (contracts §4)."""

import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Final, cast

from adapters.carriers.tmf622.client import Tmf622Carrier
from adapters.http import NoResponse, Reply, as_object, parse_json, send
from adapters.wording import reference, text_of
from reconciliation.days import day_of, span
from reconciliation.evidence import Sale
from reconciliation.ports import NotWhole, ReadAgain

PAGE_ORDERS: Final = 500
"""Half of what the profile allows: a page stays well below what is read of one answer."""
ASK_SECONDS: Final = 60.0
"""For a page; nobody waits for it, and the run asks again an hour later."""
FINAL_STATES: Final = frozenset({"completed", "rejected", "failed", "cancelled", "partial"})
_LONGEST_ID: Final = 64
_COUNT: Final = re.compile(r"[0-9]{1,8}")
_TOTAL: Final = "X-Total-Count"


class Tmf622Statements:
    """`reconciliation.ports.Statements` over HTTP."""

    def __init__(self, carrier: Tmf622Carrier) -> None:
        self._carrier = carrier

    async def read(self, day: str) -> AsyncIterator[Sequence[Sale]]:
        """The final states of a day in China, a page at a time.

        Raises:
            ReadAgain: the count changed between pages, or differs in the end.
            NotWhole: it can't be had, or isn't to be understood.
        """
        begin, end = span(day)
        total, offset = -1, 0
        while True:
            reply = await self._page(begin, end, offset)
            count = reply.headers.get(_TOTAL, "")
            if _COUNT.fullmatch(count) is None:
                raise NotWhole(f"The carrier's statement comes without {_TOTAL}: ask the carrier.")
            if total not in (-1, int(count)):
                raise ReadAgain("The carrier's statement changed while it was read: run it again.")
            total = int(count)
            sales = _sales(reply)
            offset += len(sales)
            if offset > total:  # else one that never ends would fill the book
                break
            if sales:
                yield sales
            if reply.status == HTTPStatus.OK:
                break
            if not sales:
                raise NotWhole("The carrier's statement has an empty page before its last: ask the carrier.")
        if offset != total:
            raise ReadAgain(f"The carrier's statement has {offset} orders and says {total}: run it again.")

    async def _page(self, begin: datetime, end: datetime, offset: int) -> Reply:
        parameters = {
            "completionDate.gte": _rfc3339(begin),
            "completionDate.lt": _rfc3339(end),
            "offset": str(offset),
            "limit": str(PAGE_ORDERS),
        }
        request = self._carrier.get("/productOrder", parameters)
        reply = await send(
            self._carrier.http, request, whom="the carrier", timeout_seconds=ASK_SECONDS, health=self._carrier.health
        )
        if isinstance(reply, NoResponse):
            raise NotWhole(f"The carrier's statement can't be had now: {reply.why}")
        if reply.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            raise NotWhole(f"The carrier's statement can't be had now: the carrier answered HTTP {reply.status}.")
        return reply


def _sales(reply: Reply) -> list[Sale]:
    try:
        orders = parse_json(reply.body)
    except ValueError:
        orders = None
    if not isinstance(orders, list):
        raise NotWhole("The carrier's statement is no list of orders: ask the carrier.")
    return [_sale(as_object(order)) for order in cast("list[object]", orders)]


def _sale(order: dict[str, object] | None) -> Sale:
    members = order or {}
    name, number = reference(members.get("externalId")), reference(members.get("id"))
    state = text_of(members.get("state"))
    if not name or len(name) > _LONGEST_ID or not number or state is None or state not in FINAL_STATES:
        raise NotWhole("The carrier's statement has an order without externalId, id or a final state: ask the carrier.")
    ended_on = _day(text_of(members.get("completionDate")) or "")
    if not ended_on:
        raise NotWhole("The carrier's statement has an order without a completionDate: ask the carrier.")
    return Sale(name, number, state, ended_on)


def _day(moment: str) -> str:
    """Its day in China; "" for what is no moment, or none that has a day there (the years 1 and 9999)."""
    try:
        ended_at = datetime.fromisoformat(moment)
        return day_of(ended_at) if ended_at.tzinfo is not None else ""
    except (ValueError, OverflowError):
        return ""


def _rfc3339(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
