"""What a bill says is taken as it stands, and a bill that could be another than the provider's judges nothing."""

import contextlib
import io
import re
import zipfile
from urllib.parse import urlsplit

import httpx
import pytest

from adapters.payments.alipay import bills as alipay
from adapters.payments.bills import download, fen_of, text_lines
from adapters.payments.wechat import bills as wechat
from reconciliation.evidence import BillLine
from reconciliation.ports import NotWhole
from tests.reconciliation.files import (
    MCHID,
    SELLER,
    WECHAT_TOTALS,
    alipay_details,
    alipay_line,
    alipay_zip,
    packed,
    wechat_bill,
    wechat_line,
)

DAY = "2023-08-21"
PAID = BillLine("payment", "4200001923202308213518640001", "T20230821183406000001", 9900, f"{DAY} 18:33:55")
OTHER = BillLine("payment", "4200001923202308213518640002", "T20230821183406000002", 4510, f"{DAY} 23:59:59")
REFUNDED = BillLine("refund", PAID.transaction_id, PAID.out_trade_no, 9900, f"{DAY} 19:00:00", "RT20230821183406000001")
LINES = [PAID, OTHER, REFUNDED]


def read_wechat(bill: bytes) -> list[BillLine]:
    return list(wechat.read_trade_bill(text_lines(io.BytesIO(bill), "utf-8", "WeChat Pay"), MCHID))


def read_alipay(details: bytes, day: str = DAY) -> list[BillLine]:
    return list(alipay.read_trade_bill(text_lines(io.BytesIO(details), alipay.ENCODING, "Alipay"), SELLER, day))


# --- WeChat Pay --------------------------------------------------------------------------------------------------


def test_a_wechat_bill_is_read_with_its_mark_its_back_ticks_and_its_loose_totals():
    assert read_wechat(wechat_bill(LINES)) == LINES
    assert read_wechat(wechat_bill(LINES, bom="")) == LINES
    assert read_wechat(wechat_bill([])) == []


def test_a_wechat_price_is_what_was_ordered_not_what_is_settled_after_a_coupon():
    assert read_wechat(wechat_bill(LINES, [wechat_line(line, coupon_fen=500) for line in LINES])) == LINES


@pytest.mark.parametrize("name", ["流量,30天", r"\"10 GB\"", r"a\r\nb", "`tick`", "a,`b,`c", ""])
def test_a_wechat_name_may_hold_commas_quotes_and_back_ticks(name: str):
    assert read_wechat(wechat_bill(LINES, [wechat_line(line, name=name, attach=name) for line in LINES])) == LINES


def test_a_wechat_bill_is_read_by_its_headings_an_older_one_too():
    text = wechat_bill(LINES).decode()
    older = text.replace("应结订单金额,代金券金额", "总金额,企业红包金额")
    swapped = text.replace("公众账号ID,商户号", "商户号,公众账号ID").replace(
        f"`wxd678efh567hg6787,`{MCHID}", f"`{MCHID},`wxd678efh567hg6787"
    )

    assert read_wechat(older.encode()) == LINES
    assert read_wechat(swapped.encode()) == LINES


WRONG_WECHAT = {
    "cut short behind a line": lambda bill: bill[: bill.index(WECHAT_TOTALS)],
    "cut short within a line": lambda bill: bill[: bill.index(OTHER.transaction_id) + 40],
    "cut short before the sums": lambda bill: bill[: bill.index("`3,`")],
    "nothing at all": lambda _bill: "",
    "a page of a proxy": lambda _bill: "<html>502</html>",
    "another merchant": lambda bill: bill.replace(MCHID, "1900000110"),
    "a line less": lambda bill: "\r\n".join(line for line in bill.split("\r\n") if OTHER.out_trade_no not in line),
    "a line twice": lambda bill: bill.replace(wechat_line(OTHER), f"{wechat_line(OTHER)}\r\n{wechat_line(OTHER)}"),
    "another amount": lambda bill: bill.replace("`45.10,`0.00,`\r\n", "`45.11,`0.00,`\r\n"),
    "another refund": lambda bill: bill.replace("`0.00,`99.00,`\r\n", "`0.00,`98.00,`\r\n"),
    "a state that nobody knows": lambda bill: bill.replace("`REFUND,", "`TELEPORTED,"),
    "an amount that is none": lambda bill: bill.replace("`45.10,`0.00,`\r\n", "`4.51e1,`0.00,`\r\n"),
    "no column of the price": lambda bill: bill.replace("订单金额,申请退款金额,费率备注", "什么,申请退款金额,费率备注"),
    "lines behind the end": lambda bill: bill + wechat_line(PAID),
}


