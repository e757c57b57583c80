"""Whatever happens to an order, the model of the books agrees with it; and each wrong product is caught."""

import time
from pathlib import Path
from typing import Literal

import pytest
from temporalio.testing import TimeSkipper

from tests.properties.fast import play
from tests.properties.mutants import MUTANTS
from tests.properties.real import play_side_by_side
from tests.properties.search import alone, drawn, search
from tests.properties.strategies import Call, Fate, Fault, Hand, Plan, RefundFate

EXAMPLES = 80
EXAMPLES_ON_THE_SERVER = 6
MOST_UNTIL_CAUGHT = 150


@pytest.mark.slow
def test_no_plan_of_accidents_breaks_a_rule():
    found = search(20260301, EXAMPLES)

    assert found.plan is None, str(found)
    assert found.examples == EXAMPLES
    never = [rule for rule in found.tally.checks if not found.tally.checks[rule]]
    assert not never, f"never looked at: {never}"


def test_the_same_plan_always_plays_the_same_way():
    plan = Plan(posts=(Call(answer="lost"),), gets=(Call(blind=True),), hands=(Hand("terminate", wait=2.5),))

    assert play(plan).log == play(plan).log


@pytest.mark.parametrize("legacy", ["up", "down"])
def test_a_refund_that_was_held_and_then_refused_for_good_waits_for_a_person_who_can_settle_it(
    legacy: Literal["up", "down"],
):
    play(Plan(fate=Fate(first="failed"), no_balance_seconds=50.0, denied=True, legacy=legacy)).verdict()


def test_a_refund_that_was_held_and_then_found_abnormal_waits_for_a_person_who_can_settle_it():
    fates = (RefundFate(then="ABNORMAL", seconds=20.0),)
    play(Plan(fate=Fate(first="failed"), no_balance_seconds=50.0, refund_fates=fates)).verdict()


def test_a_refund_whose_worker_died_before_sending_it_is_sent_though_the_next_look_is_not_answered():
    died = (Fault("before refund_send", 1, "die"),)
    played = play(Plan(fate=Fate(first="failed"), refund_queries=(Call(answer="500"),), faults=died))

    played.verdict()
    assert played.row["outcome"] == "refunded"


@pytest.mark.long
@pytest.mark.real
async def test_no_plan_of_accidents_breaks_a_rule_on_the_real_server(time_skipping_env: TimeSkipper, tmp_path: Path):
    plans: list[Plan] = []
    drawn(5, EXAMPLES_ON_THE_SERVER, plans.append)

    played = await play_side_by_side(time_skipping_env, tmp_path, plans, time.monotonic() + 200)

    broken = [str(found) for found in played if found.plan is not None]
    assert not broken, broken[0]
    assert len(played) == EXAMPLES_ON_THE_SERVER


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_product_is_caught(name: str):
    mutant = MUTANTS[name]

    with mutant.made():
        found = search(mutant.seed, MOST_UNTIL_CAUGHT) if mutant.plan is None else alone(mutant.plan)

    assert any(broken.startswith(mutant.rules) for broken in found.broken), str(found)


@pytest.mark.parametrize("name", [name for name, mutant in MUTANTS.items() if mutant.plan is not None])
def test_what_shows_a_wrong_product_breaks_no_rule_of_the_right_one(name: str):
    plan = MUTANTS[name].plan
    assert plan is not None

    play(plan).verdict()
