"""Bills as the providers write them, made by hand after what was seen (docs/facts/payments.md)."""

import gzip
import hashlib
import io
import zipfile
from collections.abc import Sequence

from reconciliation.days import after
from reconciliation.evidence import BillLine

MCHID = "1900000109"
SELLER = "2088102146225135"
WECHAT_HEADINGS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,"
    "手续费,费率,订单金额,申请退款金额,费率备注"
)
WECHAT_TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
ALIPAY_HEADINGS = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,"
    "商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)


def yuan(fen: int) -> str:
    sign, fen = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{fen // 100}.{fen % 100:02d}"


def wechat_line(line: BillLine, *, name: str = "车载流量包", attach: str = "1~VIN~ICCID", coupon_fen: int = 0) -> str:
    """One line; `coupon_fen`: what WeChat Pay itself gave to the buyer: the price stays."""
    payment = line.kind == "payment"
    amount = line.amount_fen
    values = [
        line.at, "wxd678efh567hg6787", MCHID, "0", "", line.transaction_id, line.out_trade_no, "oUpF8uMuAJO", "NATIVE",
        "SUCCESS" if payment else "REFUND", "OTHERS", "CNY",
        yuan(amount - coupon_fen) if payment else "0.00", yuan(coupon_fen),
        "0" if payment else f"5030{line.transaction_id}"[:64], "0" if payment else line.refund_number,
        "0.00" if payment else yuan(amount - coupon_fen), "0.00", "" if payment else "ORIGINAL",
        "" if payment else "PROCESSING", name, attach, "0.27000" if payment else "-0.27000", "0.60%",
        yuan(amount) if payment else "0.00", "0.00" if payment else yuan(amount), "",
    ]  # fmt: skip
    return ",".join(f"`{value}" for value in values)


def wechat_bill(lines: Sequence[BillLine], texts: Sequence[str] | None = None, *, bom: str = "\ufeff") -> bytes:
    """A whole bill. `texts`: the lines as they stand there, where they are not the plain ones."""
    payments = sum(line.amount_fen for line in lines if line.kind == "payment")
    refunds = sum(line.amount_fen for line in lines if line.kind == "refund")
    loose = f"{payments / 100:.1f}" if payments % 10 == 0 else yuan(payments)
    totals = [str(len(lines)), yuan(payments), yuan(refunds), "0.00", "0.00000", loose, yuan(refunds)]
    texts = [wechat_line(line) for line in lines] if texts is None else texts
    whole = [bom + WECHAT_HEADINGS, *texts, WECHAT_TOTALS, ",".join(f"`{value}" for value in totals)]
    return ("\r\n".join(whole) + "\r\n").encode()


def packed(bill: bytes) -> tuple[bytes, str]:
    """As it is downloaded, and the SHA1 that is announced: over the bytes unpacked, the mark at the head and all."""
    return gzip.compress(bill), hashlib.sha1(bill, usedforsecurity=False).hexdigest()


def alipay_line(
    line: BillLine,
    *,
    name: str = "车载流量包",
    received_fen: int | None = None,
    buyer: str = "*三(159****5620)",
    coupon: str = "",
    remark: str = "",
) -> str:
    sign = 1 if line.kind == "payment" else -1
    received = line.amount_fen if received_fen is None else received_fen
    values = [
        f"{line.transaction_id}\t", f"{line.out_trade_no}\t", "交易" if sign == 1 else "退款", name, line.at, line.at,
        "", "", "", "", buyer, yuan(sign * line.amount_fen), yuan(sign * received), "0.00", "0.00", "0.00",
        "0.00", "0.00", coupon, "0.00", "0.00", f"{line.refund_number}\t", yuan(-sign * 54), "0.00", remark,
    ]  # fmt: skip
    return ",".join(values)


def alipay_details(
    lines: Sequence[BillLine], day: str, texts: Sequence[str] | None = None, *, received_fen: int | None = None
) -> bytes:
    payments, refunds = ([one for one in lines if one.kind == kind] for kind in ("payment", "refund"))
    paid = sum(one.amount_fen for one in payments) if received_fen is None else received_fen
    year, month, date = day.split("-")
    next_year, next_month, next_date = after(day, 1).split("-")
    begin = f"{year}年{month}月{date}日 00:00:00"
    end = f"{next_year}年{next_month}月{next_date}日"
    refunded = yuan(-sum(one.amount_fen for one in refunds))
    whole = [
        "#支付宝业务明细查询",
        f"#账号：[{SELLER}0156]",
        f"#起始日期：[{begin}]   终止日期：[{end} 00:00:00]",
        "#-----------------------------------------业务明细列表----------------------------------------",
        ALIPAY_HEADINGS,
        *([alipay_line(line) for line in lines] if texts is None else texts),
        "#-----------------------------------------业务明细列表结束------------------------------------",
        f"#交易合计：{len(payments)}笔，商家实收共{yuan(paid)}元，商家优惠共0.00元",
        f"#退款合计：{len(refunds)}笔，商家实收退款共{refunded}元，商家优惠共0.00元",
        f"#导出时间：[{end} 10:00:00]",
    ]
    return ("\r\n".join(whole) + "\r\n").encode("gbk")


def alipay_zip(details: bytes, day: str) -> bytes:
    """The archive, with names in GBK and without the mark of UTF-8."""
    packed_file = io.BytesIO()
    names = (f"{SELLER}0156_{day}_业务明细.csv", f"{SELLER}0156_{day}_业务明细(汇总).csv")
    with zipfile.ZipFile(packed_file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in zip(names, (details, "#汇总\r\n".encode("gbk")), strict=True):
            archive.writestr(_InGbk(name), content)
    return packed_file.getvalue()


class _InGbk(zipfile.ZipInfo):
    """`zipfile` would write the name in UTF-8 and say so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile's own name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800
