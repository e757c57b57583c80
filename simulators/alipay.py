"""Alipay's OpenAPI gateway, refund and refund query (contracts §5): signed both ways, with faults per payment."""

from __future__ import annotations

import hashlib
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators import alipay_notices
from simulators.alipay_bills import AlipayBills
from simulators.alipay_wire import (
    REFUND,
    AlipayError,
    Asked,
    inner_text,
    query_view,
    read_form,
    read_request,
    refund_view,
    signed_answer,
    unsigned_answer,
    verify_form,
)
from simulators.book import Book, now_utc, rfc3339
from simulators.control import ControlApi
from simulators.faults import Error, Fault, Hang, Malformed, Reset, Taken, UnknownState
from simulators.keys import AlipayKeys
from simulators.notices import NoticeSender
from simulators.payment_faults import (
    AlipayRefuse,
    AlipaySystemError,
    FundChangeN,
    NotEnough,
    Unsigned,
    WrongSignature,
    alipay_fault_plans,
)
from simulators.payments_api import PaymentsApi, PayRequest
from simulators.refunds import SUCCESS, Payment, Refund, RefundRefusedError, RefundRequest, Refunds, refund_key
from simulators.timers import Timers
from simulators.wire import DropResponse, HangResponse, Json, Pace, json_response

