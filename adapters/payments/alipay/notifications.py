"""Alipay OpenAPI: asynchronous notices about trades and refunds, proven and read (contracts §7). Pure.

A notice is a form, and what is signed is its decoded members joined as `name=value&…`. That string can be cut in more
than one way: a value that holds `&total_amount=` could become a member of its own. So a notice where a name stands
twice, or where a value could be taken for a member that we read, is refused. The form is decoded to bytes, and the
signature holds over bytes: an encoding that we don't read can be proven all the same, and a person told.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from adapters.payments.alipay.signing import attachment_of, fen
from adapters.payments.notifications import (
    Headers,
    Notice,
    NotificationRefused,
    OtherNotice,
    PaymentNotice,
    RefundNotice,
    is_reference,
)
from adapters.payments.rsa import is_signed
from orders.paid_order import CHINA

LONGEST_AGE: Final = timedelta(hours=26)
"""Alipay's last resend leaves 25 h after the payment; it signs the moment of sending anew, so this is ample."""
LONGEST_LEAD: Final = timedelta(seconds=300)
SIGN_TYPE: Final = "RSA2"
FORM: Final = "application/x-www-form-urlencoded"
NOTIFY_TYPE: Final = "trade_status_sync"
PAID: Final = ("TRADE_SUCCESS", "TRADE_FINISHED")

READ: Final = (
    "app_id",
    "seller_id",
    "notify_type",
    "notify_time",
    "out_trade_no",
    "trade_no",
    "total_amount",
    "gmt_payment",
    "trade_status",
    "passback_params",
    "gmt_refund",
    "refund_fee",
    "out_biz_no",
    "charset",
    "sign",
    "sign_type",
)
"""The names that say what was paid: no value may hold one of them as if it were a member."""
KNOWN: Final = frozenset(READ) | frozenset(
    "notify_id version auth_app_id merchant_app_id buyer_id buyer_open_id buyer_logon_id seller_email receipt_amount "  # noqa: SIM905 - a table of 30 lines says no more
    "invoice_amount buyer_pay_amount point_amount send_back_fee subject body gmt_create gmt_close fund_bill_list "
    "voucher_detail_list agreement_no external_agreement_no refund_status refund_reason refund_amount out_request_no "
    "dback_status dback_amount bank_ack_time est_bank_receipt_time".split()
)
"""Names that have been seen. Alipay adds some over the years: others are verified like all, and counted."""

_NAME: Final = re.compile(rb"[a-z0-9_]+")
_ENCODED: Final = re.compile(rb"(?:[^%&=]|%[0-9A-Fa-f]{2})*=(?:[^%&]|%[0-9A-Fa-f]{2})*")
_AMOUNT: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,2})?")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


@dataclass(frozen=True, slots=True)
class AlipayNotifications:
    """Reads Alipay's notices.

    Attributes:
        keys: Alipay's public keys; a notice names none, so that each is tried while one replaces another.
    """

    app_id: str
    seller_id: str
    keys: Sequence[RSAPublicKey]

    def read(self, headers: Headers, body: bytes, now: datetime) -> Notice:
        """What a callback says (`adapters.payments.notifications.NotificationReader`)."""
        charsets = _charsets(headers)
        raw = _form(body)
        self._prove(raw)
        _refuse_ambiguity(raw)
        notice = _utf8(raw, charsets)
        kind = _needed(notice, "notify_type")
        self._is_ours(notice, optional=kind != NOTIFY_TYPE)
        _refuse_stale(_needed(notice, "notify_time"), now)
        notification_id, unknown = notice.get("notify_id", ""), len(notice.keys() - KNOWN)
        if kind != NOTIFY_TYPE:
            return OtherNotice(notification_id, unknown)
        if "gmt_refund" in notice or _amount_fen(notice.get("refund_fee", "0"), "refund_fee") > 0:
            return RefundNotice(
                notification_id,
                notice.get("out_biz_no", ""),
                out_trade_no=notice.get("out_trade_no", ""),
                transaction_id=notice.get("trade_no", ""),
                unknown_names=unknown,
            )
        if _needed(notice, "trade_status") not in PAID:
            return OtherNotice(notification_id, unknown)
        return self._payment(notification_id, notice, unknown)

    def _prove(self, raw: Mapping[str, bytes]) -> None:
        if raw.get("sign_type") != SIGN_TYPE.encode():
            raise NotificationRefused("unsigned", f"Its sign_type is not {SIGN_TYPE}.")
        message = b"&".join(
            name.encode() + b"=" + raw[name] for name in sorted(raw) if name not in ("sign", "sign_type")
        )
        signature = raw.get("sign", b"").decode("latin-1")
        if not signature:
            raise NotificationRefused("unsigned", "It carries no signature of Alipay.")
        if not any(is_signed(key, message, signature) for key in self.keys):
            raise NotificationRefused("signature", "Its signature fits no key of TOPUP_ALIPAY_PUBLIC_KEY.")

    def _is_ours(self, notice: Mapping[str, str], *, optional: bool) -> None:
        """`optional`: another kind of notice, which need not have them."""
        for name, ours in (("app_id", self.app_id), ("seller_id", self.seller_id)):
            if notice.get(name, ours if optional else None) != ours:
                raise NotificationRefused("identity", f"Its {name} is not ours.")

    def _payment(self, notification_id: str, notice: Mapping[str, str], unknown: int) -> PaymentNotice:
        transaction_id, paid_at = _needed(notice, "trade_no"), _needed(notice, "gmt_payment")
        if not is_reference(transaction_id):
            raise _another_form("its trade_no has another form")
        if _moment(paid_at) is None:
            raise _another_form("its gmt_payment has another form")
        return PaymentNotice(
            notification_id=notification_id,
            provider="alipay",
            merchant_id=self.seller_id,
            out_trade_no=_needed(notice, "out_trade_no"),
            transaction_id=transaction_id,
            amount_fen=_amount_fen(_needed(notice, "total_amount"), "total_amount"),
            currency="CNY",
            paid_at=paid_at.replace(" ", "T") + "+08:00",
            attachment=attachment_of(notice.get("passback_params")),
            unknown_names=unknown,
        )


