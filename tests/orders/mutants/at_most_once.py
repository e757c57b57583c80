"""Rules that only a carrier that can't be asked shows to be wrong, and two that any carrier does."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from orders.next_step import CancelAtCarrier, StartRefund, Submit
from orders.outcomes import InDoubt, Refused
from orders.state import CarrierTimes, OrderState
from tests.orders.mutants.decisions import refund_in_doubt
from tests.orders.mutants.rules import RULES, Mutant, a_cancel_is_a_refusal


def a_second_post(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return Submit() if state.posts and state.carrier_outcome is None and not state.cancel_reason else step


def a_post_after_a_cancel(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return Submit() if isinstance(step, StartRefund) and state.carrier_outcome == "cancelled" else step


def a_cancel_burns_in_doubt(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return CancelAtCarrier() if state.cancel_reason and state.carrier_outcome is None else step


def a_right_without_an_end(state: OrderState, now: datetime, times: CarrierTimes, body: Any) -> Any:
    after, right = RULES["authorize_post"](state, now, times, body)
    return after, right and replace(right, send_before=now + timedelta(hours=1))


def not_delivered_at_any_time(state: OrderState, _now: datetime, times: CarrierTimes, note: str) -> Any:
    return RULES["resolve_not_delivered"](state, datetime(2999, 1, 1).astimezone(), times, note)


def not_delivered_without_the_latency(state: OrderState, now: datetime, times: CarrierTimes, note: str) -> Any:
    return RULES["resolve_not_delivered"](state, now + times.longest_latency, times, note)


def a_time_out_is_a_refusal(state: OrderState, now: datetime, answer: Any, number: int) -> Any:
    if isinstance(answer, InDoubt) and answer.cause == "unanswered":
        answer = Refused(code="TIMEOUT")
    return RULES["record_post_response"](state, now, answer, number)


def a_doubtful_receipt_is_a_refusal(state: OrderState, now: datetime, answer: Any, number: int) -> Any:
    if isinstance(answer, InDoubt) and answer.cause == "answered":
        answer = Refused(code="UNKNOWN")
    return RULES["record_post_response"](state, now, answer, number)


def a_time_out_is_no_post(state: OrderState, now: datetime, answer: Any, number: int) -> Any:
    after, heard = RULES["record_post_response"](state, now, answer, number)
    if isinstance(heard, InDoubt) and heard.cause == "unanswered":
        after = replace(after, posts=0, last_post_at=None, last_post_answered_at=None)
    return after, heard


MUTANTS: list[tuple[str, Mutant]] = [
    ("next_step", a_second_post),
    ("next_step", a_post_after_a_cancel),
    ("next_step", a_cancel_burns_in_doubt),
    ("next_step", refund_in_doubt),
    ("authorize_post", a_right_without_an_end),
    ("request_cancel", a_cancel_is_a_refusal),
    ("resolve_not_delivered", not_delivered_at_any_time),
    ("resolve_not_delivered", not_delivered_without_the_latency),
    ("record_post_response", a_time_out_is_a_refusal),
    ("record_post_response", a_doubtful_receipt_is_a_refusal),
    ("record_post_response", a_time_out_is_no_post),
]
