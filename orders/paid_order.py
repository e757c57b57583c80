"""The paid order as it crosses the edge (contracts §1): strict, no coercion, money as integer fen.

`orders.record` turns bytes into it; here stand its members, its rules and its content digest.
"""

import hashlib
import json
import re
from datetime import date, timedelta, timezone
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

SCHEMA = "topup.paid-order/1"
CHINA = timezone(timedelta(hours=8))
"""The providers' clock; China has had no other offset since 1991."""

OrderId = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{6,32}$")]
Vin = Annotated[str, Field(pattern=r"^[A-HJ-NPR-Z0-9]{17}$")]
Iccid = Annotated[str, Field(pattern=r"^[0-9]{19,20}$")]
Msisdn = Annotated[str, Field(pattern=r"^[0-9]{11,15}$")]
PackageId = Annotated[str, Field(pattern=r"^[0-9A-Za-z_.-]{1,64}$")]
MOST_FEN = 10**15
"""Ten trillion yuan: above what any provider takes in a day, and below what a database's integer holds."""
AmountFen = Annotated[int, Field(ge=1, le=100_000_000)]
Reference = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]
Provider = Literal["wechat", "alipay"]

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DAY_NS = 86_400 * 1_000_000_000
_UNIX_EPOCH_NS = (date(1970, 1, 1).toordinal() - 1) * _DAY_NS
_EAST_OF_GREENWICH_NS = 8 * 3600 * 1_000_000_000
_MEMBER = ConfigDict(strict=True, frozen=True, extra="ignore")


def instant_ns(text: str) -> int:
    """Nanoseconds since 0001-01-01T00:00:00Z of an RFC 3339 time as contracts §1 writes it.

    Not a `datetime`: that has no nanoseconds and can't hold year 1 east of Greenwich.

    Raises:
        ValueError: it breaks a rule of `payment.paid_at`.
    """
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise ValueError("must be YYYY-MM-DDTHH:MM:SS[.fraction](Z or ±HH:MM)")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = found.groups()[6:]
    days = date(year, month, day).toordinal() - 1
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - the clock's own limits
        raise ValueError("has an hour, minute or second that does not exist")
    offset = 0
    if sign is not None:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:  # noqa: PLR2004 - RFC 3339 time-numoffset
            raise ValueError("has an offset that does not exist")
        offset = (int(offset_hours) * 60 + int(offset_minutes)) * 60 * (-1 if sign == "-" else 1)
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def unix_seconds(paid_at: str) -> float:
    """Seconds since 1970-01-01T00:00:00Z of a `payment.paid_at`, to the microsecond or so; negative before.

    Raises:
        ValueError: it breaks a rule of `payment.paid_at`.
    """
    return (instant_ns(paid_at) - _UNIX_EPOCH_NS) / 1e9


def day_in_china(paid_at: str) -> str:
    """The day of a `payment.paid_at` on the providers' clock, `YYYY-MM-DD`; the last there is where it is beyond.

    Raises:
        ValueError: it breaks a rule of `payment.paid_at`.
    """
    days = (instant_ns(paid_at) + _EAST_OF_GREENWICH_NS) // _DAY_NS
    return date.fromordinal(min(max(days + 1, 1), date.max.toordinal())).isoformat()


class Vehicle(BaseModel):
    """The car and its SIM. Personal data: encrypted in the book, never logged."""

    model_config = _MEMBER

    vin: Vin
    iccid: Iccid
    msisdn: Msisdn | None = None

    @field_validator("msisdn", mode="before")
    @classmethod
    def _absent_not_null(cls, value: object) -> object:
        if value is None:
            raise ValueError("may be absent, not null")
        return value


class Payment(BaseModel):
    """The payment as the provider knows it."""

    model_config = _MEMBER

    provider: Provider
    merchant_id: Reference
    out_trade_no: Reference
    transaction_id: Reference
    paid_at: str

    @field_validator("paid_at")
    @classmethod
    def _is_an_instant(cls, value: str) -> str:
        instant_ns(value)
        return value


class PaidOrder(BaseModel):
    """One paid order. Equal content means: a duplicate; other content under one order ID: a conflict."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", serialize_by_alias=True)

    schema_: Literal["topup.paid-order/1"] = Field(alias="schema")
    order_id: OrderId
    vehicle: Vehicle
    package_id: PackageId
    amount_fen: AmountFen
    currency: Literal["CNY"]
    payment: Payment

    def content_digest(self) -> str:
        """SHA-256 over the members of contracts §1, `paid_at` as an instant; whoever has it can guess the vehicle."""
        content = self.model_dump(mode="json", by_alias=True)
        content["payment"]["paid_at"] = instant_ns(self.payment.paid_at)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()