def _charsets(headers: Headers) -> list[str]:
    """What the content type says the charset is; refuses what is no form."""
    types = [value for name, value in headers if name == "content-type"]
    media_type, *parameters = types[0].split(";") if len(types) == 1 else [""]
    if media_type.strip().lower() != FORM:
        raise NotificationRefused("headers", f"Its content type is not {FORM}.")
    pairs = [parameter.partition("=") for parameter in parameters]
    return [value.strip().strip('"') for name, _, value in pairs if name.strip().lower() == "charset"]


def _form(body: bytes) -> dict[str, bytes]:
    """The decoded members, each name once."""
    members: dict[str, bytes] = {}
    for part in body.split(b"&"):
        if _ENCODED.fullmatch(part) is None:
            raise NotificationRefused("unsigned", "It is no form.")
        name, _, value = (unquote_to_bytes(half.replace(b"+", b" ")) for half in part.partition(b"="))
        if _NAME.fullmatch(name) is None or name.decode() in members:
            raise NotificationRefused("unsigned", "It has a name twice, or one that no notice has.")
        members[name.decode()] = value
    return members


def _refuse_ambiguity(raw: Mapping[str, bytes]) -> None:
    if any(f"&{name}=".encode() in value for value in raw.values() if b"&" in value for name in READ):
        raise NotificationRefused(
            "ambiguous", "It is signed by Alipay, but a value could be read as another member: ask what it is."
        )


def _utf8(raw: Mapping[str, bytes], charsets: Sequence[str]) -> dict[str, str]:
    refusal = NotificationRefused(
        "charset", "It is signed by Alipay, but not in utf-8: have the order backend ask for charset=utf-8."
    )
    said = [*charsets, *(value.decode("latin-1") for name, value in raw.items() if name == "charset")]
    if any(charset.lower() != "utf-8" for charset in said):
        raise refusal
    try:
        return {name: value.decode("utf-8") for name, value in raw.items()}
    except UnicodeError:
        raise refusal from None


def _refuse_stale(notify_time: str, now: datetime) -> None:
    sent = _moment(notify_time)
    if sent is None:
        raise _another_form("its notify_time has another form")
    if not -LONGEST_LEAD <= now.astimezone(UTC) - sent <= LONGEST_AGE:
        raise NotificationRefused(
            "stale", "It was sent more than 26 h ago, or 5 minutes ahead of this machine's clock."
        )


def _moment(text: str) -> datetime | None:
    if _TIME.fullmatch(text) is None:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=CHINA).astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: year 1, east of Greenwich
        return None


def _amount_fen(text: str, name: str) -> int:
    amount = fen(text) if _AMOUNT.fullmatch(text) else None
    if amount is None:
        raise _another_form(f"its {name} is no amount in yuan")
    return amount


def _needed(notice: Mapping[str, str], name: str) -> str:
    if name not in notice:
        raise _another_form(f"its {name} is missing")
    return notice[name]


def _another_form(clause: str) -> NotificationRefused:
    return NotificationRefused("form", f"It is signed by Alipay, but {clause}: compare with its documentation.")
