"""Alipay's notices: read for what they say, refused for a reason, never believed unproven."""

import importlib
from datetime import timedelta
from typing import Any
from urllib.parse import quote, quote_plus, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.payments.notifications import OtherNotice, PaymentNotice, RefundNotice
from tests.gateway.providers import (
    ALIPAY,
    ALIPAY_OLD,
    APP_ID,
    ATTACHMENT,
    FORM,
    NOW,
    ORDER_ID,
    SELLER_ID,
    STRANGER,
    alipay,
    alipay_form,
    trade,
)
from tests.gateway.readers import ALIPAY_READER, flaw, read

oracle: Any = importlib.import_module("alipay")
NOTIFY_ID = "91722adff935e8cfa58b3aabf4dead6ibe"


def notice(**changes: str | None) -> Any:
    return read(ALIPAY_READER, alipay(alipay_form(trade(**changes))))


def flaw_of(**changes: str | None) -> str:
    return flaw(ALIPAY_READER, alipay(alipay_form(trade(**changes))))


def test_a_payment_is_read_as_it_was_made():
    assert notice() == PaymentNotice(
        notification_id=NOTIFY_ID,
        provider="alipay",
        merchant_id=SELLER_ID,
        out_trade_no=ORDER_ID,
        transaction_id="2023082122001424333001234567",
        amount_fen=9900,
        currency="CNY",
        paid_at="2023-08-21T18:33:55+08:00",
        attachment=ATTACHMENT,
    )


@pytest.mark.parametrize(
    ("total_amount", "amount_fen"),
    [("99", 9900), ("99.0", 9900), ("99.05", 9905), ("0.01", 1), ("0", 0), ("999999999.99", 99_999_999_999)],
)
def test_yuan_become_fen_exactly(total_amount: str, amount_fen: int):
    assert notice(total_amount=total_amount).amount_fen == amount_fen


@pytest.mark.parametrize("passed_back", [ATTACHMENT.replace("~", "%7E"), quote(quote(ATTACHMENT, safe=""), safe="~%")])
def test_an_attachment_that_is_still_encoded_is_decoded_once_more(passed_back: str):
    assert notice(passback_params=passed_back.replace("%25", "%")).attachment == ATTACHMENT


def test_a_payment_without_an_attachment_has_none():
    assert notice(passback_params=None).attachment is None


def test_finished_is_paid_too():
    assert notice(trade_status="TRADE_FINISHED", refund_fee=None) == notice()


@pytest.mark.parametrize(
    "changes",
    [
        {"refund_fee": "0.01"},
        {"refund_fee": "50.00", "gmt_refund": "2023-08-21 18:40:00.123"},
        {"refund_fee": None, "gmt_refund": "2023-08-21 18:40:00.123"},
        {"refund_fee": "99.00", "trade_status": "TRADE_CLOSED", "gmt_refund": "2023-08-21 18:40:00.123"},
    ],
)
def test_a_refund_is_never_an_order(changes: dict[str, str | None]):
    assert notice(out_biz_no=f"R{ORDER_ID}", **changes) == RefundNotice(
        NOTIFY_ID, f"R{ORDER_ID}", ORDER_ID, trade()["trade_no"]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"trade_status": "WAIT_BUYER_PAY"},
        {"trade_status": "TRADE_CLOSED"},
        {"notify_type": "dut_user_sign"},
        {"notify_type": "dut_user_sign", "seller_id": None, "trade_no": None},
    ],
)
def test_what_is_genuine_and_nothing_to_do_is_acknowledged(changes: dict[str, str | None]):
    assert notice(**changes) == OtherNotice(NOTIFY_ID)


def test_names_that_nobody_has_documented_are_verified_and_counted():
    found = notice(brand_new_name="x", another_1="")

    assert isinstance(found, PaymentNotice)
    assert found.unknown_names == 2


