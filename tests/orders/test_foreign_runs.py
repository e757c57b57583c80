"""An order behind another's run: it calls a person, takes no place of the intake, and is decided on as before."""

from dataclasses import replace

import pytest

from orders import carrier_rules, operator_rules
from orders.foreign_runs import note_foreign_run, note_own_run
from orders.next_step import Submit, next_step
from orders.state import OrderState
from tests.orders.states import TIMES, UNANSWERED, at, body_of, claimed, posted, refunding, sold


def behind(state: OrderState) -> OrderState:
    after, noted = note_foreign_run(state, at(10))
    assert noted
    return after


def test_it_calls_a_person_and_is_counted_as_first_pass_no_more():
    after = behind(claimed())

    assert (after.attention, after.needs_operator, after.first_pass) == ("foreign_run", True, False)
    assert after.status == "placing", "it may still go every way that it might"
    assert "terminated" in after.shown_reason


@pytest.mark.parametrize("state", [claimed(), posted(UNANSWERED), refunding()], ids=["new", "in doubt", "refunding"])
def test_what_is_next_does_not_depend_on_it(state: OrderState):
    for seconds in (20, 100, 400):
        assert next_step(behind(state), at(seconds), TIMES) == next_step(state, at(seconds), TIMES)


def test_an_order_that_is_claimed_and_not_begun_is_still_sent():
    assert isinstance(next_step(behind(claimed()), at(20), TIMES), Submit)
    after, right = carrier_rules.authorize_post(behind(claimed()), at(20), TIMES, body_of)
    assert right is not None
    assert after.posts == 1


def test_its_own_run_takes_it_back():
    after, freed = note_own_run(behind(claimed()))
    assert (after, freed) == (claimed(), True)
    assert note_own_run(claimed()) == (claimed(), False)

    reopened, _ = operator_rules.reopen(behind(claimed()), at(20))
    assert reopened == replace(claimed(), reopened_at=at(20))
    assert reopened.first_pass


def test_who_looked_before_the_order_was_taken_up_again_says_nothing_of_it():
    """Its own run may have begun between that look and the writing."""
    taken_up, _ = operator_rules.reopen(claimed(), at(10))
    assert note_foreign_run(taken_up, at(10)) == (taken_up, False)
    assert note_foreign_run(taken_up, at(11))[1]


@pytest.mark.parametrize(
    "state", [replace(posted(UNANSWERED), attention="partial"), replace(sold(), outcome="delivered")]
)
def test_what_a_person_is_called_for_already_stays_and_an_end_stays_an_end(state: OrderState):
    assert note_foreign_run(state, at(10)) == (state, False)
    assert note_own_run(state) == (state, False)
