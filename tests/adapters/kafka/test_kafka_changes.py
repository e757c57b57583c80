"""What a client holds that is gone: every address of the cluster, the topic under its name. On a broker of its own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest

from adapters.kafka import limits
from adapters.kafka.assignments import Record
from adapters.kafka.broker_watch import BrokerWatch
from adapters.kafka.consumer_loop import ConsumerLoop
from adapters.kafka.producer import AcknowledgedProducer
from devkit.servers.kafka import Kafka
from devkit.servers.process import free_port
from orders.errors import Unavailable
from runtime.metrics import Metrics
from tests.adapters.kafka.lane import KafkaLane, Sent

pytestmark = pytest.mark.real


class Forwarder:
    """The bootstrap address: new connections go to `target`, wherever that is now."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, back), _pump(there, writer))

    def close(self) -> None:
        self._server.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()


@pytest.fixture
def own_kafka() -> Iterator[Kafka]:
    kafka = Kafka()
    kafka.start()
    yield kafka
    kafka.close()


def move(kafka: Kafka) -> None:
    """The broker comes back under another address, with all that it had."""
    kafka.stop()
    old, kafka.port = kafka.port, free_port()
    kafka.bootstrap_servers = f"127.0.0.1:{kafka.port}"
    kafka._settings.write_text(kafka._settings.read_text().replace(f"127.0.0.1:{old}", kafka.bootstrap_servers))


class Reading:
    """A loop and its watch, as the bridge has them; every record is complete at once."""

    def __init__(self, settings: Any) -> None:
        self.taken: list[Record] = []
        self.metrics = Metrics()
        self.loop = ConsumerLoop(settings, self._take, self.metrics)
        self.watch = BrokerWatch(
            settings, (settings.kafka_topic, settings.kafka_dlq_topic), on_snapshot=self.loop.observe
        )

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            self.taken.append(record)
            record.complete()

    @property
    def values(self) -> set[bytes | None]:
        return {record.value for record in self.taken}

    @property
    def trouble(self) -> str | None:
        return self.watch.trouble or self.loop.trouble()

    def alerts(self, kind: str) -> float:
        return self.metrics.counter("topup_alerts_total").labels(kind)._value.get()


@contextlib.asynccontextmanager
async def reading(settings: Any) -> AsyncIterator[Reading]:
    made = Reading(settings)
    made.loop.start()
    watching = asyncio.create_task(made.watch.run())
    try:
        yield made
    finally:
        watching.cancel()
        await asyncio.to_thread(made.loop.stop, 20)


def numbered(first: int, count: int) -> list[Sent]:
    return [Sent(None, b"%d" % n, partition=n % 3) for n in range(first, first + count)]


@pytest.mark.long
@pytest.mark.parametrize("busy", [True, False], ids=["with new records", "idle"])
async def test_all_brokers_under_other_addresses_are_unready_and_then_read_and_written_again(
    own_kafka: Kafka, make_lane: Callable[..., Any], settings_of: Any, *, busy: bool
) -> None:
    forwarder = Forwarder(own_kafka.port)
    await forwarder.start()
    lane: KafkaLane = await make_lane(kafka=own_kafka)
    settings = settings_of(lane.environment(TOPUP_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{forwarder.port}"))
    producer = AcknowledgedProducer(settings)
    try:
        async with reading(settings) as now:
            await asyncio.to_thread(lane.send, numbered(0, 6))
            await producer.send(lane.dlq, key=None, value=b"before", limit_seconds=20)
            await lane.until(lambda: len(now.values) == 6 and now.trouble is None, "it reads")

            await asyncio.to_thread(move, own_kafka)
            forwarder.target = own_kafka.port
            await asyncio.to_thread(own_kafka.start)
            began = time.monotonic()
            if busy:
                await asyncio.to_thread(lane.send, numbered(6, 6))
            await lane.until(lambda: now.trouble is not None, "it is unready")
            if not busy:
                await lane.until(lambda: now.trouble is None, "it is ready", limits.READ_AGAIN_SECONDS)
                await asyncio.to_thread(lane.send, numbered(6, 6))
            await lane.until(lambda: len(now.values) == 12, "it reads on", limits.READ_AGAIN_SECONDS)
            assert time.monotonic() - began < limits.READ_AGAIN_SECONDS
            await lane.until(lambda: now.trouble is None, "it is ready")

            async def written() -> bool:
                with contextlib.suppress(Unavailable):
                    await producer.send(lane.dlq, key=None, value=b"after", limit_seconds=4)
                    return True
                return False

            await lane.until(written, "the producer writes on")
            await lane.until_all_committed()
    finally:
        await producer.close()
        forwarder.close()


@pytest.mark.slow
async def test_a_topic_made_anew_with_more_records_than_were_read_of_the_old_one_skips_none(
    own_kafka: Kafka, make_lane: Callable[..., Any], settings_of: Any
) -> None:
    lane: KafkaLane = await make_lane(kafka=own_kafka)
    settings = settings_of(lane.environment())
    async with reading(settings) as now:
        await asyncio.to_thread(lane.send, numbered(0, 9))
        await lane.until(lambda: len(now.values) == 9 and now.trouble is None, "the old topic is read")
        await lane.until_all_committed()

        def made_anew() -> None:
            with contextlib.closing(own_kafka.admin()) as admin:
                admin.delete_topics([lane.topic])
            own_kafka.create_topic(lane.topic, 3)
            lane.send(numbered(100, 300))

        await asyncio.to_thread(made_anew)
        await lane.until(lambda: len(now.values) == 309, "every record of the new topic is read")
        await lane.until(lambda: now.trouble is None, "it is ready")
        await lane.until_all_committed()


@pytest.mark.long
async def test_a_topic_made_anew_while_an_old_offset_is_committed_is_read_from_its_beginning_by_the_next_process(
    own_kafka: Kafka, make_lane: Callable[..., Any], settings_of: Any
) -> None:
    """A bridge that ran meanwhile commits the old topic's offset for the new one; Kafka takes it."""
    lane: KafkaLane = await make_lane(kafka=own_kafka)
    settings = settings_of(lane.environment())
    async with reading(settings) as now:
        await asyncio.to_thread(lane.send, numbered(0, 9))
        await lane.until(lambda: len(now.values) == 9, "the old topic is read")
        await lane.until_all_committed()

    def made_anew() -> None:
        with contextlib.closing(own_kafka.admin()) as admin:
            old = admin.list_group_offsets([lane.group])[lane.group]
            admin.delete_topics([lane.topic])
            own_kafka.create_topic(lane.topic, 3)
            admin.alter_group_offsets(lane.group, old)
        lane.send(numbered(100, 30))

    await asyncio.to_thread(made_anew)
    async with reading(settings) as now:
        await lane.until(lambda: len(now.values) == 30, "every record of the new topic is read")
        assert now.alerts("log_truncated") == 3