def test_a_name_that_was_added_on_the_way_is_refused():
    body = alipay_form(trade()) + b"&brand_new_name=x"

    assert flaw(ALIPAY_READER, alipay(body)) == "signature"


@pytest.mark.parametrize("key", [ALIPAY, ALIPAY_OLD])
def test_each_configured_key_is_tried(key: Any):
    assert flaw(ALIPAY_READER, alipay(alipay_form(trade(), key=key.private))) == ""


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (FORM, ""),
        (FORM.title(), ""),
        (f'{FORM};charset="UTF-8"', ""),
        (f"{FORM};charset=GBK", "charset"),
        ("application/json", "headers"),
        ("multipart/form-data; boundary=x", "headers"),
        ("", "headers"),
    ],
)
def test_only_a_form_in_utf8_is_read(content_type: str, expected: str):
    assert flaw(ALIPAY_READER, alipay(alipay_form(trade()), content_type)) == expected


@pytest.mark.parametrize("charset", ["GBK", "gb2312", "utf8", ""])
def test_another_charset_is_genuine_and_refused(charset: str):
    members = trade(charset=charset)

    assert flaw(ALIPAY_READER, alipay(alipay_form(members, encoding="gbk"), FORM)) == "charset"
    assert flaw(ALIPAY_READER, alipay(alipay_form(members, encoding="gbk", key=STRANGER.private), FORM)) == "signature"


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", "Utf-8", None])
def test_utf8_is_read_in_any_case(charset: str | None):
    assert flaw_of(charset=charset) == ""


def test_bytes_that_are_no_utf8_are_refused():
    assert flaw(ALIPAY_READER, alipay(alipay_form(trade(), encoding="gbk"), FORM)) == "charset"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"app_id": "2021000000000002"}, "identity"),
        ({"app_id": None}, "identity"),
        ({"seller_id": "2088000000000002"}, "identity"),
        ({"seller_id": None}, "identity"),
        ({"notify_type": "dut_user_sign", "app_id": "2021000000000002"}, "identity"),
        ({"trade_no": None}, "form"),
        ({"trade_no": ""}, "form"),
        ({"out_trade_no": None}, "form"),
        ({"total_amount": None}, "form"),
        ({"total_amount": ""}, "form"),
        ({"total_amount": "99.000"}, "form"),
        ({"total_amount": "-99.00"}, "form"),
        ({"total_amount": "9.9e1"}, "form"),
        ({"total_amount": "９９.00"}, "form"),
        ({"total_amount": "1234567890.00"}, "form"),
        ({"total_amount": ".99"}, "form"),
        ({"refund_fee": "x"}, "form"),
        ({"gmt_payment": None}, "form"),
        ({"gmt_payment": "2023-02-30 18:33:55"}, "form"),
        ({"gmt_payment": "2023-08-21T18:33:55"}, "form"),
        ({"gmt_payment": "2023-08-21 18:33:55.1"}, "form"),
        ({"trade_status": None}, "form"),
        ({"notify_time": None}, "form"),
        ({"notify_time": "now"}, "form"),
        ({"notify_type": None}, "form"),
    ],
)
def test_a_genuine_notice_that_is_not_ours_or_of_another_form_is_refused(changes: Any, expected: str):
    assert flaw_of(**changes) == expected


@pytest.mark.parametrize(
    "name", ["app_id", "total_amount", "trade_status", "passback_params", "sign", "sign_type", "charset", "notify_time"]
)
def test_a_value_that_could_be_another_member_is_refused(name: str):
    assert flaw_of(subject=f"x&{name}=1") == "ambiguous"


def test_a_value_may_hold_what_we_do_not_read():
    assert flaw_of(subject="a=b&c=d & total_amount = 1&xtotal_amount=1") == ""


