"""Polls for as many records as memory has room for: one may have 32 MiB, and be 32 KB in its topic."""

from collections.abc import Mapping, Sequence
from typing import Final

from adapters.kafka.protocols import Consumer, Message, Partition
from adapters.kafka.unreadable import poll

MOST_RECORDS: Final = 100
"""At once."""
MOST_BYTES: Final = 8 * 1024 * 1024
"""At once, of keys, values and headers; the record that passes it is the last one."""


class BoundedPolling:
    """One consumer's polls. After `Undecodable` the consumer must be closed: its next `poll` would spin."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._error: Exception | None = None

    def some(self, timeout_ms: int) -> Mapping[Partition, Sequence[Message]]:
        """The next records, within both bounds; none after `timeout_ms` without any.

        What came before a record that can't be decoded is handed over first.

        Raises:
            Undecodable: see there.
            KafkaError: as `Consumer.poll` raises it.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        found: dict[Partition, list[Message]] = {}
        records = size_bytes = 0
        while records < MOST_RECORDS and size_bytes < MOST_BYTES:
            try:
                one = poll(self._consumer, 0 if found else timeout_ms, max_records=1)
            except Exception as error:
                if not found:
                    raise
                self._error = error
                break
            if not one:
                break
            for partition, messages in one.items():
                found.setdefault(partition, []).extend(messages)
                records += len(messages)
                size_bytes += sum(size_of(message) for message in messages)
        return found


def size_of(message: Message) -> int:
    """Of its key, value and headers, in bytes."""
    headers = sum(len(name) + len(value or b"") for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers
