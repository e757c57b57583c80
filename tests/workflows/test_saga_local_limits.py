"""A local try that comes to its limit leaves a run that goes on, and that replays (see `Steps.try_locally`)."""

import asyncio

import pytest

from tests.workflows.scenario import scenario
from tests.workflows.world import World

pytestmark = pytest.mark.real
LONGER_THAN_A_LOCAL_TRY_SECONDS = 3.0


@scenario
async def test_a_local_try_that_timed_out_goes_on_as_a_regular_step_in_a_replay_too(world: World):
    """On a busy machine, or with a slow book. The server tells a replay of the timeout otherwise than the live run."""
    read = world.book.read_with_notices
    slow = ["the first"]

    async def slowly(order_id: str):
        if slow:
            slow.pop()
            await asyncio.sleep(LONGER_THAN_A_LOCAL_TRY_SECONDS)
        return await read(order_id)

    world.book.read_with_notices = slowly
    handle = await world.start()

    result = await world.result(handle)

    assert result.outcome == "delivered"
    assert set(result.notices["delivered"].values()) == {"acknowledged"}
