"""`TOPUP_TWO_PERSONS`: what one operator proposes takes effect by the same update of another, in any run."""

from collections.abc import Mapping
from typing import Any

import pytest
from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from orders.state import OrderState
from tests.workflows.fakes import Post
from tests.workflows.scenario import scenario
from tests.workflows.world import World
from workflows.steps import TopUpResult

pytestmark = pytest.mark.real


async def parked(world: World) -> WorkflowHandle[Any, TopUpResult]:
    """A partial order: only a person can say what became of it."""
    await world.again_with(two_persons=True)
    world.carrier.plan = [Post(state="partial")]
    handle = await world.start()
    await world.until(handle, "parked")
    return handle


async def current_details(handle: WorkflowHandle[Any, TopUpResult]) -> str:
    metadata: Any = await handle.query("__temporal_workflow_metadata")
    return metadata.current_details


async def trail(world: World) -> list[str]:
    events = await world.book.events(world.order.order_id)
    return [event.detail["two_persons"] for event in events if "two_persons" in event.detail]


@pytest.mark.slow
@scenario
async def test_not_delivered_takes_effect_when_another_operator_says_it_too(world: World):
    handle = await parked(world)
    reference = f"CARRIER-{world.order.order_id}"

    said = await world.update(
        handle, "resolve", operator="Ann", outcome="not_delivered", note=f"{reference} is given up"
    )
    assert said.startswith("Ann proposes not_delivered until ")
    assert said.endswith("Nothing follows yet: confirm with the same update by another operator.")
    again = await world.update(handle, "resolve", operator=" ann", outcome="not_delivered", note="I am sure")
    assert again.startswith("ann proposes not_delivered until ")
    await world.update(handle, "resolve", operator="Ann", outcome="not_delivered", note=f"{reference} is given up")

    status, entry = await world.status(handle), await world.state()
    assert status.proposal.startswith("Ann proposes not_delivered until ")
    assert (status.state, entry.cancel_reason, entry.carrier_outcome) == ("parked", "", None)
    details = await current_details(handle)
    assert (
        f"**Waits for a second person: {status.proposal}; confirm with the same update by another operator.**"
        in details
    )

    said = await world.update(handle, "resolve", operator="Bob", outcome="not_delivered", note="Ms Wu says so too")
    assert said.startswith("Recorded: not_delivered. The order goes on by it. While the carrier shows it unfinished, ")
    assert said.endswith(f"it counts only with the carrier's number in the note: {reference}.")
    result = await world.result(handle)

    assert (result.outcome, len(world.wechat.paid_back)) == ("refunded", 1)
    assert (await world.state()).resolution_note == f"{reference} is given up; Ms Wu says so too"
    assert await trail(world) == ["proposed", "proposed", "proposed", "confirmed what Ann proposed"]


async def cancels(world: World) -> list[Mapping[str, Any]]:
    return [event.detail for event in await world.book.events(world.order.order_id) if event.kind == "cancel_requested"]


def proposed(state: OrderState) -> tuple[str, ...]:
    return state.proposal, state.proposed_by, state.proposed_note, state.confirmed_by, state.cancel_reason


@scenario
async def test_refund_now_is_proposed_and_a_cancel_is_no_way_around_it(world: World):
    handle = await parked(world)
    world.carrier.orders[world.order.order_id].state = "inProgress"

    said = await world.update(handle, "refund_now", operator="Ann")
    assert said.startswith("Ann proposes refund_now until ")
    assert (await world.state()).cancel_reason == ""
    other = await world.update(handle, "resolve", operator="Bob", outcome="not_delivered")
    assert other.startswith("Bob proposes not_delivered until ")
    mine = await world.update(handle, "refund_now", operator="Ann")
    assert mine.startswith("Ann proposes refund_now until ")
    events = await world.book.events(world.order.order_id)
    assert [event.detail["replaces"] for event in events if "replaces" in event.detail] == [
        "refund_now by Ann",
        "not_delivered by Bob",
    ]

    proposal = proposed(await world.state())
    await handle.cancel(reason="Bob: whoever sends a cancel writes this name")
    while not (noted := await cancels(world)):
        await world.forward(handle, seconds=1)
    assert noted[0]["operator"] == "Bob"
    assert "two operators give `topup orders refund`" in noted[0]["refused"]
    assert proposed(await world.state()) == proposal, "it confirms nothing, and takes no proposal's place"

    await world.update(handle, "refund_now", operator="Bob")
    assert (await world.state()).cancel_reason == "CANCELLED"
    world.carrier.orders[world.order.order_id].state = "completed"
    await world.update(handle, "retry_now", operator="Ann")
    assert (await world.result(handle)).outcome == "delivered"


@scenario
async def test_a_proposal_outlives_its_run_and_is_confirmed_in_the_next(world: World):
    handle = await parked(world)
    await world.update(handle, "resolve", operator="Ann", outcome="delivered")
    await handle.terminate("an operator's accident")

    again = await world.start(reopened=True)
    await world.until(again, "parked")
    assert (await world.status(again)).proposal.startswith("Ann proposes delivered until ")
    await world.update(again, "resolve", operator="Bob", outcome="delivered")

    result = await world.result(again)
    assert result.outcome == "delivered"
    assert "proposes" not in await current_details(again)
    assert (await world.status(again)).proposal == ""


@pytest.mark.slow
@scenario
async def test_after_an_hour_the_other_operators_word_is_a_proposal_too(world: World):
    handle = await parked(world)
    await world.update(handle, "resolve", operator="Ann", outcome="delivered")
    await world.forward(handle, minutes=61)
    await world.update(handle, "retry_now", operator="Ann")  # the run's clock moves with what happens in it

    said = await world.update(handle, "resolve", operator="Bob", outcome="delivered")
    assert said.startswith("Bob proposes delivered until ")
    assert (await world.state()).carrier_outcome is None
    await world.update(handle, "resolve", operator="Ann", outcome="delivered")

    assert (await world.result(handle)).outcome == "delivered"
    events = await world.book.events(world.order.order_id)
    assert [event.detail["replaces"] for event in events if "replaces" in event.detail] == ["delivered by Ann, expired"]


@scenario
async def test_a_word_that_would_be_refused_is_refused_to_the_first_person(world: World):
    await world.again_with(two_persons=True)
    world.carrier.silent = True
    world.carrier.plan = [Post(state="inProgress")]
    handle = await world.start()
    await world.until(handle, "in_doubt")

    with pytest.raises(WorkflowUpdateFailedError):
        await world.update(handle, "resolve", operator="Ann", outcome="refunded")
    assert (await world.status(handle)).proposal == ""

    world.carrier.silent = False
    world.carrier.orders[world.order.order_id].state = "completed"
    await world.update(handle, "retry_now")
    assert (await world.result(handle)).outcome == "delivered"
