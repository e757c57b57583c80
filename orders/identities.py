"""Every identity derives from the order by a pure function; a random key would double effects after a reset."""

import hashlib
import hmac
import re
from typing import Final, Literal

NoticeResult = Literal["delivered", "failed", "refunded"]

WORKFLOW_TYPE: Final = "TopUpOrder"
"""Of an order's run in Temporal (contracts §3)."""

_WORKFLOW_PREFIX = "topup/"
_ORDER_ID = re.compile(r"[0-9A-Za-z_-]{6,32}")
_LATER_REFUND = re.compile(r"(.+)-(?:[2-9]|[1-9][0-9]{1,2})")


def workflow_id(order_id: str) -> str:
    """The Temporal workflow ID of an order (contracts §3)."""
    return _WORKFLOW_PREFIX + order_id


def order_id_of(workflow_id: str) -> str:
    """The inverse of `workflow_id`.

    Raises:
        ValueError: it is not the workflow ID of an order.
    """
    order_id = workflow_id.removeprefix(_WORKFLOW_PREFIX)
    if order_id == workflow_id or not is_order_id(order_id):
        raise ValueError(f"{workflow_id!r} is no workflow ID of an order; it looks like topup/T20230821183406000001")
    return order_id


def is_order_id(text: str) -> bool:
    """Whether `text` may name an order (contracts §1)."""
    return _ORDER_ID.fullmatch(text) is not None


def adopted_order_id(provider: str, out_trade_no: str, transaction_id: str) -> str:
    """The order ID of an unmatched payment that a person adopts or has refunded (contracts §7)."""
    if is_order_id(out_trade_no):
        return out_trade_no
    return "U" + hashlib.sha256(f"{provider}:{transaction_id}".encode()).hexdigest()[:24]


def carrier_serial(order_id: str) -> str:
    """The `externalId` at the carrier, the same on every attempt (contracts §4)."""
    return order_id


def refund_number(order_id: str, sequence: int) -> str:
    """The refund number of the first, second, … try; a further one exists only after `CLOSED` (contracts §5)."""
    if sequence < 1:
        raise ValueError("refund numbers are counted from 1")
    return f"R{order_id}" if sequence == 1 else f"R{order_id}-{sequence}"


def order_ids_of_refund(refund_number: str) -> tuple[str, ...]:
    """The orders that a refund number may belong to, the likeliest first; none where it is none of ours.

    `RT20230821-2` is the second refund of one order and the first of an order whose ID ends so: who asks by this must
    do no harm to the wrong one.
    """
    whole = refund_number.removeprefix("R")
    if whole == refund_number:
        return ()
    found = _LATER_REFUND.fullmatch(whole)
    candidates = (found[1], whole) if found is not None else (whole,)
    return tuple(candidate for candidate in candidates if is_order_id(candidate))


def is_our_refund(refund_number: str, *, provider: str, out_trade_no: str, transaction_id: str) -> bool:
    """Whether we may have sent this refund of this payment: its number is that of the payment's order, any try."""
    order_id = adopted_order_id(provider, out_trade_no, transaction_id)
    return order_id in order_ids_of_refund(refund_number)


def notice_id(order_id: str, result: NoticeResult) -> str:
    """The CloudEvents `id` of a notice, by which the head unit drops repeats (contracts §6)."""
    return f"{order_id}:{result}"


def keyed_hash(key: bytes, value: str) -> str:
    """The keyed hash that stands for a VIN, ICCID or phone number wherever it must not stand (contracts §3)."""
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32]
