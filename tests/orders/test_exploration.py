"""The protocol of the money holds in every state that one order can get into, and the walk that shows it has teeth:
it finds each of these mutants of the rules (`tests.orders.exploration` says what can happen, and what must hold).
"""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from orders import carrier_rules, next_step, operator_rules, refund_rules
from orders.carrier_rules import PostAuthorized
from orders.next_step import (
    CancelAtCarrier,
    QueryCarrier,
    QueryRefund,
    SendRefund,
    Settle,
    StartRefund,
    Submit,
)
from orders.outcomes import InDoubt, RefundAccepted, RefundClosed, RefundConfirmed, Refused
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR, CarrierTimes, OrderState
from tests.orders.exploration.walk import Exploration
from tests.orders.exploration.world import KINDS, TICKS_EARLY, Broken

RULES: dict[str, Callable[..., Any]] = {
    name: rule
    for module in (next_step, carrier_rules, refund_rules, operator_rules)
    for name, rule in vars(module).items()
    if callable(rule)
}
Mutant = Callable[..., Any]
ASKING = ("place", "query")
BURNING = ("place", "query", "burn")
REFUNDING = ("place", "refund")
LATER = (800, 1300)
"""Seconds: the end of a date that was fixed at the last tick of the walk, and of the next one."""


@pytest.mark.slow
@pytest.mark.parametrize("kinds", [("place", "burn"), REFUNDING], ids=["burning", "refunding"])
def test_no_path_with_a_fault_through_fewer_activities_breaks_a_rule_of_the_money(kinds: tuple[str, ...]):
    Exploration(faults=1, kinds=kinds).explore()


@pytest.mark.slow
def test_no_path_with_a_fault_in_the_first_minutes_breaks_a_rule_of_the_money():
    exploration = Exploration(faults=1, kinds=BURNING, ticks=(0, 91))

    exploration.explore()

    assert any(world.reopened >= 0 for world in exploration.parents)


@pytest.mark.exhaustive
def test_no_path_with_a_fault_breaks_a_rule_of_the_money():
    exploration = Exploration(faults=1, reopens=False)

    exploration.explore()

    assert {state.outcome for state in exploration.states} == {None, "delivered", "refunded"}


@pytest.mark.exhaustive
def test_no_path_breaks_a_rule_of_the_money_where_another_run_takes_the_order_up():
    exploration = Exploration(faults=1, kinds=BURNING)

    exploration.explore()

    assert any(world.reopened >= 0 for world in exploration.parents)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faults", "kinds"),
    [
        (0, KINDS),
        pytest.param(1, ASKING, marks=pytest.mark.exhaustive),
        pytest.param(1, REFUNDING, marks=pytest.mark.exhaustive),
        pytest.param(1, BURNING, marks=pytest.mark.exhaustive),
    ],
)
def test_out_of_every_state_the_saga_alone_finds_an_end_or_calls_a_person(faults: int, kinds: tuple[str, ...]):
    exploration = Exploration(faults=faults, kinds=kinds)
    exploration.explore()
    exploration.kinds = KINDS

    dead_ends = exploration.dead_ends(LATER)

    assert not dead_ends, exploration.path_to(dead_ends[0])


@pytest.mark.slow
def test_a_dead_end_is_found(monkeypatch: pytest.MonkeyPatch):
    """A saga that never burns."""

    def never_burns(state: OrderState, now: datetime, times: CarrierTimes) -> Any:
        step = RULES["next_step"](state, now, times)
        return QueryCarrier() if isinstance(step, CancelAtCarrier) else step

    _mutate(monkeypatch, "next_step", never_burns)
    monkeypatch.setattr(operator_rules, "call_person", lambda state, *_: (state, False))
    exploration = Exploration(faults=0, kinds=ASKING)
    exploration.explore()

    assert exploration.dead_ends(LATER)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kinds", [BURNING, REFUNDING], ids=["burning", "refunding"])
