"""The protocol of the money holds in every state that one order can get into, and the walk that shows it has teeth:
it finds each of these mutants of the rules (`tests.orders.exploration` says what can happen, and what must hold).
"""

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from orders import operator_rules
from orders.next_step import CancelAtCarrier, QueryCarrier
from orders.state import CarrierTimes, OrderState
from tests.orders.exploration.walk import Exploration
from tests.orders.exploration.world import ASKING, BURNING, KINDS, REFUNDING, TICKS_EARLY, Broken
from tests.orders.mutants.decisions import DECISIONS, a_reopened_run_submits_unasked
from tests.orders.mutants.rules import (
    MUTANTS,
    RULES,
    Mutant,
    a_right_until_the_date,
    anyone_may_withdraw,
    closed_once_is_enough,
    counts_from_the_grant,
    put_in_place,
)

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

    put_in_place(monkeypatch, "next_step", never_burns)
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


@pytest.mark.long
@pytest.mark.parametrize(("rule", "mutant", "kinds"), MUTANTS, ids=[mutant.__name__ for _, mutant, _ in MUTANTS])
def test_a_mutant_of_a_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant, kinds: tuple[str, ...]
):
    put_in_place(monkeypatch, rule, mutant)

    with pytest.raises(Broken):
        Exploration(faults=2 if mutant is anyone_may_withdraw else 1, kinds=kinds, reopens=False).explore()


@pytest.mark.long
@pytest.mark.parametrize(
    ("rule", "mutant"),
    [("not_found_counts_from", counts_from_the_grant), ("authorize_post", a_right_until_the_date)],
    ids=["counts from the grant", "a right until the date"],
)
def test_a_wait_that_forgets_how_long_a_post_may_take_to_leave_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant
):
    put_in_place(monkeypatch, rule, mutant)

    with pytest.raises(Broken, match="P7b"):
        Exploration(faults=1, kinds=ASKING, ticks=TICKS_EARLY).explore()


def test_a_rule_that_is_not_one_transaction_is_found():
    with pytest.raises(Broken, match=r"C8|P6"):
        Exploration(faults=2, kinds=ASKING, one_transaction=False).explore()


@pytest.mark.long
@pytest.mark.parametrize(("mutant", "breaks", "kinds"), DECISIONS, ids=[mutant.__name__ for mutant, _, _ in DECISIONS])
def test_a_mutant_of_the_decision_is_found_by_the_invariant_that_it_breaks(
    monkeypatch: pytest.MonkeyPatch, mutant: Mutant, breaks: str, kinds: tuple[str, ...]
):
    put_in_place(monkeypatch, "next_step", mutant)

    with pytest.raises(Broken, match=f"^({breaks})"):
        Exploration(faults=1, kinds=kinds, reopens=mutant is a_reopened_run_submits_unasked).explore()


def test_closed_seen_once_is_not_enough(monkeypatch: pytest.MonkeyPatch):
    put_in_place(monkeypatch, "record_refund_response", closed_once_is_enough)

    with pytest.raises(Broken, match="R6"):
        Exploration(faults=1, kinds=REFUNDING).explore()
