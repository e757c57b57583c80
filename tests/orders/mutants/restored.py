"""What a restored book must not forget, by the rule that would."""

from collections.abc import Callable
from datetime import datetime

from orders.next_step import CancelAtCarrier, NextStep, QueryCarrier
from orders.state import CarrierTimes, OrderState
from tests.orders.mutants.rules import RULES

BURNING = ("place", "burn")
ASKING = ("place", "query")
REFUNDING = ("place", "refund")


def _burns_at_once(state: OrderState, now: datetime, times: CarrierTimes) -> NextStep:
    """Where the book says that nothing was sent; neither the wait nor the empty `GET` that it asks for is looked at."""
    step = RULES["next_step"](state, now, times)
    sure = times.restored_at is not None and state.cancel_reason and not state.posts
    return CancelAtCarrier() if sure and isinstance(step, QueryCarrier) else step


def _counts_at_once(times: CarrierTimes) -> datetime | None:
    return times.restored_at


def _fresh_all_the_same(state: OrderState, _times: CarrierTimes) -> bool:
    return state.refund_sent_at is not None


RESTORED: dict[str, tuple[str, property | Callable[..., object], tuple[str, ...], str]] = {
    "burns at once": ("carrier_rules.next_step", _burns_at_once, BURNING, "B5 refused"),
    "counts an empty GET at once": ("state.CarrierTimes.empty_counts_from", property(_counts_at_once), ASKING, "A9"),
    "takes a refund number for fresh": ("refund_rules.must_ask_first", _fresh_all_the_same, REFUNDING, "A9 refund"),
}
"""By name: what is replaced, by what, the activities that show it, and the invariant that breaks."""
