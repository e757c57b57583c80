"""Rule of money 7: a hung, dead or refusing MQTT broker changes nothing but the notice's own state."""

from datetime import timedelta

import pytest

from tests.workflows.fakes import Post
from tests.workflows.scenario import scenario
from tests.workflows.world import World

pytestmark = pytest.mark.real


@scenario
async def test_a_hung_platform_delays_neither_the_refund_nor_the_other_platform(world: World):
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    world.notifier.hung = {"legacy"}
    handle = await world.start()
    while (await world.entry()).outcome is None:
        await world.forward(handle, seconds=15)

    assert sorted(world.notifier.results("new")) == ["failed", "refunded"]
    assert world.notifier.results("legacy") == []
    assert len(world.wechat.paid_back) == 1
    world.notifier.hung = set()
    result = await world.result(handle, within=timedelta(minutes=5))
    assert sorted(world.notifier.results("legacy")) == ["failed", "refunded"]
    assert result.notices["refunded"] == {"new": "acknowledged", "legacy": "acknowledged"}


@scenario
async def test_a_platform_that_refuses_for_good_ends_its_own_notice_alone(world: World):
    world.notifier.refusing = {"legacy"}
    handle = await world.start()

    result = await world.result(handle, within=timedelta(minutes=5))

    assert result.outcome == "delivered"
    assert result.notices["delivered"] == {"new": "acknowledged", "legacy": "refused"}


@scenario
async def test_retries_send_the_same_bytes(world: World):
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    handle = await world.start()
    await world.result(handle, within=timedelta(minutes=10))
    by_platform = {
        platform: {result: payload for name, result, payload in world.notifier.received if name == platform}
        for platform in world.notifier.platforms
    }

    assert by_platform["new"] == by_platform["legacy"]
    assert len(by_platform["new"]) == 2


@scenario
async def test_renotify_publishes_a_pending_notice_at_once(world: World):
    world.notifier.down = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")
    await world.forward(handle, minutes=10)

    world.notifier.down = set()
    await world.update(handle, "renotify")
    result = await world.result(handle)

    assert result.notices["delivered"]["legacy"] == "acknowledged"


@scenario
async def test_a_platform_that_stays_dead_past_the_message_expiry_is_given_up(world: World):
    world.notifier.down = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")
    # Seven days at 45 s are 13 000 tries, each skipped one by one: an operator's hand brings the end nearer instead.
    await world.end_activity_within(handle, "notify-delivered-legacy", timedelta(minutes=5))

    result = await world.result(handle, within=timedelta(minutes=30))

    assert result.notices["delivered"] == {"new": "acknowledged", "legacy": "given_up"}
    assert (await world.entry()).outcome == "delivered"
