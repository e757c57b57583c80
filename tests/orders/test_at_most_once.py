"""Contracts §3: a carrier that has no burn gets one POST ever; only its answer or an operator's word ends a doubt."""

from dataclasses import replace
from datetime import timedelta

import pytest
from orders.book import OrderState, PostAuthorized, RefundAuthorized, RefundForbidden

from orders import at_most_once, book
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from tests.orders.entries import (
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
)
from tests.orders.entries import posted as posted_tmf622

FLAT = replace(TIMES, can_be_asked=False)
LATENCY_AND_LAG = 75
LEAVES_WITHIN = 7.5
COUNTS_FROM = LEAVES_WITHIN + LATENCY_AND_LAG
NOTE = "the desk says no"


def granted(entry: OrderState, seconds: float = 0) -> tuple[OrderState, PostAuthorized]:
    entry, answer = book.authorize_post(entry, at(seconds), FLAT, body_of, None)
    assert isinstance(answer, PostAuthorized), answer
    return entry, answer


def posted(*answers: InDoubt) -> OrderState:
    entry, right = granted(claimed())
    for answer in answers:
        entry, _ = book.record_response(entry, at(0), answer, of_post=right.number)
    return entry


def look(entry: OrderState, seconds: float) -> Completed | Refused | InDoubt | NotFound:
    after, answer = at_most_once.look(entry, at(seconds), FLAT, listening=timedelta(seconds=65))
    assert after == entry
    return answer


@pytest.mark.parametrize("answers", [(), (UNANSWERED,), (ANSWERED,), (THROTTLED,)], ids=["-", "silent", "500", "429"])
@pytest.mark.parametrize("evidence", [None, empty(1, 100_000)], ids=["no evidence", "an empty answer"])
def test_there_is_one_post_ever(answers: tuple[InDoubt, ...], evidence: NotFound | None):
    entry = posted(*answers)

    after, answer = book.authorize_post(entry, at(100_000), FLAT, body_of, evidence)

    assert after == entry
    assert isinstance(answer, InDoubt)


def test_what_a_row_was_sent_by_outlives_the_dialect_of_today():
    """A flat order under a TMF622 worker is neither sent again nor burnt; the other way round neither."""
    flat, tmf622 = posted(UNANSWERED), posted_tmf622(ANSWERED)

    assert isinstance(book.authorize_post(flat, at(200), TIMES, body_of, empty(1, 199))[1], InDoubt)
    assert isinstance(book.authorize_burn(flat, at(100_000), TIMES)[1], InDoubt)
    weighed = book.assess_not_found(flat, at(100_000), TIMES, empty(1, 99_999))[1]
    assert isinstance(weighed.answer, InDoubt)
    assert isinstance(book.authorize_post(tmf622, at(200), FLAT, body_of, empty(1, 199))[1], InDoubt)
    assert book.can_be_asked(tmf622, FLAT)
    assert at_most_once.not_delivered_counts_from(tmf622, FLAT) is None


def test_the_right_to_the_post_ends_long_before_an_operators_word_counts():
    entry, right = granted(claimed())

    assert right.send_before == at(LEAVES_WITHIN)
    assert at_most_once.not_delivered_counts_from(entry, FLAT) == right.send_before + timedelta(seconds=LATENCY_AND_LAG)


def test_a_post_that_never_left_may_be_granted_again():
    entry, right = granted(claimed())
    entry, _ = book.withdraw_post(entry, right)
    assert (entry.posts, entry.body) == (0, None)

    entry, again = granted(entry, 30)

    assert again.send_before == at(30 + LEAVES_WITHIN)
    assert book.withdraw_post(book.record_response(entry, at(31), UNANSWERED, of_post=1)[0], again)[0].posts == 1


def test_not_delivered_is_refused_with_the_moment_until_the_post_can_act_no_more():
    entry = posted(UNANSWERED)

    early, sentence = at_most_once.resolve_not_delivered(entry, at(COUNTS_FROM - 1), FLAT, NOTE)

    assert early == entry
    assert "after 2023-08-21 10:35:28 UTC" in sentence
    entry, sentence = at_most_once.resolve_not_delivered(entry, at(COUNTS_FROM), FLAT, NOTE)
    assert (sentence, entry.fact, entry.fact_code) == ("", "refused", book.RESOLVED_BY_OPERATOR)
    assert entry.resolution_note == NOTE
    assert isinstance(book.authorize_refund(entry, at(COUNTS_FROM))[1], RefundAuthorized)