def test_no_path_with_two_faults_through_fewer_activities_breaks_a_rule_of_the_money(kinds: tuple[str, ...]):
    Exploration(faults=2, kinds=kinds, reopens=False).explore()


@pytest.mark.parametrize(
    ("kinds", "most_posts"),
    [pytest.param(ASKING, 2, marks=pytest.mark.long), (("place", "burn"), 1)],
    ids=["asking", "burning"],
)
def test_no_path_breaks_a_rule_of_the_money_where_the_lag_is_longer_than_the_longest_latency(
    kinds: tuple[str, ...], most_posts: int
):
    times = CarrierTimes(timedelta(seconds=60), timedelta(seconds=90), timedelta(minutes=10))

    exploration = Exploration(faults=1, kinds=kinds, times=times, ticks=(0, 241, 541, 691, 931), reopens=False)
    exploration.explore()

    assert max(state.posts for state in exploration.states) == most_posts


@pytest.mark.slow
def test_no_sampled_path_with_many_faults_breaks_a_rule_of_the_money():
    exploration = Exploration(faults=4, ticks=TICKS_EARLY)

    exploration.sample(random.Random(20230821), walks=600, steps=60)

    assert len(exploration.parents) > 5_000


# --- mutants: each is a rule that someone could have written -------------------------------------------------------


def _mutate(monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant) -> None:
    for module in (next_step, carrier_rules, refund_rules, operator_rules):
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


@pytest.mark.long
@pytest.mark.parametrize(("rule", "mutant", "kinds"), MUTANTS, ids=[mutant.__name__ for _, mutant, _ in MUTANTS])
def test_a_mutant_of_a_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant, kinds: tuple[str, ...]
):
    _mutate(monkeypatch, rule, mutant)

    with pytest.raises(Broken):
        Exploration(faults=2 if mutant is anyone_may_withdraw else 1, kinds=kinds, reopens=False).explore()


def counts_from_the_grant(state: OrderState, times: CarrierTimes) -> Any:
    if state.last_post_at is None or state.last_post_answered_at is not None:
        return RULES["not_found_counts_from"](state, times)
    return state.last_post_at + times.longest_latency + times.visibility_lag


@pytest.mark.long
@pytest.mark.parametrize(
    ("rule", "mutant"),
    [("not_found_counts_from", counts_from_the_grant), ("authorize_post", a_right_until_the_date)],
    ids=["counts from the grant", "a right until the date"],
)
def test_a_wait_that_forgets_how_long_a_post_may_take_to_leave_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant
):
    _mutate(monkeypatch, rule, mutant)

    with pytest.raises(Broken, match="P7b"):
        Exploration(faults=1, kinds=ASKING, ticks=TICKS_EARLY).explore()


def test_a_rule_that_is_not_one_transaction_is_found():
    with pytest.raises(Broken, match=r"C8|P6"):
        Exploration(faults=2, kinds=ASKING, one_transaction=False).explore()


# --- mutants of the decision itself, and the invariant that catches each -------------------------------------------


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
    return StartRefund() if isinstance(step, QueryCarrier) and state.posts and not state.refund_sequence else step


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


@pytest.mark.long
@pytest.mark.parametrize(("mutant", "breaks", "kinds"), DECISIONS, ids=[mutant.__name__ for mutant, _, _ in DECISIONS])
def test_a_mutant_of_the_decision_is_found_by_the_invariant_that_it_breaks(
    monkeypatch: pytest.MonkeyPatch, mutant: Mutant, breaks: str, kinds: tuple[str, ...]
):
    _mutate(monkeypatch, "next_step", mutant)

    with pytest.raises(Broken, match=f"^({breaks})"):
        Exploration(faults=1, kinds=kinds, reopens=mutant is a_reopened_run_submits_unasked).explore()


def test_closed_seen_once_is_not_enough(monkeypatch: pytest.MonkeyPatch):
    _mutate(monkeypatch, "record_refund_response", closed_once_is_enough)

    with pytest.raises(Broken, match="R6"):
        Exploration(faults=1, kinds=REFUNDING).explore()
