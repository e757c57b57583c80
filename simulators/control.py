"""The control API that every simulator has: its book, its health, its faults."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.book import Book
from simulators.faults import FaultPlans, FaultSpecError
from simulators.wire import Json, json_response, problem, read_json


class ControlApi:
    """`/healthz`, `/book`, `/book/summary` and, where there are faults, `/faults`."""

    def __init__(
        self,
        book: Book,
        plans: FaultPlans[Any] | None,
        summary: Callable[[], object],
        health: Callable[[], Json] | None = None,
    ) -> None:
        self._book = book
        self._plans = plans
        self._summary = summary
        self._health = health

    def routes(self) -> list[Route]:
        """Routes of the control API; none of them needs a token."""
        routes = [
            Route("/healthz", self._healthz),
            Route("/book", self._entries),
            Route("/book/summary", self._summarised),
        ]
        if self._plans is not None:
            routes += [
                Route("/faults", self._faults, methods=["GET", "PUT", "DELETE"]),
                Route("/faults/{key}", self._fault, methods=["PUT", "DELETE"]),
            ]
        return routes

    async def _healthz(self, _request: Request) -> Response:
        return json_response({"status": "ok", **(self._health() if self._health else {})})

    async def _entries(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "after is the last seq you have, e.g. ?after=12")
        await self._book.durable()
        return Response(self._book.as_json(after=int(after)), media_type="application/json")

    async def _summarised(self, _request: Request) -> Response:
        await self._book.durable()
        return json_response(self._summary())

    async def _faults(self, request: Request) -> Response:
        plans = self._known_plans()
        if request.method == "DELETE":
            plans.clear()
        elif request.method == "PUT":
            try:
                specs = await read_json(request)
                if not isinstance(specs, dict):
                    return problem(
                        HTTPStatus.UNPROCESSABLE_ENTITY, 'send an object, e.g. {"T20230821000001": {"kind": "hang"}}'
                    )
                plans.put_many(specs)  # pyright: ignore[reportUnknownArgumentType]  # JSON: keys are strings
            except ValueError as error:
                return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        return json_response(plans.as_dict())

    async def _fault(self, request: Request) -> Response:
        plans, key = self._known_plans(), request.path_params["key"]
        if request.method == "DELETE":
            plans.clear(key)
            return json_response({})
        try:
            plans.put(key, await read_json(request))
        except ValueError as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        return json_response({key: plans.as_dict()[key]})

    def _known_plans(self) -> FaultPlans[Any]:
        if self._plans is None:
            raise FaultSpecError("this simulator has no faults")
        return self._plans
