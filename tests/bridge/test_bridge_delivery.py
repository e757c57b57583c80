"""A bridge as a real process between real Kafka and real Temporal: nothing lost, nothing started twice."""

import asyncio
from typing import Any

import pytest

pytestmark = pytest.mark.real


async def test_each_paid_order_gets_one_run(lane: Any) -> None:
    bridge = await lane.ready_bridge()
    lane.send(lane.orders(300))
    await lane.until_started(300)
    await lane.until_all_committed()
    assert await lane.started() == {f"{lane.prefix}-{n:06}": 1 for n in range(300)}
    assert lane.counts(bridge) == {"started": 300}
    bridge.stop()
