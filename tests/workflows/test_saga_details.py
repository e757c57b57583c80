"""What a run tells an operator to do is what may be done now: each command it offers is carried out, not refused."""

import contextlib
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.service import RPCError

from orders.next_step import StartRefund
from orders.outcomes import RefundHeld
from tests.workflows.fakes import UNANSWERED, Post
from tests.workflows.scenario import scenario
from tests.workflows.world import World
from workflows.steps import Progress
from workflows.view import LABEL_CHARACTERS, label

pytestmark = pytest.mark.real
_JSON = re.compile(r"Send an Update > `(\w+)`: `(\{.*?\})`")
_COMMAND = re.compile(r"`(topup orders [^`]+)`")


async def details(world: World, handle: Any) -> str:
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    assert world.order.vehicle.vin not in metadata.current_details
    return metadata.current_details


async def carry_out_each(handle: Any, text: str, *names: str) -> None:
    """Every pasted JSON is accepted by the update it is for, and stands beside the command that does the same."""
    offered = _JSON.findall(text)
    assert [name for name, _ in offered] == list(names), text
    for name, pasted in offered:
        word = json.loads(pasted)
        command = {"retry_now": "retry", "renotify": "renotify", "resolve": "resolve"}[name]
        beside = [one for one in _COMMAND.findall(text) if one.startswith(f"topup orders {command} ")]
        assert any(word.get("outcome", "") in one for one in beside)
    name, pasted = offered[0]
    await handle.execute_update(name, json.loads(pasted))


@pytest.mark.slow
@scenario
async def test_an_order_in_doubt_offers_to_ask_again_and_to_cancel(world: World):
    world.carrier.plan = [Post(answer=UNANSWERED)]
    world.carrier.silent = True
    handle = await world.start()
    await world.until(handle, "in_doubt")

    text = await details(world, handle)
    assert "Nothing is refunded" in text or "nothing is refunded in doubt" in text
    assert "topup orders cancel" in text
    await carry_out_each(handle, text, "retry_now")

    world.carrier.silent = False
    await world.result(handle, within=timedelta(hours=1))


@scenario
@pytest.mark.parametrize("which", [0, 1], ids=["delivered", "not delivered"])
async def test_a_parked_order_offers_both_words_with_the_carriers_own_number(world: World, which):
    world.carrier.plan = [Post(state="partial")]
    handle = await world.start()
    await world.until(handle, "parked")

    text = await details(world, handle)
    assert f"given up by the carrier: CARRIER-{world.order.order_id}" in text
    name, pasted = _JSON.findall(text)[which]
    await handle.execute_update(name, json.loads(pasted))
    result = await world.result(handle, within=timedelta(hours=1))

    assert result.outcome == ("delivered", "refunded")[which], "the pasted JSON is enough to free it"


@scenario
async def test_a_held_refund_offers_to_ask_again_alone(world: World):
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    world.wechat.plan = [lambda *_: RefundHeld(code="NOT_ENOUGH", why="Top up the balance.")] * 3
    handle = await world.start()
    await world.until(handle, "refunding")
    while not (await world.status(handle)).needs_operator:
        await world.forward(handle, seconds=1)

    text = await details(world, handle)
    assert "Top up the balance." in text
    await carry_out_each(handle, text, "retry_now")
    await world.result(handle, within=timedelta(hours=2))


@scenario
async def test_a_denied_refund_offers_to_ask_again_and_to_say_that_it_was_paid_another_way(world: World):
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    world.wechat.settles_as = "ABNORMAL"
    handle = await world.start()
    while (await world.status(handle)).state != "parked":
        await world.forward(handle, seconds=5)

    text = await details(world, handle)
    assert "payment provider denies" in text
    await carry_out_each(handle, text, "retry_now", "resolve")
    name, pasted = _JSON.findall(text)[1]
    await handle.execute_update(name, json.loads(pasted))
    result = await world.result(handle, within=timedelta(hours=2))

    assert result.outcome == "refunded"


@scenario
async def test_an_order_that_is_done_names_the_platform_its_notice_waits_for(world: World):
    world.notifier.down = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")

    text = await details(world, handle)
    assert "waits for the MQTT platform legacy" in text
    world.notifier.down = set()
    await carry_out_each(handle, text, "renotify")
    await world.result(handle, within=timedelta(minutes=5))
    assert "Nothing is to be done." in await details(world, handle)


@scenario
@pytest.mark.parametrize(
    "given",
    [Progress(next=StartRefund(), status="refunding", reason="BY_HAND"), {"state": "completed"}, None],
    ids=["refused", "another shape", "nothing"],
)
async def test_an_activity_completed_by_hand_refunds_nothing_wedges_nothing_and_tells_the_car_nothing_false(
    world: World, given: object
):
    """What `temporal activity complete` says is not in the book: the run asks again."""
    world.carrier.plan = [Post(answer=UNANSWERED)]
    world.carrier.silent = True
    handle = await world.start()
    await world.until(handle, "in_doubt")
    by_hand = world.env.client.get_async_activity_handle(
        workflow_id=handle.id, run_id=handle.result_run_id, activity_id="telecom"
    )
    said = False
    while not said:
        await world.forward(handle, seconds=1)
        with contextlib.suppress(RPCError):  # no attempt waits yet
            await by_hand.complete(given)
            said = True
    world.carrier.silent = False

    result = await world.result(handle, within=timedelta(hours=2))

    assert result.outcome == "delivered"
    assert world.wechat.paid_back == []
    assert world.notifier.results("new") == ["delivered"]


def test_a_label_fits_the_web_uis_bar():
    assert label("PARKED: short") == "PARKED: short"
    assert len(label("PARKED: ", "long " * 100)) == LABEL_CHARACTERS
    assert label("PARKED: ", "long " * 100).endswith("…")
