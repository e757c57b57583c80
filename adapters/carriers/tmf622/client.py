"""The telecom carrier that speaks the TMF622 profile of contracts §4.

One mapping point: only a 2xx body with a state of the map settles anything; every other answer, and none, is doubt.
"""

import json
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, Self, cast

import httpx

from adapters.http import (
    EndpointHealth,
    NoResponse,
    Reply,
    always,
    as_object,
    client,
    json_object,
    origin,
    parse_json,
    send,
)
from adapters.wording import for_operator, quoted, reference, text_of
from orders.identities import carrier_serial
from orders.outcomes import Completed, DoubtCause, InDoubt, NotFound, Refused
from orders.paid_order import PaidOrder

_BASE_PATH: Final = "/tmf-api/productOrderingManagement/v4"
_CATEGORY: Final = "vehicle-data-topup"
_IN_FLIGHT: Final = frozenset(
    {"acknowledged", "pending", "held", "inProgress", "assessingCancellation", "pendingCancellation"}
)
"""The states of a TMF622 v4 product order that end some day; one that isn't known is no outcome either."""

_CODE: Final = re.compile(r"[A-Z0-9_]{1,64}")
"""What may travel in a notice as the reason (contracts §6)."""

_TOKEN: Final = re.compile(r"[!-~]+")
_MILLISECOND: Final = timedelta(milliseconds=1)
_WHOM: Final = "the carrier"


