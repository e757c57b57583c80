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
    while (await world.state()).outcome is None:
        await world.forward(handle, seconds=15)

    assert sorted(world.notifier.results("new")) == ["failed", "refunded"]
    assert world.notifier.results("legacy") == []
    assert len(world.wechat.paid_back) == 1
    world.notifier.hung = set()
    result = await world.result(handle, within=timedelta(minutes=5))
    assert sorted(world.notifier.results("legacy")) == ["failed", "refunded"]
    assert result.notices["refunded"] == {"new": "acknowledged", "legacy": "acknowledged"}


@scenario
async def test_a_refused_notice_calls_a_person_once_and_goes_out_when_the_platform_is_mended(world: World):
    world.notifier.refusing = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")
    await world.forward(handle, minutes=10)

    notices = await world.book.notices(world.order.order_id)
    (legacy,) = [notice for notice in notices if notice.platform == "legacy"]
    assert (legacy.state, legacy.remark) == ("pending", "legacy refuses us: check the credentials.")
    told = {"order_id": world.order.order_id, "platform": "legacy", "why": legacy.remark}
    assert [fields for kind, fields in world.alerts if kind == "notice_refused"] == [told]
    trail = await world.book.events(world.order.order_id)
    told_in_the_book = [event.detail for event in trail if event.kind == "notice_delivered"]
    assert sorted(told_in_the_book, key=str) == [{"legacy": "pending"}, {"new": "acknowledged"}]
    assert world.notifier.tries > 4

    world.notifier.refusing = set()
    result = await world.result(handle, within=timedelta(minutes=5))
    assert result.notices["delivered"] == {"new": "acknowledged", "legacy": "acknowledged"}


@scenario
async def test_renotify_publishes_a_refused_notice_at_once(world: World):
    world.notifier.refusing = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")
    await world.forward(handle, minutes=2)

    world.notifier.refusing = set()
    await world.update(handle, "renotify")
    result = await world.result(handle)

    assert result.notices["delivered"]["legacy"] == "acknowledged"


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


@pytest.mark.slow
@scenario
async def test_a_platform_that_stays_dead_past_the_message_expiry_is_given_up(world: World):
    world.notifier.down = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")
    # Seven days at 35 s are 17 000 tries, each skipped one by one: an operator's hand brings the end nearer instead.
    await world.end_activity_within(handle, "notify-delivered-legacy", timedelta(minutes=5))

    result = await world.result(handle, within=timedelta(minutes=30))

    assert result.notices["delivered"] == {"new": "acknowledged", "legacy": "given_up"}
    assert (await world.state()).outcome == "delivered"
