"""The one table of the saga's timeouts and retries: each has its reason, and their relations hold under every scale."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.time_scale import SHORTEST_SECONDS, scaled
from workflows import policies
from workflows.policies import (
    LOOK_LONGEST_SECONDS,
    REFUND_LOOKS_SECONDS,
    StepPolicy,
    look_pace_seconds,
    parked_pace_seconds,
    refund_pace_seconds,
)

POLICIES = {name: value for name, value in vars(policies).items() if isinstance(value, StepPolicy)}
OUTSIDE = {name: policy for name, policy in POLICIES.items() if policy.call_seconds}
SCALES = [1.0, 0.05, 0.001]
DATABASE_SECONDS = 5.0
scales = st.sampled_from(SCALES)
ages = st.floats(min_value=0, max_value=400 * 24 * 3600)


def test_there_is_a_policy_for_everything_that_leaves_the_workflow():
    assert set(POLICIES) == {
        "BOOK",
        "PLACE_ORDER",
        "QUERY_ORDER",
        "BURN_ORDER",
        "REFUND_MONEY",
        "QUERY_MONEY",
        "NOTIFY_FIRST",
        "NOTIFY_PLATFORM",
    }


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_every_policy_has_a_reason_in_a_sentence(policy: StepPolicy):
    assert len(policy.why.split()) >= 8
    assert policy.why.endswith(".")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_an_attempt_outlasts_its_call_and_two_transactions_of_the_book(policy: StepPolicy, scale: float):
    call = scaled(policy.call_seconds, scale) if policy.call_seconds else 0.0

    assert policy.attempt_timeout(scale).total_seconds() >= call + 2 * DATABASE_SECONDS


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_retries_begin_soon_and_grow_and_never_come_faster_than_the_shortest_limit(policy: StepPolicy, scale: float):
    retry = policy.retry(scale)

    assert retry.maximum_interval is not None
    assert SHORTEST_SECONDS <= retry.initial_interval.total_seconds() <= retry.maximum_interval.total_seconds()
    assert retry.backoff_coefficient > 1
    assert retry.maximum_attempts == 0


@pytest.mark.parametrize("scale", SCALES)
def test_the_book_is_retried_at_the_same_pace_under_every_scale(scale: float):
    assert policies.BOOK.retry(scale) == policies.BOOK.retry(1.0)
    assert policies.BOOK.attempt_timeout(scale) == policies.BOOK.attempt_timeout(1.0)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("policy", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_what_waits_for_the_outside_world_scales_down_to_the_shortest_limit(policy: StepPolicy, scale: float):
    outside = policy.attempt_timeout(scale).total_seconds() - policy.margin_seconds

    assert outside == pytest.approx(max(SHORTEST_SECONDS, policy.call_seconds * scale))


def test_no_order_and_no_refund_is_ever_given_up_only_a_notice_is():
    assert [name for name, policy in POLICIES.items() if policy.whole_timeout() is not None] == ["NOTIFY_PLATFORM"]


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_a_local_try_is_short_since_nothing_else_is_answered_while_it_runs(policy: StepPolicy):
    if policy.local_seconds is not None:
        assert policy.local_timeout().total_seconds() <= 2.0


@pytest.mark.parametrize("scale", SCALES)
def test_a_slow_carriers_answer_is_waited_for(scale: float):
    assert scaled(policies.PLACE_ORDER.call_seconds, scale) >= policies.SLOW_CARRIER_SECONDS * scale


@pytest.mark.parametrize("scale", SCALES)
def test_a_notices_own_limit_is_below_its_attempts(scale: float):
    publish = scaled(policies.NOTICE_ANSWER_SECONDS, scale)

    assert publish < policies.NOTIFY_PLATFORM.attempt_timeout(scale).total_seconds()


@pytest.mark.parametrize("scale", SCALES)
def test_notices_are_out_within_a_minute_of_a_platforms_return(scale: float):
    """A connect hangs, then the pause before the next; a notice was tried right before that one succeeds."""
    waits = (
        policies.NOTICE_ANSWER_SECONDS,
        policies.RECONNECT_LONGEST_SECONDS,
        policies.NOTIFY_PLATFORM.longest_retry_seconds,
    )

    assert sum(scaled(seconds, scale) for seconds in waits) <= max(55 * scale, len(waits) * SHORTEST_SECONDS)


@pytest.mark.parametrize("scale", SCALES)
def test_trouble_is_shown_before_an_order_is_parked(scale: float):
    assert scaled(policies.TROUBLE_AFTER_SECONDS, scale) <= scaled(policies.PARK_AFTER_SECONDS, scale)


# --- the pace of looks at the carrier -----------------------------------------------------------------------------


@given(age=ages, scale=scales)
def test_no_look_comes_sooner_than_the_shortest_limit_nor_later_than_the_longest(age: float, scale: float):
    assert SHORTEST_SECONDS <= look_pace_seconds(age, scale) <= max(SHORTEST_SECONDS, LOOK_LONGEST_SECONDS * scale)


@given(ages=st.tuples(ages, ages), scale=scales)
def test_an_older_order_is_never_looked_at_more_often(ages: tuple[float, float], scale: float):
    younger, older = sorted(ages)

    assert look_pace_seconds(younger, scale) <= look_pace_seconds(older, scale)


def test_looks_begin_after_two_seconds_and_stay_few_until_an_hour_apart():
    looks, age = 0, 0.0
    assert look_pace_seconds(0, 1.0) == 2.0
    while look_pace_seconds(age, 1.0) < LOOK_LONGEST_SECONDS:
        age += look_pace_seconds(age, 1.0)
        looks += 1

    assert looks <= 40


def test_a_scaled_order_is_looked_at_as_often_in_its_own_time():
    for age in (30.0, 300.0, 3000.0):
        assert look_pace_seconds(age * 0.05, 0.05) == pytest.approx(look_pace_seconds(age, 1.0) * 0.05)


# --- the pace of tries at a platform that is away -----------------------------------------------------------------


@given(away=ages, scale=scales)
def test_a_platform_that_is_away_is_tried_no_later_than_the_policys_longest(away: float, scale: float):
    policy = policies.NOTIFY_PLATFORM
    longest = scaled(policy.longest_retry_seconds, scale)

    assert scaled(policy.first_retry_seconds, scale) <= policies.notice_pace_seconds(away, scale) <= longest
    assert policies.notice_pace_seconds(away, scale) <= max(away, scaled(policy.first_retry_seconds, scale))


# --- the pace of looks at a refund --------------------------------------------------------------------------------


@given(age=ages, scale=scales)
def test_a_refund_is_never_looked_at_sooner_than_the_shortest_limit_nor_later_than_half_an_hour(
    age: float, scale: float
):
    assert SHORTEST_SECONDS <= refund_pace_seconds(age, scale) <= max(SHORTEST_SECONDS, 1800 * scale)


def test_looks_at_a_refund_follow_wechats_series():
    """Each minute for 5 minutes, then 5, 10, 20 and 30 minutes; the first after Alipay's 10 s."""
    moments, age = list[float](), 0.0
    for _ in range(12):
        age += refund_pace_seconds(age, 1.0)
        moments.append(age)

    apart = [later - sooner for sooner, later in itertools.pairwise([0.0, *moments])]
    assert apart == [10, 60, 60, 60, 60, 60, 300, 600, 1200, 1800, 1800, 1800]
    assert apart[:10] == list(REFUND_LOOKS_SECONDS)


@given(ages=st.tuples(ages, ages), scale=scales)
def test_the_next_look_at_an_older_refund_never_comes_before_that_of_a_younger_one(
    ages: tuple[float, float], scale: float
):
    """The pace itself jumps at each look; what grows is the moment of the next one."""
    younger, older = sorted(ages)

    assert younger + refund_pace_seconds(younger, scale) <= older + refund_pace_seconds(older, scale) + 1e-6


@given(age=ages, scale=scales)
def test_looks_at_an_order_that_waits_for_a_person_are_ever_rarer_and_never_end(age: float, scale: float):
    wait = parked_pace_seconds(age, scale)

    assert SHORTEST_SECONDS <= wait <= max(SHORTEST_SECONDS, policies.LOOK_PARKED_LONGEST_SECONDS * scale)
    assert wait >= min(age, policies.LOOK_PARKED_LONGEST_SECONDS * scale) * 0.999


def test_the_looks_of_a_year_fit_into_one_history():
    looks, age = 0, 0.0
    while age < 365 * 24 * 3600:
        looks, age = looks + 1, age + parked_pace_seconds(age, 1.0)

    assert looks * 10 < 10_000  # Temporal warns from 10 240 events on; a look leaves fewer than ten
