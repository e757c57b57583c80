"""The carrier's statement (contracts §4), out of its book, and how it may differ from it when told to."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.carrier_orders import CarrierOrders
from simulators.carrier_wire import order_view, tmf_error
from simulators.wire import Json, json_response, problem, read_json

MOST = 1_000


class StatementPlan(BaseModel):
    """How statements differ from the book: `{}` = not at all.

    `state`: `away` (503), `restless` (its count changes from page to page). `omit`: orders by `externalId`; `add`: what
    was sold without an order: `externalId` → `completionDate`; `sold`: refused orders that it shows as completed.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    state: Literal["whole", "away", "restless"] = "whole"
    omit: list[str] = []
    add: dict[str, str] = {}
    sold: list[str] = []


_PLAN = TypeAdapter(StatementPlan)


class Statements:
    """Pages of orders in a final state."""

    def __init__(self, orders: CarrierOrders) -> None:
        self._orders = orders
        self._plan = StatementPlan()
        self._asked = 0

    def routes(self) -> list[Route]:
        """The control API: `/statement`."""
        return [Route("/statement", self._put, methods=["PUT", "DELETE"])]

    def page(self, request: Request) -> Response:
        """One page, as the query asks for it."""
        self._asked += 1
        query = request.query_params
        try:
            begin, end = (datetime.fromisoformat(query[f"completionDate.{bound}"]) for bound in ("gte", "lt"))
            offset, limit = int(query.get("offset", "0")), int(query.get("limit", str(MOST)))
        except (KeyError, ValueError):
            return tmf_error(HTTPStatus.BAD_REQUEST, "INVALID_QUERY", "completionDate.gte, .lt, offset, limit")
        if not 1 <= limit <= MOST or offset < 0 or self._plan.state == "away":
            return tmf_error(HTTPStatus.SERVICE_UNAVAILABLE, "NOT_NOW", "no statement")
        found = [view for view in self._views() if begin <= datetime.fromisoformat(view["completionDate"]) < end]
        found.sort(key=lambda view: (view["completionDate"], view["id"]))
        total = len(found) + (self._asked if self._plan.state == "restless" else 0)
        is_last = offset + limit >= len(found)
        status = HTTPStatus.OK if is_last else HTTPStatus.PARTIAL_CONTENT
        return json_response(found[offset : offset + limit], status, {"X-Total-Count": str(total)})

    def _views(self) -> list[Json]:
        views = [
            order_view(order) | {"completionDate": order.ended_at}
            for order in self._orders.ended()
            if order.external_id not in self._plan.omit
        ]
        views = [view | ({"state": "completed"} if view["externalId"] in self._plan.sold else {}) for view in views]
        extra = [
            {"id": f"PO-{name}", "externalId": name, "state": "completed", "completionDate": at}
            for name, at in self._plan.add.items()
        ]
        return views + extra

    async def _put(self, request: Request) -> Response:
        if request.method == "DELETE":
            self._plan = StatementPlan()
            return json_response({})
        try:
            self._plan = _PLAN.validate_python(await read_json(request))
        except ValueError as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f'{error}; e.g. {{"state": "away"}}')
        return json_response(self._plan.model_dump())
