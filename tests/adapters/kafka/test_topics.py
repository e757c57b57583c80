"""`topup setup` and the topics: what is missing is made, what is there stays as it is (contracts §9)."""

import asyncio
import contextlib
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from adapters.kafka import topics
from devkit.servers.process import free_port
from orders.errors import Unavailable

pytestmark = pytest.mark.real


def describe(lane: Any, topic: str) -> tuple[int, int]:
    """Partitions and `max.message.bytes`."""
    with contextlib.closing(lane.kafka.admin()) as admin:
        partitions = admin.describe_topics([topic])[0]["partitions"]
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = admin.describe_configs([resource], config_filter="all")["topic"][topic]
        return len(partitions), int(found["max.message.bytes"]["value"])


async def test_missing_topics_are_made_with_room_for_the_headers_of_dead_letters(
    make_lane: Any, settings_of: Any
) -> None:
    lane = await make_lane(topics=False)
    settings = settings_of(lane.environment())
    assert await asyncio.to_thread(topics.ensure_topics, settings) == [
        lane.topic,
        lane.dlq,
        f"{lane.topic}.unmatched",
    ]
    assert describe(lane, lane.topic) == (12, 1_048_588)
    assert describe(lane, lane.dlq) == (12, 1_048_588 + 65_536)
    assert await asyncio.to_thread(topics.ensure_topics, settings) == []


async def test_topics_that_are_there_stay_as_they_are(make_lane: Any, settings_of: Any) -> None:
    lane = await make_lane(topics=False)
    settings = settings_of(lane.environment(TOPUP_KAFKA_PARTITIONS="5"))
    lane.kafka.create_topic(lane.topic, 2, {"max.message.bytes": "3000000"})
    assert await asyncio.to_thread(topics.ensure_topics, settings) == [lane.dlq, f"{lane.topic}.unmatched"]
    assert describe(lane, lane.topic) == (2, 3_000_000)
    assert describe(lane, lane.dlq) == (5, 3_000_000 + 65_536)


@pytest.mark.slow
async def test_a_broker_that_is_away_is_named(make_lane: Any, settings_of: Any) -> None:
    lane = await make_lane(topics=False)
    settings = settings_of(lane.environment(TOPUP_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}"))
    with pytest.raises(Unavailable, match="TOPUP_KAFKA_BOOTSTRAP_SERVERS"):
        await asyncio.to_thread(topics.ensure_topics, settings)


async def test_every_topic_that_could_not_be_made_is_named_with_kafkas_reason(
    make_lane: Any, settings_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = await make_lane(topics=False)
    settings = settings_of(lane.environment())
    monkeypatch.setattr(topics, "THE_BROKERS", 3)  # there is one
    with pytest.raises(topics.CannotCreate) as refused:
        await asyncio.to_thread(topics.ensure_topics, settings)
    said = str(refused.value)
    assert f"no topic {lane.topic} and no topic {lane.dlq} and no topic {lane.topic}.unmatched," in said
    assert "Replication-factor is invalid." in said
    assert "Request" not in said
