"""The telecom carrier over HTTP, with faults: the TMF622 profile of contracts §4, and an old, flat interface."""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.book import Book, now_utc
from simulators.carrier_faults import carrier_fault_plans
from simulators.carrier_flat import FlatInterface
from simulators.carrier_orders import (
    BodyDiffersError,
    CancelRefusedError,
    CarrierOrders,
    Order,
    Proposal,
)
from simulators.carrier_statement import Statements
from simulators.carrier_wire import (
    BASE_PATH,
    EXTERNAL_ID,
    BodyError,
    external_id_of,
    malformed,
    order_view,
    post_view,
    read_proposal,
    shown_state,
    tmf_error,
    with_state,
)
from simulators.control import ControlApi
from simulators.faults import Error, Fault, Hang, Malformed, Reset, Taken, Throttle, UnknownState
from simulators.timers import Timers
from simulators.wire import DropResponse, HangResponse, Pace, json_response


class Carrier:
    """The carrier as one simulator: orders, faults, timers, HTTP."""

    name = "carrier"

    def __init__(self, book: Book, pace: Pace, token: str) -> None:
        self.book = book
        self.pace = pace
        self._authorization = f"Bearer {token}"
        self._plans = carrier_fault_plans()
        self._timers = Timers(book)
        self._orders = CarrierOrders(book, pace.time_scale, self._set_timer)
        self._statements = Statements(self._orders)
        self._flat = FlatInterface(book, pace, self._plans, self._is_authorized)

    def routes(self) -> list[Route]:
        """The profile's four calls, the flat interface's one, and the control API."""
        return [
            Route(f"{BASE_PATH}/productOrder", self._post, methods=["POST"]),
            Route(f"{BASE_PATH}/productOrder", self._get_by_external_id, methods=["GET"]),
            Route(f"{BASE_PATH}/productOrder/{{id}}", self._get_by_id, methods=["GET"]),
            Route(f"{BASE_PATH}/cancelProductOrder", self._cancel, methods=["POST"]),
            *self._flat.routes(),
            *self._statements.routes(),
            *ControlApi(self.book, self._plans, lambda: {**self._orders.summary(), **self._flat.summary()}).routes(),
        ]

    async def start(self) -> None:
        """Take up the orders that were in flight."""
        for order in self._orders.waiting():
            self._set_timer(order)

    async def stop(self) -> None:
        """Leave the orders in flight to the next start."""
        self._timers.cancel_all()

    def _set_timer(self, order: Order) -> None:
        if order.next_change is not None:
            self._timers.set(order.external_id, order.next_change.at, self._orders.come_due)

    async def _post(self, request: Request) -> Response:
        arrived_at, body = now_utc(), await request.body()
        digest = hashlib.sha256(body).hexdigest()
        if (refusal := self._unauthorized(request, digest)) is not None:
            return await self._said(refusal)
        try:
            proposal = read_proposal(body, arrived_at)
        except BodyError as error:
            self._orders.note("invalid", external_id_of(body), body_sha256=digest, reason=str(error))
            return await self._said(tmf_error(HTTPStatus.BAD_REQUEST, "INVALID_BODY", str(error)))
        external_id = proposal.external_id
        taken = self._plans.take([external_id], "post")
        number = self._orders.note("post", external_id, body_sha256=digest, faults=taken.kinds)
        answer = tmf_error(HTTPStatus.INTERNAL_SERVER_ERROR, "NOT_TAKEN", "not taken")
        await self.pace.sleep(taken.delay_before_seconds)
        if taken.acts:
            answer = self._submit(proposal)
        await self.pace.sleep(taken.delay_after_seconds)
        return await self._answer(number, external_id, taken, answer)

    def _submit(self, proposal: Proposal) -> Response:
        keys = [proposal.external_id]
        try:
            is_new = self._orders.submit(proposal, lambda: (self._plans.take_outcome(keys), self._plans.take_lag(keys)))
        except BodyDiffersError as error:
            return tmf_error(HTTPStatus.CONFLICT, "BODY_DIFFERS", str(error))
        order = self._known(proposal.external_id)
        status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        return json_response(post_view(order), status)

    async def _get_by_external_id(self, request: Request) -> Response:
        external_id = request.query_params.get("externalId", "")
        if (refusal := self._unauthorized(request)) is not None:
            return await self._said(refusal)
        if "completionDate.gte" in request.query_params:
            return self._statements.page(request)
        if not external_id:
            return await self._said(tmf_error(HTTPStatus.BAD_REQUEST, "NO_EXTERNAL_ID", "ask with ?externalId=…"))

        def look() -> Response:
            order = self._seen(self._orders.find(external_id))
            return json_response([order_view(order)] if order else [])

        return await self._get(external_id, look)

    async def _get_by_id(self, request: Request) -> Response:
        order_id: str = request.path_params["id"]
        if (refusal := self._unauthorized(request)) is not None:
            return await self._said(refusal)

        def look() -> Response:
            order = self._seen(self._orders.find_by_id(order_id))
            if order is None:
                return tmf_error(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"there is no order {order_id}")
            return json_response(order_view(order))

        known = self._orders.find_by_id(order_id)
        return await self._get(known.external_id if known else None, look)

    async def _get(self, external_id: str | None, look: Any) -> Response:
        taken = self._plans.take([external_id or ""], "get")
        number = self._orders.note("get", external_id, faults=taken.kinds)
        await self.pace.sleep(taken.delay_before_seconds)
        answer = look()
        await self.pace.sleep(taken.delay_after_seconds)
        return await self._answer(number, external_id, taken, answer)

    async def _cancel(self, request: Request) -> Response:
        body = await request.body()
        if (refusal := self._unauthorized(request, hashlib.sha256(body).hexdigest())) is not None:
            return await self._said(refusal)
        external_id = external_id_of(body)
        if external_id is None or not EXTERNAL_ID.fullmatch(external_id):
            return await self._said(
                tmf_error(HTTPStatus.BAD_REQUEST, "INVALID_BODY", 'send {"externalId": "<order ID>"}')
            )
        taken = self._plans.take([external_id], "cancel")
        number = self._orders.note("cancel", external_id, faults=taken.kinds)
        answer = tmf_error(HTTPStatus.INTERNAL_SERVER_ERROR, "NOT_TAKEN", "not taken")
        await self.pace.sleep(taken.delay_before_seconds)
        if taken.acts:
            answer = self._burn(external_id)
        await self.pace.sleep(taken.delay_after_seconds)
        return await self._answer(number, external_id, taken, answer)

    def _burn(self, external_id: str) -> Response:
        try:
            return json_response(order_view(self._orders.cancel(external_id)))
        except CancelRefusedError as error:
            return tmf_error(HTTPStatus.CONFLICT, error.code, str(error))

    async def _answer(self, number: int, external_id: str | None, taken: Taken[Fault], answer: Response) -> Response:
        """What the caller gets; the book has it before."""
        match taken.answer:
            case Hang():
                await self.book.durable()
                return HangResponse(self.pace)
            case Reset():
                await self.book.durable()
                return DropResponse(answer)
            case Error(status=status):
                answer = tmf_error(status, "SIMULATED_FAULT", "a fault that was ordered")
            case Throttle(retry_after_seconds=seconds):
                headers = {} if seconds is None else {"Retry-After": str(seconds)}
                answer = tmf_error(HTTPStatus.TOO_MANY_REQUESTS, "THROTTLED", "too many requests", headers)
            case Malformed(body=body):
                answer = malformed(answer, body)
            case UnknownState(state=state) if answer.status_code < HTTPStatus.BAD_REQUEST:
                answer = with_state(answer, state)
            case _:
                pass
        self._orders.note("answer", external_id, to=number, status=answer.status_code, shown=shown_state(answer))
        return await self._said(answer)

    async def _said(self, answer: Response) -> Response:
        await self.book.durable()
        return answer

    def _unauthorized(self, request: Request, body_sha256: str | None = None) -> Response | None:
        if self._is_authorized(request):
            return None
        self._orders.note("unauthorized", None, method=request.method, body_sha256=body_sha256)
        return tmf_error(
            HTTPStatus.UNAUTHORIZED,
            "UNAUTHORIZED",
            "the bearer token is not the carrier's --token",
            {"WWW-Authenticate": "Bearer"},
        )

    def _is_authorized(self, request: Request) -> bool:
        given = request.headers.get("authorization", "")
        return hmac.compare_digest(given.encode(), self._authorization.encode())

    def _known(self, external_id: str) -> Order:
        order = self._orders.find(external_id)
        if order is None:
            raise LookupError(external_id)
        return order

    @staticmethod
    def _seen(order: Order | None) -> Order | None:
        return order if order and order.is_seen_by_query(now_utc()) else None