REFUSED = {
    RefundRefusedError.OTHER_PARAMETERS: ("ACQ.DISCORDANT_REPEAT_REQUEST", "the out_request_no had another amount"),
    RefundRefusedError.TOTAL_DIFFERS: ("ACQ.INVALID_PARAMETER", "the total is not what was paid"),
    RefundRefusedError.EXCEEDS_PAYMENT: ("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "the refunds would exceed the payment"),
}


class Alipay:
    """Alipay as one simulator."""

    name = "alipay"

    def __init__(
        self, book: Book, pace: Pace, keys: AlipayKeys, *, settle_seconds: float, accept_unknown_payments: bool
    ) -> None:
        self.book = book
        self.pace = pace
        self._keys = keys
        self._accept_unknown = accept_unknown_payments
        self._plans = alipay_fault_plans()
        self._timers = Timers(book)
        self._refunds = Refunds(
            book,
            time_scale=pace.time_scale,
            settle_seconds=settle_seconds,
            on_change_due=self._set_timer,
            on_end=self._on_end,
        )
        self._notices = NoticeSender(
            self._plans, pace, self._refunds.note, alipay_notices.is_stored, alipay_notices.RESEND_AFTER_SECONDS
        )
        self._attached: dict[str, str] = {}
        """What payments carry, by transaction: personal data, so in no book."""
        self._bills = AlipayBills(keys, self._refunds, self._attached)
        self._told: dict[str, tuple[str, dict[str, str]]] = {}
        """Address and content of each payment's notice; refunds are told to the same address."""

    def routes(self) -> list[Route]:
        """The gateway and the control API."""
        return [
            Route("/gateway.do", self._gateway, methods=["POST"]),
            *self._bills.routes(),
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

    def _tell_of_payment(self, payment: Payment, asked: PayRequest) -> None:
        paid_at = asked.paid_at or rfc3339(now_utc())
        if asked.attach is not None:
            self._attached[payment.transaction_id] = asked.attach
        if asked.notify_url is None:
            return
        members = alipay_notices.payment_members(payment, self._keys, paid_at=paid_at, attach=asked.attach)
        self._told[payment.transaction_id] = asked.notify_url, members
        self._send(payment, asked.notify_url, members, "payment")

    def _on_end(self, refund: Refund) -> None:
        self._timers.cancel(refund.key)
        payment = self._refunds.find_payment(refund.request.transaction_id, None)
        url, members = self._told.get(refund.request.transaction_id, ("", {}))
        if payment and url:
            refunded_fen = self._refunds.taken_fen(payment.transaction_id)
            in_full = refunded_fen == payment.amount_fen
            content = alipay_notices.refund_members(members, refund, refunded_fen, in_full=in_full)
            self._send(payment, url, content, refund.request.refund_no)

    def _send(self, payment: Payment, url: str, members: dict[str, str], about: str) -> None:
        make = alipay_notices.notice(self._keys, members)
        names = {"transaction_id": payment.transaction_id, "out_trade_no": payment.out_trade_no}
        self._notices.send(url, make, about=about, **names)

    def _set_timer(self, refund: Refund) -> None:
        if refund.next_at is not None:
            self._timers.set(refund.key, refund.next_at, self._refunds.come_due)

    async def _gateway(self, request: Request) -> Response:
        body, method = await request.body(), ""
        try:
            form = read_form(body, request.scope["query_string"])
            method = form.get("method", "")
            verify_form(self._keys, form)
            if method in self._bills.methods:
                return signed_answer(self._keys, method, inner_text(self._bills.answer(request, method, form)))
            asked = read_request(form)
            payment = self._payment(asked)
        except AlipayError as error:
            self._refunds.note("invalid", body_sha256=hashlib.sha256(body).hexdigest(), code=error.content["sub_code"])
            await self.book.durable()
            return signed_answer(self._keys, method, inner_text(error.content))
        return await self._act(method, asked, payment, hashlib.sha256(body).hexdigest())

    async def _act(self, method: str, asked: Asked, payment: Payment, body_sha256: str) -> Response:
        target = "refund" if method == REFUND else "query"
        keys = [payment.transaction_id, payment.out_trade_no]
        taken = self._plans.take(keys, target)
        number = self._refunds.note(
            target,
            transaction_id=payment.transaction_id,
            refund_no=asked.request_no,
            amount_fen=asked.amount_fen,
            body_sha256=body_sha256,
            faults=taken.kinds,
        )
        await self.pace.sleep(taken.delay_before_seconds)
        try:
            _refuse(taken.answer)
            content = self._refund(asked, payment, keys) if method == REFUND else self._query(asked, payment)
        except AlipayError as error:
            content = error.content
        await self.pace.sleep(taken.delay_after_seconds)
        return await self._answer(number, method, taken, content)

    def _refund(self, asked: Asked, payment: Payment, keys: list[str]) -> Json:
        # Without out_request_no the trade is refunded in full, under its own number.
        number = asked.request_no or payment.out_trade_no
        request = RefundRequest(number, payment.transaction_id, asked.amount_fen or 0, None)
        same_number = self._refunds.find_refund(refund_key(payment.transaction_id, number))
        try:
            known = self._refunds.check(request, same_number)
        except RefundRefusedError as error:
            raise AlipayError("40004", *REFUSED[error.code]) from error
        if known is not None:
            return refund_view(payment, self._refunds.taken_fen(payment.transaction_id), fund_changed=False)
        refund = self._refunds.begin(request, self._plans.take_outcome(keys), self._plans.take_lag(keys))
        fund_changed = refund.status == SUCCESS
        return refund_view(payment, self._refunds.taken_fen(payment.transaction_id), fund_changed=fund_changed)

    def _query(self, asked: Asked, payment: Payment) -> Json:
        refund = self._refunds.find_refund(refund_key(payment.transaction_id, asked.request_no or ""))
        return query_view(payment, refund if refund and refund.is_seen_by_query(now_utc()) else None)

    def _payment(self, asked: Asked) -> Payment:
        payment = self._refunds.find_payment(asked.trade_no, asked.out_trade_no)
        if payment is None and self._accept_unknown and asked.amount_fen:
            name = asked.trade_no or asked.out_trade_no or ""
            payment = Payment(name, asked.out_trade_no or name, asked.amount_fen)
            self._refunds.register(payment)
        if payment is None or payment.merchant_id not in (None, self._keys.seller_id):
            raise AlipayError("40004", "ACQ.TRADE_NOT_EXIST", "the seller has no such trade")
        return payment

    async def _answer(self, number: int, method: str, taken: Taken[Fault], content: Json) -> Response:
        """What the caller gets; the book has it before."""
        answer: Response | None = None
        match taken.answer:
            case Hang():
                await self.book.durable()
                return HangResponse(self.pace)
            case Reset():
                await self.book.durable()
                return DropResponse(signed_answer(self._keys, method, inner_text(content)))
            case Error(status=status):
                answer = json_response({"error": "a fault that was ordered"}, status)
            case AlipaySystemError(code=code):
                content = _system_error(code).content
            case FundChangeN(absent=absent):
                content = content | {"fund_change": None if absent else "N"}
                content = {name: value for name, value in content.items() if value is not None}
            case UnknownState(state=state):
                name = "refund_status" if "refund_status" in content else "code"
                content = content | {name: state}
            case Malformed(body=shape):
                answer = self._malformed(method, content, shape)
            case _:
                pass
        shown = content.get("sub_code") or content.get("refund_status") or content.get("fund_change")
        status = answer.status_code if answer else HTTPStatus.OK
        self._refunds.note("answer", to=number, status=status, code=content.get("code"), shown=shown)
        await self.book.durable()
        return answer or self._signed(method, inner_text(content), taken.answer)

    def _signed(self, method: str, inner: str, fault: Fault | None) -> Response:
        match fault:
            case WrongSignature():
                return signed_answer(self._keys, method, inner, signed_text=inner + " ")
            case Unsigned():
                return unsigned_answer(method, inner)
            case _:
                return signed_answer(self._keys, method, inner)

    def _malformed(self, method: str, content: Json, shape: str) -> Response:
        match shape:
            case "no_state":
                hidden = ("code", "fund_change", "refund_status")
                kept = {name: value for name, value in content.items() if name not in hidden}
                return signed_answer(self._keys, method, inner_text(kept))
            case "wrong_type":
                return signed_answer(self._keys, method, inner_text([]))
            case "empty":
                return Response(b"", media_type="application/json")
            case _:
                return Response(b"<html><body>OK</body></html>", media_type="application/json")


def _system_error(code: str) -> AlipayError:
    if code == "20000":
        return AlipayError("20000", "isp.unknow-error", "the service is unavailable")
    return AlipayError("40004", code, "system error")


def _refuse(fault: Fault | None) -> None:
    """Raise AlipayError for a fault that keeps a request from taking effect."""
    match fault:
        case NotEnough():
            raise AlipayError("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH", "the seller's balance is not enough")
        case AlipayRefuse(sub_code=sub_code):
            raise AlipayError("40004", sub_code, "a fault that was ordered")
        case AlipaySystemError(act=False, code=code):
            raise _system_error(code)
        case Hang(act=False) | Error(act=False) | Reset(act=False):
            raise _system_error("20000")
        case _:
            pass
