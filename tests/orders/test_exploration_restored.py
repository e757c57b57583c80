"""A row rolled back to what it was at any earlier moment, once, on every path: with the mode no rule breaks.

Longer walks, all without a violation: all activities with 1 fault 993,248 states; place and query with 2 faults
4,171,063 states (the restore counts as a fault); place, query and burn with 2 faults at 0 and 91 s 824,330 states.
"""

import random
from collections.abc import Callable

import pytest

from tests.orders.exploration.walk import Exploration
from tests.orders.exploration.world import KINDS, Broken
from tests.orders.mutants.restored import ASKING, BURNING, REFUNDING, RESTORED


@pytest.mark.exhaustive
@pytest.mark.parametrize("kinds", [BURNING, REFUNDING], ids=["burning", "refunding"])
def test_no_path_with_a_restore_and_a_fault_breaks_a_rule_of_the_money(kinds: tuple[str, ...]):
    exploration = Exploration(reopens=False, faults=2, restores=True, kinds=kinds)

    exploration.explore()

    assert any(world.restored >= 0 for world in exploration.parents)


@pytest.mark.slow
def test_no_sampled_path_with_a_restore_and_many_faults_breaks_a_rule_of_the_money():
    exploration = Exploration(reopens=False, faults=4, restores=True)

    exploration.sample(random.Random(20261123), walks=600, steps=60)

    assert sum(world.restored >= 0 for world in exploration.parents) > 1_000


@pytest.mark.long
@pytest.mark.parametrize("kinds", [KINDS, ASKING, REFUNDING], ids=["all", "asking", "refunding"])
def test_without_the_mode_something_is_sent_unasked(kinds: tuple[str, ...]):
    with pytest.raises(Broken, match="A9"):
        Exploration(reopens=False, faults=1, restores=True, mode=False, kinds=kinds).explore()


@pytest.mark.long
@pytest.mark.parametrize(("rule", "mutant", "kinds", "breaks"), RESTORED.values(), ids=RESTORED)
def test_a_mutant_of_the_mode_is_found(
    monkeypatch: pytest.MonkeyPatch,
    rule: str,
    mutant: property | Callable[..., object],
    kinds: tuple[str, ...],
    breaks: str,
):
    monkeypatch.setattr(f"orders.{rule}", mutant)

    with pytest.raises(Broken, match=breaks):
        Exploration(faults=1, restores=True, reopens=False, kinds=kinds).explore()


def test_a_restored_book_that_submits_without_asking_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("orders.next_step.asks_first_from", lambda state, _times: state.reopened_at)

    with pytest.raises(Broken, match="A9"):
        Exploration(faults=1, restores=True, reopens=False, kinds=ASKING).explore()
