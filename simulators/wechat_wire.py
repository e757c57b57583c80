"""WeChat Pay API v3 on the wire: reading a refund request, showing a refund, its errors."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from http import HTTPStatus
from typing import cast

from starlette.responses import Response

from simulators.faults import Error, Fault, Hang, Reset
from simulators.payment_faults import FrequencyLimited, NotEnough, SystemError_, UserAccountAbnormal, WechatRefuse
from simulators.refunds import SUCCESS, Payment, Refund, RefundRefusedError
from simulators.wire import Json, json_response, parse_json

REFUND_NO = re.compile(r"[0-9A-Za-z_|*@-]{1,64}")
REASON_MAX_BYTES = 80
CHINA = timezone(timedelta(hours=8))


class WechatError(Exception):
    """An error as WeChat Pay answers it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def response(self) -> Response:
        """`{"code", "message"}`."""
        return json_response({"code": self.code, "message": self.message}, self.status)


@dataclass(frozen=True, slots=True)
class AskedRefund:
    """A well-formed refund request."""

    transaction_id: str | None
    out_trade_no: str | None
    refund_no: str
    amount_fen: int
    total_fen: int
    notify_url: str | None


REFUSED = {
    RefundRefusedError.OTHER_PARAMETERS: "the out_refund_no was used with other parameters",
    RefundRefusedError.TOTAL_DIFFERS: "amount.total is not what was paid",
    RefundRefusedError.EXCEEDS_PAYMENT: "the refunds would exceed the payment",
}


def refusal_of(fault: Fault | None) -> Response | None:
    """The answer of a fault that keeps a request from taking effect; None where it takes effect."""
    match fault:
        case NotEnough():
            return WechatError(HTTPStatus.FORBIDDEN, "NOT_ENOUGH", "the balance is not enough").response()
        case FrequencyLimited():
            return WechatError(HTTPStatus.TOO_MANY_REQUESTS, "FREQUENCY_LIMITED", "too frequent").response()
        case UserAccountAbnormal():
            return WechatError(HTTPStatus.FORBIDDEN, "USER_ACCOUNT_ABNORMAL", "the payer's account is gone").response()
        case WechatRefuse(status=status, code=code):
            return WechatError(status, code, "a fault that was ordered").response()
        case Hang(act=False) | Error(act=False) | Reset(act=False) | SystemError_(act=False):
            return json_response({"code": "SYSTEM_ERROR", "message": "not taken"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        case _:
            return None


def read_refund(body: bytes) -> AskedRefund:
    """A refund request as the API has it.

    Raises:
        WechatError: PARAM_ERROR, names the parameter.
    """
    try:
        content = parse_json(body)
    except ValueError as error:
        raise _param_error("the body is not JSON") from error
    members = cast("Json", content) if isinstance(content, dict) else {}
    transaction_id, out_trade_no = members.get("transaction_id"), members.get("out_trade_no")
    if not isinstance(transaction_id, str | None) or not isinstance(out_trade_no, str | None):
        raise _param_error("transaction_id and out_trade_no are strings")
    if not transaction_id and not out_trade_no:
        raise _param_error("transaction_id or out_trade_no is needed")
    refund_no = members.get("out_refund_no")
    if not isinstance(refund_no, str) or not REFUND_NO.fullmatch(refund_no):
        raise _param_error("out_refund_no has 1 to 64 characters of [0-9A-Za-z_|*@-]")
    if len(str(members.get("reason", "")).encode()) > REASON_MAX_BYTES:
        raise _param_error("reason has at most 80 bytes")
    amount = members.get("amount")
    amounts = cast("Json", amount) if isinstance(amount, dict) else {}
    refund_fen, total_fen = amounts.get("refund"), amounts.get("total")
    if type(refund_fen) is not int or type(total_fen) is not int or refund_fen < 1:
        raise _param_error("amount.refund and amount.total are integers in fen")
    if amounts.get("currency") != "CNY":
        raise _param_error("amount.currency is CNY")
    notify_url = members.get("notify_url")
    return AskedRefund(
        transaction_id, out_trade_no, refund_no, refund_fen, total_fen, str(notify_url) if notify_url else None
    )


def _param_error(message: str) -> WechatError:
    return WechatError(HTTPStatus.BAD_REQUEST, "PARAM_ERROR", message)


def china_time(moment: str) -> str:
    """A moment of the book as WeChat Pay writes it: `2023-08-21T18:34:06+08:00`."""
    return datetime.fromisoformat(moment).astimezone(CHINA).isoformat(timespec="seconds")


def refund_view(refund: Refund, payment: Payment) -> Json:
    """A refund as refund and query answer it."""
    amount_fen, total_fen = refund.request.amount_fen, payment.amount_fen
    view: Json = {
        "refund_id": refund.id,
        "out_refund_no": refund.request.refund_no,
        "transaction_id": payment.transaction_id,
        "out_trade_no": payment.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": china_time(refund.created_at),
        "status": refund.status,
        "funds_account": "AVAILABLE",
        "amount": {
            "total": total_fen,
            "refund": amount_fen,
            "from": [],
            "payer_total": total_fen,
            "payer_refund": amount_fen,
            "settlement_refund": amount_fen,
            "settlement_total": total_fen,
            "discount_refund": 0,
            "currency": "CNY",
        },
        "promotion_detail": [],
    }
    if refund.status == SUCCESS and refund.ended_at:
        view["success_time"] = china_time(refund.ended_at)
    return view


def notice_view(refund: Refund, payment: Payment, merchant_id: str) -> Json:
    """A refund as a notification tells it, before encryption."""
    amount_fen, total_fen = refund.request.amount_fen, payment.amount_fen
    view: Json = {
        "mchid": merchant_id,
        "transaction_id": payment.transaction_id,
        "out_trade_no": payment.out_trade_no,
        "refund_id": refund.id,
        "out_refund_no": refund.request.refund_no,
        "refund_status": refund.status,
        "user_received_account": "支付用户零钱",
        "amount": {"total": total_fen, "refund": amount_fen, "payer_total": total_fen, "payer_refund": amount_fen},
    }
    if refund.status == SUCCESS and refund.ended_at:
        view["success_time"] = china_time(refund.ended_at)
    return view


def malformed(answer: Response, shape: str) -> Response:
    """The same answer, 2xx and signed, but not to be understood."""
    match shape:
        case "no_state":
            members = json.loads(bytes(answer.body))
            return json_response({name: value for name, value in members.items() if name != "status"})
        case "wrong_type":
            return json_response([])
        case "empty":
            return Response(b"", media_type="application/json")
        case _:
            return Response(b"<html><body>OK</body></html>", media_type="application/json")


def shown(answer: Response) -> str | None:
    """The status or the error code that an answer shows, for the book."""
    try:
        content = json.loads(bytes(answer.body))
    except ValueError:
        return None
    members = cast("Json", content) if isinstance(content, dict) else {}
    return members.get("status") or members.get("code")
