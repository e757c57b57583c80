"""WeChat Pay's notifications of payments and refunds: signed and encrypted, or wrong in a way that was ordered."""

from __future__ import annotations

import functools
import json
import secrets
from dataclasses import replace
from http import HTTPStatus

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from simulators.book import now_utc, rfc3339
from simulators.faults import Fault
from simulators.keys import KEY_BITS, PUBLIC_EXPONENT, WechatKeys
from simulators.notices import Make, Message
from simulators.payment_faults import OldKey, Probe, TamperedAmount, Unsigned, WrongSignature
from simulators.refunds import Payment
from simulators.wechat_signing import encrypted_resource, signature_headers
from simulators.wire import Json

RESEND_AFTER_SECONDS = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""As the provider documents it; unscaled."""
OLD_SERIAL = "0DD0000000000000000000000000000000000001"
"""Of a platform certificate that nobody configures."""


def is_stored(answer: httpx.Response) -> bool:
    """200 and 204 mean that the merchant has it."""
    return answer.status_code in (HTTPStatus.OK, HTTPStatus.NO_CONTENT)


def payment_content(payment: Payment, keys: WechatKeys, *, paid_at: str, attach: str | None) -> Json:
    """A payment as its notification tells it, before encryption."""
    content: Json = {
        "mchid": keys.merchant_id,
        "appid": keys.app_id,
        "out_trade_no": payment.out_trade_no,
        "transaction_id": payment.transaction_id,
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "success_time": paid_at,
        "payer": {"openid": f"o{secrets.token_urlsafe(20)}"},
        "amount": {
            "total": payment.amount_fen,
            "payer_total": payment.amount_fen,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
    }
    return content if attach is None else content | {"attach": attach}


def notice(keys: WechatKeys, content: Json, *, event_type: str, original_type: str) -> Make:
    """Attempts at one notice: its body stays; time, nonce and signature are new each time."""
    event = {
        "id": secrets.token_hex(16),
        "create_time": rfc3339(now_utc()),
        "resource_type": "encrypt-resource",
        "event_type": event_type,
        "summary": event_type.lower(),
    }

    sealed = _sealed(keys, event, content, original_type)

    def make(fault: Fault | None) -> Message:
        body = sealed
        headers = {"Content-Type": "application/json", **signature_headers(keys, body)}
        match fault:
            case Probe():
                headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]
            case WrongSignature():
                headers |= signature_headers(keys, body + b" ")
            case Unsigned():
                headers = {"Content-Type": "application/json"}
            case OldKey():
                old = replace(keys, platform_private_key=_old_key(), platform_public_key_id=OLD_SERIAL)
                headers |= signature_headers(old, body)
            case TamperedAmount(amount_fen=amount_fen):
                changed = content | {"amount": {**content.get("amount", {}), "total": amount_fen}}
                body = _sealed(keys, event, changed, original_type)
            case _:
                pass
        return Message(headers, body)

    return make


def _sealed(keys: WechatKeys, event: Json, content: Json, original_type: str) -> bytes:
    resource = encrypted_resource(keys, content, original_type=original_type)
    return json.dumps({**event, "resource": resource}, ensure_ascii=False).encode()


@functools.cache
def _old_key() -> RSAPrivateKey:
    return generate_private_key(PUBLIC_EXPONENT, KEY_BITS)
