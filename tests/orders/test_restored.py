"""A book restored from a backup: what it may have lost is asked for before anything is sent."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orders import carrier_rules, operator_rules, refund_rules
from orders.next_step import QueryCarrier, next_step
from orders.outcomes import RefundConfirmed
from orders.state import OrderState
from tests.orders.states import (
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


def grants(state: OrderState, now: float) -> bool:
    return carrier_rules.authorize_post(state, at(now), RESTORED, body_of)[1] is not None


def burns(state: OrderState, now: float) -> bool:
    return carrier_rules.authorize_burn(state, at(now), RESTORED)[1]


@pytest.mark.parametrize("asked", [None, -5, CLEAR - 0.001])
def test_no_first_post_without_an_empty_answer_that_was_asked_late_enough(asked: float | None):
    state = claimed() if asked is None else empty(claimed(), asked)

    assert not grants(state, 9999)


def test_the_first_post_goes_out_once_the_carrier_was_asked_late_enough():
    assert grants(empty(claimed(), CLEAR), CLEAR)
    assert grants(empty(claimed(), CLEAR), 9999)


def test_an_order_claimed_long_after_the_restore_is_asked_for_too():
    """It may be an order of the lost time that Kafka has brought again."""
    late = replace(claimed(), claimed_at=at(5000))

    assert not grants(late, 5001)
    assert grants(empty(late, 5000), 5001)


@pytest.mark.parametrize("state", [posted(ANSWERED, at_seconds=-20), posted(UNANSWERED, at_seconds=-80)])
def test_a_further_post_needs_the_later_of_both_moments(state: OrderState):
    assert not grants(empty(state, CLEAR - 1), CLEAR)
    assert grants(empty(state, CLEAR), CLEAR)


def test_a_post_of_after_the_restore_keeps_its_own_times():
    state = posted(UNANSWERED, at_seconds=200)

    assert not grants(empty(state, 282), 282)
    assert grants(empty(state, 283), 283)


@pytest.mark.parametrize(
    ("state", "burn_from"),
    [(claimed(), BURN), (posted(UNANSWERED, at_seconds=-100), BURN), (posted(UNANSWERED, at_seconds=100), BURN + 100)],
    ids=["nothing sent, says the book", "date before the restore's", "date after it"],
)
def test_no_burn_before_the_last_date_that_the_lost_time_can_hold(state: OrderState, burn_from: float):
    cancelled = empty(operator_rules.request_cancel(state)[0], burn_from - 1)

    assert not burns(cancelled, burn_from - 0.001)
    assert next_step(cancelled, at(burn_from - 1), RESTORED) == QueryCarrier(not_before=at(burn_from))
    assert burns(cancelled, burn_from)


@pytest.mark.parametrize("state", [refused(), burnt()], ids=["refused", "burnt"])
def test_no_refund_number_of_a_restored_book_is_fresh(state: OrderState):
    started, _ = refund_rules.start_refund(state, at(400), RESTORED)

    assert refund_rules.must_ask_first(started, RESTORED)
    assert not refund_rules.must_ask_first(started, TIMES)


def test_a_refund_that_the_lost_time_has_paid_settles_the_order():
    state, _ = refund_rules.start_refund(refused(), at(400), RESTORED)
    state, _ = refund_rules.record_refund_response(
        state, at(401), RESTORED, RefundConfirmed(provider_refund_id="P"), of_number=1
    )

    assert refund_rules.settle(state, at(402), RESTORED)[1] == "refunded"
    assert state.refund_sent_at is None


def test_an_operator_may_say_delivered_of_an_order_whose_post_the_book_has_lost():
    state, refusal = operator_rules.resolve_delivered(claimed(), at(400), RESTORED)

    assert refusal == ""
    assert refund_rules.settle(state, at(401), RESTORED)[1] == "delivered"


def test_a_word_that_the_book_has_lost_is_heard_again():
    state, _ = carrier_rules.record_response(claimed(), at(1), COMPLETED)

    assert state.carrier_outcome == "completed"
    assert not state.contradicted


@pytest.mark.parametrize("moment", [START, START - timedelta(days=400)])
def test_the_mode_may_stay_set_for_as_long_as_one_likes(moment: datetime):
    times = replace(TIMES, restored_at=moment)

    assert carrier_rules.authorize_post(empty(claimed(), 9999), at(9999), times, body_of)[1] is not None
