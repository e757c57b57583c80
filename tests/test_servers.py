"""Each real part does one round trip, and after SIGKILL and a new start it still has what it had acknowledged."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import paho.mqtt.client as mqtt
import pytest
from kafka import KafkaConsumer, KafkaProducer
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import TimeSkipper
from temporalio.worker import Worker

from devkit.servers.kafka import Kafka
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.parent_watchdog import started_at
from devkit.servers.postgres import Postgres
from devkit.servers.process import PartFailedError, PartNotOursError, Program, free_port, unique
from devkit.servers.temporal import Temporal
from tests.limits import WAIT_SECONDS
from tests.sleeper import Sleeper

pytestmark = pytest.mark.real


def test_postgres_keeps_an_acknowledged_commit_over_sigkill(postgres: Postgres):
    url = postgres.create_database()
    postgres.execute("CREATE TABLE fuel AS SELECT 95 AS octane", url=url)

    postgres.kill()
    postgres.start()

    assert [row["octane"] for row in postgres.execute("SELECT octane FROM fuel", url=url)] == [95]


def test_each_created_database_is_empty(postgres: Postgres):
    first, second = postgres.create_database(), postgres.create_database()
    postgres.execute("CREATE TABLE fuel (octane int)", url=first)

    tables = postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url=second)

    assert first != second
    assert tables == []


@pytest.mark.slow
def test_a_frozen_postgres_holds_connections_and_answers_nothing(postgres: Postgres):
    postgres.freeze()
    try:
        with pytest.raises(TimeoutError):
            postgres.execute("SELECT 1")
    finally:
        postgres.thaw()
    assert postgres.execute("SELECT 1 AS one")[0]["one"] == 1


@pytest.mark.slow
def test_kafka_keeps_records_and_partitions_over_sigkill(kafka: Kafka):
    topic = unique("parts")
    kafka.create_topic(topic, partitions=3)
    producer: Any = cast("Any", KafkaProducer)(
        bootstrap_servers=kafka.bootstrap_servers, acks="all"
    )  # its stubs are of an older version
    for partition in range(3):
        producer.send(topic, value=b"paid", partition=partition).get(timeout=WAIT_SECONDS)
    producer.close()

    kafka.kill()
    kafka.start()

    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap_servers,
        group_id=unique("parts"),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    seen: list[int] = []
    deadline = time.monotonic() + WAIT_SECONDS
    while len(seen) < 3 and time.monotonic() < deadline:
        seen.extend(partition.partition for partition in consumer.poll(timeout_ms=1000))
    consumer.close()
    assert sorted(seen) == [0, 1, 2]


def test_mosquitto_keeps_a_message_for_an_offline_car_over_sigkill(mosquitto: Mosquitto):
    car_id, topic = unique("car"), unique("cars/")
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 600
    with _mqtt_client(mosquitto, car_id, properties=session) as (car, _):
        car.subscribe(topic, qos=1)
        time.sleep(0.2)  # the acknowledgement of a subscription has no waiting call in paho
    with _mqtt_client(mosquitto, unique("sender")) as (sender, _):
        sender.publish(topic, b"delivered", qos=1).wait_for_publish(WAIT_SECONDS)

    mosquitto.kill()
    mosquitto.start()

    with _mqtt_client(mosquitto, car_id, properties=session) as (_, received):
        deadline = time.monotonic() + WAIT_SECONDS
        while not received and time.monotonic() < deadline:
            time.sleep(0.05)
    assert received == [b"delivered"]


async def test_temporal_keeps_a_running_workflow_over_sigkill(temporal_server: Temporal, temporal_client: Client):
    async with Worker(temporal_client, task_queue="parts", workflows=[Sleeper]):
        handle = await temporal_client.start_workflow(Sleeper.run, 3600.0, id=unique("sleeper"), task_queue="parts")

        temporal_server.kill()
        temporal_server.start()

        await handle.signal(Sleeper.wake)
        assert await asyncio.wait_for(handle.result(), WAIT_SECONDS) == "woken"


async def test_temporal_knows_the_search_attributes(temporal_server: Temporal, temporal_client: Client):
    query = 'TopUpStatus = "parked" AND TopUpNeedsOperator = true AND TopUpVehicle = "x" AND TopUpPackage = "y"'

    counted = await temporal_client.count_workflows(f'{query} AND TopUpPaymentProvider = "alipay"')

    assert counted.count == 0


async def test_three_days_pass_in_seconds(time_skipping_env: TimeSkipper):
    async with Worker(time_skipping_env.client, task_queue="skipping", workflows=[Sleeper]):
        three_days = timedelta(days=3)
        handle = await _start_sleeper(time_skipping_env, three_days)

        await time_skipping_env.fast_forward(handle, three_days + timedelta(seconds=1))

        assert await asyncio.wait_for(handle.result(), WAIT_SECONDS) == "slept"


async def test_time_stands_still_until_a_test_moves_it(time_skipping_env: TimeSkipper):
    async with Worker(time_skipping_env.client, task_queue="skipping", workflows=[Sleeper]):
        handle = await _start_sleeper(time_skipping_env, timedelta(days=3))
        await time_skipping_env.fast_forward(handle, timedelta(days=1))

        await handle.signal(Sleeper.wake)

        assert await asyncio.wait_for(handle.result(), WAIT_SECONDS) == "woken"


def test_a_part_that_cannot_start_says_why():
    command = [sys.executable, "-c", "raise SystemExit('no licence for this')"]
    program = Program("broken", command, listens_on=free_port())

    with pytest.raises(PartFailedError, match=r"broken ended with exit code 1(.|\n)*no licence for this"):
        program.start()


def test_a_part_that_runs_outside_is_used_and_not_killed(postgres: Postgres):
    outside = Postgres(postgres.url)
    outside.start()

    with pytest.raises(PartNotOursError):
        outside.kill()
    outside.close()

    assert outside.execute("SELECT 1 AS one")[0]["one"] == 1


def test_an_outside_part_that_is_away_is_named():
    outside = Mosquitto(f"mqtt://127.0.0.1:{free_port()}")

    with pytest.raises(PartFailedError, match="TOPUP_TEST_"):
        outside.start()


@pytest.mark.slow
def test_a_killed_session_leaves_nothing_running():
    session = (
        "import sys, time; from devkit.servers.process import Program\n"
        "part = Program('orphan', [sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(part.start().pid, part.folder, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", session], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout is not None
        pid, folder = process.stdout.readline().split()
        assert started_at(int(pid)) is not None
        os.kill(process.pid, signal.SIGKILL)

    deadline = time.monotonic() + WAIT_SECONDS
    while (started_at(int(pid)) or Path(folder).exists()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert started_at(int(pid)) is None
    assert not Path(folder).exists()


async def _start_sleeper(env: TimeSkipper, how_long: timedelta) -> WorkflowHandle[Sleeper, str]:
    return await env.client.start_workflow(
        Sleeper.run, how_long.total_seconds(), id=unique("sleeper"), task_queue="skipping"
    )


@contextlib.contextmanager
def _mqtt_client(
    broker: Mosquitto, client_id: str, properties: Properties | None = None
) -> Generator[tuple[mqtt.Client, list[bytes]]]:
    received: list[bytes] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: received.append(bytes(message.payload))
    client.connect(broker.host, broker.port, clean_start=False, properties=properties)
    client.loop_start()
    deadline = time.monotonic() + WAIT_SECONDS
    while not client.is_connected() and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield client, received
    finally:
        client.disconnect()
        client.loop_stop()
