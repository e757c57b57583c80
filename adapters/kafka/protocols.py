"""The types that kafka-python lacks: what is used of it, so that tests can have fakes with honest state."""
# ruff: noqa: D102 - kafka-python documents these methods

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

from kafka import errors, structs
from kafka.structs import TopicPartition

# Newer than the stubs that pyright brings for kafka-python.
STABLE: Final = cast("str", cast("Any", structs).MemberState.STABLE)
LogTruncationError: Final = cast("type[Exception]", cast("Any", errors).LogTruncationError)

Headers = list[tuple[str, bytes | None]]


if TYPE_CHECKING:

    class Partition(NamedTuple):
        """A partition of a topic."""

        topic: str
        partition: int

else:
    Partition = TopicPartition  # the client checks for its own class


class Message(Protocol):
    """kafka-python's `ConsumerRecord` without deserializers."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class GroupMetadata(Protocol):
    """What `KafkaConsumer.group_metadata` answers."""

    state: str


class Committed(Protocol):
    """What a group committed: where it reads next, and a text beside it."""

    offset: int
    metadata: str


class ListedOffset(Protocol):
    """What `KafkaAdminClient.list_partition_offsets` says of a partition."""

    offset: int


class Consumer(Protocol):
    """The methods of `KafkaConsumer` in use, and the two that `adapters.kafka.clients` adds."""

    def subscribe(self, topics: Sequence[str], *, listener: object) -> None: ...
    def assign(self, partitions: Sequence[Partition]) -> None: ...
    def assignment(self) -> set[Partition]: ...
    def topics(self) -> set[str]: ...
    def partitions_for_topic(self, topic: str) -> set[int]: ...
    def poll(self, timeout_ms: int, max_records: int | None = None) -> Mapping[Partition, Sequence[Message]]: ...
    def position(self, partition: Partition, timeout_ms: int | None = None) -> int | None: ...
    def highwater(self, partition: Partition) -> int | None: ...
    def pause(self, *partitions: Partition) -> None: ...
    def resume(self, *partitions: Partition) -> None: ...
    def paused(self) -> set[Partition]: ...
    def seek(self, partition: Partition, offset: int) -> None: ...
    def seek_to_beginning(self, *partitions: Partition) -> None: ...
    def beginning_offsets(self, partitions: Sequence[Partition], timeout_ms: int) -> Mapping[Partition, int]: ...
    def end_offsets(self, partitions: Sequence[Partition], timeout_ms: int) -> Mapping[Partition, int]: ...
    def commit(self, offsets: Mapping[Partition, object], timeout_ms: int) -> None: ...
    def commit_async(
        self, offsets: Mapping[Partition, object], callback: Callable[[Mapping[Partition, object], object], None]
    ) -> object: ...
    def committed(self, partition: Partition, *, metadata: bool, timeout_ms: int) -> Committed | None: ...
    def group_metadata(self) -> GroupMetadata: ...
    def heartbeat_age_seconds(self) -> float | None: ...
    def topic_id(self, topic: str) -> str | None: ...
    def close(self, *, autocommit: bool, timeout_ms: int) -> None: ...


class SendFuture(Protocol):
    """What `KafkaProducer.send` returns."""

    def add_callback(self, function: Callable[[object], object]) -> object: ...
    def add_errback(self, function: Callable[[BaseException], object]) -> object: ...
    def get(self, timeout: float) -> object: ...


class Producer(Protocol):
    """The methods of `KafkaProducer` in use. Keys and values go through `as_sent`."""

    def send(self, topic: str, *, value: object, key: object, headers: list[tuple[str, bytes]]) -> SendFuture: ...
    def flush(self, timeout: float) -> None: ...
    def close(self, timeout: float) -> None: ...


class Admin(Protocol):
    """The methods of `KafkaAdminClient` in use."""

    def list_topics(self) -> list[str]: ...
    def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]: ...
    def create_topics(self, new_topics: dict[str, dict[str, Any]], *, wait_for_metadata: bool) -> object: ...
    def list_partition_offsets(
        self, topic_partition_specs: Mapping[Partition, int], isolation_level: str, timeout_ms: int
    ) -> Mapping[Partition, ListedOffset]: ...
    def describe_configs(self, config_resources: list[Any], *, config_filter: str) -> dict[str, Any]: ...
    def close(self) -> None: ...
