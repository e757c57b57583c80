"""A carrier that can't be asked: the money rules hold in every state, and the walk finds each of these mutants."""

from datetime import timedelta

import pytest

from tests.orders.exploration.at_most_once import FLAT, OnePostExploration
from tests.orders.exploration.world import Broken
from tests.orders.mutants.at_most_once import MUTANTS
from tests.orders.mutants.rules import Mutant, put_in_place


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


@pytest.mark.long
@pytest.mark.parametrize(("rule", "mutant"), MUTANTS, ids=[mutant.__name__ for _, mutant in MUTANTS])
def test_a_mutant_of_a_rule_is_found(monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant):
    put_in_place(monkeypatch, rule, mutant)

    with pytest.raises(Broken):
        OnePostExploration(faults=1).explore()


def test_the_moments_of_the_walk_lie_on_both_sides_of_each_limit():
    """0: a granted POST may leave; 76: it may not, and no word counts yet; 241: it does."""
    assert FLAT.post_leaves_within < timedelta(seconds=76)
    total = FLAT.post_leaves_within + FLAT.longest_latency + FLAT.visibility_lag
    assert timedelta(seconds=76) < total < timedelta(seconds=241 - 76)
