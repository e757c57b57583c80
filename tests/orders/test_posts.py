"""Contracts §4: what the book grants of POSTs and burns, sentence by sentence (`test_next_step.py` has the moments)."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders import carrier_rules, operator_rules, refund_rules
from orders.next_step import Submit, next_step
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR, CarrierTimes, OrderState, final_outcome
from tests.orders.states import (
    ANSWERED,
    BURNT,
    COMPLETED,
    CONFLICT,
    IN_FLIGHT,
    PARTIAL,
    REFUSED,
    START,
    THROTTLED,
    TIMES,
    UNANSWERED,
    WEIRD,
    at,
    body_of,
    burnt,
    claimed,
    empty,
    granted,
    posted,
    refunding,
    refused,
    sold,
)

LEAVES_WITHIN = 7.5
UNKNOWN_UNTIL = LEAVES_WITHIN + 60 + 15
NOTHING_SENT = InDoubt(cause="not_sent", why="Connection refused.")


def grants(state: OrderState, seconds: float) -> bool:
    after, right = carrier_rules.authorize_post(state, at(seconds), TIMES, body_of)
    assert right is not None or after == state
    return right is not None


# --- the first POST ----------------------------------------------------------------------------------------------


def test_the_first_post_needs_no_evidence_and_fixes_body_and_date_before_it_is_sent():
    state, right = granted(claimed())

    assert (right.number, state.posts) == (1, 1)
    assert state.completion_date == at(300)
    assert state.body == right.body == body_of(at(300))


@given(st.integers(min_value=0, max_value=10**15).map(lambda number: START + timedelta(microseconds=number)))
def test_the_date_is_rounded_up_to_the_millisecond_never_down(now: datetime):
    state, right = carrier_rules.authorize_post(claimed(), now, TIMES, body_of)

    assert right is not None
    assert state.completion_date is not None
    late = state.completion_date - (now + TIMES.completion_window)
    assert timedelta(0) <= late < timedelta(milliseconds=1)
    assert state.completion_date.microsecond % 1000 == 0


def test_the_right_to_a_post_lasts_a_known_short_time():
    assert granted(claimed())[1].send_before == at(LEAVES_WITHIN)


def test_a_post_that_could_arrive_after_the_date_is_not_to_leave():
    assert granted(empty(posted(UNANSWERED), 238), 239)[1].send_before == at(300 - 60)


# --- a further POST ----------------------------------------------------------------------------------------------


def test_a_second_post_is_granted_only_on_an_empty_answer_in_between():
    assert not grants(posted(UNANSWERED), 200)


def test_a_second_post_carries_the_same_body_and_date():
    state, right = granted(empty(posted(UNANSWERED), 90), 100)

    assert right.number == 2
    assert right.body == body_of(at(300))
    assert state.completion_date == at(300)


@pytest.mark.parametrize(
    ("heard", "earliest_seconds"),
    [
        ([], UNKNOWN_UNTIL),
        ([UNANSWERED], UNKNOWN_UNTIL),
        ([ANSWERED], 15),
        ([CONFLICT], 15),
        ([IN_FLIGHT], 15),
        ([PARTIAL], 15),
        ([WEIRD], 15),
    ],
    ids=["silence", "unanswered", "500", "409", "in flight", "partial", "weird"],
)
def test_the_empty_answer_counts_the_lag_after_an_answered_post_and_latency_and_lag_after_an_unanswered_one(
    heard: list[InDoubt], earliest_seconds: float
):
    assert not grants(empty(posted(*heard), earliest_seconds - 0.001), 200)
    assert grants(empty(posted(*heard), earliest_seconds), 200)


@pytest.mark.parametrize("posts", [0, 2], ids=["before the first", "of a later one"])
def test_evidence_counts_only_with_the_number_of_posts_that_was_read_before_asking(posts: int):
    before = posted(UNANSWERED)
    state, heard = carrier_rules.record_not_found(before, at(199), TIMES, asked_at=at(190), posts=posts)

    assert (state, heard) == (before, NotFound())
    assert not grants(state, 200)


def test_one_empty_answer_grants_one_post():
    state, _ = granted(empty(posted(UNANSWERED), 90), 100)

    assert state.not_found_at is None
    assert not grants(state, 200)


def test_an_older_empty_answer_that_comes_late_takes_nothing_away():
    state, _ = carrier_rules.record_not_found(empty(posted(UNANSWERED), 90), at(99), TIMES, asked_at=at(20), posts=1)

    assert state.not_found_at == at(90)


@pytest.mark.parametrize("doubt", [ANSWERED, CONFLICT, IN_FLIGHT, PARTIAL, WEIRD])
def test_whatever_the_carrier_says_after_an_empty_answer_takes_its_evidence_away(doubt: InDoubt):
    state, _ = carrier_rules.record_response(empty(posted(UNANSWERED), 90), at(91), doubt)

    assert not grants(state, 92)


def test_silence_after_an_empty_answer_leaves_its_evidence():
    state, _ = carrier_rules.record_response(empty(posted(UNANSWERED), 90), at(91), UNANSWERED)

    assert grants(state, 92)


def test_the_wait_begins_again_with_each_post():
    state, _ = granted(empty(posted(ANSWERED), 15), 20)

    assert not grants(empty(state, 20 + 82), 200)
    assert grants(empty(state, 20 + 83), 200)


def test_a_late_answer_to_an_earlier_post_does_not_shorten_the_wait_for_the_last():
    state, _ = granted(empty(posted(UNANSWERED), 86), 90)
    state, _ = carrier_rules.record_post_response(state, at(91), ANSWERED, 1)

    assert not grants(empty(state, 110), 200)


def test_retry_after_is_a_lower_bound_that_the_next_post_waits_for():
    assert not grants(empty(posted(THROTTLED), 29), 200)
    assert grants(empty(posted(THROTTLED), 30), 200)


@pytest.mark.parametrize("state", [sold(), refused(), burnt(), refunding()])
def test_no_post_after_the_carriers_final_word(state: OrderState):
    assert not grants(state, 100)


def test_no_post_after_a_cancel_or_a_burn_intent():
    cancelled, _ = operator_rules.request_cancel(claimed())
    closed, intent = carrier_rules.authorize_burn(cancelled, at(0), TIMES)

    assert intent
    assert not grants(cancelled, 0)
    assert not grants(closed, 0)


# --- a connection that was never made is no POST -----------------------------------------------------------------


def test_a_post_without_a_connection_is_given_back_and_the_next_one_has_a_date_of_its_own():
    before = claimed()
    state, right = granted(before)

    state, _ = carrier_rules.withdraw_post(state, right)
    assert state == before
    again, second = granted(state, 3600)

    assert second.number == 1
    assert again.completion_date == at(3600 + 300)


def test_a_second_post_without_a_connection_leaves_everything_as_the_first_one_left_it():
    before = empty(posted(ANSWERED), 16)
    state, right = granted(before, 20)

    assert carrier_rules.withdraw_post(state, right)[0] == before


def test_only_the_attempt_that_holds_the_last_right_can_give_it_back():
    state, first = granted(claimed())
    state, _ = granted(empty(state, 86), 90)

    assert carrier_rules.withdraw_post(state, first)[0] == state


def test_a_right_that_comes_back_after_the_carriers_final_word_changes_nothing():
    """As of a frozen attempt that thaws into a refused connection long after the burn."""
    state, right = granted(claimed())
    for word in (COMPLETED, REFUSED, BURNT):
        ended, _ = carrier_rules.record_response(state, at(320), word)

        assert carrier_rules.withdraw_post(ended, right)[0] == ended


# --- the burn ----------------------------------------------------------------------------------------------------


def test_a_burn_intent_closes_the_row_for_ever_and_keeps_its_moment():
    state, closed = carrier_rules.authorize_burn(empty(posted(UNANSWERED), 315), at(315), TIMES)
    assert closed
    assert not grants(empty(state, 316), 316)

    again, closed = carrier_rules.authorize_burn(state, at(400), TIMES)

    assert closed
    assert again == state


def test_a_burn_after_a_post_without_a_connection_is_allowed_at_once():
    state, right = granted(claimed())
    state, _ = operator_rules.request_cancel(carrier_rules.withdraw_post(state, right)[0])

    assert carrier_rules.authorize_burn(state, at(1), TIMES)[1]


def test_a_burn_intent_is_no_burn_and_a_409_settles_nothing_by_itself():
    state, _ = carrier_rules.authorize_burn(empty(posted(UNANSWERED), 315), at(315), TIMES)

    state, heard = carrier_rules.record_response(state, at(316), CONFLICT)

    assert heard == CONFLICT
    assert final_outcome(state) is None
    assert not refund_rules.start_refund(state, at(317), TIMES)[1]
    assert not carrier_rules.authorize_burn(state, at(317), TIMES)[1], "ask again first"


@pytest.mark.parametrize("word", [sold(), refused(), burnt()])
def test_no_burn_after_the_carriers_final_word(word: OrderState):
    assert carrier_rules.authorize_burn(word, at(500), TIMES) == (word, False)


@pytest.mark.parametrize(
    ("asked", "code"),
    [(None, "NOT_FOUND_AND_BURNT"), (CANCELLED, CANCELLED), (RESOLVED_BY_OPERATOR, RESOLVED_BY_OPERATOR)],
)
def test_the_reason_of_a_burn_is_who_asked_for_it_or_that_the_horizon_passed(asked: str | None, code: str):
    state = empty(posted(UNANSWERED), 315)
    if asked is not None:
        state, _ = operator_rules.request_cancel(state, asked)
    state, _ = carrier_rules.authorize_burn(state, at(315), TIMES)
    state, _ = operator_rules.request_cancel(state)  # too late to change the reason

    assert carrier_rules.record_response(state, at(316), BURNT)[1] == Refused(code=code, burnt=True)


# --- what answers mean -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("doubt", [UNANSWERED, ANSWERED, CONFLICT, THROTTLED, IN_FLIGHT, WEIRD, NOTHING_SENT])
def test_no_doubt_is_ever_a_final_word(doubt: InDoubt):
    state, heard = carrier_rules.record_post_response(posted(), at(1), doubt, 1)

    assert heard == doubt
    assert (state.carrier_outcome, state.status, state.first_pass) == (None, "in_doubt", False)


def test_partial_calls_a_person_and_stays_so_through_doubt():
    state, _ = carrier_rules.record_post_response(posted(), at(1), PARTIAL, 1)
    assert (state.status, state.needs_operator) == ("parked", True)

    assert carrier_rules.record_response(state, at(100), UNANSWERED)[0].status == "parked"


@pytest.mark.parametrize(
    ("word", "outcome"), [(COMPLETED, "completed"), (REFUSED, "rejected"), (BURNT, "cancelled")], ids=str
)
def test_a_final_word_is_booked_once_and_stays_whatever_is_heard_later(word: Completed | Refused, outcome: str):
    booked, _ = carrier_rules.record_post_response(posted(), at(1), word, 1)
    assert booked.carrier_outcome == outcome

    for later in (COMPLETED, REFUSED, BURNT, UNANSWERED, IN_FLIGHT):
        after, heard = carrier_rules.record_response(booked, at(2), later)
        assert (after.carrier_outcome, after.carrier_code) == (booked.carrier_outcome, booked.carrier_code)
        assert after.carrier_outcome_at == booked.carrier_outcome_at
        assert heard == final_outcome(booked)
    assert empty(booked, 2) == booked


def test_a_carrier_that_takes_its_refusal_back_is_marked_and_no_refund_starts():
    state, _ = carrier_rules.record_response(refused(), at(2), COMPLETED)

    assert state.contradicted
    assert not refund_rules.start_refund(state, at(3), TIMES)[1]
    called = carrier_rules.call_if_needed(state, at(3), TIMES)
    assert (called.attention, called.status) == ("contradicted", "parked")


@pytest.mark.parametrize("again", [REFUSED, BURNT, UNANSWERED])
def test_a_repeated_refusal_is_no_contradiction(again: Refused | InDoubt):
    assert not carrier_rules.record_response(refused(), at(2), again)[0].contradicted


def test_a_late_completed_after_the_refund_intent_is_marked_and_the_refund_goes_on():
    state, heard = carrier_rules.record_response(refunding(), at(3), COMPLETED)

    assert state.contradicted
    assert isinstance(heard, Refused)
    assert refund_rules.authorize_refund(state, at(4), TIMES, 1)[1]


def test_the_right_to_a_post_leaves_a_loaded_worker_a_second_and_none_to_a_post_that_would_be_too_late():
    scaled = CarrierTimes(timedelta(seconds=3), timedelta(seconds=0.75), timedelta(seconds=15))
    tiny = CarrierTimes(timedelta(seconds=0.2), timedelta(seconds=0.2), timedelta(seconds=0.9))

    assert granted(claimed(), 0, scaled)[1].send_before == at(1)
    assert granted(claimed(), 0, tiny)[1].send_before == at(0.7)


def test_the_guard_is_the_decision_itself():
    for state in (claimed(), posted(UNANSWERED), empty(posted(UNANSWERED), 90), sold(), refunding()):
        assert grants(state, 100) == isinstance(next_step(state, at(100), TIMES), Submit)
