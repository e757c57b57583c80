"""A carrier that can't be asked: the money rules hold in every state, and the walk finds each of these mutants."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from orders import carrier_rules, next_step, operator_rules, refund_rules
from orders.next_step import CancelAtCarrier, StartRefund, Submit
from orders.outcomes import InDoubt, Refused
from orders.state import CANCELLED, CarrierTimes, OrderState
from tests.orders.exploration.at_most_once import FLAT, OnePostExploration
from tests.orders.exploration.world import Broken

MODULES = (next_step, carrier_rules, refund_rules, operator_rules)
RULES: dict[str, Callable[..., Any]] = {
    name: rule for module in MODULES for name, rule in vars(module).items() if callable(rule)
}
Mutant = Callable[..., Any]


@pytest.mark.exhaustive
def test_no_path_with_two_faults_breaks_a_rule_of_the_money():
    OnePostExploration(faults=2).explore()


@pytest.mark.long
def test_no_path_with_a_fault_breaks_a_rule_of_the_money_and_none_is_a_dead_end():
    exploration = OnePostExploration(faults=1)

    exploration.explore()

    assert {state.outcome for state in exploration.states} == {None, "delivered", "refunded"}
    assert {state.carrier_outcome for state in exploration.states} == {None, "completed", "rejected", "cancelled"}
    dead_ends = exploration.dead_ends((1000,))
    assert not dead_ends, exploration.path_to(dead_ends[0])


def test_the_one_risk_left_is_a_worker_that_freezes_between_its_last_look_and_the_byte_that_leaves():
    """No rule of ours can see it; reconciliation with the carrier's bill does (docs/carrier-flat.md)."""
    with pytest.raises(Broken, match=r"M3|B5|S1"):
        OnePostExploration(faults=1, frozen_at_the_worst=True).explore()


def a_second_post(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return Submit() if state.posts and state.carrier_outcome is None and not state.cancel_reason else step


def a_post_after_a_cancel(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return Submit() if isinstance(step, StartRefund) and state.carrier_outcome == "cancelled" else step


def a_cancel_burns_in_doubt(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return CancelAtCarrier() if state.cancel_reason and state.carrier_outcome is None else step


def refund_in_doubt(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
    step = RULES["next_step"](state, now, times)
    return StartRefund() if state.posts and state.carrier_outcome is None and not state.refund_sequence else step


def a_right_without_an_end(state: OrderState, now: datetime, times: CarrierTimes, body: Any) -> Any:
    after, right = RULES["authorize_post"](state, now, times, body)
    return after, right and replace(right, send_before=now + timedelta(hours=1))


def a_cancel_is_a_refusal(state: OrderState, reason: str = CANCELLED, note: str = "") -> Any:
    after, written = RULES["request_cancel"](state, reason, note)
    return (replace(after, carrier_outcome="rejected", carrier_code=reason) if written else after), written


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


@pytest.mark.long
@pytest.mark.parametrize(("rule", "mutant"), MUTANTS, ids=[mutant.__name__ for _, mutant in MUTANTS])
def test_a_mutant_of_a_rule_is_found(monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant):
    for module in MODULES:
        if hasattr(module, rule):
            monkeypatch.setattr(module, rule, mutant)

    with pytest.raises(Broken):
        OnePostExploration(faults=1).explore()


def test_the_moments_of_the_walk_lie_on_both_sides_of_each_limit():
    """0: a granted POST may leave; 76: it may not, and no word counts yet; 241: it does."""
    assert FLAT.post_leaves_within < timedelta(seconds=76)
    total = FLAT.post_leaves_within + FLAT.longest_latency + FLAT.visibility_lag
    assert timedelta(seconds=76) < total < timedelta(seconds=241 - 76)
