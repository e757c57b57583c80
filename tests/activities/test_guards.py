"""Each step looks in the book first: called when something else is next, it sends nothing and writes no intent."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.recording import NO_SUCH_UPDATE
from tests.activities.conftest import Steps
from tests.workflows.world import TIMES
from workflows.steps import OperatorRequest, SignedRequest

Changes = dict[str, Any]
HOUR = timedelta(hours=1)


def sent(now: datetime, **more: Any) -> Changes:
    """Posted, and `more`."""
    posted = {"posts": 1, "body": b"{}", "last_post_at": now, "in_doubt_since": now}
    return {**posted, "completion_date": now + TIMES.completion_window, **more}


def refused(now: datetime, **more: Any) -> Changes:
    return sent(now, carrier_outcome="rejected", carrier_code="CODE", carrier_outcome_at=now, **more)


def refunding(now: datetime, **more: Any) -> Changes:
    return refused(now, refund_sequence=1, refund_at=now, **more)


STATES: dict[str, Callable[[datetime], Changes]] = {
    "submit": lambda _: {},
    "query_carrier": sent,
    "cancel_at_carrier": lambda _: {"cancel_reason": "CANCELLED"},
    "start_refund": refused,
    "send_refund": refunding,
    "query_refund": lambda now: refunding(now, refund_sent_at=now, refund_answered="accepted"),
    "ask_person": lambda now: refused(now, contradicted=True),
    "settle": lambda now: sent(now, carrier_outcome="completed", carrier_outcome_at=now),
    "done": lambda now: sent(now, carrier_outcome="completed", carrier_outcome_at=now, outcome="delivered"),
}
"""One state for each thing that can be next."""

STEPS: dict[str, tuple[Callable[[Steps], Any], set[str], list[str]]] = {
    "place_telecom_order": (lambda steps: steps.telecom.place_telecom_order, {"submit"}, ["POST"]),
    "cancel_telecom_order": (lambda steps: steps.telecom.cancel_telecom_order, {"cancel_at_carrier"}, ["CANCEL"]),
    # A question changes nothing, so it is asked whenever its answer can: until the carrier's final word.
    "query_telecom_order": (
        lambda steps: steps.telecom.query_telecom_order,
        {"submit", "query_carrier", "cancel_at_carrier"},
        ["GET"],
    ),
    "record_refund": (lambda steps: steps.refunding.record_refund, {"start_refund"}, []),
    "refund_payment": (lambda steps: steps.refunding.refund_payment, {"send_refund"}, ["REFUND"]),
    "query_refund": (lambda steps: steps.refunding.query_refund, {"query_refund"}, ["QUERY"]),
    "record_order": (lambda steps: steps.recording.record_order, {"settle"}, []),
    "read_order": (lambda steps: steps.recording.read_order, set(), []),
}
"""Each step, when it is next, and what it sends then."""


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("state", STATES)
async def test_a_step_does_its_work_when_it_is_next_and_nothing_otherwise(steps: Steps, name: str, state: str):
    await steps.put(**STATES[state](steps.clock.now()))
    before = await steps.state()
    assert (await steps.desk.read(steps.order.order_id)).progress.next.kind == state
    step, when, sends = STEPS[name]

    progress = await steps.run(step(steps))

    assert steps.sent == (sends if state in when else [])
    after = await steps.state()
    if state not in when:
        assert (after.posts, after.burn_at, after.refund_sequence) == (
            before.posts,
            before.burn_at,
            before.refund_sequence,
        )
        assert (after.refund_sent_at, after.outcome) == (before.refund_sent_at, before.outcome)
        assert progress.next.kind == state
    elif not name.startswith("query_"):
        assert progress.next.kind != state


async def test_every_step_that_can_be_next_has_a_state_here():
    """A new kind of step needs a row above."""
    from orders import next_step  # noqa: PLC0415 - its members are what is counted

    kinds = {kind.model_fields["kind"].default for kind in next_step._Step.__subclasses__()}
    assert kinds == set(STATES)


async def test_a_refund_that_was_sent_before_is_asked_for_before_it_is_sent_again(steps: Steps):
    long_ago = steps.clock.now() - HOUR
    await steps.put(**refunding(long_ago, refund_sent_at=long_ago, refund_answered="unknown"))

    await steps.run(steps.refunding.refund_payment)

    assert steps.provider.calls == ["QUERY", "REFUND"]


async def test_a_carrier_that_was_asked_long_ago_is_posted_to_again_only_on_an_answer_that_counts(steps: Steps):
    now = steps.clock.now()
    before = now - timedelta(seconds=90)
    body = steps.carrier.order_body(steps.order, before + TIMES.completion_window)
    await steps.put(**sent(before, not_found_at=now - timedelta(seconds=80)) | {"body": body})

    await steps.run(steps.telecom.place_telecom_order)
    assert steps.sent == []

    await steps.put(not_found_at=now)
    await steps.run(steps.telecom.place_telecom_order)
    assert steps.sent == ["POST"]


@pytest.mark.parametrize("update", ["settle", "claimed", "post", "cancel_requested", ""])
async def test_an_activity_that_is_called_past_the_saga_writes_no_line_of_a_step(steps: Steps, update: str):
    before = await steps.book.events(steps.order.order_id)
    said = OperatorRequest(operator="ann", note="forged", outcome="delivered")
    signed = SignedRequest(order_id=steps.order.order_id, request=said, update=update)

    for activity in (steps.recording.record_request, steps.recording.record_resolution):
        assert (await ActivityEnvironment().run(activity, signed)).refusal == NO_SUCH_UPDATE
    assert await steps.book.events(steps.order.order_id) == before
