"""Alipay's asynchronous notices of payments and refunds: signed forms, or wrong in a way that was ordered."""

from __future__ import annotations

import base64
import functools
import secrets
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlencode

import httpx
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from simulators.alipay_wire import CHINA, china_time, yuan
from simulators.faults import Fault
from simulators.keys import KEY_BITS, PUBLIC_EXPONENT, AlipayKeys
from simulators.notices import Make, Message
from simulators.payment_faults import OldKey, TamperedAmount, Unsigned, WrongSignature
from simulators.refunds import Payment, Refund

RESEND_AFTER_SECONDS = (240, 600, 600, 3600, 7200, 21600, 54000)
"""As the provider documents it; unscaled."""


def is_stored(answer: httpx.Response) -> bool:
    """Only the word itself means that the merchant has it."""
    return answer.status_code == HTTPStatus.OK and answer.content == b"success"


def payment_members(payment: Payment, keys: AlipayKeys, *, paid_at: str, attach: str | None) -> dict[str, str]:
    """A payment as its notice tells it; `paid_at` in RFC 3339."""
    paid = china_time(paid_at)
    members = {
        "app_id": keys.app_id,
        "auth_app_id": keys.app_id,
        "seller_id": keys.seller_id,
        "buyer_id": f"2088{secrets.randbelow(10**12):012d}",
        "buyer_logon_id": "159****5620",
        "out_trade_no": payment.out_trade_no,
        "trade_no": payment.transaction_id,
        "trade_status": "TRADE_SUCCESS",
        "total_amount": yuan(payment.amount_fen),
        "receipt_amount": yuan(payment.amount_fen),
        "buyer_pay_amount": yuan(payment.amount_fen),
        "refund_fee": "0.00",
        "subject": "车载流量包",
        "gmt_create": paid,
        "gmt_payment": paid,
    }
    return members if attach is None else members | {"passback_params": attach}


def refund_members(members: dict[str, str], refund: Refund, refunded_fen: int, *, in_full: bool) -> dict[str, str]:
    """The notice of a refund of the payment that `members` told of."""
    ended_at = datetime.fromisoformat(refund.ended_at) if refund.ended_at else datetime.now(CHINA)
    return members | {
        "trade_status": "TRADE_CLOSED" if in_full else "TRADE_SUCCESS",
        "refund_fee": yuan(refunded_fen),
        "gmt_refund": ended_at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        "out_biz_no": refund.request.refund_no,
    }


def notice(keys: AlipayKeys, members: dict[str, str]) -> Make:
    """Attempts at one notice: its ID stays, the moment of sending and the signature are new each time."""
    fixed = members | {
        "notify_type": "trade_status_sync",
        "notify_id": secrets.token_hex(17),
        "charset": "utf-8",
        "version": "1.0",
    }

    def make(fault: Fault | None) -> Message:
        sent = fixed | {"notify_time": datetime.now(CHINA).strftime("%Y-%m-%d %H:%M:%S")}
        key, signed = keys.platform_private_key, sent
        match fault:
            case WrongSignature():
                signed = sent | {"subject": "something else"}
            case OldKey():
                key = _old_key()
            case TamperedAmount(amount_fen=amount_fen):
                signed, sent = sent, sent | {"total_amount": yuan(amount_fen)}
            case _:
                pass
        form = sent | {"sign_type": "RSA2"}
        if not isinstance(fault, Unsigned):
            form["sign"] = _signature(key, signed)
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Message(headers, urlencode(form).encode())

    return make


def _signature(key: RSAPrivateKey, members: dict[str, str]) -> str:
    message = "&".join(f"{name}={members[name]}" for name in sorted(members)).encode()
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


@functools.cache
def _old_key() -> RSAPrivateKey:
    return generate_private_key(PUBLIC_EXPONENT, KEY_BITS)
