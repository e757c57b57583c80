"""Contracts §4: what the book grants of POSTs and burns, sentence by sentence."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders.book import BurnAuthorized, CarrierTimes, NotFoundAssessment, PostAuthorized

from orders import book
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from tests.orders.entries import (
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

# --- the first POST ----------------------------------------------------------------------------------------------


def test_the_first_post_needs_no_evidence_and_fixes_body_and_date_before_it_is_sent():
    entry, right = granted(claimed())

    assert (right.number, entry.posts) == (1, 1)
    assert entry.completion_date == at(300)
    assert entry.body == right.body == body_of(at(300))


@given(st.integers(min_value=0, max_value=10**15).map(lambda number: START + timedelta(microseconds=number)))
def test_the_date_is_rounded_up_to_the_millisecond_never_down(now: datetime):
    entry, answer = book.authorize_post(claimed(), now, TIMES, body_of, None)

    assert isinstance(answer, PostAuthorized)
    assert entry.completion_date is not None
    late = entry.completion_date - (now + TIMES.completion_window)
    assert timedelta(0) <= late < timedelta(milliseconds=1)
    assert entry.completion_date.microsecond % 1000 == 0


def test_the_right_to_a_post_lasts_a_known_short_time():
    _, right = granted(claimed())

    assert right.send_before == at(LEAVES_WITHIN)


def test_a_post_that_could_arrive_after_the_date_is_not_to_leave():
    _, right = granted(posted(UNANSWERED), 239, empty(1, 238))

    assert right.send_before == at(300 - 60)


# --- a further POST ----------------------------------------------------------------------------------------------


def test_a_second_post_is_granted_only_on_an_empty_answer_in_between():
    entry, answer = book.authorize_post(posted(UNANSWERED), at(200), TIMES, body_of, None)

    assert isinstance(answer, InDoubt)
    assert entry == posted(UNANSWERED)


def test_a_second_post_carries_the_same_body_and_date():
    entry, right = granted(posted(UNANSWERED), 100, empty(1, 90))

    assert right.number == 2
    assert right.body == body_of(at(300))
    assert entry.completion_date == at(300)


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
    entry = posted(*heard)

    _, early = book.authorize_post(entry, at(200), TIMES, body_of, empty(1, earliest_seconds - 0.001))
    _, in_time = book.authorize_post(entry, at(200), TIMES, body_of, empty(1, earliest_seconds))

    assert isinstance(early, InDoubt)
    assert isinstance(in_time, PostAuthorized)


@pytest.mark.parametrize("posts", [0, 2], ids=["before the first", "of a later one"])
def test_evidence_counts_only_with_the_number_of_posts_that_was_read_before_asking(posts: int):
    _, answer = book.authorize_post(posted(UNANSWERED), at(200), TIMES, body_of, empty(posts, 190))

    assert isinstance(answer, InDoubt)


def test_a_post_that_left_at_the_last_moment_of_its_right_has_its_latency_and_its_lag_before_the_next():
    """The book knows when the right was granted: connecting may have taken all of it."""
    entry, right = granted(claimed())
    left_seconds = (right.send_before - START).total_seconds()

    _, early = book.authorize_post(entry, at(200), TIMES, body_of, empty(1, left_seconds + 60 + 15 - 0.001))

    assert isinstance(early, InDoubt)


def test_one_empty_answer_grants_one_post():
    evidence = empty(1, 90)
    entry, _ = granted(posted(UNANSWERED), 100, evidence)

    _, again = book.authorize_post(entry, at(200), TIMES, body_of, evidence)

    assert isinstance(again, InDoubt)


def test_the_wait_begins_again_with_each_post():
    entry, _ = granted(posted(ANSWERED), 20, empty(1, 15))

    _, early = book.authorize_post(entry, at(200), TIMES, body_of, empty(2, 20 + 82))
    _, in_time = book.authorize_post(entry, at(200), TIMES, body_of, empty(2, 20 + 83))

    assert isinstance(early, InDoubt)
    assert isinstance(in_time, PostAuthorized)


def test_a_late_answer_to_an_earlier_post_does_not_shorten_the_wait_for_the_last():
    entry, _ = granted(posted(UNANSWERED), 90, empty(1, 86))
    entry, _ = book.record_response(entry, at(91), ANSWERED, of_post=1)

    _, answer = book.authorize_post(entry, at(200), TIMES, body_of, empty(2, 110))

    assert isinstance(answer, InDoubt)


def test_the_same_body_may_be_posted_until_the_date_minus_the_longest_latency():
    entry = posted(UNANSWERED)

    _, in_time = book.authorize_post(entry, at(240), TIMES, body_of, empty(1, 239))
    _, too_late = book.authorize_post(entry, at(240.001), TIMES, body_of, empty(1, 239))

    assert isinstance(in_time, PostAuthorized)
    assert isinstance(too_late, InDoubt)


@pytest.mark.parametrize(("word", "kind"), [(sold(), Completed), (refused(), Refused), (burnt(), Refused)])
def test_no_post_after_the_carriers_final_word_the_book_answers(word: book.OrderState, kind: type):
    entry, answer = book.authorize_post(word, at(100), TIMES, body_of, empty(1, 99))

    assert isinstance(answer, kind)
    assert entry == word


def test_no_post_after_a_cancel_a_burn_intent_or_a_refund_intent():
    cancelled, _ = book.request_cancel(claimed(), book.CANCELLED)
    closed, intent = book.authorize_burn(claimed(), at(0), TIMES)
    assert isinstance(intent, BurnAuthorized)

    for entry in (cancelled, closed):
        after, answer = book.authorize_post(entry, at(0), TIMES, body_of, None)
        assert isinstance(answer, InDoubt)
        assert after == entry
    assert not isinstance(book.authorize_post(refunding(), at(3), TIMES, body_of, None)[1], PostAuthorized)


# --- a connection that was never made is no POST -----------------------------------------------------------------


def test_a_post_without_a_connection_is_given_back_and_the_next_one_has_a_date_of_its_own():
    before = claimed()
    entry, right = granted(before)

    entry, _ = book.withdraw_post(entry, right)
    assert entry == before
    again, second = granted(entry, 3600)

    assert second.number == 1
    assert again.completion_date == at(3600 + 300)


def test_a_second_post_without_a_connection_leaves_body_date_and_wait_as_the_first_one_left_them():
    before = posted(ANSWERED)
    entry, right = granted(before, 20, empty(1, 16))

    entry, _ = book.withdraw_post(entry, right)

    assert entry == before


def test_only_the_attempt_that_holds_the_last_right_can_give_it_back():
    entry, first = granted(claimed())
    entry, _ = granted(entry, 90, empty(1, 86))

    after, _ = book.withdraw_post(entry, first)

    assert after == entry


def test_a_right_that_comes_back_after_the_carriers_final_word_changes_nothing():
    """As of a frozen attempt that thaws into a refused connection long after the burn."""
    entry, right = granted(claimed())
    for word in (COMPLETED, REFUSED, BURNT):
        ended, _ = book.record_response(entry, at(320), word)

        after, _ = book.withdraw_post(ended, right)

        assert after == ended


# --- what an empty answer is worth --------------------------------------------------------------------------------


def weigh(entry: book.OrderState, seconds: float, evidence: NotFound) -> NotFoundAssessment:
    after, weighed = book.assess_not_found(entry, at(seconds), TIMES, evidence)
    assert after == entry
    return weighed


def test_an_empty_answer_before_anything_was_sent_lets_the_first_post_go():
    assert weigh(claimed(), 0, empty(0, 0)) == NotFoundAssessment(empty(0, 0).model_copy(update={"may_post": True}))


def test_an_empty_answer_of_a_cancelled_order_lets_only_the_burn_go():
    entry, _ = book.request_cancel(claimed(), book.CANCELLED)

    assert weigh(entry, 0, empty(0, 0)).answer == empty(0, 0)


def test_an_empty_answer_that_came_too_early_is_doubt_until_a_known_moment():
    weighed = weigh(posted(UNANSWERED), 30, empty(1, 29))

    assert isinstance(weighed.answer, InDoubt)
    assert weighed.look_again_at == at(UNKNOWN_UNTIL)


def test_what_weighs_as_a_post_is_granted_in_the_same_moment():
    entry = posted(UNANSWERED)
    weighed = weigh(entry, 90, empty(1, 89))

    assert isinstance(weighed.answer, NotFound)
    assert weighed.answer.may_post
    granted(entry, 90, weighed.answer)


def test_retry_after_is_a_lower_bound_that_the_next_post_waits_for():
    entry = posted(THROTTLED)

    assert weigh(entry, 29, empty(1, 28)).look_again_at == at(30)
    after = weigh(entry, 31, empty(1, 30)).answer
    assert isinstance(after, NotFound)
    assert after.may_post


def test_an_empty_answer_past_the_last_moment_for_a_post_is_doubt_until_the_date_and_the_lag_are_over():
    entry = posted(UNANSWERED)

    for seconds in (240.001, 300, 314.999):
        weighed = weigh(entry, seconds, empty(1, seconds))
        assert isinstance(weighed.answer, InDoubt)
        assert weighed.look_again_at == at(315)
    assert weigh(entry, 315, empty(1, 315)).answer == empty(1, 315)


def test_an_empty_answer_of_a_cancelled_order_with_a_post_out_is_doubt_until_the_burn_is_allowed():
    entry, _ = book.request_cancel(posted(UNANSWERED), book.CANCELLED)

    weighed = weigh(entry, 100, empty(1, 99))

    assert isinstance(weighed.answer, InDoubt)
    assert weighed.look_again_at == at(315)


def test_an_empty_answer_is_worth_nothing_once_the_final_word_is_booked():
    assert isinstance(weigh(sold(), 400, empty(1, 399)).answer, Completed)


# --- the burn ----------------------------------------------------------------------------------------------------


def test_where_no_post_was_granted_a_burn_is_allowed_at_once():
    entry, answer = book.authorize_burn(claimed(), START, TIMES)

    assert isinstance(answer, BurnAuthorized)
    assert entry.burn_at == START


def test_once_a_post_was_granted_a_burn_comes_at_the_earliest_at_the_date_and_the_visibility_lag():
    entry = posted(ANSWERED)

    unchanged, early = book.authorize_burn(entry, at(314.999), TIMES)
    _, in_time = book.authorize_burn(entry, at(315), TIMES)

    assert isinstance(early, InDoubt)
    assert unchanged == entry
    assert isinstance(in_time, BurnAuthorized)


def test_a_burn_after_a_post_without_a_connection_is_allowed_at_once():
    entry, right = granted(claimed())
    entry, _ = book.withdraw_post(entry, right)

    assert isinstance(book.authorize_burn(entry, at(1), TIMES)[1], BurnAuthorized)


def test_a_burn_intent_is_no_burn_and_a_409_settles_nothing_by_itself():
    entry, _ = book.authorize_burn(posted(UNANSWERED), at(315), TIMES)

    entry, heard = book.record_response(entry, at(316), CONFLICT)

    assert heard == CONFLICT
    assert book.final_outcome(entry) is None
    assert isinstance(book.authorize_refund(entry, at(317))[1], book.RefundForbidden)


def test_a_burn_intent_is_granted_again_and_keeps_its_moment():
    entry, _ = book.authorize_burn(posted(UNANSWERED), at(315), TIMES)

    again, answer = book.authorize_burn(entry, at(400), TIMES)

    assert isinstance(answer, BurnAuthorized)
    assert again == entry


@pytest.mark.parametrize("word", [sold(), refused(), burnt()])
def test_no_burn_after_the_carriers_final_word(word: book.OrderState):
    entry, answer = book.authorize_burn(word, at(500), TIMES)

    assert answer == book.final_outcome(word)
    assert entry == word


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (None, "NOT_FOUND_AND_BURNT"),
        (book.CANCELLED, "CANCELLED"),
        (book.RESOLVED_BY_OPERATOR, "RESOLVED_BY_OPERATOR"),
    ],
)
def test_the_reason_of_a_burn_is_who_asked_for_it_or_that_the_horizon_passed(asked: str | None, code: str):
    entry = posted(UNANSWERED)
    if asked is not None:
        entry, _ = book.request_cancel(entry, asked)
    entry, _ = book.authorize_burn(entry, at(315), TIMES)
    entry, _ = book.request_cancel(entry, book.CANCELLED)  # too late to change the reason

    entry, heard = book.record_response(entry, at(316), BURNT)

    assert heard == Refused(code=code, burnt=True)


# --- the state map -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("doubt", [UNANSWERED, ANSWERED, CONFLICT, THROTTLED, IN_FLIGHT, PARTIAL, WEIRD, NOTHING_SENT])
def test_no_doubt_is_ever_a_final_word(doubt: InDoubt):
    entry, heard = book.record_response(posted(), at(1), doubt, of_post=1)

    assert heard == doubt
    assert (entry.fact, entry.status, entry.first_pass) == (None, "in_doubt", False)


@pytest.mark.parametrize(
    ("word", "fact"), [(COMPLETED, "sold"), (REFUSED, "refused"), (BURNT, "burnt")], ids=["sold", "refused", "burnt"]
)
def test_a_final_word_is_booked_once_and_stays_whatever_is_heard_later(word: Completed | Refused, fact: str):
    booked, _ = book.record_response(posted(), at(1), word, of_post=1)
    assert booked.fact == fact

    for later in (COMPLETED, REFUSED, BURNT, UNANSWERED, IN_FLIGHT, empty(1, 2)):
        after, heard = book.record_response(booked, at(2), later)
        assert (after.fact, after.fact_code, after.fact_at) == (booked.fact, booked.fact_code, booked.fact_at)
        assert heard == book.final_outcome(booked)


def test_a_carrier_that_takes_its_refusal_back_is_marked_and_no_refund_starts():
    entry, _ = book.record_response(refused(), at(2), COMPLETED)

    assert entry.contradicted
    assert isinstance(book.authorize_refund(entry, at(3))[1], book.RefundForbidden)


@pytest.mark.parametrize("again", [REFUSED, BURNT, UNANSWERED])
def test_a_repeated_refusal_is_no_contradiction(again: Refused | InDoubt):
    assert not book.record_response(refused(), at(2), again)[0].contradicted


def test_a_late_completed_after_the_refund_intent_is_marked_and_changes_nothing_else():
    entry, heard = book.record_response(refunding(), at(3), COMPLETED)

    assert entry.contradicted
    assert isinstance(heard, Refused)
    assert isinstance(book.authorize_refund(entry, at(4))[1], book.RefundAuthorized)


def test_a_parked_order_stays_parked_through_doubt():
    entry, _ = book.note(posted(UNANSWERED), "parked", "the carrier says partial", needs_operator=True)

    assert book.record_response(entry, at(100), PARTIAL)[0].status == "parked"


@pytest.mark.parametrize("lag_seconds", [60, 90])
def test_a_lag_as_long_as_the_longest_latency_or_longer_only_makes_every_wait_longer(lag_seconds: int):
    times = CarrierTimes(timedelta(seconds=60), timedelta(seconds=lag_seconds), timedelta(minutes=5))
    entry, right = book.authorize_post(claimed(), START, times, body_of, None)
    assert isinstance(right, PostAuthorized)

    _, weighed = book.assess_not_found(entry, at(100), times, empty(1, 100))

    assert weighed.look_again_at == at(LEAVES_WITHIN + 60 + lag_seconds)
    assert book.burn_allowed_from(entry, times) == at(300 + lag_seconds)


def test_the_right_to_a_post_leaves_a_loaded_worker_a_second_and_none_to_a_post_that_would_be_too_late():
    scaled = CarrierTimes(timedelta(seconds=3), timedelta(seconds=0.75), timedelta(seconds=15))
    tiny = CarrierTimes(timedelta(seconds=0.2), timedelta(seconds=0.2), timedelta(seconds=0.9))

    _, right = book.authorize_post(claimed(), START, scaled, body_of, None)
    _, short = book.authorize_post(claimed(), START, tiny, body_of, None)

    assert isinstance(right, PostAuthorized)
    assert isinstance(short, PostAuthorized)
    assert right.send_before == at(1)
    assert short.send_before == at(0.7)
