"""WeChat Pay's trade bill, and its payment query, for reconciliation (contracts §10).

`tradebill` of type ALL: 27 columns by heading, a back-tick before each value, no CSV quoting; SHA1 over the unpacked
bytes. What a bill is like was seen in public fixtures (docs/facts/payments.md).
"""

import asyncio
import gzip
import tempfile
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote, urlencode, urlsplit

import httpx

from adapters.http import as_object
from adapters.payments.bills import (
    ASK_SECONDS,
    Columns,
    Digests,
    agree,
    bill_line,
    digests,
    download,
    fen_of,
    in_batches,
    text_lines,
)
from adapters.payments.wechat.client import WeChatPay
from adapters.wording import text_of
from orders.errors import Unavailable
from orders.outcomes import RefundAnswer, RefundRequest
from reconciliation.evidence import BillLine
from reconciliation.ports import NotWhole, OpenBill, PaymentNow

_WHOM: Final = "WeChat Pay"
_TICK: Final = "`"
_PACKED: Final = b"\x1f\x8b"
_PAYMENT: Final = "SUCCESS"
_REFUNDS: Final = frozenset({"REFUND", "REVOKED"})
_PAID: Final = frozenset({"SUCCESS", "REFUND"})
"""`REFUND` was paid, and is refunded at least in part."""
_BROKEN: Final = (OSError, EOFError, zlib.error)
"""What `gzip` raises for a file that is none, or not whole."""
_LATER: Final = {
    "STATEMENT_CREATING": "is still being made: it is asked for again",
    "NO_AUTH": "may not be fetched: give the merchant the right to download bills",
    "INVALID_REQUEST": "can't be asked for: it is older than three months, or its day is not over",
}


