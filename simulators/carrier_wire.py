"""The TMF622 profile on the wire: reading a body, showing an order, and showing it badly (contracts §4)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Any, cast

from starlette.responses import Response

from simulators.carrier_orders import CANCELLED, CANCELLED_CODE, COMPLETED, REJECTED, Order, Proposal
from simulators.wire import Json, json_response, parse_json

BASE_PATH = "/tmf-api/productOrderingManagement/v4"
EXTERNAL_ID = re.compile(r"[0-9A-Za-z_-]{6,32}")
ICCID = re.compile(r"[0-9]{19,20}")
MSISDN = re.compile(r"[0-9]{11,15}")


class BodyError(ValueError):
    """The body is none that the profile knows: 400, nothing changed."""


def read_proposal(body: bytes, arrived_at: datetime) -> Proposal:
    """A POST's body as the profile of contracts §4 has it; members it doesn't name are allowed, and count.

    Raises:
        BodyError: names the member that is wrong.
    """
    try:
        content = parse_json(body)
    except ValueError as error:
        raise BodyError("the body is not JSON") from error
    members = _object(content, "the body")
    external_id = members.get("externalId")
    if not isinstance(external_id, str) or not EXTERNAL_ID.fullmatch(external_id):
        raise BodyError("externalId is mandatory and matches [0-9A-Za-z_-]{6,32}")
    if members.get("category") != "vehicle-data-topup":
        raise BodyError('category is "vehicle-data-topup"')
    date = members.get("requestedCompletionDate")
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Proposal(
        external_id=external_id,
        package_id=_package_id(members),
        requested_completion_date=str(date),
        complete_until=_date(date),
        canonical_sha256=hashlib.sha256(canonical.encode()).hexdigest(),
        arrived_at=arrived_at,
    )


def _package_id(members: Json) -> str:
    items = cast("object", members.get("productOrderItem"))
    if not isinstance(items, list) or len(cast("list[object]", items)) != 1:
        raise BodyError("productOrderItem is an array of one item")
    item = _object(cast("list[object]", items)[0], "productOrderItem[0]")
    if item.get("action") != "add" or item.get("quantity") != 1:
        raise BodyError('productOrderItem[0] has action "add" and quantity 1')
    offering = _object(item.get("productOffering"), "productOffering")
    if not isinstance(offering.get("id"), str):
        raise BodyError("productOffering.id is the package ID")
    characteristics = _object(item.get("product"), "product").get("productCharacteristic")
    if not isinstance(characteristics, list):
        raise BodyError("productCharacteristic is an array")
    pairs = [_object(one, "productCharacteristic[]") for one in cast("list[object]", characteristics)]
    values = {pair.get("name"): pair.get("value") for pair in pairs}
    if not ICCID.fullmatch(str(values.get("iccid"))):
        raise BodyError("productCharacteristic holds iccid, 19 or 20 digits")
    if "msisdn" in values and not MSISDN.fullmatch(str(values["msisdn"])):
        raise BodyError("the productCharacteristic msisdn has 11 to 15 digits")
    return offering["id"]


def _date(value: object) -> datetime:
    try:
        date = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BodyError("requestedCompletionDate is an RFC 3339 date-time") from error
    if date.tzinfo is None:
        raise BodyError("requestedCompletionDate has an offset or Z")
    return date


def _object(value: object, name: str) -> Json:
    if not isinstance(value, dict):
        raise BodyError(f"{name} is an object")
    return cast("Json", value)


def external_id_of(body: bytes) -> str | None:
    """The `externalId` of a body, None where there is none to be found."""
    try:
        value = _object(parse_json(body), "the body").get("externalId")
    except ValueError:
        return None
    return value if isinstance(value, str) else None


def order_view(order: Order) -> Json:
    """An order as GET and cancel show it."""
    view: Json = {
        "id": order.id,
        "href": f"{BASE_PATH}/productOrder/{order.id}",
        "externalId": order.external_id,
        "category": "vehicle-data-topup",
        "state": order.state,
        "orderDate": order.ordered_at,
        "@type": "ProductOrder",
    }
    if order.requested_completion_date:
        view["requestedCompletionDate"] = order.requested_completion_date
    if order.state == COMPLETED:
        view["completionDate"] = order.ended_at
    if order.state == CANCELLED:
        view["cancellationReason"] = CANCELLED_CODE
    if order.text:
        view["note"] = [{"text": order.text}]
    if order.state == REJECTED:
        view["rejectionReason"] = {"code": order.code}
    return view


def post_view(order: Order) -> Json:
    """An order as POST answers it: a burnt serial is refused for ever."""
    view = order_view(order)
    if order.state == CANCELLED:
        view["state"] = REJECTED
        view["rejectionReason"] = {"code": CANCELLED_CODE}
        view["note"] = [{"text": "the externalId was cancelled before"}]
    return view


def tmf_error(status: int, code: str, reason: str, headers: dict[str, str] | None = None) -> Response:
    """An error as TMF APIs answer it."""
    return json_response({"code": code, "reason": reason, "status": str(int(status))}, status, headers)


def malformed(answer: Response, body: str) -> Response:
    """The same answer, 2xx, but not to be understood."""
    status = answer.status_code if answer.status_code < HTTPStatus.BAD_REQUEST else HTTPStatus.OK
    if not _orders(answer):
        body = "not_json"  # an empty array has no state to spoil
    match body:
        case "no_state":
            return _changed(answer, status, lambda order: {k: v for k, v in order.items() if k != "state"})
        case "wrong_type":
            return _changed(answer, status, lambda order: order | {"state": {"is": "an object"}})
        case "empty":
            return Response(b"", status, media_type="application/json")
        case _:
            return Response(b"<html><body>OK</body></html>", status, media_type="application/json")


def with_state(answer: Response, state: str) -> Response:
    """The same answer with another state in it."""
    return _changed(answer, answer.status_code, lambda order: order | {"state": state})


def shown_state(answer: Response) -> str | None:
    """The state that an answer shows, for the book: `empty` for an empty array, None where there is none."""
    try:
        orders = _orders(answer)
    except ValueError:
        return None
    state: object = orders[0].get("state") if orders else "empty"
    return state if isinstance(state, str) else None


def _changed(answer: Response, status: int, change: Callable[[Json], Json]) -> Response:
    orders = [change(order) for order in _orders(answer)]
    return json_response(orders if bytes(answer.body).startswith(b"[") else orders[0], status)


def _orders(answer: Response) -> list[Json]:
    """The objects of an answer, which is an array or one object."""
    content: Any = json.loads(bytes(answer.body))
    return cast("list[Json]", content if isinstance(content, list) else [content])
