"""The payment providers' control API: payments that were made, and the merchant platform's hand."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.book import Book, now_utc
from simulators.refunds import Payment, PaymentConflictError, Refund, Refunds
from simulators.wire import json_response, problem, read_json

Identifier = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]


class PaymentSpec(BaseModel):
    """A payment as a test or a demonstration registers it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount_fen: int = Field(ge=1, le=100_000_000)
    out_trade_no: Identifier
    merchant_id: Identifier | None = None
    paid_at: str | None = None


class PayRequest(BaseModel):
    """A payment that a customer makes now; the merchant is told at `notify_url`, or nobody is where there is none."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount_fen: int = Field(ge=1, le=100_000_000)
    out_trade_no: Identifier
    notify_url: str | None = None
    attach: str | None = Field(default=None, max_length=512)
    transaction_id: Identifier | None = None
    paid_at: str | None = None


Pay = Callable[[Payment, PayRequest], None]
"""Tells the merchant of a payment."""

_PAY = TypeAdapter(PayRequest)
_ONE = TypeAdapter(PaymentSpec)
_MANY = TypeAdapter(dict[Identifier, PaymentSpec])


class PaymentsApi:
    """`/payments` and `/refunds/{refund_no}/settle`; and `/pay` of a provider that tells the merchant."""

    def __init__(self, book: Book, refunds: Refunds, pay: Pay | None = None) -> None:
        self._book = book
        self._refunds = refunds
        self._tell = pay

    def routes(self) -> list[Route]:
        """Routes of this part of the control API."""
        return [
            *([Route("/pay", partial(self._pay, self._tell), methods=["POST"])] if self._tell else []),
            Route("/payments", self._put_many, methods=["PUT"]),
            Route("/payments/{transaction_id}", self._put, methods=["PUT"]),
            Route("/refunds/{refund_no}/settle", self._settle, methods=["POST"]),
        ]

    async def _pay(self, tell: Pay, request: Request) -> Response:
        try:
            asked = _PAY.validate_python(await read_json(request))
        except ValueError as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, _sentence(error))
        transaction_id = asked.transaction_id or f"42{now_utc():%Y%m%d%H%M%S}{secrets.randbelow(10**12):012d}"
        payment = Payment(transaction_id, asked.out_trade_no, asked.amount_fen)
        try:
            self._refunds.register(payment, asked.paid_at)
        except PaymentConflictError as error:
            return problem(HTTPStatus.CONFLICT, str(error))
        await self._book.durable()
        tell(payment, asked)
        return json_response({"transaction_id": transaction_id})

    async def _put(self, request: Request) -> Response:
        try:
            spec = _ONE.validate_python(await read_json(request))
        except ValueError as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, _sentence(error))
        return await self._register({request.path_params["transaction_id"]: spec})

    async def _put_many(self, request: Request) -> Response:
        try:
            specs = _MANY.validate_python(await read_json(request))
        except ValueError as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, _sentence(error))
        return await self._register(specs)

    async def _register(self, specs: dict[str, PaymentSpec]) -> Response:
        try:
            for transaction_id, spec in specs.items():
                payment = Payment(transaction_id, spec.out_trade_no, spec.amount_fen, spec.merchant_id)
                self._refunds.register(payment, spec.paid_at)
        except PaymentConflictError as error:
            return problem(HTTPStatus.CONFLICT, str(error))
        finally:
            await self._book.durable()
        return json_response({"registered": len(specs)})

    async def _settle(self, request: Request) -> Response:
        refund_no: str = request.path_params["refund_no"]
        refund: Refund | None = self._refunds.find_refund_by_no(refund_no)
        if refund is None:
            return problem(HTTPStatus.NOT_FOUND, f"there is no refund {refund_no} yet; ask the product to send it")
        settled = self._refunds.settle(refund)
        await self._book.durable()
        if not settled:
            return problem(HTTPStatus.CONFLICT, f"the refund {refund_no} is {refund.status}; nothing is left to settle")
        return json_response({"refund_no": refund_no, "status": refund.status})


def _sentence(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return f"the body is not JSON: {error}"
    clauses = [f"{'.'.join(map(str, one['loc'])) or 'the body'}: {one['msg']}" for one in error.errors()]
    return "; ".join(clauses) + '; e.g. {"amount_fen": 9900, "out_trade_no": "T20230821000001"}'