def test_the_string_that_has_two_readings_is_believed_in_the_one_that_alipay_could_have_meant():
    members = trade(body="x&charset=utf-8", buyer_id=None, buyer_logon_id=None, charset=None)
    one = alipay_form(members)
    two = one.replace(quote_plus("x&charset=utf-8").encode(), b"x&charset=utf-8")

    assert one != two
    assert flaw(ALIPAY_READER, alipay(one)) == "ambiguous"
    assert flaw(ALIPAY_READER, alipay(two)) == ""


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda body: body + b"&total_amount=0.01", id="another-amount"),
        pytest.param(lambda body: body + b"&sign_type=RSA2", id="sign-type-twice"),
        pytest.param(lambda body: body + b"&Total_amount=0.01", id="upper-case"),
        pytest.param(lambda body: body + b"&total%5Famount=0.01", id="encoded-name"),
        pytest.param(lambda body: body + b"&a-b=1", id="dash"),
        pytest.param(lambda body: body + b"&=1", id="no-name"),
        pytest.param(lambda body: body + b"&", id="trailing"),
        pytest.param(lambda body: body + b"&name", id="no-value"),
        pytest.param(lambda body: body.replace(b"%", b"%%", 1), id="broken-encoding"),
        pytest.param(lambda _: b"", id="empty"),
    ],
)
def test_a_name_twice_or_none_of_a_notice_is_refused(spoil: Any):
    assert flaw(ALIPAY_READER, alipay(spoil(alipay_form(trade())))) == "unsigned"


@pytest.mark.parametrize("sign_type", ["RSA", "rsa2", "", None, "RSA2 "])
def test_no_other_sign_type_is_read(sign_type: str | None):
    assert flaw(ALIPAY_READER, alipay(alipay_form(trade(), sign_type=sign_type))) == "unsigned"


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(hours=26), ""),
        (timedelta(hours=26, seconds=1), "stale"),
        (timedelta(seconds=-300), ""),
        (timedelta(seconds=-301), "stale"),
    ],
)
def test_only_what_was_sent_lately_is_read(age: timedelta, expected: str):
    assert flaw_of(notify_time=(NOW - age).strftime("%Y-%m-%d %H:%M:%S")) == expected


def test_what_python_alipay_sdk_verifies_we_do():
    sdk = oracle.AliPay(
        appid=APP_ID,
        app_notify_url=None,
        app_private_key_string=STRANGER.private_pem,
        alipay_public_key_string=ALIPAY.public_pem,
        sign_type="RSA2",
    )
    members = trade(body=None)  # it leaves empty values out
    body = alipay_form(members)
    sign = body.rpartition(b"&sign=")[2].decode()

    assert sdk.verify(dict(members) | {"sign_type": "RSA2"}, unquote_plus(sign))
    assert flaw(ALIPAY_READER, alipay(body)) == ""


# --- properties ---------------------------------------------------------------------------------------------------

GENUINE = alipay_form(trade())
MEANT = read(ALIPAY_READER, alipay(GENUINE))


@given(st.integers(0, 100_000), st.integers(1, 255))
@settings(max_examples=500)
def test_no_changed_byte_changes_what_is_believed(place: int, change: int):
    """Another spelling of the same members is the same notice; anything else is refused."""
    changed = bytearray(GENUINE)
    changed[place % len(changed)] ^= change
    callback = alipay(bytes(changed))

    if flaw(ALIPAY_READER, callback) == "":
        assert read(ALIPAY_READER, callback) == MEANT


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=5))
@settings(max_examples=300)
def test_nothing_signed_by_a_stranger_is_believed(members: dict[str, str]):
    body = (
        alipay_form({**trade(), **members}, key=STRANGER.private, encoding="utf-8")
        if not any("\ud800" <= character <= "\udfff" for text in (*members, *members.values()) for character in text)
        else b""
    )

    assert flaw(ALIPAY_READER, alipay(body)) in {"signature", "unsigned"}


@given(st.sampled_from(sorted(trade())), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=300)
def test_whatever_a_genuine_notice_holds_is_read_or_refused(name: str, value: str):
    assert flaw_of(**{name: value}) in {"", "form", "identity", "ambiguous", "charset", "stale"}
