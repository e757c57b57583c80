"""The bridge on the embedded broker of the local stack: good for a first run (it proves nothing about a real one)."""

import asyncio
from typing import Any

import pytest

from adapters.kafka import topics
from adapters.kafka.topics import CannotCreate
from tests.bridge.conftest import UNMATCHED, Lane, Sent
from tests.bridge.test_bridge_delivery import ids

pytest.importorskip("confluent_kafka", reason="the embedded Kafka comes with the extra `local`")


@pytest.mark.slow
async def test_orders_and_poison_go_their_way_and_a_killed_bridge_is_replaced(embedded_lane: Lane) -> None:
    lane = embedded_lane
    first = await lane.ready_bridge(TOPUP_KAFKA_API_VERSION="2.3")
    lane.send([*lane.orders(100), Sent(None, b"{}"), *lane.orders(10)])
    await lane.until_started(100)
    await lane.until_all_committed()
    assert lane.counts(first) == {"started": 100, "duplicate": 10, "invalid": 1}
    (letter,) = lane.dead_letters()
    assert (letter.key, letter.value) == (None, b"{}")
    first.kill()
    second = await lane.ready_bridge(TOPUP_KAFKA_API_VERSION="2.3")
    lane.send(lane.orders(50, first=100))
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 150)
    assert await lane.terminate(second) == 0


async def test_setup_finds_the_topics_or_says_what_could_not_be_made(embedded_lane: Lane, settings_of: Any) -> None:
    lane = embedded_lane
    settings = settings_of(lane.environment(TOPUP_KAFKA_API_VERSION="2.3", TOPUP_KAFKA_UNMATCHED_TOPIC=UNMATCHED))
    assert await asyncio.to_thread(topics.ensure_topics, settings) == []
    other = settings_of(lane.environment(TOPUP_KAFKA_API_VERSION="2.3", TOPUP_KAFKA_TOPIC="another"))
    with pytest.raises(CannotCreate, match="no topic another"):
        await asyncio.to_thread(topics.ensure_topics, other)
