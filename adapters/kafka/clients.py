"""kafka-python's clients, their options from the settings, and what is asked of their insides, in one place."""

import contextlib
import time
from collections.abc import Generator
from typing import Any, Final, cast

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError
from kafka.serializer import Serializer
from kafka.structs import OffsetAndMetadata

from adapters.kafka import bounded_codecs, limits
from adapters.kafka.protocols import Admin, Consumer, Producer
from orders.errors import Unavailable
from runtime.redaction import in_one_line
from runtime.settings.groups import ConsumerGroup, KafkaConnection

EMBEDDED_API_VERSION: Final = (2, 3)
"""librdkafka's mock cluster (contracts §9): no topic IDs, no settings of topics, no groups to describe."""


class _Null:
    """Stands for a null key or value: `send` refuses a record that has neither (a tombstone without a key)."""


_NULL: Final = _Null()


class _Raw(Serializer):
    """Bytes as they are."""

    # As the producer calls it; it warns about the two arguments of the base class.
    def serialize(self, topic: str, headers: object, data: object) -> object:  # pyright: ignore[reportIncompatibleMethodOverride] - see above
        del topic, headers
        return None if data is _NULL else data


def as_sent(data: bytes | None) -> object:
    """A key or value as `Producer.send` takes it."""
    return _NULL if data is None else data


def commit_of(offset: int, topic_id: str | None) -> object:
    """An offset as the client commits it, and beside it the topic that it is of: a name can be used again."""
    return OffsetAndMetadata(offset, topic_id or "", -1)


def connection(settings: KafkaConnection) -> dict[str, Any]:
    """Options that every client of Kafka shares."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers.split(","),
        "client_id": "topup",
        "security_protocol": settings.kafka_security_protocol,
        "api_version": settings.kafka_api_version,
        "bootstrap_timeout_ms": limits.BOOTSTRAP_TIMEOUT_MS,
        "request_timeout_ms": limits.REQUEST_TIMEOUT_MS,
        "reconnect_backoff_max_ms": limits.RECONNECT_BACKOFF_LONGEST_MS,
        "ssl_cafile": settings.kafka_ssl_cafile,
        "ssl_certfile": settings.kafka_ssl_certfile,
        "ssl_keyfile": settings.kafka_ssl_keyfile,
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password,
    }
    return {name: value for name, value in options.items() if value is not None}


class _Member(KafkaConsumer):
    """A consumer that says two things that kafka-python knows and tells nobody (3.0.12)."""

    def heartbeat_age_seconds(self) -> float | None:
        """Since a heartbeat was answered; None before the first answer."""
        answered_at: float = cast("Any", self)._coordinator.heartbeat.last_receive  # noqa: SLF001 - see the class
        return None if answered_at < 0 else time.monotonic() - answered_at

    def topic_id(self, topic: str) -> str | None:
        """Of the topic as the client knows it; None where the broker has no IDs, or the topic wasn't asked for yet."""
        topic_id: object = cast("Any", self)._cluster.topic_id(topic)  # noqa: SLF001 - see the class
        return str(topic_id) if topic_id else None


bounded_codecs.install()

_FIXED: Final[dict[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "none",
    "isolation_level": "read_committed",
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}


def reader(settings: KafkaConnection, **options: Any) -> Consumer:
    """A consumer of raw bytes that commits nothing by itself, sees committed records only, and never jumps.

    With `auto_offset_reset="none"` a position that doesn't exist raises instead of jumping over deleted records in
    silence; the caller decides.

    Raises:
        KafkaError: no broker answers.
    """
    return cast("Consumer", _Member(**connection(settings), **_FIXED, **options))


def group_member(settings: ConsumerGroup) -> Consumer:
    """A member of the group, not yet subscribed. No static membership: a fenced twin would go on receiving records.

    Raises:
        KafkaError: no broker answers.
    """
    embedded = settings.kafka_api_version == EMBEDDED_API_VERSION
    timing: dict[str, int] = {
        "session_timeout_ms": limits.EMBEDDED_SESSION_TIMEOUT_MS if embedded else limits.SESSION_TIMEOUT_MS,
        "heartbeat_interval_ms": limits.EMBEDDED_HEARTBEAT_INTERVAL_MS if embedded else limits.HEARTBEAT_INTERVAL_MS,
        "fetch_max_wait_ms": limits.EMBEDDED_FETCH_MAX_WAIT_MS if embedded else limits.FETCH_MAX_WAIT_MS,
        "max_poll_interval_ms": limits.MAX_POLL_INTERVAL_MS,
        "metadata_max_age_ms": limits.METADATA_MAX_AGE_MS,
        "max_poll_records": limits.MAX_POLL_RECORDS,
        "max_partition_fetch_bytes": limits.PARTITION_FETCH_BYTES,
    }
    # Eager: `adapters.kafka.assignments` relies on hearing of all partitions at each assignment.
    return reader(
        settings, group_id=settings.kafka_group, partition_assignment_strategy=[RangePartitionAssignor], **timing
    )


def writer(settings: KafkaConnection) -> Producer:
    """An idempotent producer whose records count once all in-sync replicas have them.

    gzip, because a record that fitted its topic compressed might not fit plain, and every reader has gzip.

    Raises:
        KafkaError: no broker answers.
    """
    options: dict[str, Any] = {
        "acks": "all",
        "enable_idempotence": True,
        "compression_type": "gzip",
        "max_request_size": limits.LARGEST_REQUEST_BYTES,
        "max_block_ms": limits.MAX_BLOCK_MS,
        "delivery_timeout_ms": limits.DELIVERY_TIMEOUT_MS,
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
        "key_serializer": _Raw(),
        "value_serializer": _Raw(),
    }
    return cast("Producer", KafkaProducer(**connection(settings), **options))


def administrator(settings: KafkaConnection) -> Admin:
    """A client for topics and their settings.

    Raises:
        KafkaError: no broker answers.
    """
    return cast("Admin", KafkaAdminClient(**connection(settings)))


@contextlib.contextmanager
def asking(settings: KafkaConnection) -> Generator[Admin]:
    """A client for topics, settings and rights, closed at the end. Blocks.

    Raises:
        Unavailable: no broker answers.
    """
    try:
        admin = administrator(settings)
    except KafkaError as error:
        raise Unavailable(
            f"Kafka at {settings.kafka_bootstrap_servers} is away ({in_one_line(error)}): start it, or correct "
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS."
        ) from error
    try:
        yield admin
    finally:
        with contextlib.suppress(KafkaError):
            admin.close()
