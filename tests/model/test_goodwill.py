"""The model of goodwill refunds behaves as its table says, every state of it (README.md)."""

import pytest

from tests.model.goodwill_check import TABLE, explore


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_goodwill_keeps_its_rules_and_each_wrong_protocol_breaks_the_one_that_its_row_names(row: tuple[str, ...]):
    states, rule, trace = explore(frozenset(row[1].split()))

    assert rule == row[2], trace
    assert states > 20, "the checker walks"
