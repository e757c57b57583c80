"""Notices that others have published with their keys: genuine ones are believed, and none with a letter changed.

The values are those of the tests of `wechatpay-go` (`core/notify`: a notice of another product, signed by the key of a
certificate) and of `alipay-sdk-nodejs-all` (`test/alipay.test.ts`: a payment of 2019).
"""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from adapters.payments.alipay.notifications import AlipayNotifications
from adapters.payments.notifications import Notice, NotificationRefused, OtherNotice, PaymentNotice
from adapters.payments.wechat.notifications import WechatNotifications, key_id

WECHAT_AT = datetime.fromtimestamp(1624523846).astimezone()
WECHAT_SERIAL = "D7CE59D1F522D701"
WECHAT_CERTIFICATE = (
    "MIIDVzCCAj+gAwIBAgIJANfOWdH1ItcBMA0GCSqGSIb3DQEBCwUAMEIxCzAJBgNVBAYTAlhYMRUwEwYDVQQHDAxEZWZhdWx0IENpdHkxHDAaBgNV"
    "BAoME0RlZmF1bHQgQ29tcGFueSBMdGQwHhcNMjEwNDI3MDg1NTIzWhcNMzEwNDI1MDg1NTIzWjBCMQswCQYDVQQGEwJYWDEVMBMGA1UEBwwMRGVm"
    "YXVsdCBDaXR5MRwwGgYDVQQKDBNEZWZhdWx0IENvbXBhbnkgTHRkMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA2VCTd91fnUn73Xy9"
    "DLvt/V62TVxRTEEstVdeRaZ3B3leO0pldE806mXO4RwdHXagHQ4vGeZN0yqm++rDsGK+U3AH7kejyD2pXshNP9Cq5YwbptiLGtjcquw4HNxJQUOm"
    "DeJf2vg6byms9RUipiq4SzbJKqJFlUpbuIPDpSpWz10PYmyCNeDGUUK65E5h2B834uxl1zNLYQCrkdBzb8oUxwYeP5a2DNxmjL5lsJML7DGr5zns"
    "evnoqGRwTm9fxCGfy8wus7hwKz6clt3Whmmda7UAdb1c08hEQFVRbF14AR73xbnd8N0obCWJPCbzMCtkaSef4FdEEgEXJiw0VAJT8wIDAQABo1Aw"
    "TjAdBgNVHQ4EFgQUT1c7nd/SUO76HSoZumNUJv1R5PwwHwYDVR0jBBgwFoAUT1c7nd/SUO76HSoZumNUJv1R5PwwDAYDVR0TBAUwAwEB/zANBgkq"
    "hkiG9w0BAQsFAAOCAQEAfTjxKRQMzNB/U6ZoCUS+BSNfa2Oh0plMN6ZuzwiVVZwg1jywvv5yv04koS7Pd4i9E4gt9ZBUQXlpq+A3oOCEEHNRR6b2"
    "kyazGRM7s0OP5X21WrbpSmKmU6K7hkfx30yYs08LVs/Q8DIhvaj1FCFeJzUCzYn/fHMq4tsbKO0dKAeydPM/nrUZBmaYQVKMVOORGLFjFKVO7JV6"
    "Kq/R86ouhjEPgJOe2xulNBUcjicqtZlBdEh/PWCYP2SpGVDclKm8jeo175T3EVAkdKzzmfpxtMmnMlmqcTJOU9TxuGvNASMtjj7pYIerTx+xgZDX"
    "EVBWFW9PjJ0TV06tCRsgSHItgg=="
)
WECHAT_HEADERS = {
    "wechatpay-nonce": "EcZ9Cmy4Xyx1i6RlJQzLcCyEqDa26NBz",
    "wechatpay-timestamp": "1624523846",
    "wechatpay-serial": WECHAT_SERIAL,
    "wechatpay-signature": (
        "tJHIiIS9eB2hAYstmAmbbD3ZE5LiIm/Ug5tuL4fC0YOFRWIHV39UFIZXC0e9Wl6lBu6sKvkqDkzpqzBsVHyXFlbYZTOQrVdG4b6LfTnK4mikv9++"
        "ixJMd3vTf2yCqvBkh98zs3Ds5zsYQakzbcwhmw4fMJs4nPLws28H0UW9FjDR//rxELLwXvV1VEA1IBLX70xptjL8hrfUjEE8kkry6yNJTHZRU8CA"
        "c7qHli2Ng1V1qb9ARbK8A3ThmFmPQvRGrapI/jS2laKKgYUmfdEdkNO6B2Cke5e8VTxY406ArAmQ90GAihDwIcb16TQMnzCMBoutnwZKNiKRACrF"
        "mtxw2Q=="
    ),
}
WECHAT_BODY = (
    '{"id":"3119dfba-e649-5eec-ab1e-3412bc4d2e17","create_time":"2021-06-24T16:37:26+08:00","resource_type":'
    '"encrypt-resource","event_type":"PAYSCORE.USER_OPEN_SERVICE","summary":"签约成功","resource":{"original_type":'
    '"payscore","algorithm":"AEAD_AES_256_GCM","ciphertext":"YDS3lKPaC4Y52Gf3uhft5qUBlIa8b428AWTtTauHQfQrRw+X1WpiuHIDy0'
    "vo1Vd6VEq67aVyqPdDYMkRVSDaZL3iZttevRMOoPKMifozg6XPWjIZumks/GpT48lI4NizyeaqLBokNebthah3o1H76qSlO9NkDjp9bzmKLEYYH9TE"
    'klFUpsvPqOTOcgSLgh21YJXYR7dEBXFgRLiNIKRgO5JdXh1hccRUAlyVWxE54PXpnQ==","associated_data":"payscore","nonce":'
    '"Kj7QIyUiYx1q"}}'
)
ALIPAY_AT = datetime.fromisoformat("2019-08-15T15:56:30+08:00")
ALIPAY_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAqObrdC7hrgAVM98tK0nv3hSQRGGKT4lBsQjHiGjeYZjOPIPHR5knm2jnnz/YGIXIofVH"
    "kA/tAlBAd5DrY7YpvI4tP5EONLtZKC2ghBMx7McI2wRD0xiqzxOQr1FuhZGJ8/AUokBzJrzY+aGX2xcOrxFYRlFilvVLTXg4LWjR1tdPkO6+i7wQ"
    "ZAIVMClPkwVRZEbaERRHlKqTzv2gGv5rDU8gRoe1LeaN+6BlbTqHWkQcNCUNrA8C6l17XAXGKDsm/9TFWwO8EPHHHCaQdjtV5/FdcWIt+L8SR1ss"
    "7EXTjYDFtxcKVv9rEoY1lX8T4mX+GbXfZHraG5NCF1+XioL5JwIDAQAB"
)
ALIPAY_MEMBERS = {
    "gmt_create": "2019-08-15 15:56:22",
    "charset": "utf-8",
    "seller_email": "z97-yuquerevenue@service.aliyun.com",
    "subject": "语雀空间 500人规模",
    "buyer_id": "2088102534368455",
    "invoice_amount": "0.10",
    "notify_id": "2019081500222155624068450559358070",
    "fund_bill_list": '[{"amount":"0.10","fundChannel":"ALIPAYACCOUNT"}]',
    "notify_type": "trade_status_sync",
    "trade_status": "TRADE_SUCCESS",
    "receipt_amount": "0.10",
    "buyer_pay_amount": "0.10",
    "sign_type": "RSA2",
    "app_id": "2019073166072302",
    "seller_id": "2088531891668739",
    "gmt_payment": "2019-08-15 15:56:24",
    "notify_time": "2019-08-15 15:56:25",
    "version": "1.0",
    "out_trade_no": "20190815155618536-564-57",
    "total_amount": "0.10",
    "trade_no": "2019081522001468450512505578",
    "auth_app_id": "2019073166072302",
    "buyer_logon_id": "xud***@126.com",
    "point_amount": "0.00",
    "sign": (
        "QfTb8tqE1BMhS5qAnXtvsF3/jBkEvu9q9en0pdbBUDDjvKycZhQb7h8GDs4FKfi049PynaNuatxSgLb/nLWZpXyyh0LEWdK2S6Ri7nPwrVgOs08z"
        "ugLO20vOQz44y3ti2Ncm8/wZts1Fr2gZ7pShnVX3d1B50hbsXnObT1r/U8ONNQjWXd0HIul4TG+Q3fm3svmSvFEy0WnzuhcyHPX5Gm4ELNctL6Qd"
        "5YniGJFNcc7kopHYtI/XD9YCKCH6Ct02rzUs9i11C9CsadtZn+WhxF26Dqt9sGEFajkJ8cxUTLi8+VCpLHsgPE8P0y095uQcDdK0YjCh4x7wVSov"
        "+lrmOQ=="
    ),
}