@pytest.mark.parametrize("wrong", WRONG_WECHAT)
def test_a_wechat_bill_that_is_cut_short_or_changed_judges_nothing(wrong: str):
    changed = WRONG_WECHAT[wrong](wechat_bill(LINES).decode())

    with pytest.raises(NotWhole) as refused:
        read_wechat(changed.encode())
    assert PAID.transaction_id not in str(refused.value)


def test_the_sha1_is_that_of_the_unpacked_bytes_and_what_does_not_unpack_is_refused(tmp_path):
    bill = wechat_bill(LINES)
    content, sha1 = packed(bill)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.write_bytes(content)
    cut.write_bytes(content[:-20])

    assert wechat._digests(whole).sha1 == sha1
    with pytest.raises(NotWhole):
        wechat._digests(cut)
    for place in range(10, len(content), 7):
        cut.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with contextlib.suppress(NotWhole):  # and nothing else
            wechat._digests(cut)


# --- Alipay ------------------------------------------------------------------------------------------------------


def test_an_alipay_bill_is_read_out_of_its_archive_with_names_and_text_in_gbk(tmp_path):
    archive = tmp_path / "bill.zip"
    archive.write_bytes(alipay_zip(alipay_details(LINES, DAY), DAY))

    with alipay._opened(archive) as file:
        assert read_alipay(file.read()) == LINES
    assert read_alipay(alipay_details([], DAY)) == []


def test_an_alipay_price_is_the_orders_and_the_totals_are_what_was_received():
    texts = [alipay_line(PAID, received_fen=9000), alipay_line(OTHER, received_fen=4510), alipay_line(REFUNDED)]

    assert read_alipay(alipay_details(LINES, DAY, texts, received_fen=13510)) == LINES


@pytest.mark.parametrize("name", ["流量,30天", "a,b,c", "龍", '"10 GB"', ""])
def test_an_alipay_name_may_hold_commas(name: str):
    assert read_alipay(alipay_details(LINES, DAY, [alipay_line(line, name=name) for line in LINES])) == LINES


@pytest.mark.parametrize(
    "texts",
    [
        {"buyer": "Sim Co., Ltd.(sal***@sim.example)"},
        {"buyer": "0.01,0.01,0.01,0.01,0.01,0.01,0.01,0.01"},
        {"buyer": ",".join(["-0.01"] * 30)},
        {"buyer": f"{DAY} 00:00:00,x,{DAY} 00:00:00"},
        {"coupon": "满100,减10"},
        {"remark": "a,b,0.00,c"},
        {"name": "a,b", "buyer": "Sim Co., Ltd.", "coupon": "x,y", "remark": "0.00,0.00,,"},
    ],
)
def test_an_alipay_buyer_coupon_or_remark_may_hold_commas(texts: dict[str, str]):
    """Its amounts, or a refund's number, were read a column off: one buyer's name made the day's bill none."""
    assert read_alipay(alipay_details(LINES, DAY, [alipay_line(line, **texts) for line in LINES])) == LINES


def test_an_alipay_line_of_countless_columns_is_refused():
    with pytest.raises(NotWhole, match="too many columns"):
        read_alipay(alipay_details(LINES, DAY, [alipay_line(line, buyer="," * 2_000) for line in LINES]))


def test_alipay_brackets_of_both_widths_are_read():
    details = alipay_details(LINES, DAY).decode("gbk").replace("（元）", "(元)")

    assert read_alipay(details.encode("gbk")) == LINES


def test_an_alipay_refund_without_a_number_is_known_by_its_moment():
    bare = BillLine("refund", PAID.transaction_id, PAID.out_trade_no, 100, f"{DAY} 20:00:00", "")

    [line] = read_alipay(alipay_details([bare], DAY))
    assert line.refund_number == f"@{DAY}T20:00:00"


WRONG_ALIPAY = {
    "cut short behind a line": lambda bill: bill[: bill.index("列表结束") - 45],
    "no totals": lambda bill: bill[: bill.index("#交易合计")],
    "one total": lambda bill: bill[: bill.index("#退款合计")],
    "nothing at all": lambda _bill: "",
    "another seller": lambda bill: bill.replace(SELLER, "2088000000000000"),
    "another day": lambda bill: bill.replace("2023年08月21日 00", "2023年08月20日 00"),
    "a line less": lambda bill: "\r\n".join(line for line in bill.split("\r\n") if OTHER.out_trade_no not in line),
    "another amount": lambda bill: bill.replace("45.10,45.10", "45.10,45.11"),
    "a kind that nobody knows": lambda bill: bill.replace(",退款,", ",赠送,"),
    "a positive refund": lambda bill: bill.replace("-99.00,-99.00", "99.00,-99.00"),
    "lines behind the end": lambda bill: bill + alipay_line(PAID),
}


