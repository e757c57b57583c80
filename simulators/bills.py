"""A provider's bill of a day, out of its book, and how it may differ from it when told to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.refunds import Refunds
from simulators.wire import json_response, problem, read_json

CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a bill; `at` is China's clock."""

    kind: Literal["payment", "refund"]
    transaction_id: str
    out_trade_no: str
    amount_fen: int
    at: str
    refund_no: str = ""


class ExtraLine(BaseModel):
    """A line that no book has."""

    model_config = ConfigDict(extra="forbid", strict=True)
    kind: Literal["payment", "refund"]
    transaction_id: str
    out_trade_no: str
    amount_fen: int = Field(ge=1)
    refund_no: str = ""


class BillPlan(BaseModel):
    """How the bill of a day differs from the book: `{}` = not at all.

    `state`: `creating` (not there yet), `none` (nothing happened on that day), `cut_short`, `wrong_totals`, and for
    WeChat Pay `wrong_hash`. `omit`: transactions and refund numbers; `amounts_fen`: other amounts, by the same names.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    state: Literal["whole", "creating", "none", "cut_short", "wrong_totals", "wrong_hash"] = "whole"
    omit: list[str] = []
    amounts_fen: dict[str, int] = {}
    add: list[ExtraLine] = []
    later: dict[str, str] = {}
    """Lines that stand in another day's bill (`YYYY-MM-DD`), by transaction or refund number."""


_PLAN = TypeAdapter(BillPlan)


class Bills:
    """The bills of one provider."""

    def __init__(self, refunds: Refunds) -> None:
        self._refunds = refunds
        self._plans: dict[str, BillPlan] = {}

    def plan(self, day: str) -> BillPlan:
        """What was told of a day."""
        return self._plans.get(day, BillPlan())

    def lines(self, day: str) -> list[Line]:
        """The lines of a day's bill, oldest first."""
        plan = self.plan(day)
        moved = {name: to for one in self._plans.values() for name, to in one.later.items()}
        found: list[Line] = []
        for line in self._all():
            name = line.refund_no or line.transaction_id
            if moved.get(name, line.at[:10]) != day or name in plan.omit:
                continue
            amount_fen = plan.amounts_fen.get(name, line.amount_fen)
            found.append(Line(line.kind, line.transaction_id, line.out_trade_no, amount_fen, line.at, line.refund_no))
        noon = f"{day} 12:00:00"
        found += [
            Line(one.kind, one.transaction_id, one.out_trade_no, one.amount_fen, noon, one.refund_no)
            for one in plan.add
        ]
        return sorted(found, key=lambda line: line.at)

    def routes(self) -> list[Route]:
        """The control API: `/bills/{day}`."""
        return [Route("/bills/{day}", self._put, methods=["PUT", "DELETE"])]

    async def _put(self, request: Request) -> Response:
        day: str = request.path_params["day"]
        if request.method == "DELETE":
            self._plans.pop(day, None)
            return json_response({})
        try:
            self._plans[day] = _PLAN.validate_python(await read_json(request))
        except ValueError as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f'{error}; e.g. {{"state": "creating"}}')
        return json_response({day: self._plans[day].model_dump()})

    def _all(self) -> Iterable[Line]:
        for account, refunds in self._refunds.accounts():
            payment = account.payment
            names = (payment.transaction_id, payment.out_trade_no)
            yield Line("payment", *names, payment.amount_fen, china_clock(account.paid_at))
            for refund in refunds:
                at = china_clock(refund.created_at)
                yield Line("refund", *names, refund.request.amount_fen, at, refund.request.refund_no)


def china_clock(moment: str) -> str:
    """A moment of the book as bills write it."""
    return f"{datetime.fromisoformat(moment).astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def yuan(amount_fen: int) -> str:
    """9900 → `99.00`, below zero too."""
    sign, amount_fen = ("-", -amount_fen) if amount_fen < 0 else ("", amount_fen)
    return f"{sign}{amount_fen // 100}.{amount_fen % 100:02d}"
