"""The model of the money's protocol behaves as its table says. One fault here; more by the command (README.md)."""

import pytest

from tests.model.saga_check import TABLE, examine

PROTOCOL = [row for row in TABLE if row[0].startswith("THE PROTOCOL")]
SHOWN_BY_ONE_FAULT = (
    "mutant: empty GET",
    "mutant: cancel, no burn",
    "mutant: no refund row",
    "mutant: resolve, no burn",
)


@pytest.mark.parametrize("row", PROTOCOL, ids=lambda row: row[0])
def test_no_state_within_one_fault_breaks_a_rule_of_the_money_or_is_a_dead_end(row: tuple[str, ...]):
    (run,) = examine(row, 1)

    assert run["rule"] == "", run["trace"]
    assert run["states"] > 1_500, "the checker walks"


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN_BY_ONE_FAULT)
def test_a_wrong_protocol_breaks_the_rules_that_its_row_names(name: str):
    (row,) = [row for row in TABLE if row[0] == name]

    assert " ".join(run["rule"] for run in examine(row, 1) if run["rule"]) == row[3]
