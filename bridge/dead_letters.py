"""Writes the records that can't become orders to the dead-letter topic (contracts §2)."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from adapters.kafka.assignments import Record
from adapters.kafka.dead_letters import PREFIX, original_headers
from adapters.kafka.producer import AcknowledgedProducer, RecordTooLarge
from orders.errors import Unavailable
from orders.record import MAX_ERROR_CHARACTERS
from runtime.settings.groups import ConsumerGroup

Reason = Literal["invalid", "conflict", "oversize"]


def letter_headers(record: Record, *, reason: Reason, error: str, group: str, at: datetime) -> list[tuple[str, bytes]]:
    """The original's headers in their order, then ours; only an earlier dead letter's own are replaced.

    `error` must hold no personal data; it is cut at 512 characters.
    """
    ours = {
        "reason": reason,
        "error": error[:MAX_ERROR_CHARACTERS],
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp_ms),
        "group": group,
        "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    return [*original_headers(record.headers), *((PREFIX + name, text.encode()) for name, text in ours.items())]


class DeadLetters:
    """Writes dead letters.

    Args:
        settings: the topic, and the group that the letter names.
        producer: writes; closed by its owner.
        now: wall-clock time.
    """

    def __init__(self, settings: ConsumerGroup, producer: AcknowledgedProducer, now: Callable[[], datetime]) -> None:
        self._topic = settings.kafka_dlq_topic
        self._group = settings.kafka_group
        self._producer = producer
        self._now = now

    async def send(self, record: Record, reason: Reason, error: str) -> None:
        """Write one dead letter; returns once all in-sync replicas have it.

        Raises:
            Unavailable: that isn't known (it may have been written all the same): send it again.
        """
        headers = letter_headers(record, reason=reason, error=error, group=self._group, at=self._now())
        try:
            await self._producer.send(self._topic, key=record.key, value=record.value, headers=headers)
        except RecordTooLarge as failure:  # a codec may have made it small enough for its own topic
            raise Unavailable(
                f"The dead letter of {record.topic}:{record.partition}:{record.offset} is too large for {self._topic}: "
                f"raise that topic's max.message.bytes to {failure.needed_bytes}; its partition's offset waits for it."
            ) from failure
