"""WeChat Pay API v3, domestic refunds (contracts §5): signed both ways, with faults per payment."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators import wechat_notices
from simulators.book import Book, now_utc, rfc3339
from simulators.control import ControlApi
from simulators.faults import Error, Fault, Hang, Malformed, Reset, Taken, UnknownState
from simulators.keys import WechatKeys
from simulators.notices import Make, NoticeSender
from simulators.payment_faults import (
    SystemError_,
    Unsigned,
    WrongSignature,
    wechat_fault_plans,
)
from simulators.payments_api import PaymentsApi, PayRequest
from simulators.refunds import Payment, Refund, RefundRefusedError, RefundRequest, Refunds
from simulators.timers import Timers
from simulators.wechat_bills import WechatBills
from simulators.wechat_signing import SignError, signature_headers, verify_request
from simulators.wechat_wire import (
    REFUSED,
    AskedRefund,
    WechatError,
    china_time,
    malformed,
    notice_view,
    read_refund,
    refund_view,
    refusal_of,
    shown,
)
from simulators.wire import DropResponse, HangResponse, Pace, json_response

REFUNDS_PATH = "/v3/refund/domestic/refunds"


class Wechat:
    """WeChat Pay as one simulator."""

    name = "wechat"

    def __init__(
        self, book: Book, pace: Pace, keys: WechatKeys, *, settle_seconds: float, accept_unknown_payments: bool
    ) -> None:
        self.book = book
        self.pace = pace
        self._keys = keys
        self._accept_unknown = accept_unknown_payments
        self._plans = wechat_fault_plans()
        self._timers = Timers(book)
        self._refunds = Refunds(
            book,
            time_scale=pace.time_scale,
            settle_seconds=settle_seconds,
            on_change_due=self._set_timer,
            on_end=self._on_end,
        )
        self._attached: dict[str, str] = {}
        """What payments carry, by transaction: personal data, so in no book."""
        self._notices = NoticeSender(
            self._plans, pace, self._refunds.note, wechat_notices.is_stored, wechat_notices.RESEND_AFTER_SECONDS
        )

    def routes(self) -> list[Route]:
        """Refund, refund query, bill, payment query and the control API."""
        return [
            Route(REFUNDS_PATH, self._refund, methods=["POST"]),
            Route(f"{REFUNDS_PATH}/{{refund_no}}", self._query, methods=["GET"]),
            *WechatBills(self._keys, self._refunds, self._attached).routes(),
            *PaymentsApi(self.book, self._refunds, self._tell_of_payment).routes(),
            *ControlApi(self.book, self._plans, self._refunds.summary).routes(),
        ]

    async def start(self) -> None:
        """Take up the refunds that were under way."""
        for refund in self._refunds.waiting():
            self._set_timer(refund)

    async def stop(self) -> None:
        """Leave the refunds under way to the next start."""
        self._timers.cancel_all()
        await self._notices.close()

    def _set_timer(self, refund: Refund) -> None:
        if refund.next_at is not None:
            self._timers.set(refund.key, refund.next_at, self._refunds.come_due)

    def _on_end(self, refund: Refund) -> None:
        self._timers.cancel(refund.key)
        payment = self._refunds.find_payment(refund.request.transaction_id, None)
        if refund.notify_url and payment:
            make = wechat_notices.notice(
                self._keys,
                notice_view(refund, payment, self._keys.merchant_id),
                event_type=f"REFUND.{refund.status}",
                original_type="refund",
            )
            self._send(payment, refund.notify_url, make, refund.request.refund_no)

    def _tell_of_payment(self, payment: Payment, asked: PayRequest) -> None:
        paid_at = asked.paid_at or china_time(rfc3339(now_utc()))
        if asked.attach is not None:
            self._attached[payment.transaction_id] = asked.attach
        if asked.notify_url is None:
            return
        content = wechat_notices.payment_content(payment, self._keys, paid_at=paid_at, attach=asked.attach)
        make = wechat_notices.notice(self._keys, content, event_type="TRANSACTION.SUCCESS", original_type="transaction")
        self._send(payment, asked.notify_url, make, "payment")

    def _send(self, payment: Payment, url: str, make: Make, about: str) -> None:
        names = {"transaction_id": payment.transaction_id, "out_trade_no": payment.out_trade_no}
        self._notices.send(url, make, about=about, **names)

    async def _refund(self, request: Request) -> Response:
        body = await request.body()
        try:
            verify_request(self._keys, request, body)
            asked = read_refund(body)
            payment = self._payment(asked)
        except SignError as error:
            return await self._sign_error(request, error)
        except WechatError as error:
            self._refunds.note("invalid", body_sha256=hashlib.sha256(body).hexdigest(), code=error.code)
            return await self._said(error.response())
        keys = [payment.transaction_id, payment.out_trade_no, asked.refund_no]
        taken = self._plans.take(keys, "refund")
        number = self._refunds.note(
            "refund",
            transaction_id=payment.transaction_id,
            refund_no=asked.refund_no,
            amount_fen=asked.amount_fen,
            body_sha256=hashlib.sha256(body).hexdigest(),
            faults=taken.kinds,
        )
        await self.pace.sleep(taken.delay_before_seconds)
        answer = refusal_of(taken.answer) or self._take_refund(asked, payment, keys)
        await self.pace.sleep(taken.delay_after_seconds)
        return await self._answer(number, taken, answer)

    def _take_refund(self, asked: AskedRefund, payment: Payment, keys: list[str]) -> Response:
        request = RefundRequest(asked.refund_no, payment.transaction_id, asked.amount_fen, asked.total_fen)
        try:
            # A refund number is one refund per merchant, whatever payment it names.
            refund = self._refunds.check(request, same_number=self._refunds.find_refund_by_no(asked.refund_no))
        except RefundRefusedError as error:
            return WechatError(HTTPStatus.BAD_REQUEST, "INVALID_REQUEST", REFUSED[error.code]).response()
        if refund is None:
            outcome, lag = self._plans.take_outcome(keys), self._plans.take_lag(keys)
            refund = self._refunds.begin(request, outcome, lag, asked.notify_url)
        return json_response(refund_view(refund, payment))

    async def _query(self, request: Request) -> Response:
        refund_no: str = request.path_params["refund_no"]
        try:
            verify_request(self._keys, request, await request.body())
        except SignError as error:
            return await self._sign_error(request, error)
        refund = self._refunds.find_refund_by_no(refund_no)
        payment = self._refunds.find_payment(refund.request.transaction_id, None) if refund else None
        keys = [payment.transaction_id, payment.out_trade_no, refund_no] if payment else [refund_no]
        taken = self._plans.take(keys, "query")
        transaction_id = payment.transaction_id if payment else None
        number = self._refunds.note("query", transaction_id=transaction_id, refund_no=refund_no, faults=taken.kinds)
        await self.pace.sleep(taken.delay_before_seconds)
        answer = refusal_of(taken.answer) or self._look(refund_no)
        await self.pace.sleep(taken.delay_after_seconds)
        return await self._answer(number, taken, answer)

    def _look(self, refund_no: str) -> Response:
        refund = self._refunds.find_refund_by_no(refund_no)
        payment = self._refunds.find_payment(refund.request.transaction_id, None) if refund else None
        if refund is None or payment is None or not refund.is_seen_by_query(now_utc()):
            return WechatError(HTTPStatus.NOT_FOUND, "RESOURCE_NOT_EXISTS", "the refund does not exist").response()
        return json_response(refund_view(refund, payment))

    def _payment(self, asked: AskedRefund) -> Payment:
        payment = self._refunds.find_payment(asked.transaction_id, asked.out_trade_no)
        if payment is None and self._accept_unknown:
            name = asked.transaction_id or asked.out_trade_no or ""
            payment = Payment(name, asked.out_trade_no or name, asked.total_fen)
            self._refunds.register(payment)
        if payment is None or payment.merchant_id not in (None, self._keys.merchant_id):
            raise WechatError(HTTPStatus.NOT_FOUND, "RESOURCE_NOT_EXISTS", "the merchant has no such payment")
        return payment

    async def _answer(self, number: int, taken: Taken[Fault], answer: Response) -> Response:
        """What the caller gets; the book has it before."""
        match taken.answer:
            case Hang():
                await self.book.durable()
                return HangResponse(self.pace)
            case Reset():
                await self.book.durable()
                return DropResponse(self._signed(answer))
            case Error(status=status):
                answer = json_response({"code": "SIMULATED_FAULT", "message": "a fault that was ordered"}, status)
            case SystemError_():
                answer = json_response({"code": "SYSTEM_ERROR", "message": "system error"}, 500)
            case Malformed(body=shape):
                answer = malformed(answer, shape)
            case UnknownState(state=state) if answer.status_code == HTTPStatus.OK:
                answer = json_response(json.loads(bytes(answer.body)) | {"status": state})
            case _:
                pass
        self._refunds.note("answer", to=number, status=answer.status_code, shown=shown(answer))
        await self.book.durable()
        match taken.answer:
            case Unsigned():
                return answer
            case WrongSignature():
                answer.headers.update(signature_headers(self._keys, bytes(answer.body) + b" "))
                return answer
            case _:
                return self._signed(answer)

    async def _said(self, answer: Response) -> Response:
        await self.book.durable()
        return self._signed(answer)

    async def _sign_error(self, request: Request, error: SignError) -> Response:
        self._refunds.note("sign_error", method=request.method, reason=str(error))
        return await self._said(WechatError(HTTPStatus.UNAUTHORIZED, "SIGN_ERROR", str(error)).response())

    def _signed(self, answer: Response) -> Response:
        answer.headers.update(signature_headers(self._keys, bytes(answer.body)))
        return answer
