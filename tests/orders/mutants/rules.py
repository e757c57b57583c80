"""Rules of the book that someone could have written, and how one takes a rule's place."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from orders import carrier_rules, next_step, operator_rules, refund_rules
from orders.carrier_rules import PostAuthorized
from orders.next_step import Submit
from orders.outcomes import InDoubt, RefundAccepted, RefundClosed, RefundConfirmed, Refused
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR, CarrierTimes, OrderState
from tests.orders.exploration.world import ASKING, KINDS, REFUNDING

MODULES = (next_step, carrier_rules, refund_rules, operator_rules)
RULES: dict[str, Callable[..., Any]] = {
    name: rule for module in MODULES for name, rule in vars(module).items() if callable(rule)
}
"""The right ones, as they were before any test."""
Mutant = Callable[..., Any]


def put_in_place(monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant) -> None:
    """Wherever the rule is asked."""
    for module in MODULES:
        if hasattr(module, rule):
            monkeypatch.setattr(module, rule, mutant)


def fresh_date(state: OrderState, now: datetime, times: CarrierTimes, body: Any) -> Any:
    after, right = RULES["authorize_post"](state, now, times, body)
    if right is not None:
        date = now + times.completion_window
        after, right = replace(after, completion_date=date, body=body(date)), replace(right, body=body(date))
    return after, right


def a_right_until_the_date(state: OrderState, now: datetime, times: CarrierTimes, body: Any) -> Any:
    after, right = RULES["authorize_post"](state, now, times, body)
    if right is not None and after.completion_date is not None:
        right = replace(right, send_before=after.completion_date - times.longest_latency)
    return after, right


def anyone_may_withdraw(state: OrderState, right: PostAuthorized) -> Any:
    return RULES["withdraw_post"](replace(state, last_post_answered_at=None), replace(right, number=state.posts))


def unanswered_is_not_sent(state: OrderState, now: datetime, answer: Any, number: int) -> Any:
    if isinstance(answer, InDoubt) and answer.cause == "unanswered" and state.carrier_outcome is None:
        return replace(state, posts=0, body=None, completion_date=None, last_post_at=None, not_found_at=None), answer
    return RULES["record_post_response"](state, now, answer, number)


def a_409_is_a_refusal(state: OrderState, now: datetime, answer: Any) -> Any:
    if isinstance(answer, InDoubt) and "409" in answer.why:
        answer = Refused(code="CONFLICT")
    return RULES["record_response"](state, now, answer)


def a_timeout_is_a_refusal(state: OrderState, now: datetime, answer: Any) -> Any:
    if isinstance(answer, InDoubt) and answer.cause == "unanswered":
        answer = Refused(code="TIMEOUT")
    return RULES["record_response"](state, now, answer)


def empty_is_a_refusal(state: OrderState, now: datetime, times: CarrierTimes, *, asked_at: datetime, posts: int) -> Any:
    after, heard = RULES["record_not_found"](state, now, times, asked_at=asked_at, posts=posts)
    if state.posts and isinstance(next_step.next_step(after, now, times), Submit):
        after, _ = RULES["record_response"](after, now, Refused(code="NOT_FOUND"))
    return after, heard


def an_old_empty_answer_counts(
    state: OrderState, now: datetime, times: CarrierTimes, *, asked_at: datetime, posts: int
) -> Any:
    del asked_at, posts
    return RULES["record_not_found"](state, now, times, asked_at=now, posts=state.posts)


def the_horizon_is_a_burn(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    after, closed = RULES["authorize_burn"](state, now, times)
    if closed:
        after, _ = RULES["record_response"](after, now, Refused(code="", burnt=True))
    return after, closed


def a_cancel_is_a_refusal(state: OrderState, reason: str = CANCELLED, note: str = "") -> Any:
    after, written = RULES["request_cancel"](state, reason, note)
    if written and reason == CANCELLED:
        after = replace(after, carrier_outcome="rejected", carrier_code=reason)
    return after, written


def not_delivered_is_a_refusal(state: OrderState, reason: str = CANCELLED, note: str = "") -> Any:
    after, written = RULES["request_cancel"](state, reason, note)
    if written and reason == RESOLVED_BY_OPERATOR:
        after = replace(after, carrier_outcome="rejected", carrier_code=reason)
    return after, written


def not_delivered_needs_no_reference(state: OrderState, now: datetime, answer: Any) -> Any:
    note = state.resolution_note and getattr(answer, "carrier_order_id", "")
    return RULES["carrier_gave_up"](replace(state, resolution_note=note), now, answer)


def renumber_while_processing(
    state: OrderState, now: datetime, times: CarrierTimes, answer: Any, *, of_number: int
) -> Any:
    after, heard = RULES["record_refund_response"](state, now, times, answer, of_number=of_number)
    if isinstance(answer, RefundAccepted):
        after, _ = RULES["close_refund_number"](after, of_number)
    return after, heard


def renumber_without_compare(state: OrderState, _closed: int) -> Any:
    return RULES["close_refund_number"](state, state.refund_sequence)


def accepted_is_confirmed(state: OrderState, now: datetime, times: CarrierTimes, answer: Any, *, of_number: int) -> Any:
    answer = RefundConfirmed() if isinstance(answer, RefundAccepted) else answer
    return RULES["record_refund_response"](state, now, times, answer, of_number=of_number)


def closed_once_is_enough(state: OrderState, now: datetime, times: CarrierTimes, answer: Any, *, of_number: int) -> Any:
    after, heard = RULES["record_refund_response"](state, now, times, answer, of_number=of_number)
    if isinstance(answer, RefundClosed) and of_number == state.refund_sequence:
        after, _ = RULES["close_refund_number"](after, of_number)
    return after, heard


def counts_from_the_grant(state: OrderState, times: CarrierTimes) -> Any:
    if state.last_post_at is None or state.last_post_answered_at is not None:
        return RULES["not_found_counts_from"](state, times)
    return state.last_post_at + times.longest_latency + times.visibility_lag


MUTANTS: list[tuple[str, Mutant, tuple[str, ...]]] = [
    ("authorize_post", fresh_date, ASKING),
    ("withdraw_post", anyone_may_withdraw, ASKING),
    ("record_post_response", unanswered_is_not_sent, ASKING),
    ("record_response", a_409_is_a_refusal, KINDS),
    ("record_response", a_timeout_is_a_refusal, KINDS),
    ("record_not_found", empty_is_a_refusal, KINDS),
    ("record_not_found", an_old_empty_answer_counts, ASKING),
    ("authorize_burn", the_horizon_is_a_burn, KINDS),
    ("request_cancel", a_cancel_is_a_refusal, KINDS),
    ("request_cancel", not_delivered_is_a_refusal, KINDS),
    ("carrier_gave_up", not_delivered_needs_no_reference, KINDS),
    ("record_refund_response", renumber_while_processing, REFUNDING),
    ("record_refund_response", accepted_is_confirmed, REFUNDING),
    ("close_refund_number", renumber_without_compare, REFUNDING),
]
