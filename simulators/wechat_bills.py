"""WeChat Pay's trade bill and payment query, signed (what they look like: docs/facts/payments.md)."""

from __future__ import annotations

import gzip
import hashlib
import secrets
from collections.abc import Mapping
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.bills import Bills, Line, yuan
from simulators.keys import WechatKeys
from simulators.refunds import SUCCESS, Refunds
from simulators.wechat_signing import SignError, signature_headers, verify_request
from simulators.wechat_wire import WechatError, china_time
from simulators.wire import Json, json_response

HEADINGS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
NAME = "车载流量包, 30天"


class WechatBills:
    """Bills and payment queries of one merchant."""

    def __init__(self, keys: WechatKeys, refunds: Refunds, attached: Mapping[str, str]) -> None:
        self._keys = keys
        self._refunds = refunds
        self._attached = attached
        self._bills = Bills(refunds)
        self._links: dict[str, bytes] = {}

    def routes(self) -> list[Route]:
        """The bill, its download, the payment query, and what the control API tells of bills."""
        return [
            Route("/v3/bill/tradebill", self._bill),
            Route("/v3/billdownload/file", self._download),
            Route("/v3/pay/transactions/id/{transaction_id}", self._payment),
            *self._bills.routes(),
        ]

    async def _bill(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        day = request.query_params.get("bill_date", "")
        plan, lines = self._bills.plan(day), self._bills.lines(day)
        if plan.state == "creating":
            return self._signed(WechatError(HTTPStatus.BAD_REQUEST, "STATEMENT_CREATING", "still made").response())
        if plan.state == "none" or not lines:
            return self._signed(WechatError(HTTPStatus.BAD_REQUEST, "NO_STATEMENT_EXIST", "no statement").response())
        whole = trade_bill(lines, self._keys.merchant_id, cut_short=plan.state == "cut_short")
        if plan.state == "wrong_totals":
            whole = whole.replace(f"`{len(lines)},".encode(), f"`{len(lines) + 1},".encode())
        sha1 = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
        token = secrets.token_hex(8)
        self._links[token] = gzip.compress(whole)
        return self._signed(
            json_response(
                {
                    "hash_type": "SHA1",
                    "hash_value": "0" * 40 if plan.state == "wrong_hash" else sha1,
                    "download_url": f"https://api.mch.weixin.qq.com/v3/billdownload/file?token={token}",
                }
            )
        )

    async def _download(self, request: Request) -> Response:
        """Asked for by a signed request; the answer is not signed."""
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        content = self._links.get(request.query_params.get("token", ""))
        if content is None:
            return WechatError(HTTPStatus.BAD_REQUEST, "INVALID_REQUEST", "the link has run out").response()
        return Response(content, media_type="application/x-gzip")

    async def _payment(self, request: Request) -> Response:
        if (refusal := await self._refusal(request)) is not None:
            return refusal
        transaction_id: str = request.path_params["transaction_id"]
        account = self._refunds.account(transaction_id)
        if account is None:
            return self._signed(WechatError(HTTPStatus.NOT_FOUND, "ORDER_NOT_EXIST", "no such order").response())
        payment = account.payment
        is_refunded = any(
            refund.status == SUCCESS
            for one, refunds in self._refunds.accounts()
            if one is account
            for refund in refunds
        )
        view: Json = {
            "appid": self._keys.app_id,
            "mchid": self._keys.merchant_id,
            "out_trade_no": payment.out_trade_no,
            "transaction_id": transaction_id,
            "trade_type": "NATIVE",
            "trade_state": "REFUND" if is_refunded else "SUCCESS",
            "success_time": china_time(account.paid_at),
            "amount": {"total": payment.amount_fen, "payer_total": payment.amount_fen, "currency": "CNY"},
        }
        if transaction_id in self._attached:
            view["attach"] = self._attached[transaction_id]
        return self._signed(json_response(view))

    async def _refusal(self, request: Request) -> Response | None:
        try:
            verify_request(self._keys, request, await request.body())
        except SignError as error:
            return self._signed(WechatError(HTTPStatus.UNAUTHORIZED, "SIGN_ERROR", str(error)).response())
        return None

    def _signed(self, answer: Response) -> Response:
        answer.headers.update(signature_headers(self._keys, bytes(answer.body)))
        return answer


def trade_bill(lines: list[Line], merchant_id: str, *, cut_short: bool = False) -> bytes:
    """A bill of type ALL."""
    paid = sum(line.amount_fen for line in lines if line.kind == "payment")
    refunded = sum(line.amount_fen for line in lines if line.kind == "refund")
    totals = [str(len(lines)), yuan(paid), yuan(refunded), "0.00", "0.00000", yuan(paid), yuan(refunded)]
    rows = [HEADINGS, *(_row(line, merchant_id) for line in lines), TOTALS, ",".join(f"`{one}" for one in totals)]
    whole = ("\ufeff" + "\r\n".join(rows) + "\r\n").encode()
    return whole[: len(whole) - len(TOTALS.encode())] if cut_short else whole


def _row(line: Line, merchant_id: str) -> str:
    is_payment = line.kind == "payment"
    amount = yuan(line.amount_fen)
    values = [
        line.at, "wx0123456789abcdef", merchant_id, "0", "", line.transaction_id, line.out_trade_no, "oUpF8", "NATIVE",
        "SUCCESS" if is_payment else "REFUND", "OTHERS", "CNY", amount if is_payment else "0.00", "0.00",
        "0" if is_payment else "5030", "0" if is_payment else line.refund_no, "0.00" if is_payment else amount, "0.00",
        "" if is_payment else "ORIGINAL", "" if is_payment else "PROCESSING", NAME, "",
        "0.27000" if is_payment else "-0.27000", "0.60%", amount if is_payment else "0.00",
        "0.00" if is_payment else amount, "",
    ]  # fmt: skip
    return ",".join(f"`{value}" for value in values)
