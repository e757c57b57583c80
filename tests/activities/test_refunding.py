"""A refund's attempt that was frozen between the order book and the provider, and thaws much later."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from orders import operator_rules
from orders.outcomes import RefundAnswer, RefundRequest
from orders.state import OrderState
from tests.activities.conftest import MovedClock, Steps
from tests.workflows.fakes import FakeProvider, account_gone, not_enough
from workflows.steps import Progress

FROZEN = timedelta(minutes=10)


class Freezing(FakeProvider):
    """Stops the attempt before its bytes leave, or before it has booked what came back."""

    def __init__(self, clock: MovedClock) -> None:
        super().__init__()
        self.clock = clock
        self.before_send = False
        self.meanwhile: Callable[[], Any] | None = None

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> RefundAnswer:
        if self.before_send:
            self.clock.ahead += FROZEN
        answer = await super().refund(request, timeout_seconds=timeout_seconds, in_time=in_time)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return answer


class Desk:
    """One order whose carrier has refused it and whose refund has started."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.provider = Freezing(steps.clock)
        steps.provider = self.provider
        steps.rewire()

    async def refund(self, *, seen: str = "") -> Progress:
        return await self.steps.run(self.steps.refunding.refund_payment, seen=seen)

    async def query(self, *, seen: str = "") -> Progress:
        return await self.steps.run(self.steps.refunding.query_refund, seen=seen)

    async def state(self) -> OrderState:
        return await self.steps.state()


@pytest.fixture
async def desk(steps: Steps) -> Desk:
    now = steps.clock.now()
    await steps.put(posts=1, carrier_outcome="rejected", carrier_code="SIM_SUSPENDED", carrier_outcome_at=now)
    progress = await steps.run(steps.refunding.record_refund)
    assert progress.next.kind == "send_refund"
    return Desk(steps)


async def test_a_refund_whose_attempt_thaws_long_after_the_book_let_it_go_is_not_sent(desk: Desk):
    """A person may have paid another way since, and a provider that has changed its mind would pay it twice."""
    desk.provider.before_send = True

    progress = await desk.refund()

    assert progress.next.kind == "query_refund"
    assert (desk.provider.calls, desk.provider.refunds) == (["late"], {})
    desk.provider.before_send = False
    assert (await desk.query()).next.kind == "send_refund"
    await desk.refund()
    assert list(desk.provider.refunds) == [f"R{desk.steps.order.order_id}"]


async def test_a_refusal_that_is_booked_late_says_nothing_of_a_later_send_that_was_taken_in(desk: Desk):
    """Else an operator could be asked to pay another way what the provider is paying."""

    async def another_attempt_sends() -> None:
        desk.steps.clock.ahead += FROZEN
        await desk.query()
        await desk.refund()

    desk.provider.plan = [account_gone]
    desk.provider.meanwhile = another_attempt_sends

    progress = await desk.refund()

    assert progress.next.kind == "query_refund"
    state = await desk.state()
    assert (desk.provider.calls.count("REFUND"), state.refund_denied) == (2, "")
    assert operator_rules.resolve_refunded(state, "bank transfer")[1] != ""


async def test_the_refusal_of_the_latest_send_counts(desk: Desk):
    desk.provider.plan = [account_gone]

    progress = await desk.refund()

    assert (progress.status, progress.attention) == ("parked", "refund_denied")
    assert (await desk.state()).refund_denied == "USER_ACCOUNT_ABNORMAL"


# --- a refund that is held --------------------------------------------------------------------------------------------


async def test_a_refund_that_is_held_is_tried_again_by_one_attempt_after_the_other_and_calls_a_person_once(desk: Desk):
    desk.provider.plan = [not_enough] * 5
    held = await desk.refund()
    assert (held.next.kind, held.attention) == ("send_refund", "refund_held")

    waits: list[float] = []
    for _ in range(4):
        desk.steps.clock.ahead += timedelta(minutes=2)
        failure = await desk.steps.fail(desk.steps.refunding.refund_payment, seen=held.mark)
        assert failure.next_retry_delay is not None
        waits.append(failure.next_retry_delay.total_seconds())

    assert desk.provider.calls == ["REFUND", *["QUERY", "REFUND"] * 4]
    assert desk.steps.alerts.count("order_needs_operator") == 1
    assert min(waits) > 5
    assert (await desk.refund(seen=held.mark)).attention == ""  # there is balance now


async def test_that_the_provider_knows_nothing_of_a_held_refund_takes_no_call_for_a_person_away(desk: Desk):
    desk.provider.plan = [not_enough, account_gone]
    await desk.refund()
    assert (await desk.state()).attention == "refund_held"

    await desk.refund()

    assert desk.provider.calls == ["REFUND", "QUERY", "REFUND"]
    assert desk.steps.alerts.count("order_needs_operator") == 2  # held, then refused: two reasons
