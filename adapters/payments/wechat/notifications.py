"""WeChat Pay API v3: callbacks about payments and refunds, proven and read (contracts §7). Pure.

After WeChat Pay's documentation of its notifications. A signature covers timestamp, nonce and the body's bytes, so
nothing of the body is parsed before it holds; answers of the API are signed alike, so that the event's shape and its
encrypted resource are demanded: else a stored answer could be sent to us as a notice.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.payments.notifications import (
    Headers,
    Notice,
    NotificationRefused,
    OtherNotice,
    PaymentNotice,
    RefundNotice,
    came_twice,
    is_reference,
)
from adapters.payments.rsa import is_signed
from adapters.payments.wechat.signing import PROBE, SCHEME, is_fresh
from orders.paid_order import instant_ns
from orders.strict_json import NotStrictJson, decode_object

ALGORITHM: Final = "AEAD_AES_256_GCM"
NONCE_BYTES: Final = 12
PAYMENT_EVENT: Final = "TRANSACTION.SUCCESS"
REFUND_EVENTS: Final = "REFUND."
PUBLIC_KEY_ID_PREFIX: Final = "PUB_KEY_ID_"

_PREFIX: Final = "wechatpay-"
_ORIGINAL_TYPES: Final = ("transaction", "refund")


def key_id(name: str) -> str:
    """A `Wechatpay-Serial` to look a key up by: a certificate's serial is hexadecimal, in any case."""
    return name if name.startswith(PUBLIC_KEY_ID_PREFIX) else name.upper()


