"""Alipay's OpenAPI on the wire: RSA2 both ways, reading a request, showing a refund (docs/facts/payments.md)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import cast
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.responses import Response

from simulators.keys import AlipayKeys
from simulators.refunds import SUCCESS, Payment, Refund
from simulators.wire import Json, parse_json

REFUND = "alipay.trade.refund"
REFUND_QUERY = "alipay.trade.fastpay.refund.query"
METHODS = (REFUND, REFUND_QUERY)
BILL_URL = "alipay.data.dataservice.bill.downloadurl.query"
TRADE_QUERY = "alipay.trade.query"

CHINA = timezone(timedelta(hours=8))
YUAN = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?")
REQUEST_NO_MAX_CHARACTERS = 64
MSG = {"40002": "Invalid Arguments", "40004": "Business Failed", "20000": "Service Currently Unavailable"}


class AlipayError(Exception):
    """An answer with a code other than 10000."""

    def __init__(self, code: str, sub_code: str, sub_msg: str) -> None:
        super().__init__(sub_msg)
        self.content: Json = {"code": code, "msg": MSG.get(code, "Failed"), "sub_code": sub_code, "sub_msg": sub_msg}


@dataclass(frozen=True, slots=True)
class Asked:
    """A well-formed request; `amount_fen` only for a refund."""

    trade_no: str | None
    out_trade_no: str | None
    request_no: str | None
    amount_fen: int | None


def read_form(body: bytes, query: bytes) -> dict[str, str]:
    """The parameters of a request, all in the form body (contracts §5).

    Raises:
        AlipayError: parameters in the URL, twice, or not UTF-8.
    """
    if query:
        raise AlipayError("40002", "isv.invalid-parameter", "all parameters belong in the form body, none in the URL")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError as error:
        raise AlipayError("40002", "isv.invalid-parameter", "the body is no UTF-8 form") from error
    if len(dict(pairs)) != len(pairs):
        raise AlipayError("40002", "isv.invalid-parameter", "a parameter comes twice")
    return dict(pairs)


def verify_form(keys: AlipayKeys, form: dict[str, str]) -> None:
    """Check who sent a request: RSA2 over all parameters but `sign`, sorted, `k=v` joined with `&`.

    Raises:
        AlipayError: as the gateway answers it.
    """
    if form.get("app_id") != keys.app_id:
        raise AlipayError("40002", "isv.invalid-app-id", "app_id is not the app's")
    if form.get("sign_type") != "RSA2" or form.get("charset", "").lower() != "utf-8" or form.get("version") != "1.0":
        raise AlipayError("40002", "isv.invalid-signature-type", "sign_type is RSA2, charset utf-8, version 1.0")
    try:
        datetime.strptime(form.get("timestamp", ""), "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError as error:
        raise AlipayError("40002", "isv.invalid-timestamp", "timestamp is yyyy-MM-dd HH:mm:ss, China time") from error
    signed = "&".join(f"{name}={form[name]}" for name in sorted(form) if name != "sign" and form[name])
    try:
        signature = base64.b64decode(form.get("sign", ""), validate=True)
        keys.app_public_key.verify(signature, signed.encode(), PKCS1v15(), SHA256())
    except (binascii.Error, InvalidSignature) as error:
        raise AlipayError("40002", "isv.invalid-signature", "the signature does not fit the parameters") from error


def read_request(form: dict[str, str]) -> Asked:
    """The `biz_content` of a refund or a refund query.

    Raises:
        AlipayError: another method, or names the parameter.
    """
    if form.get("method") not in METHODS:
        raise AlipayError("40002", "isv.invalid-method", f"the method is none of {', '.join(METHODS)}")
    try:
        content = parse_json(form.get("biz_content", "").encode())
    except ValueError as error:
        raise _invalid("biz_content is not JSON") from error
    members = cast("Json", content) if isinstance(content, dict) else {}
    trade_no, out_trade_no = members.get("trade_no"), members.get("out_trade_no")
    request_no = members.get("out_request_no")
    if not all(isinstance(one, str | None) for one in (trade_no, out_trade_no, request_no)):
        raise _invalid("trade_no, out_trade_no and out_request_no are strings")
    if not trade_no and not out_trade_no:
        raise _invalid("trade_no or out_trade_no is needed")
    if request_no is not None and not 1 <= len(request_no) <= REQUEST_NO_MAX_CHARACTERS:
        raise _invalid("out_request_no has 1 to 64 characters")
    if form["method"] == REFUND_QUERY and not request_no:
        raise _invalid("out_request_no is needed")
    amount_fen = fen(members.get("refund_amount")) if form["method"] == REFUND else None
    return Asked(trade_no, out_trade_no, request_no, amount_fen)


def _invalid(sentence: str) -> AlipayError:
    return AlipayError("40004", "ACQ.INVALID_PARAMETER", sentence)


def fen(yuan: object) -> int:
    """`"99.00"` → 9900, exactly; raises AlipayError."""
    match = YUAN.fullmatch(yuan) if isinstance(yuan, str) else None
    if match is None or (amount_fen := int(match.group(1)) * 100 + int((match.group(2) or "").ljust(2, "0"))) < 1:
        raise _invalid('refund_amount is yuan as a string with at most two decimals, e.g. "99.00"')
    return amount_fen


def yuan(amount_fen: int) -> str:
    """9900 → `"99.00"`."""
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def china_time(moment: str) -> str:
    """A moment of the book as Alipay writes it."""
    return datetime.fromisoformat(moment).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def refund_view(payment: Payment, refunded_fen: int, *, fund_changed: bool) -> Json:
    """The answer to a refund; `refund_fee` is what was refunded of the trade in all."""
    return {
        "code": "10000",
        "msg": "Success",
        "buyer_logon_id": "159****5620",
        "buyer_user_id": "2088101117955611",
        "fund_change": "Y" if fund_changed else "N",
        "out_trade_no": payment.out_trade_no,
        "refund_fee": yuan(refunded_fen),
        "send_back_fee": yuan(refunded_fen),
        "trade_no": payment.transaction_id,
    }


def query_view(payment: Payment, refund: Refund | None) -> Json:
    """The answer to a refund query; without `refund_status` where nothing was refunded (yet)."""
    view: Json = {"code": "10000", "msg": "Success"}
    if refund is not None and refund.status == SUCCESS:
        view |= {
            "out_request_no": refund.request.refund_no,
            "out_trade_no": payment.out_trade_no,
            "refund_amount": yuan(refund.request.amount_fen),
            "refund_status": "REFUND_SUCCESS",
            "total_amount": yuan(payment.amount_fen),
            "trade_no": payment.transaction_id,
        }
        view |= {"gmt_refund_pay": china_time(refund.ended_at)} if refund.ended_at else {}
    return view


def signed_answer(keys: AlipayKeys, method: str, inner: str, *, signed_text: str | None = None) -> Response:
    """The gateway's answer: the signature covers the inner object's text exactly as it stands in the body.

    `signed_text` signs something else (the fault `wrong_signature`).
    """
    text = inner if signed_text is None else signed_text
    signature = keys.platform_private_key.sign(text.encode(), PKCS1v15(), SHA256())
    return _answer(method, inner, f',"sign":"{base64.b64encode(signature).decode()}"')


def unsigned_answer(method: str, inner: str) -> Response:
    """The gateway's answer without its signature."""
    return _answer(method, inner, "")


def inner_text(content: object) -> str:
    """The inner object as it will stand in the body."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def _answer(method: str, inner: str, sign_member: str) -> Response:
    name = method.replace(".", "_") + "_response" if method in (*METHODS, BILL_URL, TRADE_QUERY) else "error_response"
    return Response(f'{{"{name}":{inner}{sign_member}}}'.encode(), media_type="application/json;charset=utf-8")
