"""What has happened to an order between two states of its row, in the words that its log lines have. Pure."""

from collections.abc import Iterator
from typing import Any

from orders.identities import refund_number
from orders.state import OrderState

Milestone = tuple[str, dict[str, Any]]
"""The event's name, and what its line says beside the order ID."""

CARRIER_WORDS = {"completed": "placed", "rejected": "refused", "cancelled": "burnt"}


def milestones(before: OrderState, after: OrderState) -> Iterator[Milestone]:
    """In the order in which they happen; none where only waiting has changed."""
    if after.posts != before.posts:
        yield ("sent", {"post": after.posts}) if after.posts > before.posts else ("not_sent", {"post": before.posts})
    if after.burn_at != before.burn_at:
        yield "burn_sent", {}
    if after.carrier_outcome is not None and after.carrier_outcome != before.carrier_outcome:
        code = {"code": after.carrier_code} if after.carrier_code else {}
        yield CARRIER_WORDS[after.carrier_outcome], code
    if after.refund_sent_at is not None and after.refund_sent_at != before.refund_sent_at:
        yield "refund_sent", {"refund_number": refund_number(after.order_id, after.refund_sequence)}
    if after.refund_confirmed_at is not None and before.refund_confirmed_at is None:
        yield "refund_confirmed", {}
    if after.attention != before.attention:
        yield ("needs_person", {"attention": after.attention}) if after.attention else ("freed", {})
    if after.outcome is not None and before.outcome is None:
        yield "settled", ending(after)


def ending(state: OrderState) -> dict[str, Any]:
    """What a line about an order's end says of it."""
    return {"outcome": state.outcome, **({"doubted": True} if state.in_doubt_since is not None else {})}
