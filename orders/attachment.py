"""The signed attachment that a payment carries: which car, which package, at which price (contracts §7). Pure.

`1~VIN~ICCID~PACKAGE~MSISDN~MAC`. The order backend makes it, the provider hands it back with the payment, and the MAC
binds it to merchant's order number and price, so that no payment of another amount buys this package.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from orders.paid_order import PackageId, Vehicle

VERSION: Final = "1"
MAX_ATTACHMENT_BYTES: Final = 127
"""WeChat Pay's `attach` takes 128 characters, Alipay's `passback_params` 512 (facts of the providers)."""
MAC_BYTES: Final = 16

_PARTS: Final = 6


@dataclass(frozen=True, slots=True)
class Purchase:
    """What was bought, and for which car. Personal data."""

    vehicle: Vehicle
    package_id: str


class _Package(BaseModel):
    model_config = ConfigDict(strict=True)
    package_id: PackageId


def make_attachment(key: bytes, purchase: Purchase, *, out_trade_no: str, amount_fen: int) -> str:
    """The attachment of an order, as the order backend makes it.

    Raises:
        ValueError: it would be longer than the providers carry.
    """
    car = purchase.vehicle
    content = "~".join((VERSION, car.vin, car.iccid, purchase.package_id, car.msisdn or ""))
    text = f"{content}~{_mac(key, out_trade_no, amount_fen, content)}"
    if len(text.encode()) > MAX_ATTACHMENT_BYTES:
        raise ValueError(f"an attachment has at most {MAX_ATTACHMENT_BYTES} bytes; shorten the package's ID")
    return text


def read_attachment(keys: Sequence[bytes], text: str, *, out_trade_no: str, amount_fen: int) -> Purchase | None:
    """What an attachment proves was bought for this order number and amount; None where it proves nothing.

    Args:
        keys: the order backend's key and older ones; any may have made it.
        text: the attachment as the provider hands it back.
        out_trade_no: of the payment.
        amount_fen: of the payment.
    """
    if len(text.encode(errors="replace")) > MAX_ATTACHMENT_BYTES:
        return None
    content, _, mac = text.rpartition("~")
    expected = [_mac(key, out_trade_no, amount_fen, content) for key in keys]
    # Compared as text: base64 has several spellings of the same bytes, and one of them is the attachment's.
    if not any(hmac.compare_digest(mac.encode(errors="replace"), one.encode()) for one in expected):
        return None
    parts = content.split("~")
    if len(parts) != _PARTS - 1 or parts[0] != VERSION:
        return None
    _, vin, iccid, package_id, msisdn = parts
    members = {"vin": vin, "iccid": iccid} | ({"msisdn": msisdn} if msisdn else {})
    try:
        return Purchase(Vehicle.model_validate(members), _Package(package_id=package_id).package_id)
    except ValidationError:
        return None


def _mac(key: bytes, out_trade_no: str, amount_fen: int, content: str) -> str:
    message = f"{out_trade_no}~{amount_fen}~{content}".encode(errors="replace")
    digest = hmac.new(key, message, hashlib.sha256).digest()[:MAC_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
