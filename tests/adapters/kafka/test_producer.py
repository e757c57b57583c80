"""A send returns stored or raises within its limit, whatever kafka-python's producer does."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError, KafkaTimeoutError, MessageSizeTooLargeError

from adapters.kafka import limits
from adapters.kafka.producer import AcknowledgedProducer, RecordTooLarge
from devkit.servers.process import free_port
from orders.errors import Unavailable
from tests.adapters.kafka.fakes import FakeProducer
from tests.adapters.kafka.lane import KafkaLane
from tests.limits import WAIT_SECONDS

SETTINGS: Any = SimpleNamespace()


@contextlib.asynccontextmanager
async def sending(*producers: FakeProducer) -> AsyncIterator[AcknowledgedProducer]:
    waiting = list(producers)
    made = AcknowledgedProducer(SETTINGS, make_producer=lambda _: waiting.pop(0))
    yield made
    await made.close()


async def send(producer: AcknowledgedProducer, value: bytes = b"v", limit_seconds: float = 5) -> None:
    await producer.send("orders", key=b"k", value=value, headers=[("a", b"1")], limit_seconds=limit_seconds)


async def test_a_record_that_was_acknowledged_is_stored() -> None:
    fake = FakeProducer(None)
    async with sending(fake) as producer:
        await send(producer)
        assert producer.trouble is None
    assert [(one["topic"], one["headers"]) for one in fake.sent] == [("orders", [("a", b"1")])]
    assert fake.closed


async def test_an_expired_record_is_not_known_to_be_stored_and_the_producer_goes_on() -> None:
    fake = FakeProducer(KafkaTimeoutError("Expiring 1 record(s)"), None)
    async with sending(fake) as producer:
        with pytest.raises(Unavailable, match="topup setup"):
            await send(producer)
        assert "can't be written to orders" in (producer.trouble or "")
        await send(producer)
        assert producer.trouble is None
    assert len(fake.sent) == 2


async def test_a_producer_that_refused_is_replaced_and_the_size_that_is_needed_is_named() -> None:
    broken, sound = FakeProducer(MessageSizeTooLargeError()), FakeProducer(None)
    async with sending(broken, sound) as producer:
        with pytest.raises(RecordTooLarge, match=r"raise that topic's max\.message\.bytes to 1028") as refused:
            await send(producer)
        assert refused.value.needed_bytes == 1028
        await send(producer)
    assert len(sound.sent) == 1


async def test_an_answer_that_never_comes_ends_at_the_limit() -> None:
    fake = FakeProducer(None)
    fake.answers = False
    async with sending(fake) as producer:
        async with asyncio.timeout(WAIT_SECONDS):
            with pytest.raises(Unavailable, match="no answer in time"):
                await send(producer, limit_seconds=0.1)


async def test_a_producer_by_which_nothing_gets_through_any_more_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may know nothing but addresses that are gone; a new one asks the bootstrap servers."""
    monkeypatch.setattr(limits, "REPLACE_PRODUCER_SECONDS", 0.0)
    silent, sound = FakeProducer(None), FakeProducer(None)
    silent.answers = False
    async with sending(silent, sound) as producer:
        with pytest.raises(Unavailable):
            await send(producer, limit_seconds=0.05)
        await send(producer)
    assert len(sound.sent) == 1


async def test_a_send_whose_limit_passed_while_another_blocked_is_not_sent_later() -> None:
    entered, free = threading.Event(), threading.Event()
    fake = FakeProducer(None)
    take = fake.send

    def blocks(topic: str, **members: Any) -> Any:
        entered.set()
        assert free.wait(10)
        return take(topic, **members)

    fake.send = blocks
    async with sending(fake) as producer:
        first = asyncio.create_task(send(producer, b"first"))
        assert await asyncio.to_thread(entered.wait, 10)
        with pytest.raises(Unavailable):
            await send(producer, b"late", limit_seconds=0.1)
        free.set()
        await first
        await send(producer, b"next")
    assert [one["value"] for one in fake.sent] == [b"first", b"next"]


async def test_a_broker_that_can_not_be_reached_is_unavailable() -> None:
    def away(_: Any) -> Any:
        raise KafkaConnectionError("nobody there")

    producer = AcknowledgedProducer(SETTINGS, make_producer=away)
    with pytest.raises(Unavailable, match="nobody there"):
        await send(producer)
    await producer.close()


# --- on a real broker ------------------------------------------------------------------------------------------------


@pytest.mark.real
async def test_what_is_acknowledged_is_in_the_topic_and_a_tombstone_without_key_too(
    lane: KafkaLane, settings_of: Any
) -> None:
    producer = AcknowledgedProducer(settings_of(lane.environment()))
    sent = [(b"k", b"v", [("a", b"1"), ("a", b"2")]), (None, None, []), (b"", b"", [])]
    await asyncio.gather(
        *(
            producer.send(lane.dlq, key=key, value=value, headers=headers, limit_seconds=20)
            for key, value, headers in sent
        )
    )
    await producer.close()
    found = await asyncio.to_thread(lane.dead_letters)
    assert sorted(((r.key, r.value, r.headers) for r in found), key=repr) == sorted(sent, key=repr)


@pytest.mark.slow
@pytest.mark.real
async def test_a_missing_topic_and_a_broker_that_is_away_are_heard_of_within_the_limit(
    make_lane: Any, settings_of: Any
) -> None:
    lane = await make_lane(topics=False)
    for changes in ({}, {"TOPUP_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}):
        producer = AcknowledgedProducer(settings_of(lane.environment(**changes)))
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await producer.send(lane.topic, key=b"k", value=b"v", limit_seconds=4)
        assert time.monotonic() - began < 8
        await producer.close()


@pytest.mark.real
async def test_a_frozen_broker_ends_a_send_at_its_limit_and_the_next_send_after_it_thawed_is_stored(
    lane: KafkaLane, settings_of: Any
) -> None:
    producer = AcknowledgedProducer(settings_of(lane.environment()))
    await producer.send(lane.topic, key=b"k", value=b"before", limit_seconds=20)
    os.kill(lane.kafka.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match="no answer in time"):
            await producer.send(lane.topic, key=b"k", value=b"frozen", limit_seconds=1)
    finally:
        os.kill(lane.kafka.pid, signal.SIGCONT)
    await producer.send(lane.topic, key=b"k", value=b"after", limit_seconds=30)
    await producer.close()
