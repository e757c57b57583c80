"""Contracts §3: a carrier that has no burn gets one POST ever; only its answer or an operator's word ends a doubt."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orders import carrier_rules, operator_rules, refund_rules
from orders.next_step import AskPerson, can_be_asked, next_step, not_delivered_counts_from
from orders.outcomes import Completed, InDoubt, Refused
from orders.state import RESOLVED_BY_OPERATOR, CarrierTimes, OrderState
from tests.orders.states import (
    ANSWERED,
    COMPLETED,
    REFUSED,
    THROTTLED,
    TIMES,
    UNANSWERED,
    at,
    body_of,
    claimed,
    empty,
    granted,
    posted,
)

FLAT = replace(TIMES, can_be_asked=False)
LATENCY_AND_LAG = 75
LEAVES_WITHIN = 7.5
COUNTS_FROM = LEAVES_WITHIN + LATENCY_AND_LAG
NOTE = "the desk says no"


def grants(state: OrderState, seconds: float, times: CarrierTimes = FLAT) -> bool:
    return carrier_rules.authorize_post(state, at(seconds), times, body_of)[1] is not None


def called(state: OrderState, seconds: float, times: CarrierTimes = FLAT) -> OrderState:
    return carrier_rules.call_if_needed(state, at(seconds), times)


def not_delivered(state: OrderState, seconds: float, note: str = NOTE) -> tuple[OrderState, str]:
    return operator_rules.resolve_not_delivered(state, at(seconds), FLAT, note)


@pytest.mark.parametrize("answers", [(), (UNANSWERED,), (ANSWERED,), (THROTTLED,)], ids=["-", "silent", "500", "429"])
def test_there_is_one_post_ever(answers: tuple[InDoubt, ...]):
    state = posted(*answers, times=FLAT)

    assert not grants(state, 100_000)
    assert not grants(empty(state, 99_999, FLAT), 100_000)


def test_what_a_row_was_sent_by_outlives_the_dialect_of_today():
    """A flat order under a TMF622 worker is neither sent again nor burnt; the other way round neither."""
    flat, tmf622 = posted(UNANSWERED, times=FLAT), posted(ANSWERED)

    assert not grants(empty(flat, 199), 200, TIMES)
    assert not carrier_rules.authorize_burn(empty(flat, 99_999), at(100_000), TIMES)[1]
    assert not grants(empty(tmf622, 199), 200, FLAT)
    assert can_be_asked(tmf622, FLAT)
    assert not_delivered_counts_from(tmf622, FLAT) is None


def test_the_right_to_the_post_ends_long_before_an_operators_word_counts():
    state, right = granted(claimed(), times=FLAT)

    assert right.send_before == at(LEAVES_WITHIN)
    assert not_delivered_counts_from(state, FLAT) == right.send_before + timedelta(seconds=LATENCY_AND_LAG)


def test_a_post_that_never_left_may_be_granted_again_one_that_was_answered_may_not():
    state, right = granted(claimed(), times=FLAT)
    state, _ = carrier_rules.withdraw_post(state, right)
    assert (state.posts, state.body) == (0, None)

    state, again = granted(state, 30, FLAT)

    assert again.send_before == at(30 + LEAVES_WITHIN)
    answered, _ = carrier_rules.record_post_response(state, at(31), UNANSWERED, 1)
    assert carrier_rules.withdraw_post(answered, again)[0].posts == 1


def test_not_delivered_is_refused_with_the_moment_until_the_post_can_act_no_more():
    state = posted(UNANSWERED, times=FLAT)

    early, sentence = not_delivered(state, COUNTS_FROM - 1)

    assert early == state
    assert "after 2023-08-21 10:35:28 UTC" in sentence
    state, sentence = not_delivered(state, COUNTS_FROM)
    assert (sentence, state.carrier_outcome, state.carrier_code) == ("", "rejected", RESOLVED_BY_OPERATOR)
    assert state.resolution_note == NOTE
    assert refund_rules.start_refund(state, at(COUNTS_FROM), FLAT)[1]


def test_not_delivered_of_what_was_never_sent_is_a_cancel_and_the_book_burns_it():
    state, sentence = not_delivered(claimed(), 0)
    assert (sentence, state.carrier_outcome, state.cancel_reason) == ("", None, RESOLVED_BY_OPERATOR)

    state, sends = carrier_rules.authorize_burn(state, at(0), FLAT)

    assert not sends
    assert (state.carrier_outcome, state.carrier_code) == ("cancelled", RESOLVED_BY_OPERATOR)
    assert not grants(state, 1)


def test_at_a_carrier_that_can_be_asked_not_delivered_is_a_cancel():
    state = posted(UNANSWERED)

    assert operator_rules.resolve_not_delivered(state, at(100_000), TIMES, NOTE) == (
        operator_rules.request_cancel(state, RESOLVED_BY_OPERATOR, NOTE)[0],
        "",
    )


def test_a_cancel_in_doubt_is_written_and_frees_nothing():
    state, written = operator_rules.request_cancel(posted(UNANSWERED, times=FLAT))
    assert written

    assert carrier_rules.authorize_burn(state, at(100_000), FLAT) == (state, False)
    assert not refund_rules.start_refund(state, at(100_000), FLAT)[1]
    assert isinstance(next_step(state, at(100_000), FLAT), AskPerson)


def test_a_cancel_closes_a_row_whose_post_turns_out_never_to_have_left():
    state, right = granted(claimed(), times=FLAT)
    state, _ = operator_rules.request_cancel(state)
    state, _ = carrier_rules.withdraw_post(state, right)

    assert not grants(state, 5)
    assert carrier_rules.authorize_burn(state, at(5), FLAT)[0].carrier_outcome == "cancelled"


@pytest.mark.parametrize("late", [COMPLETED, REFUSED], ids=["completed", "refused"])
def test_an_answer_counts_however_late_it_comes(late: Completed | Refused):
    state, heard = carrier_rules.record_post_response(called(posted(times=FLAT), 200), at(3_000), late, 1)

    assert heard == late
    assert state.status == ("parked" if isinstance(late, Completed) else "refunding")


def test_an_answer_that_contradicts_an_operators_word_stops_the_refund():
    state, _ = not_delivered(posted(times=FLAT), COUNTS_FROM)
    state, _ = carrier_rules.record_post_response(state, at(200), COMPLETED, 1)

    assert state.contradicted
    assert not refund_rules.start_refund(state, at(201), FLAT)[1]
    assert not_delivered(state, 202, "asked again")[0].contradicted is False
    assert operator_rules.resolve_delivered(state, at(202), FLAT)[0].carrier_outcome == "completed"


def test_while_somebody_may_still_hear_the_answer_nobody_is_called():
    state = posted(times=FLAT)

    assert called(state, LEAVES_WITHIN + 64) == state
    assert called(state, LEAVES_WITHIN + 65).reason == carrier_rules.AT_MOST_ONCE
    listened, _ = carrier_rules.note_listening(state, at(10))
    assert (listened.status, listened.reason) == ("in_doubt", carrier_rules.LISTENING)


def test_once_the_call_has_ended_without_a_word_a_person_is_called_and_told_why():
    state = called(posted(UNANSWERED, times=FLAT), 1)

    assert (state.attention, state.status, state.reason) == ("manual", "parked", UNANSWERED.why)


def test_a_restored_book_can_not_rule_out_that_an_order_was_sent_and_keeps_that():
    restored = replace(FLAT, restored_at=at(0))
    state, right = carrier_rules.authorize_post(claimed(), at(1_000), restored, body_of)
    assert right is None
    assert state.restored_at == at(0)
    assert called(state, 1_000, restored).reason == carrier_rules.PERHAPS_SENT

    for times in (restored, FLAT, TIMES):
        assert not grants(empty(state, 1_999, times), 2_000, times)
        assert not carrier_rules.authorize_burn(state, at(100_000), times)[1]
    assert not_delivered(state, LATENCY_AND_LAG - 1)[0] == state
    assert not_delivered(state, LATENCY_AND_LAG)[0].carrier_outcome == "rejected"
    assert operator_rules.resolve_delivered(state, at(9), FLAT)[0].carrier_outcome == "completed"


def test_a_refund_of_an_order_that_a_restored_book_knew_nothing_of_is_asked_for_first_for_ever():
    state, _ = carrier_rules.authorize_post(claimed(), at(1_000), replace(FLAT, restored_at=at(0)), body_of)
    state, _ = refund_rules.start_refund(not_delivered(state, 2_000)[0], at(2_001), FLAT)

    assert refund_rules.must_ask_first(state, FLAT)