@pytest.mark.parametrize("wrong", WRONG_ALIPAY)
def test_an_alipay_bill_that_is_cut_short_or_changed_judges_nothing(wrong: str):
    changed = WRONG_ALIPAY[wrong](alipay_details(LINES, DAY).decode("gbk"))

    with pytest.raises(NotWhole):
        read_alipay(changed.encode("gbk"))


def test_an_alipay_bill_that_is_no_gbk_or_no_archive_is_refused(tmp_path):
    with pytest.raises(NotWhole):
        read_alipay(alipay_details(LINES, DAY) + b"\xff\xff\r\n")
    for content in (b"", b"<html>", alipay_zip(b"", DAY)[:50]):
        (tmp_path / "bill.zip").write_bytes(content)
        with pytest.raises(NotWhole):
            alipay._digests(tmp_path / "bill.zip")


def test_an_archive_with_any_byte_changed_is_read_or_refused(tmp_path):
    archive, whole = tmp_path / "bill.zip", alipay_zip(alipay_details(LINES, DAY), DAY)
    marked = io.BytesIO()
    with zipfile.ZipFile(marked, "w") as file:  # names in UTF-8, and marked so
        file.writestr("业务明细.csv", alipay_details(LINES, DAY))

    for content in (whole, marked.getvalue()):
        for place in range(0, len(content), 3):
            archive.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
            with contextlib.suppress(NotWhole):  # and nothing else
                alipay._digests(archive)


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_whose_packing_has_no_bound_is_not_unpacked(tmp_path, packing: int):
    with zipfile.ZipFile(tmp_path / "bill.zip", "w", packing) as archive:
        archive.writestr("业务明细.csv", alipay_details(LINES, DAY))

    with pytest.raises(NotWhole, match="packed in another way"):
        alipay._digests(tmp_path / "bill.zip")


def test_an_archive_of_countless_files_is_not_listed(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(alipay, "MOST_READ_BYTES", 4096)
    with zipfile.ZipFile(tmp_path / "bill.zip", "w") as archive:
        for number in range(100):
            archive.writestr(f"{number}", b"")

    with pytest.raises(NotWhole, match="can't be unpacked"):
        alipay._digests(tmp_path / "bill.zip")


# --- both --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fen"),
    [("99.00", 9900), ("45.0", 4500), ("45", 4500), ("0.01", 1), ("-0.5", -50), ("0.27000", 27), ("12.340", 1234)],
)
def test_yuan_are_read_as_fen_exactly(text: str, fen: int):
    assert fen_of(text) == fen


@pytest.mark.parametrize("text", ["", "1e2", "1,000.00", "0.001", "0.27001", "９9.00", "nan", " 1", "+1", ".5", "1."])
def test_what_is_no_amount_is_never_one(text: str):
    assert fen_of(text) is None


def test_a_line_that_never_ends_is_not_read_to_its_end():
    with pytest.raises(NotWhole, match=re.escape("65536")):
        list(text_lines(io.BytesIO(b"a" * 70_000), "utf-8", "WeChat Pay"))


LINKS = (
    "",
    "https://[",
    "https://[::1",
    "https://host:port/v3/x",
    "https://host:99999/v3/\x00",
    "/v3/\x00",
    "/v3/" + "a" * 70_000,
)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_is_none_is_not_followed(link: str):
    class Pay:
        def signed(self, method: str, path: str, body: bytes) -> httpx.Request:
            return httpx.Request(method, "https://api.example" + path, content=body)

    class Client:
        merchant_id, url = SELLER, "https://gateway.example/gateway.do"

    bills = alipay.AlipayBills(Client(), host="host", cleartext=False)  # pyright: ignore[reportArgumentType] - what it looks at
    pays = wechat.WeChatBills.__new__(wechat.WeChatBills)
    pays._pay = Pay()  # pyright: ignore[reportAttributeAccessIssue] - what it looks at
    for request in (bills._request, pays._request):
        with contextlib.suppress(NotWhole):  # and nothing else
            assert urlsplit(str(request(link).url)).hostname in ("host", "api.example")


async def test_a_file_that_comes_packed_over_and_over_is_not_unpacked(tmp_path):
    twice = httpx.Response(200, content=b"", headers={"Content-Encoding": "gzip, gzip"})
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: twice)) as http:
        with pytest.raises(NotWhole, match="packed more than once"):
            await download(http, httpx.Request("GET", "https://host/"), tmp_path / "bill", whom="Alipay")
