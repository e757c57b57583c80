"""The goodwill of one order keeps its rules on every walk, and the walks find each wrong product of the catalogue."""

from collections import Counter
from collections.abc import Callable

import pytest

from tests.orders.goodwill_walk import BrokenGoodwill, Walk
from tests.orders.mutants.goodwill import GOODWILL

WALKS = 400


def test_no_walk_breaks_a_rule_of_goodwill_and_the_walks_see_each_end():
    ends: Counter[str] = Counter()
    for seed in range(WALKS):
        for restores in (False, True):
            walk = Walk(seed, restores=restores).go()
            ends.update(one.stands for one in walk.given)

    assert {"refunded", "given_up", "proposed", "refunding", "parked"} <= set(ends)


@pytest.mark.parametrize(("mutant", "breaks"), GOODWILL, ids=lambda one: getattr(one, "__name__", ""))
def test_the_walks_find_wrong_goodwill(
    mutant: Callable[[pytest.MonkeyPatch], None], breaks: str, monkeypatch: pytest.MonkeyPatch
):
    mutant(monkeypatch)

    found: set[str] = set()
    for seed in range(WALKS):
        try:
            Walk(seed, restores=bool(seed % 2)).go()
        except BrokenGoodwill as broken:
            found.add(str(broken))
    assert any(one.startswith(breaks) for one in found), found
