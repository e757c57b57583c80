"""A book restored from a backup: what it may have lost is asked for before anything is sent."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from orders.book import (
    BurnAuthorized,
    NotFoundAssessment,
    OrderState,
    PostAuthorized,
    RefundAuthorized,
    RefundForbidden,
)

from orders import book
from orders.outcomes import InDoubt, NotFound, RefundConfirmed
from tests.orders.entries import (
    ANSWERED,
    COMPLETED,
    START,
    TIMES,
    UNANSWERED,
    at,
    body_of,
    burnt,
    claimed,
    empty,
    posted,
    refused,
)

RESTORED = replace(TIMES, restored_at=START)
CLEAR = 60 + 15
"""Seconds: longest latency + visibility lag after the restore."""
BURN = 300 + 15
"""Completion window + lag after it."""


def grants(entry: OrderState, now: float, evidence: NotFound | None) -> bool:
    answer = book.authorize_post(entry, at(now), RESTORED, body_of, evidence)[1]
    assert isinstance(answer, PostAuthorized | InDoubt)
    return isinstance(answer, PostAuthorized)


def weighed(entry: OrderState, now: float, asked: NotFound) -> NotFoundAssessment:
    return book.assess_not_found(entry, at(now), RESTORED, asked)[1]


@pytest.mark.parametrize("evidence", [None, empty(0, -5), empty(0, CLEAR - 0.001), empty(1, CLEAR)])
def test_no_first_post_without_an_empty_answer_that_was_asked_late_enough(evidence: NotFound | None):
    assert not grants(claimed(), 9999, evidence)


def test_the_first_post_goes_out_once_the_carrier_was_asked_late_enough():
    assert grants(claimed(), CLEAR, empty(0, CLEAR))
    assert grants(claimed(), 9999, empty(0, CLEAR))


def test_an_order_claimed_long_after_the_restore_is_asked_for_too():
    """It may be an order of the lost time that Kafka has brought again."""
    late = replace(claimed(), claimed_at=at(5000))

    assert not grants(late, 5001, None)
    assert grants(late, 5001, empty(0, 5000))


def test_until_then_an_empty_answer_is_doubt_with_the_moment_of_the_next_look():
    said = weighed(claimed(), 1, empty(0, 0))
    assert isinstance(said.answer, InDoubt)
    assert said.look_again_at == at(CLEAR)

    said = weighed(claimed(), CLEAR, empty(0, CLEAR))
    assert said.answer == empty(0, CLEAR).model_copy(update={"may_post": True})


@pytest.mark.parametrize("entry", [posted(ANSWERED, at_seconds=-20), posted(UNANSWERED, at_seconds=-80)])
def test_a_further_post_needs_the_later_of_both_moments(entry: OrderState):
    assert not grants(entry, CLEAR, empty(1, CLEAR - 1))
    assert grants(entry, CLEAR, empty(1, CLEAR))
    assert isinstance(weighed(entry, 20, empty(1, 20)).answer, InDoubt)


def test_a_post_of_after_the_restore_keeps_its_own_times():
    entry = posted(UNANSWERED, at_seconds=200)
    assert not grants(entry, 282, empty(1, 282))
    assert grants(entry, 283, empty(1, 283))


@pytest.mark.parametrize(
    ("entry", "burn_from"),
    [(claimed(), BURN), (posted(UNANSWERED, at_seconds=-100), BURN), (posted(UNANSWERED, at_seconds=100), BURN + 100)],
    ids=["nothing sent, says the book", "date before the restore's", "date after it"],
)
def test_no_burn_before_the_last_date_that_the_lost_time_can_hold(entry: OrderState, burn_from: float):
    cancelled, _ = book.request_cancel(entry, book.CANCELLED)

    assert isinstance(book.authorize_burn(cancelled, at(burn_from - 0.001), RESTORED)[1], InDoubt)
    said = weighed(cancelled, burn_from - 1, empty(entry.posts, burn_from - 1))
    assert isinstance(said.answer, InDoubt)
    assert said.look_again_at == at(burn_from)
    assert isinstance(book.authorize_burn(cancelled, at(burn_from), RESTORED)[1], BurnAuthorized)


def test_where_no_book_was_restored_nothing_of_this_delays():
    assert isinstance(book.authorize_post(claimed(), at(0), TIMES, body_of, None)[1], PostAuthorized)
    cancelled, _ = book.request_cancel(claimed(), book.CANCELLED)
    assert isinstance(book.authorize_burn(cancelled, at(0), TIMES)[1], BurnAuthorized)


@pytest.mark.parametrize("entry", [refused(), burnt()], ids=["refused", "burnt"])
def test_no_refund_number_of_a_restored_book_is_fresh(entry: OrderState):
    assert book.authorize_refund(entry, at(400), restored=True)[1] == RefundAuthorized(1, fresh=False)
    assert book.authorize_refund(entry, at(400))[1] == RefundAuthorized(1, fresh=True)


def test_a_refund_that_the_lost_time_has_paid_settles_the_order():
    entry, _ = book.authorize_refund(refused(), at(400), restored=True)
    entry, _ = book.record_refund_response(entry, at(401), RefundConfirmed(provider_refund_id="P"))

    assert book.settle(entry, at(402))[1] == "refunded"
    assert entry.refund_sent_at is None


def test_a_refusal_that_the_book_has_lost_is_no_contradiction():
    forgotten = book.authorize_refund(posted(), at(400))[1]
    assert isinstance(forgotten, RefundForbidden)
    assert not forgotten.contradicted

    contradicted, _ = book.record_response(refused(), at(2), COMPLETED)
    forbidden = book.authorize_refund(contradicted, at(400))[1]
    assert isinstance(forbidden, RefundForbidden)
    assert forbidden.contradicted


def test_an_operator_may_say_delivered_of_an_order_whose_post_the_book_has_lost():
    entry, refusal = book.resolve_delivered(claimed(), at(400), restored=True)

    assert refusal == ""
    assert book.settle(entry, at(401))[1] == "delivered"


@pytest.mark.parametrize("moment", [START, START - timedelta(days=400)])
def test_the_mode_may_stay_set_for_as_long_as_one_likes(moment: datetime):
    times = replace(TIMES, restored_at=moment)
    asked = NotFound(asked_at=at(9999).timestamp())

    assert isinstance(book.authorize_post(claimed(), at(9999), times, body_of, asked)[1], PostAuthorized)
