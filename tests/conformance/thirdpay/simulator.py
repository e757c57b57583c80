"""Thirdpay as a process: `python -m tests.conformance.thirdpay.simulator KEY`; faults and book as the simulators'."""

import asyncio
import json
import sys

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.book import Book
from simulators.control import ControlApi
from simulators.faults import Error, Hang, Malformed, Reset, UnknownState
from simulators.payment_faults import (
    NotEnough,
    SystemError_,
    Unsigned,
    WechatRefuse,
    WrongSignature,
    wechat_fault_plans,
)
from simulators.payments_api import PaymentsApi
from simulators.refunds import Refund, RefundRefusedError, RefundRequest, Refunds
from simulators.serving import listen, serve, stop_signal
from simulators.wire import DropResponse, HangResponse, Pace, json_response
from tests.conformance.thirdpay.client import mac


class ThirdpaySimulator:
    name = "thirdpay"

    def __init__(self, key: str) -> None:
        self.book, self.pace = Book(None, fsync=False), Pace(1.0)
        self._key = key
        self._plans = wechat_fault_plans()
        self._refunds = Refunds(
            self.book, time_scale=1.0, settle_seconds=0, on_change_due=lambda _: None, on_end=lambda _: None
        )

    def routes(self) -> list[Route]:
        return [
            Route("/refunds", self._refund, methods=["POST"]),
            Route("/refunds/{no}", self._query, methods=["GET"]),
            *PaymentsApi(self.book, self._refunds).routes(),
            *ControlApi(self.book, self._plans, self._refunds.summary).routes(),
        ]

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def _refund(self, request: Request) -> Response:
        body = await request.body()
        asked = json.loads(body)
        payment = self._refunds.find_payment(asked["payment"], None)
        if request.headers["x-mac"] != mac(self._key, body) or payment is None:
            return self._signed({"error": "REFUSED"})
        taken = self._plans.take([payment.transaction_id], "refund")
        refusals = {NotEnough: "NO_BALANCE", WechatRefuse: "REFUSED"}
        if code := refusals.get(type(taken.answer)):
            return self._signed({"error": code})
        wanted = RefundRequest(asked["no"], payment.transaction_id, asked["amount"], payment.amount_fen)
        try:
            refund = self._refunds.check(wanted, same_number=self._refunds.find_refund_by_no(asked["no"]))
        except RefundRefusedError:
            return self._signed({"error": "REFUSED"})
        if refund is None:
            keys = [payment.transaction_id]
            refund = self._refunds.begin(wanted, self._plans.take_outcome(keys), self._plans.take_lag(keys), None)
        return self._answer(taken.answer, _view(refund))

    async def _query(self, request: Request) -> Response:
        refund = self._refunds.find_refund_by_no(request.path_params["no"])
        if refund is None:
            return self._signed({"error": "NO_REFUND"})
        taken = self._plans.take([refund.request.transaction_id], "query")
        return self._answer(taken.answer, _view(refund))

    def _answer(self, fault: object, content: dict[str, object]) -> Response:
        """What the caller gets, after the refund was taken."""
        answer = self._signed(content)
        match fault:
            case Hang():
                answer = HangResponse(self.pace)
            case Reset():
                answer = DropResponse(answer)
            case Error() | SystemError_():
                answer = self._signed({"error": "FAULT"}, getattr(fault, "status", 500))
            case UnknownState(state=state):
                answer = self._signed(content | {"state": state})
            case Malformed(body=shape):
                bodies = {"no_state": {"no": content["no"]}, "wrong_type": []}
                answer = self._signed(bodies[shape]) if shape in bodies else Response(b"<html>")
            case Unsigned():
                del answer.headers["x-mac"]
            case WrongSignature():
                answer.headers["x-mac"] = mac("another", bytes(answer.body))
            case _:
                pass
        return answer

    def _signed(self, content: object, status: int = 200) -> Response:
        answer = json_response(content, status)
        answer.headers["x-mac"] = mac(self._key, bytes(answer.body))
        return answer


def _view(refund: Refund) -> dict[str, object]:
    state = "DONE" if refund.status == "SUCCESS" else "UNDER_WAY"
    asked = refund.request
    return {"no": asked.refund_no, "payment": asked.transaction_id, "amount": asked.amount_fen, "state": state}


async def main() -> None:
    await serve(ThirdpaySimulator(sys.argv[1]), listen("127.0.0.1", 0), stop_signal())


if __name__ == "__main__":
    asyncio.run(main())
