"""WeChat Pay and Alipay as tests play them: signed callbacks, and wrong ones; not built on the product's signing."""

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote_plus

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from tests.adapters.keys import pair

CHINA = timezone(timedelta(hours=8))
NOW = datetime(2023, 8, 21, 18, 34, 6, tzinfo=CHINA)
ORDER_ID = "T20230821183406000001"
ATTACH_KEY = bytes(range(32))
ATTACHMENT = "1~LSGBC5342AG000001~89860321247550000015~CT-DATA-10GB-30D~14400000001~E-4tIChGonCc0txMsJmJZw"
"""Of contracts §7: this order, 9900 fen."""

MCHID, APPID = "1900000109", "wxd678efh567hg6787"
KEY_ID = "PUB_KEY_ID_0119000001092025010100000000000001"
SERIAL = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
API_V3_KEY = b"0123456789abcdef0123456789abcdef"
WECHAT, WECHAT_CERTIFICATE, STRANGER = pair("wechat"), pair("wechat-certificate"), pair("stranger")

APP_ID, SELLER_ID = "2021000000000001", "2088000000000001"
ALIPAY, ALIPAY_OLD = pair("alipay"), pair("alipay-old")

Callback = tuple[dict[str, str], bytes]
"""Headers and body."""


def rsa_sign(key: RSAPrivateKey, message: bytes) -> str:
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


# --- WeChat Pay ---------------------------------------------------------------------------------------------------


def payment(**changes: Any) -> dict[str, Any]:
    """The content of a payment's notice; None takes a member out."""
    members: dict[str, Any] = {
        "mchid": MCHID,
        "appid": APPID,
        "out_trade_no": ORDER_ID,
        "transaction_id": "4200001923202308213518640001",
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "CMB_DEBIT",
        "attach": ATTACHMENT,
        "success_time": "2023-08-21T18:33:55+08:00",
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": {"total": 9900, "payer_total": 9000, "currency": "CNY", "payer_currency": "CNY"},
        "promotion_detail": [{"coupon_id": "109519", "scope": "GLOBAL", "amount": 900, "goods_detail": [{"n": 1}]}],
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def refund(**changes: Any) -> dict[str, Any]:
    members: dict[str, Any] = {
        "mchid": MCHID,
        "transaction_id": "4200001923202308213518640001",
        "out_trade_no": ORDER_ID,
        "refund_id": "50000000382019052709732678859",
        "out_refund_no": f"R{ORDER_ID}",
        "refund_status": "SUCCESS",
        "success_time": "2023-08-21T18:40:00+08:00",
        "user_received_account": "招商银行信用卡0403",
        "amount": {"total": 9900, "refund": 9900, "payer_total": 9900, "payer_refund": 9900},
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def event(
    content: object,
    *,
    event_type: str = "TRANSACTION.SUCCESS",
    original_type: str | None = "transaction",
    api_v3_key: bytes = API_V3_KEY,
    nonce: str | None = None,
    associated_data: str | None = "transaction",
    **changes: Any,
) -> bytes:
    """A notice's body. `changes`: of its members, None takes one out; `resource`: changes of that."""
    nonce = secrets.token_hex(6) if nonce is None else nonce
    plain = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
    sealed = AESGCM(api_v3_key).encrypt(nonce.encode(), plain, (associated_data or "").encode())
    resource = {
        "original_type": original_type,
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(sealed).decode(),
        "associated_data": associated_data,
        "nonce": nonce,
    } | changes.pop("resource", {})
    members = {
        "id": "EV-2018022511223320873",
        "create_time": "2023-08-21T18:33:56+08:00",
        "resource_type": "encrypt-resource",
        "event_type": event_type,
        "summary": "支付成功",
        "resource": {name: value for name, value in resource.items() if value is not None},
    } | changes
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def refund_event(content: object | None = None, status: str = "SUCCESS", **changes: Any) -> bytes:
    event_of = {"event_type": f"REFUND.{status}", "original_type": "refund", "associated_data": "refund"} | changes
    return event(refund() if content is None else content, **event_of)


def wechat(
    body: bytes,
    *,
    key: RSAPrivateKey = WECHAT.private,
    at: datetime = NOW,
    signed_body: bytes | None = None,
    **changes: str | None,
) -> Callback:
    """A signed callback. `changes`: of its headers, named without `Wechatpay-`; None takes one out."""
    timestamp, nonce = str(int(at.timestamp())), "c5ac7061fccab6bf3e254dcf98995b8c"
    signature = rsa_sign(
        key, f"{timestamp}\n{nonce}\n".encode() + (body if signed_body is None else signed_body) + b"\n"
    )
    signed = {
        "Timestamp": timestamp,
        "Nonce": nonce,
        "Signature": signature,
        "Serial": KEY_ID,
        "Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    } | {name.replace("_", "-").title(): value for name, value in changes.items()}
    headers = {f"Wechatpay-{name}": value for name, value in signed.items() if value is not None}
    return {"Content-Type": "application/json", **headers}, body


# --- Alipay -------------------------------------------------------------------------------------------------------


def trade(**changes: str | None) -> dict[str, str]:
    """The members of a plain payment's notice as the official sample has them; None takes one out."""
    members: dict[str, str | None] = {
        "notify_time": NOW.strftime("%Y-%m-%d %H:%M:%S"),
        "notify_type": "trade_status_sync",
        "notify_id": "91722adff935e8cfa58b3aabf4dead6ibe",
        "charset": "utf-8",
        "version": "1.0",
        "app_id": APP_ID,
        "auth_app_id": APP_ID,
        "seller_id": SELLER_ID,
        "seller_email": "pay@example.com",
        "buyer_id": "2088102122524333",
        "buyer_logon_id": "159****5620",
        "out_trade_no": ORDER_ID,
        "trade_no": "2023082122001424333001234567",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "99.00",
        "receipt_amount": "99.00",
        "refund_fee": "0.00",
        "subject": "车载流量包 10GB",
        "body": "",
        "gmt_create": "2023-08-21 18:33:50",
        "gmt_payment": "2023-08-21 18:33:55",
        "gmt_close": "2023-08-22 18:33:55",
        "fund_bill_list": '[{"amount":"99.00","fundChannel":"ALIPAYACCOUNT"}]',
        "passback_params": ATTACHMENT,
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def alipay_form(
    members: Mapping[str, str],
    *,
    key: RSAPrivateKey = ALIPAY.private,
    sign_type: str | None = "RSA2",
    encoding: str = "utf-8",
) -> bytes:
    """A signed notice's body."""
    signed = "&".join(f"{name}={members[name]}" for name in sorted(members)).encode(encoding)
    pairs = [*members.items(), *([("sign_type", sign_type)] if sign_type is not None else [])]
    pairs.append(("sign", rsa_sign(key, signed)))
    return "&".join(f"{name}={quote_plus(value, encoding=encoding)}" for name, value in pairs).encode()


FORM = "application/x-www-form-urlencoded"


def alipay(body: bytes, content_type: str = f"{FORM}; charset=utf-8") -> Callback:
    return {"Content-Type": content_type}, body
