"""Threats of contracts §7 in what a callback says: another kind of message, another merchant, what is no payment."""

import json

import pytest

from tests.gateway.providers import (
    MCHID,
    ORDER_ID,
    Callback,
    alipay,
    alipay_form,
    event,
    payment,
    refund,
    refund_event,
    trade,
    wechat,
)
from tests.gateway.serving import Gateway
from tests.gateway.threats import is_refused, is_stored


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(payment()).encode(),
        json.dumps({"code": "OK", "id": "EV-1", "event_type": "TRANSACTION.SUCCESS"}).encode(),
        b"[]",
        b"",
        event(payment(), resource_type="plain"),
        event(payment(), resource_type=None),
        event(payment(), id=None),
        event(payment(), event_type=1),
        event(payment(), resource={"algorithm": "AEAD_AES_128_GCM"}),
        event(payment(), resource={"algorithm": "aead_aes_256_gcm"}),
        event(payment(), resource={"algorithm": None}),
        event(payment(), nonce="elevenbytes"),
        event(payment(), nonce="thirteenbytes"),
        event(payment(), resource={"ciphertext": "%%%"}),
        event(payment(), resource={"nonce": None}),
        event(payment(), resource={"associated_data": 1}),
        event(payment(), original_type="refund"),
        event(payment(), original_type=1),
        refund_event(refund(), original_type="transaction"),
    ],
)
async def test_an_api_answer_sent_as_a_notice_is_refused(gate: Gateway, body: bytes):
    await is_refused(gate, "wechat", wechat(body), alert="form")


@pytest.mark.parametrize("resource", [{"ciphertext": "QUJD"}, {"associated_data": "refund"}, {"nonce": "000000000000"}])
async def test_an_api_answer_sent_as_a_notice_has_no_resource_that_opens(gate: Gateway, resource: dict[str, str]):
    await is_refused(gate, "wechat", wechat(event(payment(), resource=resource)), alert="decryption")


@pytest.mark.parametrize(
    "body",
    [
        event({"mchid": MCHID}, original_type="profitsharing"),
        event({"mchid": MCHID}, event_type="PAYSCORE.USER_PAID", original_type="payscore"),
        event({"mchid": MCHID}, event_type="COUPON.USE", original_type=None),
    ],
)
async def test_an_api_answer_sent_as_a_notice_is_not_another_kind_of_notice(gate: Gateway, body: bytes):
    await is_stored(gate, "wechat", wechat(body))

    assert gate.count("wechat", "other") == 1
    assert gate.topic.sent == []


@pytest.mark.parametrize(
    ("provider", "callback"),
    [
        ("wechat", wechat(event(payment(mchid="1900000110")))),
        ("wechat", wechat(event(payment(appid="wx0")))),
        ("wechat", wechat(event(payment(mchid=None)))),
        ("wechat", wechat(event(payment(appid=None)))),
        ("wechat", wechat(refund_event(refund(mchid="1900000110")))),
        ("alipay", alipay(alipay_form(trade(app_id="2")))),
        ("alipay", alipay(alipay_form(trade(seller_id="2")))),
        ("alipay", alipay(alipay_form(trade(app_id=None)))),
        ("alipay", alipay(alipay_form(trade(seller_id=None)))),
    ],
)
async def test_identity_of_another_merchant_is_refused_with_an_alert(gate: Gateway, provider: str, callback: Callback):
    await is_refused(gate, provider, callback, alert="identity")


async def test_identity_a_refund_notice_has_no_appid(gate: Gateway):
    await is_stored(gate, "wechat", wechat(refund_event(refund())))

    assert gate.prompts == [(ORDER_ID,)]


@pytest.mark.parametrize(
    ("provider", "callback", "result"),
    [
        ("wechat", wechat(event(payment(trade_state="CLOSED"))), "other"),
        ("wechat", wechat(event(payment(trade_state="REFUND"))), "other"),
        ("alipay", alipay(alipay_form(trade(trade_status="WAIT_BUYER_PAY"))), "other"),
        ("alipay", alipay(alipay_form(trade(trade_status="TRADE_CLOSED"))), "other"),
        ("alipay", alipay(alipay_form(trade(notify_type="open_app_auth_notify"))), "other"),
        ("alipay", alipay(alipay_form(trade(refund_fee="0.01"))), "refund"),
        ("alipay", alipay(alipay_form(trade(gmt_refund="2023-08-21 18:40:00.123"))), "refund"),
    ],
)
async def test_state_only_a_payment_that_succeeded_is_an_order(
    gate: Gateway, provider: str, callback: Callback, result: str
):
    await is_stored(gate, provider, callback)

    assert gate.count(provider, result) == 1
    assert gate.topic.sent == []


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_FINISHED"])
async def test_state_success_and_finished_are_orders_also_with_a_refund_fee_of_nothing(gate: Gateway, status: str):
    await is_stored(gate, "alipay", alipay(alipay_form(trade(trade_status=status, refund_fee="0.00"))))

    assert [order["order_id"] for order in gate.orders()] == [ORDER_ID]
