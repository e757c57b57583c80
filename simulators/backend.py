"""The order backend: what each order is for and what it costs, and the attachment that its payment carries.

It says so when the gateway asks (`GET /lookup/{out_trade_no}`, contracts §7), and hands out the signed attachment when
an order is placed. Vehicles are personal data: they live in memory alone, and in no book.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.book import Book
from simulators.control import ControlApi
from simulators.faults import Delay, Error, Fault, FaultPlans, Hang, Malformed
from simulators.keys import KeysError
from simulators.wire import HangResponse, Json, Pace, json_response, problem, read_json

MAC_BYTES = 16
KEY_BYTES = 32

Target = Literal["lookup"]
BackendFault = Annotated[Delay[Target] | Hang[Target] | Error[Target] | Malformed[Target], Field(discriminator="kind")]


class Car(BaseModel):
    """For whom."""

    model_config = ConfigDict(extra="forbid", strict=True)
    vin: str
    iccid: str
    msisdn: str = ""


class PlacedOrder(BaseModel):
    """What a customer ordered, as the backend has priced it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    vehicle: Car
    package_id: str
    amount_fen: int = Field(ge=1)


_MANY = TypeAdapter(dict[str, PlacedOrder])


def backend_fault_plans() -> FaultPlans[Fault]:
    """No plans yet; reads the backend's faults."""
    return FaultPlans[Fault](TypeAdapter[Fault](BackendFault), main_target="lookup")


class Backend:
    """The order backend as one simulator.

    Args:
        token: the bearer token that a lookup needs.
        attach_key: signs attachments; None: payments carry none.
    """

    name = "backend"

    def __init__(self, book: Book, pace: Pace, token: str, attach_key: bytes | None) -> None:
        self.book = book
        self.pace = pace
        self._token = token
        self._attach_key = attach_key
        self._plans = backend_fault_plans()
        self._orders: dict[str, PlacedOrder] = {}
        self._asked: dict[str, int] = {}

    def routes(self) -> list[Route]:
        """The lookup, and the control API: orders that customers place."""
        return [
            Route("/lookup/{out_trade_no}", self._lookup),
            Route("/orders", self._place, methods=["PUT"]),
            *ControlApi(self.book, self._plans, lambda: self._asked).routes(),
        ]

    async def start(self) -> None:
        """Nothing is under way."""

    async def stop(self) -> None:
        """Nothing is under way."""

    async def _place(self, request: Request) -> Response:
        """Each order's attachment; null where there is no key."""
        try:
            placed = _MANY.validate_python(await read_json(request))
        except ValueError as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        self._orders |= placed
        return json_response({number: self._attachment(number, order) for number, order in placed.items()})

    def _attachment(self, out_trade_no: str, order: PlacedOrder) -> str | None:
        if self._attach_key is None:
            return None
        car = order.vehicle
        content = f"1~{car.vin}~{car.iccid}~{order.package_id}~{car.msisdn}"
        message = f"{out_trade_no}~{order.amount_fen}~{content}".encode()
        mac = hmac.new(self._attach_key, message, hashlib.sha256).digest()[:MAC_BYTES]
        return f"{content}~{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    async def _lookup(self, request: Request) -> Response:
        out_trade_no: str = request.path_params["out_trade_no"]
        if request.headers.get("authorization") != f"Bearer {self._token}":
            return json_response({"error": "unauthorized"}, HTTPStatus.UNAUTHORIZED)
        taken = self._plans.take([out_trade_no], "lookup")
        self._asked[out_trade_no] = self._asked.get(out_trade_no, 0) + 1
        order = self._orders.get(out_trade_no)
        self.book.append("lookup", out_trade_no=out_trade_no, faults=taken.kinds, known=order is not None)
        await self.book.durable()
        await self.pace.sleep(taken.delay_before_seconds + taken.delay_after_seconds)
        match taken.answer:
            case Hang():
                return HangResponse(self.pace)
            case Error(status=status):
                return json_response({"error": "a fault that was ordered"}, status)
            case Malformed():
                return Response(b"<html><body>OK</body></html>", media_type="application/json")
            case _ if order is None:
                return json_response({"error": "unknown"}, HTTPStatus.NOT_FOUND)
            case _:
                return json_response(_view(order))


def attach_key(path: Path) -> bytes:
    """Read the attachments' key, 32 bytes in base64; raises KeysError."""
    try:
        key = base64.b64decode(path.read_text().strip(), validate=True)
    except (OSError, ValueError, binascii.Error) as error:
        raise KeysError(f"{path} holds no key: write 32 bytes in base64 into it") from error
    if len(key) != KEY_BYTES:
        raise KeysError(f"{path} holds {len(key)} bytes in base64 instead of {KEY_BYTES}")
    return key


def _view(order: PlacedOrder) -> Json:
    car: dict[str, Any] = order.vehicle.model_dump()
    vehicle = {name: value for name, value in car.items() if value}
    return {"vehicle": vehicle, "package_id": order.package_id, "amount_fen": order.amount_fen}
