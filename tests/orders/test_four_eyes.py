"""Contracts §3: what one operator proposes takes effect by the same word of another one within the hour."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders import four_eyes
from orders.four_eyes import STANDS_FOR, Confirmed, Proposed, open_proposal, propose, withdraw
from orders.state import OrderState
from tests.orders.states import START, posted, sold

HOUR = STANDS_FOR.total_seconds()


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def proposed(wish: str = "not_delivered", operator: str = "Ann", note: str = "C-4711") -> OrderState:
    state, answer = propose(posted(), at(0), wish, operator, note)
    assert answer == Proposed()
    return state


def test_the_first_word_is_a_proposal_alone():
    state = proposed()

    assert withdraw(state) == posted()
    assert open_proposal(state, at(0)) == "Ann proposes not_delivered until 2023-08-21 11:34 UTC"


@pytest.mark.parametrize("operator", ["Bob", "Anna", "An n"])
@pytest.mark.parametrize("seconds", [0, HOUR])
def test_another_operators_same_word_within_the_hour_confirms_it(operator: str, seconds: float):
    state, answer = propose(proposed(), at(seconds), "not_delivered", operator, "asked Ms Wu")

    assert answer == Confirmed("C-4711; asked Ms Wu", "Ann")
    assert (state.proposed_by, state.confirmed_by) == ("Ann", operator)
    assert open_proposal(state, at(seconds)) == ""


@pytest.mark.parametrize("same", ["Ann", "ann", " ANN ", "Ann\t", "Ａｎｎ", "An\u200bn", "Ann\u2060", "\u202eAnn"])
def test_the_same_operator_in_any_spelling_confirms_nothing(same: str):
    _, answer = propose(proposed(), at(10), "not_delivered", same, "again")

    assert isinstance(answer, Proposed)


@pytest.mark.parametrize("one", ["Ann Lee", "ann  lee", " Ann Lee"])
@pytest.mark.parametrize("other", ["ANN LEE", "Ann Lee "])
def test_blanks_and_case_make_no_second_person(one: str, other: str):
    assert isinstance(propose(proposed(operator=one), at(10), "not_delivered", other, "x")[1], Proposed)


def test_after_the_hour_the_later_word_is_a_new_proposal():
    state, answer = propose(proposed(), at(HOUR + 1), "not_delivered", "Bob", "late")

    assert answer == Proposed(replaced="not_delivered by Ann, expired")
    assert (state.proposed_by, state.proposed_at) == ("Bob", at(HOUR + 1))
    assert open_proposal(proposed(), at(HOUR + 1)) == ""


def test_a_proposal_that_is_made_once_more_replaces_none():
    first = proposed()
    _, answer = propose(first, at(10), first.proposal, first.proposed_by, first.proposed_note)
    assert answer == Proposed()

    _, answer = propose(first, at(HOUR + 1), first.proposal, first.proposed_by, first.proposed_note)
    assert answer == Proposed(replaced="not_delivered by Ann, expired")


@pytest.mark.parametrize("other", ["delivered", "refunded", four_eyes.REFUND_NOW])
def test_a_different_wish_replaces_the_proposal(other: str):
    state, answer = propose(proposed(), at(10), other, "Bob", "no, it is otherwise")
    assert answer == Proposed(replaced="not_delivered by Ann")

    _, answer = propose(state, at(20), "not_delivered", "Cho", "I agree with Ann")
    assert isinstance(answer, Proposed)


def test_a_confirmation_whose_answer_was_lost_is_given_again():
    once, first = propose(proposed(), at(10), "not_delivered", "Bob", "yes")

    again, second = propose(once, at(20), "not_delivered", "Bob", "yes")

    assert (again, second) == (once, first)


@pytest.mark.parametrize(("operator", "note"), [("Ann", "C-4712"), ("Bob", "C-4712"), ("Cho", "yes")])
def test_what_was_confirmed_once_vouches_for_no_other_note(operator: str, note: str):
    """A reference that only one person has seen must not count on the strength of an older agreement."""
    once, _ = propose(proposed(), at(10), "not_delivered", "Bob", "yes")

    _, answer = propose(once, at(20), "not_delivered", operator, note)

    assert isinstance(answer, Proposed)


def test_a_proposal_of_a_settled_order_is_open_no_more():
    assert open_proposal(replace(proposed(), outcome="delivered"), at(10)) == ""
    assert open_proposal(sold(), at(10)) == ""


def test_the_same_note_is_booked_once():
    assert propose(proposed(note="T-1"), at(10), "not_delivered", "Bob", "T-1")[1] == Confirmed("T-1", "Ann")


words = st.tuples(
    st.sampled_from(["delivered", "not_delivered", "refund_now"]),
    st.sampled_from(["Ann", "ann ", "Bob", "Cho"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from([0, 1, HOUR / 2, HOUR, HOUR + 1]),
)


@given(st.lists(words, max_size=12))
def test_nothing_is_ever_confirmed_but_by_two_persons_within_an_hour(sequence: list[tuple[str, str, str, float]]):
    state, seconds = posted(), 0.0
    said: list[tuple[str, str, str, float]] = []
    for wish, operator, note, passed in sequence:
        seconds += passed
        state, answer = propose(state, at(seconds), wish, operator, note)
        if isinstance(answer, Confirmed):
            repeated = (wish, operator, note) in [word[:3] for word in said]
            others = [
                word
                for word in said
                if word[0] == wish and word[1].strip().casefold() != operator.strip().casefold()
                and seconds - word[3] <= HOUR
            ]  # fmt: skip
            assert others or repeated
            assert all(part in {word[2] for word in others} | {note} for part in answer.note.split("; "))
        assert withdraw(state) == posted()
        said.append((wish, operator, note, seconds))
