"""Bytes of a Kafka record → paid order: one pure function, every poison rule of contracts §1."""

from typing import Final, Literal

from pydantic import ValidationError

from orders.errors import TopUpError
from orders.paid_order import PaidOrder, Payment, Vehicle
from orders.strict_json import NotStrictJson, decode_object

MAX_VALUE_BYTES: Final = 65_536
MAX_ERROR_CHARACTERS: Final = 512

PoisonReason = Literal["invalid", "oversize"]

_MEMBERS: Final = frozenset(
    field.alias or name for model in (PaidOrder, Vehicle, Payment) for name, field in model.model_fields.items()
)


class PoisonRecord(TopUpError):
    """A record that breaks a rule of contracts §1; it claims no order ID and goes to the dead letters.

    Attributes:
        reason: `oversize` or `invalid`.
        error: names the member and the rule, at most 512 characters. Holds nothing of what the record holds: that
            might be personal data, names of unknown members included.
    """

    def __init__(self, reason: PoisonReason, error: str) -> None:
        super().__init__(error)
        self.reason: PoisonReason = reason
        self.error = error[:MAX_ERROR_CHARACTERS]


def parse(key: bytes | None, value: bytes | None) -> PaidOrder:
    """The paid order in a record.

    Raises:
        PoisonRecord: it breaks a rule of contracts §1. Nothing else is raised for any bytes.
    """
    if value is None:
        raise _invalid("value: is null (a tombstone); it must be one JSON object")
    if len(value) > MAX_VALUE_BYTES:
        raise PoisonRecord("oversize", f"value: has {len(value)} bytes; at most {MAX_VALUE_BYTES} are read")
    try:
        root = decode_object(value, named=_MEMBERS)
    except NotStrictJson as error:
        raise _invalid(str(error)) from None
    order = _validated(root)
    if key is not None and key != order.order_id.encode():
        raise _invalid("key: must equal order_id byte by byte, or be null")
    return order


def _validated(root: dict[str, object]) -> PaidOrder:
    try:
        return PaidOrder.model_validate(root)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        member = ".".join(str(part) for part in first["loc"])
        raise _invalid(f"{member}: {first['msg']}") from None


def _invalid(error: str) -> PoisonRecord:
    return PoisonRecord("invalid", error)
