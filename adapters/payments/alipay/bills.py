"""Alipay's trade bill, and its payment query, for reconciliation (contracts §10).

A ZIP of two CSVs in GBK, names too: the lines, and a table of sums that is not read. Lines that begin with `#` say
whose bill it is, of which day, and what its lines come to. The link is not signed and there is no hash: its host is
pinned, and the totals must agree (docs/facts/payments.md).
"""

import asyncio
import io
import itertools
import re
import tempfile
import zipfile
import zlib
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from adapters.payments.alipay.client import NO_TRADE, Alipay
from adapters.payments.alipay.signing import attachment_of, fen
from adapters.payments.bills import (
    ASK_SECONDS,
    MOMENT,
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
from adapters.wording import text_of
from orders.errors import Unavailable
from orders.outcomes import RefundAnswer, RefundConfirmed, RefundInDoubt, RefundRequest, RefundUnknown
from reconciliation.evidence import BillLine
from reconciliation.ports import NotWhole, OpenBill, PaymentNow

_WHOM: Final = "Alipay"
_DOWNLOAD: Final = "alipay.data.dataservice.bill.downloadurl.query"
_QUERY: Final = "alipay.trade.query"
ENCODING: Final = "gb18030"
"""What GBK has grown into; reads all of it."""

_SUCCESS: Final = "10000"
_NO_BILL: Final = "isp.bill_not_exist"
_PAID: Final = frozenset({"TRADE_SUCCESS", "TRADE_FINISHED"})
_CLOSED: Final = "TRADE_CLOSED"
_NO_NUMBER: Final = "@"
_PACKINGS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others unpack a chunk without a bound."""
MOST_READ_BYTES: Final = 1024 * 1024
"""Of an archive's directory, which has two files; a longer one is refused before it is read whole."""
_SUMS: Final = "汇总"
_YUAN: Final = "(元)"
_MOST_COMMAS: Final = 1_000
"""In the names of a line."""
_PAYMENT, _REFUND = "交易", "退款"
_TOTALS: Final = re.compile(r"#(交易|退款)合计[:：]([0-9]+)笔.*?商家实收(?:退款)?共(-?[0-9]+(?:\.[0-9]+)?)元")
_ACCOUNT: Final = re.compile(r"#账号[:：]\[?([0-9]+)")
_FROM: Final = re.compile(r"#起始日期[:：]\[?([0-9]{4})年([0-9]{2})月([0-9]{2})日")
_END: Final = re.compile(r"#-*.*列表结束-*")


class AlipayBills:
    """`reconciliation.ports.Bills` of Alipay.

    Args:
        alipay: its client.
        host: from which bills are fetched, beside the gateway's own.
        cleartext: fetch over http where the link says so. Whoever is on the way reads names of buyers, and could write
            another bill; money moves only by what Alipay itself, asked over TLS, says of a payment.
    """

    def __init__(self, alipay: Alipay, *, host: str, cleartext: bool) -> None:
        self.merchant_id = alipay.merchant_id
        self._alipay = alipay
        self._host = host
        self._cleartext = cleartext

    @asynccontextmanager
    async def open(self, day: str) -> AsyncGenerator[OpenBill | None, None]:
        """The bill of a day; None where nothing happened on it.

        Raises:
            NotWhole: it isn't there yet, isn't to be believed, or can't be had.
        """
        try:
            said = await self._alipay.ask(
                _DOWNLOAD, {"bill_type": "trade", "bill_date": day}, timeout_seconds=ASK_SECONDS
            )
        except Unavailable as away:
            raise NotWhole(f"Alipay's bill of {day} can't be had now: {away}") from away
        if said.sub_code == _NO_BILL:
            yield None
            return
        link = said.text("bill_download_url") or ""
        if said.code != _SUCCESS or not link:
            raise NotWhole(f"Alipay's bill of {day} can't be had now (it says {said.what}).")
        with tempfile.TemporaryDirectory(prefix="topup-bill-") as folder:
            packed = Path(folder) / "bill.zip"
            await download(self._alipay.http, self._request(link), packed, whom=_WHOM)
            found = await asyncio.to_thread(_digests, packed)
            with _opened(packed) as file:
                lines = read_trade_bill(text_lines(file, ENCODING, _WHOM), self.merchant_id, day)
                yield OpenBill(_readable(in_batches(lines)), found.sha256, found.size_bytes)

    async def payment(self, transaction_id: str) -> PaymentNow | None:
        """A payment as it stands now (`alipay.trade.query`).

        Raises:
            Unavailable: Alipay doesn't say.
        """
        said = await self._alipay.ask(_QUERY, {"trade_no": transaction_id}, timeout_seconds=ASK_SECONDS)
        if said.sub_code == NO_TRADE:
            return None
        status, amount_fen = said.text("trade_status"), fen(said.text("total_amount"))
        if said.code != _SUCCESS or status is None or amount_fen is None:
            raise Unavailable(f"Alipay does not say how a payment stands ({said.what}): ask again.")
        if said.text("trade_no") != transaction_id:
            raise Unavailable("Alipay answered about another payment than ours: look it up at Alipay.")
        # A credit whose buyer has not paid yet is no payment; a closed one was paid only if it has a moment of payment.
        paid_at = said.text("send_pay_date") or ""
        is_paid = status in _PAID and said.text("credit_pay_mode") is None
        passed_back = said.text("passback_params")
        return PaymentNow(
            is_paid=is_paid or (status == _CLOSED and bool(paid_at)),
            is_refunded=status == _CLOSED or self._is_refunded(said.members.get("refund_fee")),
            transaction_id=transaction_id,
            out_trade_no=said.text("out_trade_no") or "",
            amount_fen=amount_fen,
            currency="CNY",
            paid_at=paid_at.replace(" ", "T") + "+08:00" if paid_at else "",
            attachment=attachment_of(passed_back),
        )

    async def refund(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """How a refund stands now; one without a number can only be asked for by its payment."""
        if not request.refund_number.startswith(_NO_NUMBER):
            return await self._alipay.query(request, timeout_seconds=timeout_seconds)
        try:
            payment = await self.payment(request.transaction_id)
        except Unavailable as away:
            return RefundInDoubt(why=str(away))
        return RefundConfirmed() if payment is not None and payment.is_refunded else RefundUnknown()

    @staticmethod
    def _is_refunded(refund_fee: object) -> bool:
        text = text_of(refund_fee)
        return text is not None and fen_of(text) not in (0, None)

    def _request(self, link: str) -> httpx.Request:
        """The download from the pinned host, over TLS where the host isn't this machine's."""
        try:
            return httpx.Request("GET", self._pinned(link))
        except (ValueError, httpx.InvalidURL) as error:
            raise NotWhole("Alipay's link to the bill is none; its interface has changed.") from error

    def _pinned(self, link: str) -> str:
        parts, gateway = urlsplit(link), urlsplit(self._alipay.url)
        if parts.hostname not in (self._host, gateway.hostname):
            raise NotWhole("Alipay's link to the bill names another host than TOPUP_ALIPAY_BILL_HOST: not followed.")
        is_ours = parts.hostname == gateway.hostname and gateway.scheme == "http"
        scheme = "http" if parts.scheme == "http" and (is_ours or self._cleartext) else "https"
        if scheme == "https" and parts.scheme == "http" and parts.port is not None:
            raise NotWhole("Alipay's link to the bill is in cleartext on a port of its own: not followed.")
        return urlunsplit((scheme, parts.netloc, parts.path, parts.query, ""))


def read_trade_bill(lines: Iterable[str], seller_id: str, day: str) -> Iterator[BillLine]:
    """The payments and refunds of a `trade` bill; pure.

    Raises:
        NotWhole: it is cut short, doesn't agree with its totals, is another seller's or day's, or has another format.
    """
    reader: _Reader | None = None
    ended = False
    said: dict[str, tuple[str, str]] = {}
    for line in lines:
        if line.startswith("#"):
            _check_head(line, seller_id, day)
            ended = ended or _END.fullmatch(line.strip()) is not None
            if found := _TOTALS.match(line):
                said[found[1]] = (found[2], found[3])
        elif reader is None and line.strip():
            reader = _Reader([_normal(name) for name in line.split(",")])
        elif reader is not None and line.strip():
            if ended:
                raise NotWhole("Alipay's bill has lines behind its end; its format has changed.")
            yield reader.line(line)
    if reader is None or not ended or len(said) != len((_PAYMENT, _REFUND)):
        raise NotWhole("Alipay's bill has no end and no totals: it was cut short.")
    reader.end(said)


class _Reader:
    """Reads lines, and counts what they come to."""

    def __init__(self, headings: list[str]) -> None:
        columns = Columns([name for name in headings if name], _WHOM)
        self._count = columns.count
        self._transaction = columns.place("支付宝交易号")
        self._order = columns.place("商户订单号")
        self._kind = columns.place("业务类型")
        self._made = columns.place("创建时间")
        self._done = columns.place("完成时间")
        self._price = columns.place("订单金额(元)")
        self._received = columns.place("商家实收(元)")
        self._number = columns.place("退款批次号/请求号", "退款批次号")
        named = [name for name in headings if name]
        self._sold_for = _amounts_from(named, self._price)
        self._beside_number = [at for at in range(max(self._sold_for) + 1, len(named)) if named[at].endswith(_YUAN)]
        self._sums = {_PAYMENT: [0, 0], _REFUND: [0, 0]}
        """By kind: how many, and what the seller received for them."""

    def line(self, text: str) -> BillLine:
        """One line; names may hold commas, so what follows one is found by the times or amounts that stand behind it.

        The buyer writes the one before the amounts: of several places that fit, the last one is meant.
        """
        values = [value.strip().strip('"').strip() for value in text.split(",")]
        shift = 0
        while self._made + shift < len(values) and MOMENT.fullmatch(values[self._made + shift]) is None:
            shift += 1
        if len(values) < self._count or self._number + shift >= len(values):
            raise NotWhole("Alipay's bill has a line with too few columns: it was cut short, or changed.")
        kind = values[self._kind]
        if kind not in self._sums:
            raise NotWhole("Alipay's bill has a kind of business that isn't known; its format has changed.")
        most = len(values) - self._count
        if most > _MOST_COMMAS:
            raise NotWhole("Alipay's bill has a line with too many columns; its format has changed.")
        sold = next((at for at in range(most, shift, -1) if _are_amounts(values, self._sold_for, at)), shift)
        last = next((at for at in range(sold, most + 1) if _are_amounts(values, self._beside_number, at)), sold)
        price, received = fen_of(values[self._price + sold]), fen_of(values[self._received + sold])
        is_payment = kind == _PAYMENT
        if received is None:
            raise NotWhole("Alipay's bill has an amount of another form; its format has changed.")
        done = values[self._done + shift]
        line = bill_line(
            "payment" if is_payment else "refund",
            values[self._transaction],
            values[self._order],
            price if is_payment or price is None else -price,
            done,
            # A refund made at the merchant's platform may have no number: it is known by payment and moment.
            number=values[self._number + last] or f"{_NO_NUMBER}{done.replace(' ', 'T')}",
            whom=_WHOM,
        )
        self._sums[kind][0] += 1
        self._sums[kind][1] += received
        return line

    def end(self, said: dict[str, tuple[str, str]]) -> None:
        """Compare with the totals."""
        for kind, (count, received_yuan) in said.items():
            counted, received = self._sums[kind]
            agree(
                _WHOM,
                **{
                    f"number_of_{kind}": (counted, int(count)),
                    f"sum_of_{kind}_in_fen": (received, fen_of(received_yuan)),
                },
            )


def _amounts_from(headings: list[str], first: int) -> list[int]:
    """The places of the amounts that stand side by side from this one on."""
    return list(itertools.takewhile(lambda at: headings[at].endswith(_YUAN), range(first, len(headings))))


def _are_amounts(values: list[str], places: list[int], shift: int) -> bool:
    return all(at + shift < len(values) and fen_of(values[at + shift]) is not None for at in places)


def _check_head(line: str, seller_id: str, day: str) -> None:
    if (found := _ACCOUNT.match(line)) and not found[1].startswith(seller_id):
        raise NotWhole("Alipay's bill is of another seller than TOPUP_ALIPAY_SELLER_ID.")
    if (found := _FROM.match(line)) and "-".join(found.groups()) != day:
        raise NotWhole("Alipay's bill is of another day than was asked for.")


def _normal(heading: str) -> str:
    """Brackets of both widths are seen."""
    return heading.strip().strip('"').strip().replace("（", "(").replace("）", ")")


def _name(info: zipfile.ZipInfo) -> str:
    """A file's name, which stands there in GBK; `zipfile` takes what isn't marked as UTF-8 for cp437."""
    is_utf8 = info.flag_bits & 0x800
    try:
        return info.filename if is_utf8 else info.filename.encode("cp437").decode(ENCODING)
    except UnicodeError:
        return info.filename


class _NoHugeReads(io.BufferedReader):
    """`zipfile` reads the directory of an archive at once; that of two files has no megabyte."""

    def read(self, size: int | None = -1, /) -> bytes:
        """See `io.BufferedReader`."""
        if size is not None and size > MOST_READ_BYTES:
            raise zipfile.BadZipFile("its directory is larger than that of any bill")
        return super().read(size)


@contextmanager
def _opened(packed: Path) -> Generator[IO[bytes], None, None]:
    """The file with the lines."""
    with _NoHugeReads(io.FileIO(packed)) as file:
        with _unpacking():
            archive = zipfile.ZipFile(file)
            details = [info for info in archive.infolist() if not info.is_dir() and _SUMS not in _name(info)]
            if len(details) != 1:
                raise NotWhole(f"Alipay's bill holds {len(details)} files of lines, not one; its format has changed.")
            if details[0].compress_type not in _PACKINGS:
                raise NotWhole("Alipay's bill is packed in another way; its format has changed.")
            lines = archive.open(details[0])
        with archive, lines:
            yield lines


def _digests(packed: Path) -> Digests:
    with _unpacking(), _opened(packed) as file:
        return digests(file, _WHOM)


def _readable(batches: Iterator[list[BillLine]]) -> Iterator[list[BillLine]]:
    with _unpacking():
        yield from batches


_BROKEN: Final = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError),
    ValueError,
)
"""What `zipfile` raises for a file that is none, not whole, encrypted, or has a name that is no text (ValueError)."""


@contextmanager
def _unpacking() -> Generator[None, None, None]:
    try:
        yield
    except _BROKEN as error:
        raise NotWhole("Alipay's bill can't be unpacked: it came changed or cut short.") from error
