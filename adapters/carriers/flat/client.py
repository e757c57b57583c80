"""A telecom carrier of the flat, old kind: one call that orders, and nothing else.

    POST /m2m/orderPackage                            Authorization: Bearer …
    Content-Type: application/x-www-form-urlencoded

    iccid=89860321247550000015&msisdn=14400000001&packageId=CT-DATA-10GB-30D

    200 {"resultCode": "00000", "resultMsg": "success", "orderNo": "M2M0000000042"}

`msisdn` is there when it is known. The request has no number of ours, so the same bytes again order again, and there is
no call that asks or takes back. A receipt code that isn't sure, an unknown one, and anything that is no receipt, is
doubt for good: only a person ends it (docs/carrier-flat.md). Receipt codes as seen in public; nothing is guessed.
"""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Self
from urllib.parse import urlencode

import httpx

from adapters.http import EndpointHealth, Reply, always, as_object, client, origin, parse_json, send
from adapters.wording import for_operator, quoted, reference, text_of
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from orders.paid_order import PaidOrder

_PATH: Final = "/m2m/orderPackage"
_TOKEN: Final = re.compile(r"[!-~]+")
_WHOM: Final = "the carrier"

DONE: Final = "00000"

REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "10000": ("SIM_SUSPENDED", "the card's service is suspended: nothing can be booked on it"),
    "10001": ("NO_SUCH_NUMBER", "the carrier has no such card: there is nothing to book on"),
    "10002": ("SIM_STATUS_ABNORMAL", "the card's status does not allow an order"),
    "10003": ("REAL_NAME_REQUIRED", "the card's owner is not registered by name"),
    "12000": ("PACKAGE_NOT_ALLOWED", "the card can't have this package"),
}
"""Definite: each is about the card or the package as they are, and is found before anything is booked."""

DOUBTS: Final[dict[str, str]] = {
    "10004": "duplicate: some order of this package is there, perhaps an earlier one, perhaps this one",
    "10005": "a work order of this card is under way: perhaps another one, perhaps this one",
    "11001": "closed after a time-out: nobody says whether it was booked before",
    "11005": "maintenance: a system behind the interface was away, perhaps after it had booked",
    "11006": "the number is throttled: nobody says whether that is checked before or after booking",
    "11999": "an error of a supplier behind the carrier, which may have booked",
    "80000": "the interface is throttled: likely not booked, and no code of this carrier says so for sure",
    "89999": "an error that the carrier itself can't name",
    "99999": "an error that the carrier itself can't name",
}
"""In doubt, and why. A code that stands nowhere here is doubt too."""


class FlatCarrier:
    """`activities.ports.Carrier` over HTTP, for a carrier that can't be asked."""

    name: str = "flat"

    def __init__(self, http: httpx.AsyncClient, *, url: str, token: str) -> None:
        """Build it on a client that the caller closes.

        Args:
            http: without redirects and retries; see `open`.
            url: the carrier's origin, before `/m2m/…`.
            token: bearer token.

        Raises:
            ValueError: the address or the token can't be one.
        """
        if not _TOKEN.fullmatch(token):
            raise ValueError("the carrier's token must be printable ASCII without spaces")
        self.health = EndpointHealth()
        self._http = http
        self._url = origin(url) + _PATH
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "topup",
        }

    @classmethod
    @asynccontextmanager
    async def open(cls, *, url: str, token: str, cafile: str | None = None) -> AsyncGenerator[Self, None]:
        """The adapter with a client of its own, closed at the end."""
        async with client(cafile=cafile) as http:
            yield cls(http, url=url, token=token)

    def order_body(self, order: PaidOrder, completion_date: datetime) -> bytes:
        """The body of the POST; this dialect knows neither a serial nor a date."""
        del completion_date
        vehicle = order.vehicle
        members = {"iccid": vehicle.iccid, "msisdn": vehicle.msisdn, "packageId": order.package_id}
        return urlencode({name: value for name, value in members.items() if value is not None}).encode()

    async def submit(
        self, body: bytes, *, timeout_seconds: float, in_time: Callable[[], bool] = always
    ) -> Completed | Refused | InDoubt:
        """Order, if it leaves in time. To be called once per order, ever: the same bytes again order again.

        Raises:
            ValueError: `body` was not made by `order_body`.
        """
        if not body.startswith(b"iccid="):
            raise ValueError("the body to submit has no iccid at its head; it must come from this dialect's order_body")
        request = httpx.Request("POST", self._url, content=body, headers=self._headers)
        reply = await send(
            self._http, request, whom=_WHOM, timeout_seconds=timeout_seconds, health=self.health, in_time=in_time
        )
        return _receipt(reply) if isinstance(reply, Reply) else InDoubt(cause=reply.cause, why=reply.why)

    async def query(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt | NotFound:
        """There is no query: an order that another dialect has sent waits for a worker that speaks it."""
        del serial, timeout_seconds
        return _no_such_call("query")

    async def cancel(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt:
        """There is no cancel; likewise."""
        del serial, timeout_seconds
        return _no_such_call("cancel")


def _receipt(reply: Reply) -> Completed | Refused | InDoubt:
    """What a receipt says: the one mapping point. Only 200 with a code that is sure settles anything."""
    members = _members(reply.body)
    words = quoted(members.get("resultMsg")) if members else ""
    if reply.status in {401, 403}:
        why = f"The carrier refuses our token (HTTP {reply.status}){words}; give it a valid TOPUP_CARRIER_TOKEN."
        return InDoubt(cause="answered", why=why, alert=True)
    if reply.status != httpx.codes.OK.value:
        return InDoubt(cause="answered", why=f"The carrier answered HTTP {reply.status}{words}, which settles nothing.")
    if members is None:
        return InDoubt(cause="answered", why="The carrier answered with what is no receipt; nothing is known from it.")
    number = reference(members.get("orderNo"))
    match text_of(members.get("resultCode")):
        case code if code == DONE:
            return Completed(carrier_order_id=number)
        case str(code) if code in REFUSALS:
            known_as, meaning = REFUSALS[code]
            text = for_operator(f"{code}: {meaning}{words}")
            return Refused(code=known_as, text=text, carrier_order_id=number)
        case str(code) if code in DOUBTS:
            return InDoubt(cause="answered", why=f"Receipt {code}: {DOUBTS[code]}{words}.", carrier_order_id=number)
        case code:
            why = f"The carrier answered with a receipt code that isn't known{quoted(code)}; nothing is known from it."
            return InDoubt(cause="answered", why=why, carrier_order_id=number)


def _members(body: bytes) -> dict[str, object] | None:
    """The JSON object of a receipt. One with a member twice could say two things, and is none."""

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a member stands twice")
        return members

    try:
        return as_object(parse_json(body, pairs_hook=once))
    except ValueError:
        return None


def _no_such_call(call: str) -> InDoubt:
    why = f"This worker speaks the flat dialect, which has no {call}: start one that speaks the dialect it was sent in."
    return InDoubt(cause="not_sent", why=why)