class WeChatBills:
    """`reconciliation.ports.Bills` of WeChat Pay."""

    def __init__(self, pay: WeChatPay) -> None:
        self.merchant_id = pay.merchant_id
        self._pay = pay

    @asynccontextmanager
    async def open(self, day: str) -> AsyncGenerator[OpenBill | None, None]:
        """The bill of a day; None where nothing happened on it.

        Raises:
            NotWhole: it isn't there yet, isn't to be believed, or can't be had.
        """
        query = urlencode({"bill_date": day, "bill_type": "ALL", "tar_type": "GZIP"})
        try:
            said = await self._pay.get(f"/v3/bill/tradebill?{query}", timeout_seconds=ASK_SECONDS)
        except Unavailable as away:
            raise NotWhole(f"WeChat Pay's bill of {day} can't be had now: {away}") from away
        if said.code == "NO_STATEMENT_EXIST":
            yield None
            return
        if not said.reply.is_success:
            what = _LATER.get(said.code, f"can't be had ({said.code}{said.words})")
            raise NotWhole(f"WeChat Pay's bill of {day} {what}.")
        link = text_of(said.members.get("download_url")) or ""
        if said.members.get("hash_type") != "SHA1":
            raise NotWhole("WeChat Pay's bill comes with another hash than SHA1; its interface has changed.")
        with tempfile.TemporaryDirectory(prefix="topup-bill-") as folder:
            packed = Path(folder) / "bill"
            await download(self._pay.http, self._request(link), packed, whom=_WHOM)
            found = await asyncio.to_thread(_digests, packed)
            if found.sha1 != str(said.members.get("hash_value")).lower():
                raise NotWhole("WeChat Pay's bill has another SHA1 than was announced: it came changed or cut short.")
            with _unpacked(packed) as file:
                lines = read_trade_bill(text_lines(file, "utf-8", _WHOM), self.merchant_id)
                yield OpenBill(_readable(in_batches(lines)), found.sha256, found.size_bytes)

    async def payment(self, transaction_id: str) -> PaymentNow | None:
        """A payment as it stands now (`GET /v3/pay/transactions/id/…`).

        Raises:
            Unavailable: WeChat Pay doesn't say.
        """
        path = f"/v3/pay/transactions/id/{quote(transaction_id, safe='')}?{urlencode({'mchid': self.merchant_id})}"
        said = await self._pay.get(path, timeout_seconds=ASK_SECONDS)
        if said.code in ("ORDER_NOT_EXIST", "RESOURCE_NOT_EXISTS") and said.reply.status == httpx.codes.NOT_FOUND.value:
            return None
        members = said.members
        amount = as_object(members.get("amount")) or {}
        total = amount.get("total")
        state = text_of(members.get("trade_state"))
        if not said.reply.is_success or state is None:
            raise Unavailable(f"WeChat Pay does not say how a payment stands ({said.code}{said.words}): ask again.")
        if members.get("mchid") != self.merchant_id or text_of(members.get("transaction_id")) != transaction_id:
            raise Unavailable("WeChat Pay answered about another payment than ours: look it up at WeChat Pay.")
        if state in _PAID and type(total) is not int:
            raise Unavailable("WeChat Pay answered with an amount that is none: look the payment up at WeChat Pay.")
        return PaymentNow(
            is_paid=state in _PAID,
            is_refunded=state == "REFUND",
            transaction_id=transaction_id,
            out_trade_no=text_of(members.get("out_trade_no")) or "",
            amount_fen=total if type(total) is int else 0,
            currency=text_of(amount.get("currency")) or "CNY",
            paid_at=text_of(members.get("success_time")) or "",
            attachment=text_of(members.get("attach")),
        )

    async def refund(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """How a refund stands now."""
        return await self._pay.query(request, timeout_seconds=timeout_seconds)

    def _request(self, link: str) -> httpx.Request:
        """The signed download; wherever the link points, it is asked for where everything else is."""
        try:
            parts = urlsplit(link)
            if parts.path.startswith("/v3/"):
                return self._pay.signed("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, b"")
        except (ValueError, httpx.InvalidURL):
            pass
        raise NotWhole("WeChat Pay's link to the bill has another form; its interface has changed.")


def read_trade_bill(lines: Iterable[str], merchant_id: str) -> Iterator[BillLine]:
    """The payments and refunds of a trade bill of type ALL; pure.

    Raises:
        NotWhole: it is cut short, doesn't agree with its totals, is another merchant's, or has another format.
    """
    rest = iter(lines)
    columns = Columns([name.strip() for name in next(rest, "").split(",")], _WHOM)
    reader = _Reader(columns, merchant_id)
    for line in rest:
        if not line.startswith(_TICK):
            reader.end(line, rest)
            return
        yield reader.line(line)
    raise NotWhole("WeChat Pay's bill has no totals at its end: it was cut short.")


class _Reader:
    """Reads lines, and counts what they come to."""

    def __init__(self, columns: Columns, merchant_id: str) -> None:
        self._columns = columns
        self._merchant_id = merchant_id
        self._name_at = columns.place("商品名称")
        self._payments_fen = self._refunds_fen = self._lines = 0
        self._at = columns.place("交易时间")
        self._merchant = columns.place("商户号")
        self._transaction = columns.place("微信订单号")
        self._order = columns.place("商户订单号")
        self._state = columns.place("交易状态")
        # The price is not 应结订单金额, which is less a coupon that WeChat Pay gave. Older merchants have 总金额 alone.
        self._price = columns.place("订单金额", "总金额")
        self._number = columns.place("商户退款单号")
        self._refund_amount = columns.place("申请退款金额", "退款金额")

    def line(self, text: str) -> BillLine:
        """One line; names may hold commas, and back-ticks too."""
        values = text.removeprefix(_TICK).split(f",{_TICK}")
        extra = len(values) - self._columns.count
        if extra < 0:
            raise NotWhole("WeChat Pay's bill has a line with too few columns: it was cut short, or changed.")

        def value(place: int) -> str:
            """Right of 商品名称 and 商户数据包, which may hold anything, columns are counted from the end."""
            return values[place if place <= self._name_at else place + extra].strip()

        if value(self._merchant) != self._merchant_id:
            raise NotWhole("WeChat Pay's bill is of another merchant than TOPUP_WECHAT_MCHID.")
        state = value(self._state)
        if state != _PAYMENT and state not in _REFUNDS:
            raise NotWhole("WeChat Pay's bill has a state that isn't known; its format has changed.")
        is_payment = state == _PAYMENT
        line = bill_line(
            "payment" if is_payment else "refund",
            value(self._transaction),
            value(self._order),
            fen_of(value(self._price if is_payment else self._refund_amount)),
            value(self._at),
            number=value(self._number),
            whom=_WHOM,
        )
        self._lines += 1
        self._payments_fen += line.amount_fen if is_payment else 0
        self._refunds_fen += 0 if is_payment else line.amount_fen
        return line

    def end(self, headings: str, rest: Iterator[str]) -> None:
        """Compare with the totals, which are the last two lines."""
        totals = Columns([name.strip() for name in headings.split(",")], _WHOM)
        values = next(rest, "").removeprefix(_TICK).split(f",{_TICK}")
        if len(values) != totals.count or any(line.strip() for line in rest):
            raise NotWhole("WeChat Pay's bill doesn't end with its totals: it was cut short, or changed.")
        count = values[totals.place("总交易单数")]
        price = fen_of(values[totals.place("订单总金额", "总交易额")].strip())
        refunds = fen_of(values[totals.place("申请退款总金额", "退款总金额", "总退款金额")].strip())
        agree(
            _WHOM,
            number_of_lines=(str(self._lines), count.strip().removesuffix(".0")),
            sum_of_payments_in_fen=(self._payments_fen, price),
            sum_of_refunds_in_fen=(self._refunds_fen, refunds),
        )


def _unpacked(packed: Path) -> IO[bytes]:
    with packed.open("rb") as file:
        is_packed = file.read(len(_PACKED)) == _PACKED
    return gzip.open(packed, "rb") if is_packed else packed.open("rb")  # pyright: ignore[reportReturnType] - gzip's type is its own


def _digests(packed: Path) -> Digests:
    try:
        with _unpacked(packed) as file:
            return digests(file, _WHOM)
    except _BROKEN as error:
        raise NotWhole("WeChat Pay's bill can't be unpacked: it came changed or cut short.") from error


def _readable(batches: Iterator[list[BillLine]]) -> Iterator[list[BillLine]]:
    try:
        yield from batches
    except _BROKEN as error:
        raise NotWhole("WeChat Pay's bill can't be unpacked: it came changed or cut short.") from error
