"""What this package reads of a process's settings: each function asks for no more than it uses."""
# ruff: noqa: D102 - each is documented where the setting is defined

from typing import Protocol


class KafkaConnection(Protocol):
    """How Kafka is reached."""

    @property
    def kafka_bootstrap_servers(self) -> str: ...
    @property
    def kafka_security_protocol(self) -> str: ...
    @property
    def kafka_sasl_mechanism(self) -> str | None: ...
    @property
    def kafka_sasl_username(self) -> str | None: ...
    @property
    def kafka_sasl_password(self) -> str | None: ...
    @property
    def kafka_ssl_cafile(self) -> str | None: ...
    @property
    def kafka_ssl_certfile(self) -> str | None: ...
    @property
    def kafka_ssl_keyfile(self) -> str | None: ...
    @property
    def kafka_api_version(self) -> tuple[int, ...] | None: ...


class Topics(KafkaConnection, Protocol):
    """Kafka and both topics."""

    @property
    def kafka_topic(self) -> str: ...
    @property
    def kafka_dlq_topic(self) -> str: ...


class ConsumerGroup(Topics, Protocol):
    """Kafka, both topics, and the group that reads."""

    @property
    def kafka_group(self) -> str: ...


class TopicCreation(Topics, Protocol):
    """Kafka, both topics, and how they are created."""

    @property
    def kafka_partitions(self) -> int: ...
