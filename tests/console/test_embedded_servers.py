"""The servers that need nothing but pip speak the wire that our clients speak."""

import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress

import paho.mqtt.client as mqtt
import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import NoOffsetForPartitionError

from adapters.kafka.clients import group_member
from configuration.processes import BridgeSettings
from devkit.servers.process import free_port
from devkit.stack.ports import LOOPBACK
from runtime.settings import load
from tests.limits import WAIT_SECONDS
from tests.runtime import environments

API_VERSION = (2, 3)


@pytest.fixture
def run():
    """Starts modules of ours; ends them with the test."""
    with ExitStack() as stack:

        def start(module: str, *arguments: object) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", module, *(str(argument) for argument in arguments)]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.terminate)
            return process

        yield start


@pytest.mark.slow
def test_the_embedded_kafka_keeps_bytes_headers_order_and_committed_offsets(run, tmp_path):
    address_file = tmp_path / "address"
    broker = run("devkit.stack.mock_kafka", "--topic", "orders=3", "--address-file", address_file)
    servers = broker.stdout.readline().strip()
    assert address_file.read_text() == servers
    producer = KafkaProducer(bootstrap_servers=servers, api_version=API_VERSION, acks="all")
    assert producer.partitions_for("orders") == {0, 1, 2}
    headers = [("twice", b"1"), ("twice", b"2")]
    for number in range(20):
        producer.send("orders", key=b"key", value=b"\xff%d" % number, headers=headers, partition=1)
    producer.send("orders", key=b"key", value=None, partition=1)
    producer.flush(WAIT_SECONDS)

    def read(count: int) -> list:
        consumer = KafkaConsumer(
            "orders", bootstrap_servers=servers, api_version=API_VERSION, group_id="readers",
            auto_offset_reset="earliest", enable_auto_commit=False, session_timeout_ms=6000, heartbeat_interval_ms=1500,
        )  # fmt: skip
        found: list = []
        deadline = time.monotonic() + WAIT_SECONDS
        while len(found) < count and time.monotonic() < deadline:
            for messages in consumer.poll(1000).values():
                found += messages
        consumer.commit()
        consumer.close()
        return found

    first = read(21)
    assert [message.value for message in first] == [b"\xff%d" % number for number in range(20)] + [None]
    assert first[0].headers == headers
    producer.send("orders", key=b"key", value=b"later", partition=1)
    producer.flush(WAIT_SECONDS)
    assert [message.value for message in read(1)] == [b"later"]
    producer.close(5)


@pytest.mark.slow
def test_the_bridge_joins_at_a_mock_cluster_that_delays_the_first_join_as_it_does_by_itself():
    confluent = pytest.importorskip("confluent_kafka")
    cluster = confluent.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (broker,) = cluster.list_topics(timeout=WAIT_SECONDS).brokers.values()
    cluster.list_topics("orders", WAIT_SECONDS)  # makes it
    there = {
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": f"{broker.host}:{broker.port}",
        "TOPUP_KAFKA_API_VERSION": "2.3",
        "TOPUP_KAFKA_TOPIC": "orders",
    }
    member = group_member(load(environments.bridge() | there, BridgeSettings))
    member.subscribe(["orders"])

    def joined() -> bool:
        with suppress(NoOffsetForPartitionError):  # comes with the assignment: the loop decides where it reads from
            member.poll(timeout_ms=1000)
        return bool(member.assignment())

    wait_for(joined)
    member.close(autocommit=False, timeout_ms=5000)


def test_the_embedded_kafka_ends_on_sigterm_with_0(run):
    broker = run("devkit.stack.mock_kafka")
    broker.stdout.readline()
    broker.terminate()
    assert broker.wait(WAIT_SECONDS) == 0


def test_wrong_topics_are_wrong_usage(run):
    assert run("devkit.stack.mock_kafka", "--topic", "orders").wait(WAIT_SECONDS) == 2


def connected(port: int, client_id: str) -> mqtt.Client:
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            client.connect(LOOPBACK, port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            client.loop_start()
            return client


def test_each_embedded_mqtt_broker_is_one_of_its_own_and_a_proxy_leads_to_one(run):
    new, old, proxy = free_port(), free_port(), free_port()
    run("devkit.stack.embedded_mqtt", "--port", new, "--port", old)
    run("devkit.stack.tcp_proxy", "--port", proxy, "--to", old)
    heard: dict[str, list[bytes]] = {"new": [], "old": []}
    clients = []
    for name, port in (("new", new), ("old", old)):
        car = connected(port, f"car-{name}-{os.getpid()}")
        car.on_message = lambda _client, _data, message, name=name: heard[name].append(message.payload)
        subscribed: list[int] = []
        car.on_subscribe = lambda *_, subscribed=subscribed: subscribed.append(1)
        car.subscribe("vehicles/+/topup", 1)
        wait_for(lambda subscribed=subscribed: bool(subscribed))
        clients.append(car)
    product = connected(proxy, f"product-{os.getpid()}")
    product.publish("vehicles/LSG/topup", b"delivered", qos=1).wait_for_publish(WAIT_SECONDS)
    wait_for(lambda: heard["old"] == [b"delivered"])
    assert heard["new"] == []
    for client in (*clients, product):
        client.disconnect()
        client.loop_stop()


def wait_for(condition) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not come in time"
        time.sleep(0.05)
