"""Records on their way to Kafka: topic and `topup-mac` (contracts §1, §7)."""

from collections.abc import Sequence
from typing import Protocol

from gateway.intake import Record
from orders.record_mac import HEADER, sign


class Producer(Protocol):
    """`adapters.kafka.producer`."""

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Write one; raises `Unavailable` where it isn't known that all in-sync replicas have it."""
        ...


class Records:
    """Writes what the intake found.

    Args:
        producer: to Kafka.
        topic: of the paid orders.
        unmatched_topic: of the unmatched payments.
        key: signs each record; None: they go unsigned.
    """

    def __init__(self, producer: Producer, *, topic: str, unmatched_topic: str, key: bytes | None) -> None:
        self._producer = producer
        self._topic = topic
        self._unmatched_topic = unmatched_topic
        self._key = key

    async def store(self, record: Record, arrival: Sequence[tuple[str, bytes]] = ()) -> None:
        """Write one; returns once all in-sync replicas have it. Nothing of the request is carried along but its facts.

        `arrival` (`orders.arrival`) says for the order's trail which callback this was; no key signs it.

        Raises:
            Unavailable: that isn't known: have the provider send again.
        """
        topic = self._topic if record.unmatched is None else self._unmatched_topic
        mac = [] if self._key is None else [(HEADER, sign(self._key, record.key, record.value))]
        await self._producer.send(topic, key=record.key, value=record.value, headers=[*mac, *arrival])
