"""Who said what and why stands in the audit trail, for each way of saying it; what may be said is described."""

import json
import re
from datetime import timedelta

import pytest
from temporalio import workflow

from tests.workflows.fakes import UNANSWERED, Post
from tests.workflows.scenario import scenario
from tests.workflows.world import World
from workflows.top_up_order import TopUpOrder

pytestmark = pytest.mark.real
UPDATES = ("retry_now", "resolve", "refund_now", "renotify")


async def trail(world: World, kind: str) -> list[tuple[str, str]]:
    """Operator and note of each line of this kind."""
    events = await world.book.events(world.order.order_id)
    return [(event.detail.get("operator", ""), event.detail.get("note", "")) for event in events if event.kind == kind]


@scenario
async def test_retry_resolve_and_refund_stand_in_the_audit_trail_with_operator_and_note(world: World):
    world.carrier.plan = [Post(state="partial")]
    handle = await world.start()
    await world.until(handle, "parked")

    await world.update(handle, "retry_now", operator="ann", note="carrier is back")
    await world.update(handle, "refund_now", operator="bob", note="customer called")
    await world.update(handle, "resolve", operator="cid", note="ticket 4711", outcome="delivered")
    await world.result(handle, within=timedelta(minutes=5))

    assert await trail(world, "retry_now") == [("ann", "carrier is back")]
    assert await trail(world, "refund_now") == [("bob", "customer called")]
    assert await trail(world, "resolve") == [("cid", "ticket 4711")]


@scenario
async def test_renotify_stands_in_the_audit_trail_with_operator_and_note(world: World):
    world.notifier.down = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")

    await world.update(handle, "renotify", operator="ann", note="platform is back")

    assert await trail(world, "renotify") == [("ann", "platform is back")]
    world.notifier.down = set()
    await world.result(handle, within=timedelta(minutes=5))


@scenario
@pytest.mark.parametrize(
    ("reason", "who"),
    [("ann: customer called", ("ann", "customer called")), ("from a script", ("", "from a script"))],
    ids=["named", "unnamed"],
)
async def test_a_cancel_stands_in_the_audit_trail_with_the_reason_it_was_given(world: World, reason, who):
    world.carrier.plan = [Post(answer=UNANSWERED)]
    world.carrier.silent = True
    handle = await world.start()
    await world.until(handle, "in_doubt")

    await handle.cancel(reason=reason)
    while not (said := await trail(world, "cancel_requested")):
        await world.forward(handle, seconds=1)

    assert said == [who]
    world.carrier.silent = False
    await world.result(handle, within=timedelta(hours=1))


@pytest.mark.parametrize("name", UPDATES)
def test_each_update_says_in_the_web_ui_what_it_does_and_shows_the_json_to_paste(name):
    updates = workflow._Definition.must_from_class(TopUpOrder).updates
    assert set(updates) == set(UPDATES)
    description = updates[name].description or ""
    pasted = re.search(r"\{.*\}", description)
    assert pasted
    word = json.loads(pasted[0])
    assert {"operator", "note"} <= set(word)
    assert ("outcome" in word) == (name == "resolve")
