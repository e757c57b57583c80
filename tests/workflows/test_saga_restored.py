"""`TOPUP_RESTORED_AT`: a book restored from a backup under runs that know more, or nothing; no effect is doubled."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from adapters.order_book.rows import ORDERS
from tests.workflows.fakes import UNANSWERED, Post
from tests.workflows.scenario import scenario
from tests.workflows.world import World

pytestmark = pytest.mark.real
LONG_AGO = timedelta(days=3)


async def backup(world: World) -> Mapping[str, Any]:
    """The order's row as it stands."""
    async with world.book._transaction(write=False) as connection:
        return (
            (await connection.execute(select(ORDERS).where(ORDERS.c.order_id == world.order.order_id))).one()._asdict()
        )


async def restore(world: World, row: Mapping[str, Any]) -> None:
    """The worker stops, the row is what it was, a worker in restore mode begins."""
    await world.rest()
    async with world.book._transaction(write=True) as connection:
        await connection.execute(text("DELETE FROM orders"))
        await connection.execute(text("DELETE FROM notices"))
        await connection.execute(insert(ORDERS), dict(row))
    world.restored_at = world.clock.now()
    await world.work()


@scenario
async def test_a_new_order_costs_one_get_and_is_not_shown_as_doubtful(world: World):
    await world.again_with(restored_at=world.clock.now() - LONG_AGO)
    handle = await world.start()

    assert (await world.result(handle)).outcome == "delivered"
    assert world.carrier.calls == ["GET", "POST"]
    assert "status" not in await world.kinds()


@pytest.mark.slow
@scenario
async def test_just_after_the_restore_an_order_waits_until_the_lost_time_can_have_left_nothing(world: World):
    await world.again_with(restored_at=world.clock.now())
    handle = await world.start()
    await world.until(handle, "in_doubt")

    result = await world.result(handle, within=timedelta(hours=1))

    entry = await world.state()
    assert (result.outcome, len(world.carrier.posts)) == ("delivered", 1)
    assert world.restored_at is not None
    assert entry.last_post_at is not None
    assert entry.last_post_at >= world.restored_at + timedelta(seconds=75)


@scenario
async def test_an_order_that_was_sold_in_the_lost_time_is_found_and_not_sent_again(world: World):
    row = await backup(world)
    world.notifier.down = {"legacy"}
    handle = await world.start()
    await world.until(handle, "delivered")

    await restore(world, row)
    world.notifier.down = set()
    first = await world.result(handle, within=timedelta(minutes=10))
    assert first.notices["delivered"]["legacy"] == "not_due"  # nothing to tell, says the book: the run gives way
    again = await world.start(reopened=True)
    result = await world.result(again, within=timedelta(minutes=10))

    assert (result.outcome, len(world.carrier.posts), world.wechat.calls) == ("delivered", 1, [])
    assert result.notices["delivered"] == {"new": "acknowledged", "legacy": "acknowledged"}


@scenario
async def test_a_run_that_refunds_under_a_book_that_has_forgotten_why_asks_both_again(world: World):
    row = await backup(world)
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    world.wechat.settles_as = "PROCESSING"
    handle = await world.start()
    await world.until(handle, "refunding")
    while not world.wechat.requests:
        await world.forward(handle, seconds=1)

    await restore(world, row)
    world.wechat.refunds = dict.fromkeys(world.wechat.refunds, "SUCCESS")
    result = await world.result(handle, within=timedelta(hours=1))

    assert (result.outcome, len(world.carrier.posts), len(world.wechat.requests)) == ("refunded", 1, 1)
    assert len(world.wechat.paid_back) == 1


@scenario
async def test_a_refund_that_was_paid_under_a_second_number_is_found(world: World):
    order_id = world.order.order_id
    row = await backup(world)
    world.carrier.plan = [Post(state="rejected", code="SIM_SUSPENDED")]
    handle = await world.start()
    await world.until(handle, "refunding")
    await handle.terminate("the lost time goes on without it")
    await world.rest()  # what the worker still had in hand has ended
    await world.work()
    sent = len(world.wechat.requests)

    await restore(world, row)
    world.wechat.refunds = {f"R{order_id}": "CLOSED", f"R{order_id}-2": "SUCCESS"}
    again = await world.start(reopened=True)
    result = await world.result(again, within=timedelta(hours=1))

    assert (result.outcome, len(world.wechat.requests)) == ("refunded", sent)
    assert (await world.state()).provider_refund_id == f"P-R{order_id}-2"


@pytest.mark.slow
@scenario
async def test_a_cancel_burns_only_when_no_lost_post_can_be_taken_in_any_more(world: World):
    row = await backup(world)
    world.carrier.plan = [Post(acts=False, answer=UNANSWERED)]
    handle = await world.start()
    await world.until(handle, "in_doubt")
    await restore(world, row)

    await handle.cancel()
    result = await world.result(handle, within=timedelta(hours=1))

    entry = await world.state()
    assert (result.outcome, result.reason, entry.posts) == ("refunded", "CANCELLED", 0)
    assert entry.burn_at is not None
    assert world.restored_at is not None
    assert entry.burn_at >= world.restored_at + timedelta(seconds=315)