@dataclass(frozen=True, slots=True)
class WechatNotifications:
    """Reads WeChat Pay's callbacks.

    Attributes:
        keys: `key_id` → key: public keys and platform certificates, all that may sign. While a merchant moves from
            certificate to public key, WeChat Pay signs by both for days. A key that isn't here is never fetched: an
            unproven callback must not make us work.
        api_v3_keys: the present one and older ones, for notices encrypted before a change.
    """

    merchant_id: str
    app_id: str
    keys: Mapping[str, RSAPublicKey]
    api_v3_keys: Sequence[bytes] = field(repr=False)

    def read(self, headers: Headers, body: bytes, now: datetime) -> Notice:
        """What a callback says (`adapters.payments.notifications.NotificationReader`)."""
        self._prove(headers, body, now.timestamp())
        event = _object(body, "its event")
        event_type, original_type, content = self._opened(event)
        notification_id = _text(event, "id")
        if original_type not in (None, *_ORIGINAL_TYPES):
            return self._other(notification_id, content)
        if event_type == PAYMENT_EVENT:
            _refuse_unless(original_type != "refund", "it calls a refund a payment")
            return self._payment(notification_id, _object(content, "its payment"))
        if event_type.startswith(REFUND_EVENTS):
            _refuse_unless(original_type != "transaction", "it calls a payment a refund")
            return self._refund(notification_id, _object(content, "its refund"))
        return self._other(notification_id, content)

    # --- whose it is -----------------------------------------------------------------------------------------------

    def _prove(self, headers: Headers, body: bytes, now_seconds: float) -> None:
        if came_twice(headers, _PREFIX):
            raise NotificationRefused("headers", "A header of WeChat Pay's signature came twice.")
        values = dict(headers)
        signature = values.get("wechatpay-signature", "")
        timestamp, nonce = values.get("wechatpay-timestamp", ""), values.get("wechatpay-nonce", "")
        serial = values.get("wechatpay-serial", "")
        if signature.startswith(PROBE):
            raise NotificationRefused("probe", "WeChat Pay tests whether signatures are verified.")
        if not (signature and timestamp and nonce and serial and nonce.isascii()):
            raise NotificationRefused("unsigned", "It carries no signature of WeChat Pay.")
        if values.get("wechatpay-signature-type", SCHEME) != SCHEME:
            raise NotificationRefused("unsigned", f"Its signature is of another type than {SCHEME}.")
        if not is_fresh(timestamp, now_seconds):
            raise NotificationRefused("stale", "It was signed more than 5 minutes away from this machine's clock.")
        key = self.keys.get(key_id(serial))
        if key is None:
            raise NotificationRefused("unknown_key", "It is signed by a key that is not configured.", key_id=serial)
        if not is_signed(key, f"{timestamp}\n{nonce}\n".encode() + body + b"\n", signature):
            raise NotificationRefused("signature", "Its signature does not fit the key that it names.")

    def _opened(self, event: Mapping[str, object]) -> tuple[str, str | None, bytes]:
        """The type of the event, of what is in its resource, and that in clear."""
        event_type = _text(event, "event_type")
        _refuse_unless(event.get("resource_type") == "encrypt-resource", "it has no encrypted resource")
        resource = _members(event, "resource")
        _refuse_unless(resource.get("algorithm") == ALGORITHM, f"its resource is not encrypted by {ALGORITHM}")
        nonce = _text(resource, "nonce").encode()
        _refuse_unless(len(nonce) == NONCE_BYTES, f"its resource's nonce has not {NONCE_BYTES} bytes")
        associated_data = _text_or_none(resource, "associated_data") or ""
        try:
            sealed = base64.b64decode(_text(resource, "ciphertext"), validate=True)
        except (binascii.Error, ValueError):  # ValueError: it is not ASCII
            raise _form("its resource's ciphertext is not base64") from None
        for key in self.api_v3_keys:
            try:
                opened = AESGCM(key).decrypt(nonce, sealed, associated_data.encode())
            except (InvalidTag, ValueError):  # ValueError: shorter than its tag
                continue
            return event_type, _text_or_none(resource, "original_type"), opened
        raise NotificationRefused(
            "decryption", "Its resource can't be decrypted: set TOPUP_WECHAT_API_V3_KEY to the merchant's present key."
        )

    def _is_ours(self, members: Mapping[str, object], **ours: str) -> None:
        if any(members.get(name) != value for name, value in ours.items()):
            raise NotificationRefused("identity", f"Its {' or '.join(ours)} is not ours.")

    # --- what it says ----------------------------------------------------------------------------------------------

    def _payment(self, notification_id: str, members: Mapping[str, object]) -> Notice:
        self._is_ours(members, mchid=self.merchant_id, appid=self.app_id)
        if _text(members, "trade_state") != "SUCCESS":
            return OtherNotice(notification_id)
        amount = _members(members, "amount")
        total = amount.get("total")
        if type(total) is not int:  # a boolean is an int to Python
            raise _form("its amount.total is no whole number of fen")
        transaction_id, paid_at = _text(members, "transaction_id"), _text(members, "success_time")
        _refuse_unless(is_reference(transaction_id), "its transaction_id has another form")
        _refuse_unless(_is_instant(paid_at), "its success_time has another form")
        return PaymentNotice(
            notification_id=notification_id,
            provider="wechat",
            merchant_id=self.merchant_id,
            out_trade_no=_text(members, "out_trade_no"),
            transaction_id=transaction_id,
            amount_fen=total,
            currency=_text(amount, "currency"),
            paid_at=paid_at,
            attachment=_text_or_none(members, "attach"),
        )

    def _refund(self, notification_id: str, members: Mapping[str, object]) -> Notice:
        self._is_ours(members, mchid=self.merchant_id)  # a refund's notice has no appid
        return RefundNotice(
            notification_id,
            _text(members, "out_refund_no"),
            out_trade_no=str(members.get("out_trade_no", "")),
            transaction_id=str(members.get("transaction_id", "")),
        )

    def _other(self, notification_id: str, content: bytes) -> Notice:
        """Of a kind that we don't know: another merchant's is refused where it can be seen."""
        try:
            named = decode_object(content).get("mchid", self.merchant_id)
        except NotStrictJson:
            named = self.merchant_id
        self._is_ours({"mchid": named}, mchid=self.merchant_id)
        return OtherNotice(notification_id)


def _object(data: bytes, what: str) -> dict[str, object]:
    try:
        return decode_object(data)
    except NotStrictJson as error:
        raise _form(f"{what} is no strict JSON ({error})") from None


def _members(parent: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = parent.get(name)
    if not isinstance(value, dict):
        raise _form(f"its {name} is no object")
    return cast("dict[str, object]", value)


def _text(parent: Mapping[str, object], name: str) -> str:
    value = parent.get(name)
    if not isinstance(value, str):
        raise _form(f"its {name} is no text")
    return value


def _text_or_none(parent: Mapping[str, object], name: str) -> str | None:
    return _text(parent, name) if name in parent else None


def _is_instant(text: str) -> bool:
    try:
        instant_ns(text)
    except ValueError:
        return False
    return True


def _refuse_unless(holds: bool, clause: str) -> None:  # noqa: FBT001 - reads as its name
    if not holds:
        raise _form(clause)


def _form(clause: str) -> NotificationRefused:
    return NotificationRefused("form", f"It is signed by WeChat Pay, but {clause}: compare with its documentation.")
