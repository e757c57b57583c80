"""Alipay's trade bill and payment query (what they look like: docs/facts/payments.md)."""

from __future__ import annotations

import io
import secrets
import zipfile
from collections.abc import Mapping
from datetime import date, timedelta
from http import HTTPStatus
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.alipay_wire import BILL_URL, TRADE_QUERY, AlipayError, china_time
from simulators.bills import Bills, Line, yuan
from simulators.keys import AlipayKeys
from simulators.refunds import Refunds
from simulators.wire import Json, parse_json, problem

PATH = "/downloadBill.resource"
HEADINGS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)


class AlipayBills:
    """Bills and payment queries of one seller."""

    methods = (BILL_URL, TRADE_QUERY)

    def __init__(self, keys: AlipayKeys, refunds: Refunds, attached: Mapping[str, str]) -> None:
        self._keys = keys
        self._refunds = refunds
        self._attached = attached
        self._bills = Bills(refunds)
        self._links: dict[str, bytes] = {}

    def routes(self) -> list[Route]:
        """The download, which asks for no signature, and what the control API tells of bills."""
        return [Route(PATH, self._download), *self._bills.routes()]

    def answer(self, request: Request, method: str, form: Mapping[str, str]) -> Json:
        """The content of an answer to one of `methods`.

        Raises:
            AlipayError: the `biz_content` can't be read.
        """
        try:
            content = parse_json(form.get("biz_content", "").encode())
        except ValueError as error:
            raise AlipayError("40004", "isv.invalid-parameter", "biz_content is not JSON") from error
        members = cast("Json", content) if isinstance(content, dict) else {}
        if method == BILL_URL:
            return self._bill(request, str(members.get("bill_date", "")))
        return self._payment(str(members.get("trade_no", "")))

    def _bill(self, request: Request, day: str) -> Json:
        plan, lines = self._bills.plan(day), self._bills.lines(day)
        if plan.state == "creating":
            return AlipayError("20000", "isp.unknow-error", "the bill is still being made").content
        if plan.state == "none" or not lines:
            return AlipayError("40004", "isp.bill_not_exist", "the bill does not exist").content
        details = trade_bill(lines, day, self._keys.seller_id, more=plan.state == "wrong_totals")
        if plan.state == "cut_short":
            details = details[: len(details) * 2 // 3]
        token = secrets.token_hex(8)
        self._links[token] = _archive(details, f"{self._keys.seller_id}0156_{day}_业务明细")
        host = request.headers.get("host", "")
        return {"code": "10000", "msg": "Success", "bill_download_url": f"http://{host}{PATH}?token={token}"}

    async def _download(self, request: Request) -> Response:
        content = self._links.get(request.query_params.get("token", ""))
        if content is None:
            return problem(HTTPStatus.NOT_FOUND, "the link has run out")
        return Response(content, media_type="application/octet-stream")

    def _payment(self, trade_no: str) -> Json:
        account = self._refunds.account(trade_no)
        if account is None:
            return AlipayError("40004", "ACQ.TRADE_NOT_EXIST", "the trade does not exist").content
        payment = account.payment
        refunded_fen = self._refunds.taken_fen(trade_no)
        view: Json = {
            "code": "10000",
            "msg": "Success",
            "trade_no": trade_no,
            "out_trade_no": payment.out_trade_no,
            "trade_status": "TRADE_CLOSED" if refunded_fen >= payment.amount_fen else "TRADE_SUCCESS",
            "total_amount": yuan(payment.amount_fen),
            "send_pay_date": china_time(account.paid_at),
        }
        if refunded_fen:
            view["refund_fee"] = yuan(refunded_fen)
        if trade_no in self._attached:
            view["passback_params"] = self._attached[trade_no]
        return view


def trade_bill(lines: list[Line], day: str, seller_id: str, *, more: bool = False) -> bytes:
    """The details in GBK; `more`: its totals say one payment more than there are."""
    payments, refunds = ([line for line in lines if line.kind == kind] for kind in ("payment", "refund"))
    begin = date.fromisoformat(day)
    end = begin + timedelta(days=1)
    received = yuan(sum(line.amount_fen for line in payments))
    paid_back = yuan(-sum(line.amount_fen for line in refunds))
    rows = [
        "#支付宝业务明细查询",
        f"#账号：[{seller_id}0156]",
        f"#起始日期：[{begin:%Y年%m月%d日} 00:00:00]   终止日期：[{end:%Y年%m月%d日} 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        HEADINGS,
        *(_row(line) for line in lines),
        "#-----------------------------------------业务明细列表结束------------------------------------",
        f"#交易合计：{len(payments) + more}笔，商家实收共{received}元，商家优惠共0.00元",
        f"#退款合计：{len(refunds)}笔，商家实收退款共{paid_back}元，商家优惠共0.00元",
        f"#导出时间：[{end:%Y年%m月%d日} 10:00:00]",
    ]
    return ("\r\n".join(rows) + "\r\n").encode("gbk")


def _row(line: Line) -> str:
    sign = 1 if line.kind == "payment" else -1
    amount = yuan(sign * line.amount_fen)
    values = [
        f"{line.transaction_id}\t", f"{line.out_trade_no}\t", "交易" if sign == 1 else "退款", "车载流量包", line.at,
        line.at, "", "", "", "", "*三(159****5620)", amount, amount, "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00",
        "0.00", f"{line.refund_no}\t", yuan(-sign * 54), "0.00", "",
    ]  # fmt: skip
    return ",".join(values)


class _InGbk(zipfile.ZipInfo):
    """Names in GBK, as Alipay writes them; `zipfile` would write UTF-8 and say so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's own name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def _archive(details: bytes, name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_InGbk(f"{name}.csv"), details)
        archive.writestr(_InGbk(f"{name}(汇总).csv"), "#业务明细(汇总)\r\n".encode("gbk"))
    return packed.getvalue()