class Tmf622Carrier:
    """`activities.ports.Carrier` over HTTP."""

    name: str = "tmf622"

    def __init__(self, http: httpx.AsyncClient, *, url: str, token: str) -> None:
        """Build it on a client that the caller closes.

        Args:
            http: without redirects and retries; see `open`.
            url: the carrier's origin, before the base path.
            token: bearer token.

        Raises:
            ValueError: the address or the token can't be one.
        """
        if not _TOKEN.fullmatch(token):
            raise ValueError("the carrier's token must be printable ASCII without spaces")
        self.health = EndpointHealth()
        self.http = http
        self._base = origin(url) + _BASE_PATH
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "topup",
        }

    @classmethod
    @asynccontextmanager
    async def open(cls, *, url: str, token: str, cafile: str | None = None) -> AsyncGenerator[Self, None]:
        """The adapter with a client of its own, closed at the end."""
        async with client(cafile=cafile) as http:
            yield cls(http, url=url, token=token)

    def order_body(self, order: PaidOrder, completion_date: datetime) -> bytes:
        """The body of the POST, the same bytes for the same arguments.

        Raises:
            ValueError: `completion_date` has no time zone.
        """
        characteristics = [{"name": "iccid", "value": order.vehicle.iccid}]
        if order.vehicle.msisdn is not None:
            characteristics.append({"name": "msisdn", "value": order.vehicle.msisdn})
        body = {
            "externalId": carrier_serial(order.order_id),
            "category": _CATEGORY,
            "requestedCompletionDate": _not_before(completion_date),
            "productOrderItem": [
                {
                    "id": "1",
                    "action": "add",
                    "quantity": 1,
                    "productOffering": {"id": order.package_id},
                    "product": {"productCharacteristic": characteristics},
                }
            ],
        }
        return json.dumps(body, separators=(",", ":")).encode()

    async def submit(
        self, body: bytes, *, timeout_seconds: float, in_time: Callable[[], bool] = always
    ) -> Completed | Refused | InDoubt:
        """POST an order's body, if it leaves in time.

        Raises:
            ValueError: `body` was not made by `order_body`.
        """
        serial = (json_object(body) or {}).get("externalId")
        if not isinstance(serial, str):
            raise ValueError("the body to submit has no externalId; it must come from order_body")  # noqa: TRY004 - the bytes are wrong, not their type
        reply = await self._ask(self._post("/productOrder", body), timeout_seconds, in_time)
        return _order(reply, serial) if isinstance(reply, Reply) else reply

    async def query(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt | NotFound:
        """GET by our serial."""
        reply = await self._ask(self.get("/productOrder", {"externalId": serial}), timeout_seconds)
        return _found(reply, serial) if isinstance(reply, Reply) else reply

    async def cancel(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt:
        """Burn the serial: only `cancelled` in a 2xx confirms it."""
        body = json.dumps({"externalId": serial}, separators=(",", ":")).encode()
        reply = await self._ask(self._post("/cancelProductOrder", body), timeout_seconds)
        return _order(reply, serial) if isinstance(reply, Reply) else reply

    def get(self, path: str, parameters: Mapping[str, str]) -> httpx.Request:
        """A question to the carrier."""
        return httpx.Request("GET", self._base + path, params=dict(parameters), headers=self._headers)

    def _post(self, path: str, body: bytes) -> httpx.Request:
        headers = self._headers | {"Content-Type": "application/json"}
        return httpx.Request("POST", self._base + path, content=body, headers=headers)

    async def _ask(
        self, request: httpx.Request, timeout_seconds: float, in_time: Callable[[], bool] = always
    ) -> Reply | InDoubt:
        """A 2xx answer; whatever else is doubt."""
        reply = await send(
            self.http, request, whom=_WHOM, timeout_seconds=timeout_seconds, health=self.health, in_time=in_time
        )
        if isinstance(reply, NoResponse):
            return InDoubt(cause=reply.cause, why=reply.why)
        if reply.is_success:
            return reply
        return _doubt(reply, _refusal_of_the_request(reply), alert=reply.status in {401, 403})


def _not_before(completion_date: datetime) -> str:
    """UTC with milliseconds where needed, rounded up: an earlier date would cut the carrier's time (contracts §4)."""
    if completion_date.tzinfo is None:
        raise ValueError("the completion date needs a time zone")
    moment = completion_date.astimezone(UTC)
    rest = timedelta(microseconds=moment.microsecond % 1000)
    if rest:
        moment += _MILLISECOND - rest
    fraction = "milliseconds" if moment.microsecond else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=fraction) + "Z"


def _refusal_of_the_request(reply: Reply) -> str:
    said = json_object(reply.body) or {}
    words = quoted(said.get("reason") or said.get("message"))  # TMF630's error object
    match reply.status:
        case 401 | 403:
            return f"The carrier refuses our token (HTTP {reply.status}){words}; give it a valid TOPUP_CARRIER_TOKEN."
        case 409:
            return f"The carrier says conflict (HTTP 409){words}, which settles nothing; the order must be queried."
        case 429:
            return f"The carrier throttles us (HTTP 429){words}."
        case status:
            return f"The carrier answered HTTP {status}{words}, which settles nothing."


def _found(reply: Reply, serial: str) -> Completed | Refused | InDoubt | NotFound:
    """What GET by serial says: 0 or 1 orders; anything else is doubt."""
    try:
        orders = parse_json(reply.body)
    except ValueError:
        return _malformed(reply)
    if not isinstance(orders, list):
        return _malformed(reply)
    match cast("list[object]", orders):
        case []:
            # 206 is a part of a list (TMF630): that one is empty says nothing of the rest.
            return NotFound() if reply.status == httpx.codes.OK.value else _malformed(reply)
        case [order]:
            return _stands(reply, as_object(order), serial)
        case several:
            return _doubt(reply, f"The carrier answered with {len(several)} orders for one serial; ask the carrier.")


def _order(reply: Reply, serial: str) -> Completed | Refused | InDoubt:
    """What the order in a 2xx answer says."""
    return _stands(reply, json_object(reply.body), serial)


def _stands(reply: Reply, order: dict[str, object] | None, serial: str) -> Completed | Refused | InDoubt:
    """What `order` says, if it is an order and ours."""
    if order is None:
        return _malformed(reply)
    if text_of(order.get("externalId")) != serial:
        return _doubt(reply, "The carrier answered about another order than the one asked for; ask the carrier.")
    return _state(reply, order)


def _state(reply: Reply, order: dict[str, object]) -> Completed | Refused | InDoubt:
    """The state map (contracts §4)."""
    number = reference(order.get("id"))
    match order.get("state"):
        case "completed":
            return Completed(carrier_order_id=number)
        case "cancelled":
            return Refused(code="CANCELLED", text=_reason(order), burnt=True, carrier_order_id=number)
        case "rejected":
            return Refused(code=_code(order, "REJECTED"), text=_reason(order), carrier_order_id=number)
        case "failed":
            return Refused(code=_code(order, "FAILED"), text=_reason(order), carrier_order_id=number)
        case "partial":
            why = "The carrier delivered a part only (partial): clear it up with the carrier, then resolve the order."
            return _doubt(reply, why, cause="partial", number=number)
        case str(state) if state in _IN_FLIGHT:
            return _doubt(reply, f"The carrier works on the order ({state}).", cause="in_flight", number=number)
        case state:
            why = f"The carrier answered with a state that isn't known{quoted(state)}; ask the carrier what it means."
            named = number and isinstance(state, str) and state.strip()
            return _doubt(reply, why, cause="unknown_state" if named else "answered", number=number)


def _code(order: dict[str, object], fallback: str) -> str:
    """The carrier's code where it may travel in a notice; another one stands in the text (`_reason`)."""
    code = text_of((as_object(order.get("rejectionReason")) or {}).get("code"))
    return code if code is not None and _CODE.fullmatch(code) else fallback


def _reason(order: dict[str, object]) -> str:
    """The carrier's notes in the operator's words, after a code that is none of ours."""
    code = text_of((as_object(order.get("rejectionReason")) or {}).get("code"))
    notes = order.get("note")  # TMF622's own first definition had one object here, not an array
    texts = [as_object(note) for note in (cast("list[object]", notes) if isinstance(notes, list) else [notes])]
    words = [code] if code is not None and not _CODE.fullmatch(code) else []
    words += [text for note in texts if note is not None and (text := text_of(note.get("text"))) is not None]
    return for_operator("; ".join(words))


def _malformed(reply: Reply) -> InDoubt:
    return _doubt(reply, f"The carrier answered HTTP {reply.status} with what is no order; nothing is known from it.")


def _doubt(reply: Reply, why: str, *, cause: DoubtCause = "answered", number: str = "", alert: bool = False) -> InDoubt:
    retry_after_seconds = reply.retry_after_seconds(datetime.now(UTC))
    return InDoubt(cause=cause, why=why, retry_after_seconds=retry_after_seconds, alert=alert, carrier_order_id=number)