def test_not_delivered_of_what_was_never_sent_is_a_cancel_and_the_book_burns_it():
    entry, sentence = at_most_once.resolve_not_delivered(claimed(), at(0), FLAT, NOTE)
    assert (sentence, entry.fact, entry.cancel_reason) == ("", None, book.RESOLVED_BY_OPERATOR)

    entry, answer = book.authorize_burn(entry, at(0), FLAT)

    assert isinstance(answer, Refused)
    assert (answer.code, answer.burnt) == (book.RESOLVED_BY_OPERATOR, True)
    assert isinstance(book.authorize_post(entry, at(1), FLAT, body_of, None)[1], Refused)


def test_at_a_carrier_that_can_be_asked_not_delivered_is_a_cancel():
    entry = posted_tmf622(UNANSWERED)

    assert at_most_once.resolve_not_delivered(entry, at(100_000), TIMES, NOTE) == (
        book.request_cancel(entry, book.RESOLVED_BY_OPERATOR, NOTE)[0],
        "",
    )


def test_a_cancel_in_doubt_is_written_and_frees_nothing():
    entry, written = book.request_cancel(posted(UNANSWERED), book.CANCELLED)
    assert written

    burnt, answer = book.authorize_burn(entry, at(100_000), FLAT)

    assert burnt == entry
    assert isinstance(answer, InDoubt)
    assert isinstance(book.authorize_refund(entry, at(100_000))[1], RefundForbidden)
    assert isinstance(look(entry, 100_000), InDoubt)


def test_a_cancel_closes_a_row_whose_post_turns_out_never_to_have_left():
    entry, right = granted(claimed())
    entry, _ = book.request_cancel(entry, book.CANCELLED)
    entry, _ = book.withdraw_post(entry, right)

    assert look(entry, 5) == NotFound(asked_at=at(5).timestamp(), may_post=False)
    assert isinstance(book.authorize_burn(entry, at(5), FLAT)[1], Refused)


@pytest.mark.parametrize(("late", "known"), [(COMPLETED, Completed), (REFUSED, Refused)], ids=["completed", "refused"])
def test_an_answer_counts_however_late_it_comes(late: Completed | Refused, known: type):
    entry, _ = book.record_response(posted(), at(3_000), late, of_post=1)

    assert isinstance(look(entry, 3_001), known)


def test_an_answer_that_contradicts_an_operators_word_stops_the_refund():
    entry, _ = at_most_once.resolve_not_delivered(posted(), at(COUNTS_FROM), FLAT, NOTE)
    entry, _ = book.record_response(entry, at(200), COMPLETED, of_post=1)

    assert entry.contradicted
    assert isinstance(book.authorize_refund(entry, at(201))[1], RefundForbidden)
    assert at_most_once.resolve_not_delivered(entry, at(202), FLAT, "asked again")[0].contradicted is False
    assert book.resolve_delivered(entry, at(202))[0].fact == "sold"


def test_while_somebody_may_still_hear_the_answer_nobody_is_called():
    entry = posted()

    assert (look(entry, 64), look(entry, 65)) == (
        InDoubt(cause="listening", why="The carrier has not answered yet; a worker waits for it."),
        InDoubt(cause="book", why=book.ONE_POST_EVER),
    )


def test_once_the_call_has_ended_without_a_word_a_person_is_called_and_told_why():
    assert look(replace(posted(UNANSWERED), reason=UNANSWERED.why), 1) == InDoubt(cause="book", why=UNANSWERED.why)


def test_a_restored_book_can_not_rule_out_that_an_order_was_sent_and_keeps_that():
    restored = replace(FLAT, restored_at=at(0))
    entry, answer = book.authorize_post(claimed(), at(1_000), restored, body_of, empty(0, 999))
    assert isinstance(answer, InDoubt)
    assert entry.restored_at == at(0)

    for times in (restored, FLAT, TIMES):
        assert isinstance(book.authorize_post(entry, at(2_000), times, body_of, empty(0, 1_999))[1], InDoubt)
        assert isinstance(book.authorize_burn(entry, at(100_000), times)[1], InDoubt)
    assert at_most_once.resolve_not_delivered(entry, at(LATENCY_AND_LAG - 1), FLAT, NOTE)[0] == entry
    assert at_most_once.resolve_not_delivered(entry, at(LATENCY_AND_LAG), FLAT, NOTE)[0].fact == "refused"
    assert book.resolve_delivered(entry, at(9))[0].fact == "sold"


def test_a_refund_of_an_order_that_a_restored_book_knew_nothing_of_is_asked_for_first_for_ever():
    entry, _ = book.authorize_post(claimed(), at(1_000), replace(FLAT, restored_at=at(0)), body_of, None)
    entry, _ = at_most_once.resolve_not_delivered(entry, at(2_000), FLAT, NOTE)

    assert book.authorize_refund(entry, at(2_001))[1] == RefundAuthorized(1, fresh=False)
