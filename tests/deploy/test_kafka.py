"""Kafka with the settings of the Compose file: who has no certificate is nobody, and who has one does its own work."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from kafka import KafkaAdminClient
from kafka.errors import ClusterAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from adapters.kafka import rights, topics
from adapters.kafka.clients import reader, writer
from adapters.kafka.protocols import Partition
from configuration.processes import DlqSettings, SetupSettings
from console import health_kafka
from devkit.servers.kafka import LOGGING, SETTINGS, Kafka
from devkit.servers.process import free_port
from runtime.settings import load
from tests.deploy.files import compose, example_environment, interpolated
from tests.runtime import environments

pytestmark = pytest.mark.real
OF_THE_TEST = (
    "offsets.topic.num.partitions",
    "group.initial.rebalance.delay.ms",
    "num.network.threads",
    "log.cleaner.enable",
)
"""What only makes the start quicker."""


class Deployed(Kafka):
    """Kafka with the properties that the image's start code makes of the Compose file; ports and paths replaced."""

    ready_timeout_seconds = 180.0

    def __init__(self, secrets: Path) -> None:
        super().__init__()
        self._secrets = secrets
        self._outside = free_port()

    def prepare(self) -> None:
        given = compose()["services"]["kafka"]["environment"]
        text = {name: interpolated(str(value), example_environment()) for name, value in given.items()}
        properties = {name: SETTINGS[name] for name in OF_THE_TEST} | {
            name.removeprefix("KAFKA_").lower().replace("_", "."): value.replace("$$", "$")
            for name, value in text.items()
            if name.startswith("KAFKA_") and name != "KAFKA_HEAP_OPTS"
        }
        for theirs, ours in (
            ("/run/secrets", str(self._secrets)),
            ("0.0.0.0:9092", f"127.0.0.1:{self.port}"),
            ("kafka:9092", f"127.0.0.1:{self.port}"),
            ("0.0.0.0:9094", f"127.0.0.1:{self._outside}"),
            ("127.0.0.1:9093", f"127.0.0.1:{self._controller_port}"),
            ("/var/lib/kafka/data", str(self._data)),
        ):
            assert any(theirs in value for value in properties.values()), theirs
            properties = {name: value.replace(theirs, ours) for name, value in properties.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        (self.folder / "log4j2.properties").write_text(LOGGING)
        if not self._data.exists():
            self._format(standalone=False)

    def admin(self) -> Any:
        return cast("Any", KafkaAdminClient)(
            bootstrap_servers=self.bootstrap_servers,
            bootstrap_timeout_ms=10_000,
            security_protocol="SSL",
            ssl_cafile=str(self._secrets / "ca_certificate"),
            ssl_certfile=str(self._secrets / "setup_certificate"),
            ssl_keyfile=str(self._secrets / "setup_key"),
        )


@pytest.fixture(scope="module")
def broker(kafka: Kafka, made_secrets: Path) -> Iterator[Deployed]:
    """`kafka` is asked for, because it says what is missing where there is none."""
    deployed = Deployed(made_secrets)
    try:
        deployed.start()
        yield deployed
    finally:
        deployed.close()


def known_as(name: str, broker: Deployed, secrets: Path) -> dict[str, str]:
    return {
        "TOPUP_DATABASE_URL": "sqlite:///book.db",
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "TOPUP_KAFKA_SECURITY_PROTOCOL": "SSL",
        "TOPUP_KAFKA_SSL_CAFILE": str(secrets / "ca_certificate"),
        "TOPUP_KAFKA_SSL_CERTFILE": str(secrets / f"{name}_certificate"),
        "TOPUP_KAFKA_SSL_KEYFILE": str(secrets / f"{name}_key"),
        "TOPUP_KAFKA_PARTITIONS": "1",
    }


def written(settings: Any, topic: str) -> None:
    with contextlib.closing(cast("Any", writer(settings))) as producer:
        producer.send(topic, key=b"key", value=b"value").get(20)


@pytest.mark.slow
def test_setup_gives_each_what_its_work_needs_and_nothing_else(broker: Deployed, made_secrets: Path):
    setup = load(known_as("setup", broker, made_secrets), SetupSettings)
    users = compose()["services"]["setup"]["command"][-1]
    topics.ensure_topics(setup)
    assert "may do what bridge, operator need" in rights.grant(setup, rights.users(users))
    assert "may do what bridge, operator need" in rights.grant(setup, rights.users(users)), "again does no harm"

    bridge = load(environments.bridge() | known_as("bridge", broker, made_secrets), SetupSettings)
    operator = load(known_as("operator", broker, made_secrets), DlqSettings)
    written(bridge, bridge.kafka_dlq_topic)
    written(operator, operator.kafka_topic)
    with pytest.raises((TopicAuthorizationFailedError, ClusterAuthorizationFailedError)):
        written(bridge, bridge.kafka_topic)
    with contextlib.closing(cast("Any", reader(bridge, group_id=bridge.kafka_group))) as consumer:
        partition = Partition(bridge.kafka_topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        records = [record for batch in consumer.poll(15_000).values() for record in batch]
        assert [record.value for record in records] == [b"value"]
    assert rights.may(operator, [operator.kafka_topic]) == {
        operator.kafka_topic: {"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"}
    }
    assert f"{bridge.kafka_topic} read;" in str(health_kafka.rights(bridge, bridge.kafka_unmatched_topic))

    worker = load(known_as("worker", broker, made_secrets), SetupSettings)
    step = health_kafka.rights(worker, worker.kafka_unmatched_topic)
    assert "may neither read nor write" in step.says
    with pytest.raises(topics.CannotCreate, match="use a user that may"):
        rights.grant(bridge, rights.users("bridge"))


@pytest.mark.slow
def test_who_has_no_certificate_of_ours_is_nobody(broker: Deployed, made_secrets: Path):
    environ = known_as("bridge", broker, made_secrets)
    del environ["TOPUP_KAFKA_SSL_CERTFILE"], environ["TOPUP_KAFKA_SSL_KEYFILE"]
    with pytest.raises(KafkaError):
        contextlib.closing(cast("Any", reader(load(environ, DlqSettings)))).thing.partitions_for_topic("any")


def test_a_broker_without_an_authorizer_is_named(kafka: Kafka):
    environ = {"TOPUP_DATABASE_URL": "sqlite:///book.db", "TOPUP_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    with pytest.raises(topics.CannotCreate, match="no authorizer"):
        rights.grant(load(environ, SetupSettings), rights.users("bridge"))


@pytest.mark.parametrize("text", ["", "bridge,", "someone", "bridge=alice", "bridge=User:a,nobody"])
def test_a_user_that_is_none_is_refused_by_a_clause(text: str):
    with pytest.raises(ValueError, match="must name some of gateway, bridge, worker, operator"):
        rights.users(text)
