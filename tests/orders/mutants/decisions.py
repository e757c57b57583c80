"""`next_step` as someone could have written it, and the invariant that catches each."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from orders import next_step
from orders.next_step import CancelAtCarrier, QueryCarrier, QueryRefund, SendRefund, Settle, StartRefund, Submit
from orders.state import CarrierTimes, OrderState
from tests.orders.exploration.world import ASKING, BURNING, KINDS, REFUNDING
from tests.orders.mutants.rules import RULES, Mutant


def submit_again_without_evidence(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return Submit() if isinstance(step, QueryCarrier) and state.posts and now <= _last_post(state, times) else step


def submit_after_a_cancel(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    return RULES["next_step"](replace(state, cancel_reason="", burn_at=None), now, times)


def submit_too_late(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return Submit() if isinstance(step, CancelAtCarrier) and state.posts and not state.cancel_reason else step


def burn_too_early(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    early = isinstance(step, QueryCarrier) and state.not_found_at is not None and bool(state.cancel_reason)
    return CancelAtCarrier() if early else step


def burn_at_the_last_moment_of_a_post(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    date = state.completion_date and state.completion_date - times.longest_latency - times.visibility_lag
    step = RULES["next_step"](replace(state, completion_date=date), now, times)
    return step if isinstance(step, CancelAtCarrier) else RULES["next_step"](state, now, times)


def burn_without_an_empty_get(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    """Costs no money: a carrier that knows the order answers the cancel with 409."""
    step = RULES["next_step"](replace(state, not_found_at=now), now, times)
    return step if isinstance(step, CancelAtCarrier) else RULES["next_step"](state, now, times)


def refund_in_doubt(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return StartRefund() if state.posts and state.carrier_outcome is None and not state.refund_sequence else step


def a_denied_refund_leaves_again_unasked(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return (
        SendRefund() if isinstance(step, QueryRefund) and state.refund_denied and not state.paid_another_way else step
    )


def send_after_paid_another_way(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return SendRefund() if isinstance(step, QueryRefund) and state.paid_another_way else step


def delivered_without_an_outcome(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return Settle(outcome="delivered") if isinstance(step, QueryCarrier) and state.posts else step


def refunded_by_the_intent(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return Settle(outcome="refunded") if isinstance(step, QueryRefund) else step


def a_reopened_run_submits_unasked(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    return RULES["next_step"](replace(state, reopened_at=None), now, times)


def settled_is_asked_again(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    return RULES["next_step"](replace(state, outcome=None), now, times)


def _last_post(state: OrderState, times: CarrierTimes) -> datetime:
    return next_step.last_post_until(state, times)


DECISIONS: list[tuple[Mutant, str, tuple[str, ...]]] = [
    (submit_again_without_evidence, "P7", ASKING),
    (submit_after_a_cancel, "C8", ASKING),
    (submit_too_late, "P7b", ASKING),
    (burn_too_early, "B5 refused", BURNING),
    (burn_at_the_last_moment_of_a_post, "B5 refused", BURNING),
    (burn_without_an_empty_get, "P8", BURNING),
    (refund_in_doubt, "R4", KINDS),
    (a_denied_refund_leaves_again_unasked, "R5", REFUNDING),
    (send_after_paid_another_way, "R5", REFUNDING),
    (delivered_without_an_outcome, "B5 delivered", KINDS),
    (refunded_by_the_intent, "B5 refunded", REFUNDING),
    (a_reopened_run_submits_unasked, "P9", ASKING),
    (settled_is_asked_again, "N1", REFUNDING),
]
