"""The bridge process: its composition root, its readiness, and its end (`topup bridge`, `python -m bridge`)."""

import asyncio
import logging
from collections.abc import Sequence
from typing import NoReturn

from temporalio.client import Client

from adapters.kafka.assignments import Record
from adapters.kafka.broker_watch import BrokerWatch
from adapters.kafka.consumer_loop import ConsumerLoop
from adapters.kafka.producer import AcknowledgedProducer
from adapters.kafka.whole_topics import WholeTopics
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.otlp.lines import name_traces
from bridge import policies
from bridge.admission import AdmissionLimit
from bridge.dead_letters import DeadLetters
from bridge.keeper import Keeper
from bridge.outages import Outages, Part
from bridge.pipeline import Pipeline
from bridge.starter import Starter
from configuration.processes import BridgeSettings
from orders.errors import Unavailable
from runtime.clock import SystemClock
from runtime.exits import EXIT_OK
from runtime.process import ProcessContext
from runtime.process import run as run_process
from runtime.telemetry import get_logger
from runtime.temporal import check, wait_for_temporal
from runtime.temporal_metrics import TemporalRelay

_log = get_logger(__name__)


def main() -> NoReturn:
    """Run the bridge until SIGTERM; ends the process."""
    run_process(BridgeSettings, run)


async def run(context: ProcessContext[BridgeSettings]) -> int:
    """Read, claim, start and commit until `context.stop`; the exit code."""
    settings = context.settings
    name_traces(settings)
    cipher = FieldCipher(*settings.pii_keys)
    book = OrderBook.open(settings.database_url, cipher, SystemClock())
    try:
        await context.wait_for("The order book", book.ping)
        client = await wait_for_temporal(settings, context.stop, on_wait=context.health.starting, measured=True)
        relay = asyncio.create_task(TemporalRelay(context.metrics).run(), name="temporal metrics")
        await Bridge(context, book, cipher, client).run()
        relay.cancel()
    finally:
        await book.close()
    return EXIT_OK


class Bridge:
    """The parts of the bridge, put together.

    Args:
        context: of the process that it runs in.
        book: the order book.
        cipher: that of the book.
        client: Temporal's.
        eager_start: hand a run's first task to the worker of the same client (`Starter`).

    Attributes:
        settled: told to stop, it has brought on its way what it had claimed, and starts nothing more.
    """

    def __init__(
        self,
        context: ProcessContext[BridgeSettings],
        book: OrderBook,
        cipher: FieldCipher,
        client: Client,
        *,
        eager_start: bool = False,
    ) -> None:
        # The client says several times a second that its broker is away; the bridge says it, once a minute.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        self.settled = asyncio.Event()
        settings = context.settings
        self._context = context
        self._book = book
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._limit = settings.bridge_max_first_pass
        self._consumer = ConsumerLoop(settings, self._deliver, context.metrics)
        self._broker = BrokerWatch(
            settings, (settings.kafka_topic, settings.kafka_dlq_topic), on_snapshot=self._consumer.observe
        )
        self._outages = Outages(on_away=self._pause, on_back=self._consumer.resume)
        self._producer = AcknowledgedProducer(settings)
        self._admission = AdmissionLimit(book.first_pass_count, self._limit)
        dead_letters = DeadLetters(settings, self._producer, SystemClock().now)
        self._keeper = Keeper(
            reader=WholeTopics(settings, (settings.kafka_unmatched_topic, settings.kafka_dlq_topic)),
            book=book.kept,
            dead_letters=dead_letters,
            unmatched_topic=settings.kafka_unmatched_topic,
            record_keys=settings.record_keys,
            metrics=context.metrics,
        )
        starter = Starter(
            client,
            settings.task_queue,
            cipher.vehicle_hash,
            time_scale=settings.time_scale,
            eager_start=eager_start,
        )
        self._pipeline = Pipeline(
            book=book,
            admission=self._admission,
            start=starter.start,
            dead_letters=dead_letters,
            outages=self._outages,
            metrics=context.metrics,
            record_keys=settings.record_keys,
        )

    async def run(self) -> None:
        """Work until told to stop; then finish what was claimed, commit, and leave the group."""
        health, stop = self._context.health, self._context.stop
        health.require("kafka", self._check_kafka)
        health.require("temporal", self._check_temporal)
        health.require("database", self._check_database)
        health.require("dead_letters", self._check_dead_letters)
        health.name("gate", self._check_admission)
        health.name("unmatched and dead", self._keeper.check)
        self._consumer.start()
        working = [
            asyncio.create_task(self._pipeline.run(), name="pipeline"),
            asyncio.create_task(self._watch(), name="watch"),
            asyncio.create_task(self._broker.run(), name="broker-watch"),
            asyncio.create_task(self._keeper.run(), name="keeper"),
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        health.started()
        await asyncio.wait((*working, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (*working, stopping):
            task.cancel()
        ended = await asyncio.gather(*working, return_exceptions=True)
        await self._leave()
        for error in ended:
            if isinstance(error, Exception):  # a bug; the records in hand come again
                raise error

    async def _leave(self) -> None:
        self._consumer.pause("stopping")
        settled = await self._pipeline.settle(policies.SETTLE_SECONDS)
        self.settled.set()
        left = await asyncio.to_thread(self._consumer.stop, policies.LEAVE_SECONDS)
        await self._producer.close()
        _log.info("consumer ended", all_settled=settled, left_the_group=left)

    def _deliver(self, records: Sequence[Record]) -> None:
        """On the poll thread."""
        self._loop.call_soon_threadsafe(self._pipeline.offer, records)

    def _pause(self, part: Part) -> None:
        if part != "dead_letters":  # orders go on where only the place for poison is away
            self._consumer.pause(part)

    async def _check_kafka(self) -> str:
        trouble = self._trouble_with_kafka()
        if trouble is not None:
            raise Unavailable(trouble)
        return self._consumer.summary()

    def _trouble_with_kafka(self) -> str | None:
        return self._broker.trouble or self._consumer.trouble()

    async def _check_temporal(self) -> None:
        self._raise_if_away("temporal")
        await check(self._client)

    async def _check_database(self) -> None:
        self._raise_if_away("database")
        await self._book.ping()

    async def _check_dead_letters(self) -> None:
        self._raise_if_away("dead_letters")

    async def _check_admission(self) -> str:
        return f"{self._admission.at_most} of {self._limit} orders are in their first pass."

    def _raise_if_away(self, part: Part) -> None:
        sentence = self._outages.sentence(part)
        if sentence:
            raise Unavailable(sentence)

    async def _watch(self) -> None:
        was_well: bool | None = None
        said_at = 0.0
        while True:
            self._consumer.watch_once()
            trouble = self._trouble_with_kafka()
            well = trouble is None
            now = self._loop.time()
            if well is not was_well or (not well and now - said_at > policies.LINE_EVERY_SECONDS):
                _log.log(
                    logging.INFO if well else logging.WARNING, "consumer", sentence=trouble or self._consumer.summary()
                )
                was_well, said_at = well, now
            await asyncio.sleep(policies.WATCH_EVERY_SECONDS)
