"""WeChat Pay's callbacks: read for what they say, refused for a reason, never believed unproven."""

import importlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.payments.notifications import OtherNotice, PaymentNotice, RefundNotice
from tests.gateway.providers import (
    API_V3_KEY,
    APPID,
    ATTACHMENT,
    MCHID,
    ORDER_ID,
    SERIAL,
    STRANGER,
    WECHAT,
    WECHAT_CERTIFICATE,
    event,
    payment,
    refund,
    refund_event,
    wechat,
)
from tests.gateway.readers import OLD_API_V3_KEY, WECHAT_READER, flaw, read

oracle: Any = importlib.import_module("wechatpayv3.utils")


def test_a_payment_is_read_as_it_was_made():
    assert read(WECHAT_READER, wechat(event(payment()))) == PaymentNotice(
        notification_id="EV-2018022511223320873",
        provider="wechat",
        merchant_id=MCHID,
        out_trade_no=ORDER_ID,
        transaction_id="4200001923202308213518640001",
        amount_fen=9900,
        currency="CNY",
        paid_at="2023-08-21T18:33:55+08:00",
        attachment=ATTACHMENT,
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(event(payment(), associated_data=""), id="empty-associated-data"),
        pytest.param(event(payment(), associated_data=None), id="no-associated-data"),
        pytest.param(event(payment(), original_type=None), id="no-original-type"),
        pytest.param(event(payment(), api_v3_key=OLD_API_V3_KEY), id="older-api-v3-key"),
        pytest.param(event(payment(), brand_new_member={"x": 1.5}), id="unknown-member"),
    ],
)
def test_a_payment_may_come_in_the_forms_that_were_seen(body: bytes):
    assert isinstance(read(WECHAT_READER, wechat(body)), PaymentNotice)


def test_a_payment_without_an_attachment_has_none():
    notice = read(WECHAT_READER, wechat(event(payment(attach=None))))

    assert isinstance(notice, PaymentNotice)
    assert notice.attachment is None


@pytest.mark.parametrize("status", ["SUCCESS", "CLOSED", "ABNORMAL"])
@pytest.mark.parametrize("original_type", ["refund", None])
def test_a_refund_is_a_reason_to_ask(status: str, original_type: str | None):
    body = refund_event(refund(refund_status=status), status, original_type=original_type)

    assert read(WECHAT_READER, wechat(body)) == RefundNotice(
        "EV-2018022511223320873", f"R{ORDER_ID}", ORDER_ID, "4200001923202308213518640001"
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(event(payment(trade_state="NOTPAY")), id="another-state"),
        pytest.param(event({"mchid": MCHID}, original_type="profitsharing"), id="profit-sharing"),
        pytest.param(event({"x": 1}, original_type="profitsharing"), id="without-a-merchant"),
        pytest.param(event(b"no json", event_type="PAYSCORE.USER_PAID", original_type="payscore"), id="other-product"),
        pytest.param(event({"mchid": MCHID}, event_type="TRANSACTION.PAY_BACK"), id="other-event"),
        pytest.param(refund_event({"mchid": MCHID}, original_type="profitsharing"), id="refund-of-another-kind"),
    ],
)
def test_what_is_genuine_and_nothing_to_do_is_acknowledged(body: bytes):
    assert read(WECHAT_READER, wechat(body)) == OtherNotice("EV-2018022511223320873")


def test_certificate_and_public_key_are_both_believed_by_name():
    body = event(payment())

    assert flaw(WECHAT_READER, wechat(body)) == ""
    for serial in (SERIAL, SERIAL.lower()):
        assert flaw(WECHAT_READER, wechat(body, key=WECHAT_CERTIFICATE.private, serial=serial)) == ""
        assert flaw(WECHAT_READER, wechat(body, key=WECHAT.private, serial=serial)) == "signature"
    assert flaw(WECHAT_READER, wechat(body, key=WECHAT_CERTIFICATE.private)) == "signature"


