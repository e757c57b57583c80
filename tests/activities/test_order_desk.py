"""What every step gets from the desk: one compare-and-set, a call for a person, and a wait where nothing is new."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.order_desk import unless_seen
from orders.next_step import QueryCarrier, Submit
from tests.activities.conftest import Steps
from tests.workflows.world import TIMES
from workflows.policies import LOOK_FIRST_SECONDS


async def decide(steps: Steps, **changes: Any) -> None:
    def rule(stored: Any, _now: Any) -> tuple[Any, None]:
        return replace(stored.state, **changes), None

    await steps.desk.decide(steps.order.order_id, rule, kind="test")


async def test_a_result_says_where_the_order_stands_and_what_is_next(steps: Steps):
    read = await steps.desk.read(steps.order.order_id)

    assert (read.progress.next, read.progress.status, read.progress.wait_seconds) == (Submit(), "placing", 0.0)


async def test_a_person_is_called_once_for_each_reason(steps: Steps):
    now = steps.clock.now()
    for _ in range(3):
        await decide(steps, attention="partial", reason="the carrier says partial", in_doubt_since=now)
    assert steps.alerts == ["order_needs_operator"]

    for _ in range(3):
        await decide(steps, attention="carrier_silent", reason="silent")
    assert steps.alerts == ["order_needs_operator"] * 2


async def test_the_line_in_the_trail_says_for_what_a_person_was_called(steps: Steps):
    await decide(steps, attention="partial", reason="why", in_doubt_since=steps.clock.now())
    await decide(steps, attention="partial", reason="why", in_doubt_since=steps.clock.now())

    lines = [event.detail.get("calls_for") for event in await steps.book.events(steps.order.order_id)]
    assert lines == [None, "partial", None]


async def test_a_step_of_the_orders_own_run_takes_back_that_anothers_stood_in_its_way(steps: Steps):
    """And a person who is to be called for something else is called for that."""
    await steps.put(attention="foreign_run", reason="behind another's run")
    await decide(steps)
    assert ((await steps.state()).attention, (await steps.state()).reason) == ("", "")

    await steps.put(attention="foreign_run", reason="behind another's run")
    now = steps.clock.now()
    await decide(steps, contradicted=True, carrier_outcome="rejected", carrier_code="CODE", carrier_outcome_at=now)
    assert (await steps.state()).attention == "contradicted"
    assert steps.alerts == ["order_needs_operator"]


async def test_whoever_must_be_called_for_what_a_rule_leads_to_is_called_with_it(steps: Steps):
    """A refusal that the carrier takes back before the refund: nobody has to ask for it."""
    now = steps.clock.now()
    await decide(steps, carrier_outcome="rejected", carrier_code="CODE", carrier_outcome_at=now)
    assert steps.alerts == []

    await decide(steps, contradicted=True)

    assert (await steps.state()).attention == "contradicted"
    assert steps.alerts == ["order_needs_operator"]


async def test_a_silence_calls_a_person_by_its_age_in_the_book_and_not_in_the_transaction_that_freed_the_order(
    steps: Steps,
):
    """However quickly each answer comes: a run that waits for none of them for long never calls by itself."""
    now = steps.clock.now()
    await decide(steps, in_doubt_since=now - timedelta(hours=23))
    assert (await steps.state()).attention == ""
    await decide(steps, in_doubt_since=now - timedelta(hours=25))
    silent = await steps.state()
    assert (silent.attention, silent.reason) == ("carrier_silent", "the carrier has settled nothing for 24 h")
    await decide(steps, attention="")
    assert (await steps.state()).attention == ""

    refused = {"carrier_outcome": "rejected", "carrier_code": "CODE", "carrier_outcome_at": now}
    await decide(steps, **refused, refund_sequence=1, refund_at=now - timedelta(minutes=59))
    assert (await steps.state()).attention == ""
    await decide(steps, refund_at=now - timedelta(minutes=61))
    silent = await steps.state()
    assert silent.attention == "refund_silent"
    assert silent.reason == "the payment provider has not confirmed the refund for 1 h"
    assert steps.alerts == ["order_needs_operator"] * 2


async def in_doubt(steps: Steps) -> Any:
    """Posted a moment ago, without an answer."""
    now = steps.clock.now()
    await steps.put(
        posts=1,
        body=b"{}",
        last_post_at=now,
        completion_date=now + TIMES.completion_window,
        in_doubt_since=now,
        reason="No answer.",
    )
    return await steps.desk.read(steps.order.order_id)


async def test_what_the_run_has_not_seen_ends_the_step(steps: Steps):
    class Look:
        async def step(self, request: Any) -> Any:
            return unless_seen(request, await in_doubt(steps), "Kind", "why")

    progress = await steps.run(Look().step, seen="something else")

    assert isinstance(progress.next, QueryCarrier)


async def test_what_the_run_has_seen_fails_the_attempt_and_the_engine_waits_as_long_as_the_pace_says(steps: Steps):
    decided = await in_doubt(steps)

    async def step(request: Any) -> Any:
        return unless_seen(request, decided, "CarrierInDoubt", "why")

    failure = await steps.fail(step, seen=decided.progress.mark)

    assert (failure.type, failure.message) == ("CarrierInDoubt", "why")
    assert failure.next_retry_delay == timedelta(seconds=decided.progress.wait_seconds)
    assert decided.progress.wait_seconds == pytest.approx(LOOK_FIRST_SECONDS)


async def test_the_local_try_always_returns(steps: Steps):
    decided = await in_doubt(steps)

    async def step(request: Any) -> Any:
        return unless_seen(request, decided, "CarrierInDoubt", "why")

    assert await steps.run(step, seen=decided.progress.mark, is_local=True) == decided.progress


async def test_the_pace_of_looks_grows_with_the_age_of_the_post_and_never_passes_the_moment_that_counts(steps: Steps):
    await in_doubt(steps)
    waits: list[float] = []

    for age in (0, 20, 70):
        steps.clock.ahead = timedelta(seconds=age)
        waits.append((await steps.desk.read(steps.order.order_id)).progress.wait_seconds)

    counts_in = (TIMES.post_leaves_within + TIMES.longest_latency + TIMES.visibility_lag).total_seconds() - 70
    assert waits == pytest.approx([LOOK_FIRST_SECONDS, 5.0, counts_in], abs=0.5)


async def test_a_carriers_retry_after_is_the_shortest_wait(steps: Steps):
    def rule(stored: Any, _now: Any) -> tuple[Any, None]:
        return stored.state, None

    decided = await steps.desk.decide(steps.order.order_id, rule, kind="test", wait_at_least_seconds=45.0)

    assert decided.progress.wait_seconds == 45.0


async def test_a_settled_order_says_how_long_ago_it_was_paid(steps: Steps):
    said: list[tuple[str, dict[str, Any]]] = []
    steps.desk = replace(steps.desk, journal=lambda event, _order_id, **fields: said.append((event, fields)))
    settled_at = datetime(2023, 8, 21, 10, 34, 7, 500_000, tzinfo=UTC)  # 12.5 s after the payment, in another zone

    await decide(steps, carrier_outcome="completed", outcome="delivered", settled_at=settled_at)

    assert said[-1] == ("settled", {"outcome": "delivered", "paid_to_settled_seconds": 12.5})


async def test_an_end_whose_writer_was_cut_off_before_it_was_said_is_said_by_the_attempt_that_finds_it(steps: Steps):
    said: list[tuple[str, dict[str, Any]]] = []
    settled_at = datetime(2023, 8, 21, 10, 34, 7, 500_000, tzinfo=UTC)
    await decide(steps, carrier_outcome="completed", outcome="delivered", settled_at=settled_at)  # nobody listens
    object.__setattr__(steps.desk, "journal", lambda event, _order_id, **fields: said.append((event, fields)))

    await steps.run(steps.recording.record_order)

    assert said == [("settled_before", {"outcome": "delivered", "paid_to_settled_seconds": 12.5})]
