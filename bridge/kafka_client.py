"""kafka-python, as the bridge uses it: its options from the settings."""

from typing import Any, Final, cast

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.serializer import Serializer
from kafka.structs import OffsetAndMetadata

from bridge.kafka_types import Admin, Consumer, Producer
from runtime.settings.groups import ConsumerGroup, KafkaConnection

EMBEDDED_API_VERSION: Final = (2, 3)
"""librdkafka's mock cluster (contracts §9). A rejoin waits for session − 1 s there (measured)."""
REQUEST_TIMEOUT_MS: Final = 15_000
BOOTSTRAP_TIMEOUT_MS: Final = 5_000
DELIVERY_TIMEOUT_MS: Final = 30_000
MAX_BLOCK_MS: Final = 10_000
FETCH_BYTES: Final = 128 * 1024
"""Of one partition at once: about 200 orders."""
ALL_THAT_WAS_FETCHED: Final = 1_000_000
LARGEST_REQUEST_BYTES: Final = 256 * 1024 * 1024
"""The topic's limit rules, not the client's (1 MiB by default, which refuses a dead letter of 1 MB)."""

assert MAX_BLOCK_MS < DELIVERY_TIMEOUT_MS
assert REQUEST_TIMEOUT_MS < DELIVERY_TIMEOUT_MS


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


def commit_of(offset: int) -> object:
    """An offset as the client commits it."""
    return OffsetAndMetadata(offset, "", -1)


def connection(settings: KafkaConnection) -> dict[str, Any]:
    """Options that every client of Kafka shares."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers.split(","),
        "client_id": "topup",
        "security_protocol": settings.kafka_security_protocol,
        "api_version": settings.kafka_api_version,
        "bootstrap_timeout_ms": BOOTSTRAP_TIMEOUT_MS,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "reconnect_backoff_max_ms": 2_000,
        "ssl_cafile": settings.kafka_ssl_cafile,
        "ssl_certfile": settings.kafka_ssl_certfile,
        "ssl_keyfile": settings.kafka_ssl_keyfile,
        "sasl_mechanism": settings.kafka_sasl_mechanism,
        "sasl_plain_username": settings.kafka_sasl_username,
        "sasl_plain_password": settings.kafka_sasl_password,
    }
    return {name: value for name, value in options.items() if value is not None}


def reader(settings: KafkaConnection, **options: Any) -> Consumer:
    """A consumer of raw bytes that commits nothing by itself, sees committed records only, and never jumps.

    With `auto_offset_reset="none"` a position that doesn't exist raises instead of jumping over deleted records in
    silence; the caller decides.

    Raises:
        KafkaError: no broker answers.
    """
    fixed: dict[str, Any] = {
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }
    return cast("Consumer", KafkaConsumer(**connection(settings), **fixed, **options))


def group_member(settings: ConsumerGroup) -> Consumer:
    """The bridge's consumer, not yet subscribed. No static membership: a fenced twin would go on receiving records.

    Raises:
        KafkaError: no broker answers.
    """
    embedded = settings.kafka_api_version == EMBEDDED_API_VERSION
    timing: dict[str, int] = {
        # A dead bridge's partitions move after the session. A longer one spares redeliveries when a broker freezes,
        # but those are no-ops, and orders that wait for a dead bridge are not.
        "session_timeout_ms": 2_000 if embedded else 10_000,
        "heartbeat_interval_ms": 400 if embedded else 2_000,
        "fetch_max_wait_ms": 50 if embedded else 500,
        "max_poll_interval_ms": 60_000,  # a hung member may hold up a rebalance for this long
        "metadata_max_age_ms": 60_000,  # new partitions show after this
        # All that was fetched comes in one poll, and little is fetched at once: a partition that is paused with records
        # half handed over may never be read again (measured; kafka-python keeps them, and then forgets them).
        "max_poll_records": ALL_THAT_WAS_FETCHED,
        "max_partition_fetch_bytes": FETCH_BYTES,  # a larger record comes alone
    }
    # Eager: `bridge.leases` relies on hearing of all partitions at each assignment.
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
        "max_request_size": LARGEST_REQUEST_BYTES,
        "max_block_ms": MAX_BLOCK_MS,
        "delivery_timeout_ms": DELIVERY_TIMEOUT_MS,
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