FORMS = {
    "total-is-text": payment(amount={"total": "9900", "currency": "CNY"}),
    "total-is-a-fraction": payment(amount={"total": 9900.0, "currency": "CNY"}),
    "total-is-a-boolean": payment(amount={"total": True, "currency": "CNY"}),
    "no-total": payment(amount={"currency": "CNY"}),
    "no-currency": payment(amount={"total": 9900}),
    "no-amount": payment(amount=None),
    "no-transaction-id": payment(transaction_id=None),
    "transaction-id-with-a-blank": payment(transaction_id="4200 01"),
    "no-success-time": payment(success_time=None),
    "a-day-that-is-none": payment(success_time="2023-02-30T18:33:55+08:00"),
    "a-time-without-a-zone": payment(success_time="2023-08-21T18:33:55"),
    "no-order-number": payment(out_trade_no=None),
    "order-number-is-a-number": payment(out_trade_no=1),
    "no-state": payment(trade_state=None),
    "attachment-is-a-number": payment(attach=1),
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS.keys())
def test_a_genuine_payment_of_another_form_is_refused(content: dict[str, Any]):
    assert flaw(WECHAT_READER, wechat(event(content))) == "form"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (event(payment(mchid="1900000110")), "identity"),
        (event(payment(mchid=None)), "identity"),
        (event(payment(appid="wx0000000000000000")), "identity"),
        (event(payment(appid=None)), "identity"),
        (refund_event(refund(mchid="1900000110")), "identity"),
        (refund_event(refund(mchid=None)), "identity"),
        (event({"mchid": "1900000110"}, original_type="profitsharing"), "identity"),
        (refund_event(refund(out_refund_no=None)), "form"),
        (event(payment(), api_v3_key=b"x" * 32), "decryption"),
    ],
)
def test_a_genuine_notice_that_is_not_ours_or_not_to_be_read_is_refused(body: bytes, expected: str):
    assert flaw(WECHAT_READER, wechat(body)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"associated_data": "refund"}, "decryption"),
        ({"nonce": "ffffffffffff"}, "decryption"),
        ({"nonce": ""}, "form"),
        ({"ciphertext": "AAAA"}, "decryption"),
        ({"ciphertext": ""}, "decryption"),
        ({"ciphertext": "no base64!"}, "form"),
        ({"ciphertext": "密"}, "form"),
    ],
)
def test_a_genuine_notice_whose_resource_was_changed_is_refused(changes: dict[str, str], expected: str):
    changed = json.loads(event(payment()))
    changed["resource"] |= changes

    assert flaw(WECHAT_READER, wechat(json.dumps(changed).encode())) == expected


def test_the_same_member_twice_is_refused_inside_and_outside():
    inside = json.dumps(payment()).replace('"mchid"', f'"mchid": "{MCHID}", "mchid"', 1).encode()
    outside = event(payment()).replace(b'"id"', b'"id": "EV-1", "id"', 1)

    assert flaw(WECHAT_READER, wechat(event(inside))) == "form"
    assert flaw(WECHAT_READER, wechat(outside)) == "form"


def test_what_wechatpayv3_decrypts_and_verifies_we_do():
    body = event(payment())
    headers, _ = wechat(body)
    resource = json.loads(body)["resource"]

    plain = oracle.aes_decrypt(
        resource["nonce"], resource["ciphertext"], resource["associated_data"], API_V3_KEY.decode()
    )
    signed = oracle.rsa_verify(
        headers["Wechatpay-Timestamp"], headers["Wechatpay-Nonce"], body.decode(), headers["Wechatpay-Signature"],
        WECHAT.public,
    )  # fmt: skip

    assert signed
    assert json.loads(plain) == payment()
    assert flaw(WECHAT_READER, (headers, body)) == ""
    assert json.loads(plain)["appid"] == APPID


# --- properties ---------------------------------------------------------------------------------------------------

GENUINE = wechat(event(payment(), nonce="fdasflkja484"))


@given(st.integers(0, 100_000), st.integers(1, 255))
@settings(max_examples=300)
def test_no_changed_byte_of_the_body_is_believed(place: int, change: int):
    headers, body = GENUINE
    changed = bytearray(body)
    changed[place % len(body)] ^= change

    assert flaw(WECHAT_READER, (headers, bytes(changed))) == "signature"


@given(
    st.sampled_from(["Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=400),
)
@settings(max_examples=300)
def test_no_changed_header_is_believed(name: str, value: str):
    headers, body = GENUINE
    if headers[name] == value:
        return

    assert flaw(WECHAT_READER, (headers | {name: value}, body)) in {"signature", "unsigned", "unknown_key", "stale"}


@given(st.binary(max_size=2000))
@settings(max_examples=300)
def test_no_bytes_signed_by_a_stranger_are_believed(body: bytes):
    assert flaw(WECHAT_READER, wechat(body, key=STRANGER.private)) == "signature"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.binary(max_size=500) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=300)
def test_whatever_wechat_pay_signs_is_a_notice_or_refused(body: bytes):
    """Answers of its API are signed alike."""
    assert flaw(WECHAT_READER, wechat(body)) == "form"


@given(st.sampled_from(sorted(payment())), JSON)
@settings(max_examples=300)
def test_whatever_a_payment_holds_is_read_or_refused(name: str, value: object):
    found = flaw(WECHAT_READER, wechat(event(json.dumps(payment() | {name: value}).encode())))

    assert found in {"", "form", "identity"}


def test_another_spelling_of_the_signature_is_refused():
    headers, body = GENUINE
    signature = headers["Wechatpay-Signature"]  # 256 bytes: the last letter has four bits to spare
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    others = [f"{signature[:-3]}{letter}==" for letter in letters if letter != signature[-3]]

    assert {flaw(WECHAT_READER, (headers | {"Wechatpay-Signature": other}, body)) for other in others} == {"signature"}
