"""A producer for asyncio that knows what was acknowledged: a send returns stored, or raises within its limit.

kafka-python's producer blocks on metadata and on a full buffer, keeps only the addresses that it heard of last, and
may be beyond repair after an error (idempotence). So its calls run one after the other on a thread of their own, and a
producer by which nothing gets through is replaced by a new one, which begins at the bootstrap servers.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from adapters.kafka import limits
from adapters.kafka.clients import as_sent, writer
from adapters.kafka.protocols import Producer
from orders.errors import Unavailable
from runtime.redaction import in_one_line
from runtime.settings.groups import KafkaConnection

BATCH_BYTES: Final = 1024
"""Above what Kafka's batch and record take beside key, value and headers."""


class RecordTooLarge(Unavailable):
    """The topic doesn't take a record of this size; the sentence says what to raise.

    Attributes:
        needed_bytes: a `max.message.bytes` that is enough.
    """

    def __init__(self, sentence: str, needed_bytes: int) -> None:
        super().__init__(sentence)
        self.needed_bytes = needed_bytes


class _Pending:
    """A record whose acknowledgement somebody waits for."""

    def __init__(self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        self.topic = topic
        self.key = key
        self.value = value
        self.headers = headers
        self.producer: Producer | None = None
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()

    def settle(self, error: BaseException | None) -> None:
        """It was acknowledged, or it failed. From any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: BaseException | None) -> None:
        if self.done.done():  # nobody waits any more
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)


class AcknowledgedProducer:
    """Sends records. For one event loop; connects at the first send, and again whenever it must.

    Args:
        settings: Kafka's.
        make_producer: connects; tests pass their own.
    """

    def __init__(
        self, settings: KafkaConnection, *, make_producer: Callable[[KafkaConnection], Producer] = writer
    ) -> None:
        self._settings = settings
        self._make_producer = make_producer
        self._producer: Producer | None = None
        self._heard_at = 0.0
        self._thread = ThreadPoolExecutor(1, "kafka-producer")
        self.trouble: str | None = None
        """Why the last send was not acknowledged, as a sentence; None while sends are acknowledged, and at first."""

    async def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        limit_seconds: float = limits.ACKNOWLEDGED_SECONDS,
    ) -> None:
        """Write one record; returns once all in-sync replicas have it.

        Raises:
            Unavailable: that isn't known within the limit. It may have been written, or may be yet: sending it again
                writes it at least once.
            RecordTooLarge: the topic doesn't take it, and waiting won't help.
        """
        try:
            async with asyncio.timeout(limit_seconds):
                await self._send(_Pending(topic, key, value, list(headers)))
        except MessageSizeTooLargeError as failure:
            parts = (key, value, *(part for name, content in headers for part in (name, content)))
            needed_bytes = sum(len(part or b"") for part in parts) + BATCH_BYTES
            raise RecordTooLarge(
                f"The record is too large for {topic}: raise that topic's max.message.bytes to {needed_bytes}.",
                needed_bytes,
            ) from failure
        except (KafkaError, OSError) as failure:
            self.trouble = (
                f"Records can't be written to {topic} ({in_one_line(failure)}): check Kafka, and that the topic exists "
                "(`topup setup`)."
            )
            raise Unavailable(self.trouble) from failure
        self.trouble = None

    async def close(self, limit_seconds: float = limits.PRODUCER_CLOSE_SECONDS) -> None:
        """Close, within the limit and 1 s more; what wasn't acknowledged by then may still be written."""
        producer, self._producer = self._producer, None
        self._thread.shutdown(wait=False, cancel_futures=True)
        if producer is not None:
            with contextlib.suppress(KafkaError, TimeoutError):  # with a record pending it ends by raising (measured)
                await asyncio.wait_for(asyncio.to_thread(producer.close, limit_seconds), limit_seconds + 1)

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _send(self, record: "_Pending") -> None:
        self._thread.submit(self._hand_over, record)
        try:
            await record.done
        except (KafkaError, OSError) as error:  # after an error idempotence may be beyond repair; a new one's is not
            if not isinstance(error, KafkaTimeoutError) or self._nothing_gets_through():
                self._replace(record.producer)
            raise
        except asyncio.CancelledError:  # the limit of `send`, or its caller's end
            if self._nothing_gets_through():
                self._replace(record.producer)
            raise
        self._heard_at = time.monotonic()

    def _hand_over(self, record: "_Pending") -> None:
        """On the thread. May block: on connecting, on metadata, on a full buffer."""
        if record.done.done():  # its limit passed while it waited for the thread
            return
        try:
            record.producer = self._connected()
            sent = record.producer.send(
                record.topic, value=as_sent(record.value), key=as_sent(record.key), headers=record.headers
            )
        except Exception as error:  # noqa: BLE001 - carried to whoever waits
            record.settle(error)
            return
        sent.add_callback(lambda _: record.settle(None))
        sent.add_errback(record.settle)

    def _connected(self) -> Producer:
        """On the thread."""
        if self._producer is None:
            self._producer = self._make_producer(self._settings)
            self._heard_at = time.monotonic()
        return self._producer

    def _nothing_gets_through(self) -> bool:
        return time.monotonic() - self._heard_at > limits.REPLACE_PRODUCER_SECONDS

    def _replace(self, used: Producer | None) -> None:
        """Let the next send connect anew. What is pending at the old one is given up, and sent again by its sender."""
        if used is not None and used is self._producer:
            self._producer = None
            threading.Thread(target=_close_in_the_end, args=(used,), name="kafka-discard", daemon=True).start()


def _close_in_the_end(producer: Producer) -> None:
    with contextlib.suppress(KafkaError, TimeoutError):
        producer.close(limits.ACKNOWLEDGED_SECONDS)
