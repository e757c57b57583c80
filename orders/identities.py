"""Every identity derives from the order by a pure function; a random key would double effects after a reset."""

import hashlib
import hmac
import re
from typing import Final, Literal

NoticeResult = Literal["delivered", "failed", "refunded"]

WORKFLOW_TYPE: Final = "TopUpOrder"
"""Of an order's run in Temporal (contracts §3)."""
GOODWILL_WORKFLOW_TYPE: Final = "GoodwillRefund"
"""Of a goodwill refund's run."""
REFUND_NOTICE: Final = "refund_notice"
"""The signal by which either asks its provider now (contracts §7)."""

_WORKFLOW_PREFIX = "topup/"
_GOODWILL_PREFIX = "goodwill/"
_ORDER_ID = re.compile(r"[0-9A-Za-z_-]{6,32}")
_LATER_REFUND = re.compile(r"(.+)-(?:[2-9]|[1-9][0-9]{1,2})")
_GOODWILL = re.compile(r"([0-9A-Za-z_-]{1,32})/([1-9][0-9]{0,2})")
_GOODWILL_REFUND = re.compile(r"G([1-9][0-9]{0,2})-[1-9][0-9]*-([0-9A-Za-z_-]{6,32})")

MOST_GOODWILL_REFUNDS = 999
"""Of one order: what a name can hold."""


def goodwill_name(order_id: str, number: int) -> str:
    """The name of an order's first, second, … goodwill refund, which stands where an order ID does (ADR 10).

    No order ID has a slash, so that it can't be taken for an order's.
    """
    return f"{order_id}/{number}"


def goodwill_of(name: str) -> tuple[str, int] | None:
    """Order ID and number of a goodwill refund's name; None for an order's."""
    found = _GOODWILL.fullmatch(name)
    return None if found is None else (found[1], int(found[2]))


def workflow_id(order_id: str) -> str:
    """The Temporal workflow ID of an order (contracts §3), or of a goodwill refund by its name."""
    return (_WORKFLOW_PREFIX if goodwill_of(order_id) is None else _GOODWILL_PREFIX) + order_id


def order_id_of(workflow_id: str) -> str:
    """The inverse of `workflow_id`.

    Raises:
        ValueError: it is not the workflow ID of an order or of a goodwill refund.
    """
    order_id = workflow_id.removeprefix(_WORKFLOW_PREFIX)
    if order_id != workflow_id and is_order_id(order_id):
        return order_id
    name = workflow_id.removeprefix(_GOODWILL_PREFIX)
    if name != workflow_id and goodwill_of(name) is not None:
        return name
    raise ValueError(f"{workflow_id!r} is no workflow ID of an order; it looks like topup/T20230821183406000001")


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
    """The refund number of the first, second, … try; a further one exists only after `CLOSED` (contracts §5).

    That of a goodwill refund has both numbers before the order ID, so that no two of them are ever the same.
    """
    if sequence < 1:
        raise ValueError("refund numbers are counted from 1")
    if (goodwill := goodwill_of(order_id)) is not None:
        return f"G{goodwill[1]}-{sequence}-{goodwill[0]}"
    return f"R{order_id}" if sequence == 1 else f"R{order_id}-{sequence}"


def order_ids_of_refund(refund_number: str) -> tuple[str, ...]:
    """The orders (or the goodwill refund) that a number may belong to, the likeliest first; none: it is none of ours.

    `RT20230821-2` is the second refund of one order and the first of an order whose ID ends so: who asks by this must
    do no harm to the wrong one.
    """
    if (goodwill := _GOODWILL_REFUND.fullmatch(refund_number)) is not None:
        return (goodwill_name(goodwill[2], int(goodwill[1])),)
    whole = refund_number.removeprefix("R")
    if whole == refund_number:
        return ()
    found = _LATER_REFUND.fullmatch(whole)
    candidates = (found[1], whole) if found is not None else (whole,)
    return tuple(candidate for candidate in candidates if is_order_id(candidate))


def is_our_refund(refund_number: str, *, provider: str, out_trade_no: str, transaction_id: str) -> bool:
    """Whether we may have sent this refund of this payment: its number is that of the payment's order, any try.

    Or of any goodwill refund of that order.
    """
    order_id = adopted_order_id(provider, out_trade_no, transaction_id)
    return any(name.partition("/")[0] == order_id for name in order_ids_of_refund(refund_number))


def notice_id(order_id: str, result: NoticeResult) -> str:
    """The CloudEvents `id` of a notice, by which the head unit drops repeats (contracts §6)."""
    return f"{order_id}:{result}"


def keyed_hash(key: bytes, value: str) -> str:
    """The keyed hash that stands for a VIN, ICCID or phone number wherever it must not stand (contracts §3)."""
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:32]