def wechat(body: str) -> Notice:
    public = load_der_x509_certificate(base64.b64decode(WECHAT_CERTIFICATE)).public_key()
    assert isinstance(public, RSAPublicKey)
    # Its key has 16 bytes, which our settings refuse: it is a value of their test.
    reader = WechatNotifications(
        merchant_id="1234567890",
        app_id="054aa7d7a2a54ab5898df65bd96f001c",
        keys={key_id(WECHAT_SERIAL): public},
        api_v3_keys=(b"testMchAPIv3Key0",),
    )
    return reader.read(list(WECHAT_HEADERS.items()), body.encode(), WECHAT_AT)


def alipay(members: Mapping[str, str]) -> Notice:
    public = load_der_public_key(base64.b64decode(ALIPAY_KEY))
    assert isinstance(public, RSAPublicKey)
    reader = AlipayNotifications(app_id="2019073166072302", seller_id="2088531891668739", keys=(public,))
    headers = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
    return reader.read(headers, urlencode(members).encode(), ALIPAY_AT)


def test_a_notice_that_wechat_pay_signed_is_verified_and_opened():
    assert wechat(WECHAT_BODY) == OtherNotice("3119dfba-e649-5eec-ab1e-3412bc4d2e17")


@pytest.mark.parametrize("member", json.loads(WECHAT_BODY))
def test_with_a_letter_changed_wechat_pay_did_not_sign_it(member: str):
    with pytest.raises(NotificationRefused) as refused:
        wechat(WECHAT_BODY.replace(f'"{member}"', f'"{member}x"'))
    assert refused.value.flaw == "signature"


def test_a_payment_that_alipay_signed_is_read():
    assert alipay(ALIPAY_MEMBERS) == PaymentNotice(
        notification_id="2019081500222155624068450559358070",
        provider="alipay",
        merchant_id="2088531891668739",
        out_trade_no="20190815155618536-564-57",
        transaction_id="2019081522001468450512505578",
        amount_fen=10,
        currency="CNY",
        paid_at="2019-08-15T15:56:24+08:00",
        attachment=None,
    )


@pytest.mark.parametrize("name", [name for name in ALIPAY_MEMBERS if name not in ("sign_type", "charset")])
def test_with_a_member_changed_alipay_did_not_sign_it(name: str):
    with pytest.raises(NotificationRefused) as refused:
        alipay(ALIPAY_MEMBERS | {name: "0" + ALIPAY_MEMBERS[name]})
    assert refused.value.flaw in ("signature", "unsigned")
