"""The bridge process: its composition root, its readiness, and its end (`topup bridge`, `python -m bridge`)."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, NoReturn

from temporalio.client import Client

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from bridge.broker_watch import BrokerWatch
from bridge.consumer import Intake
from bridge.dead_letters import DeadLetters
from bridge.gate import Gate
from bridge.leases import Record
from bridge.outages import Outages, Part
from bridge.pipeline import Pipeline
from bridge.starter import START_SECONDS, Starter
from configuration.processes import BridgeSettings
from orders.errors import Unavailable
from runtime.clock import SystemClock
from runtime.exits import EXIT_OK
from runtime.process import ProcessContext
from runtime.process import run as run_process
from runtime.telemetry import get_logger
from runtime.temporal import check, wait_for_temporal

SETTLE_SECONDS: Final = 15.0
"""What was claimed gets so long at stop; the rest is read again by whoever comes next."""
LEAVE_SECONDS: Final = 15.0
"""Poll, commit and close, each bounded (`bridge.consumer`)."""
WATCH_EVERY_SECONDS: Final = 1.0
LINE_EVERY_SECONDS: Final = 60.0

assert START_SECONDS < SETTLE_SECONDS

_log = get_logger(__name__)


def main() -> NoReturn:
    """Run the bridge until SIGTERM; ends the process."""
    run_process(BridgeSettings, run)


async def run(context: ProcessContext[BridgeSettings]) -> int:
    """Read, claim, start and commit until `context.stop`; the exit code."""
    # The client says several times a second that its broker is away; the bridge says it, once a minute.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    settings = context.settings
    cipher = FieldCipher(*settings.pii_keys)
    book = OrderBook.open(settings.database_url, cipher, SystemClock())
    try:
        await context.wait_for("The order book", book.ping)
        client = await wait_for_temporal(settings, context.stop, on_wait=context.health.starting)
        await Bridge(context, book, cipher, client).run()
    finally:
        await book.close()
    return EXIT_OK


class Bridge:
    """The parts of the bridge, put together."""

    def __init__(
        self, context: ProcessContext[BridgeSettings], book: OrderBook, cipher: FieldCipher, client: Client
    ) -> None:
        settings = context.settings
        self._context = context
        self._book = book
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._limit = settings.bridge_max_first_pass
        self._intake = Intake(settings, self._deliver, context.metrics)
        self._broker = BrokerWatch(settings)
        self._outages = Outages(on_away=self._hold, on_back=self._intake.release)
        self._dead_letters = DeadLetters(settings, SystemClock().now)
        self._gate = Gate(book.first_pass_count, self._limit)
        self._pipeline = Pipeline(
            book=book,
            gate=self._gate,
            start=Starter(client, settings.task_queue, cipher.vehicle_hash, time_scale=settings.time_scale).start,
            dead_letters=self._dead_letters,
            outages=self._outages,
            metrics=context.metrics,
        )

    async def run(self) -> None:
        """Work until told to stop; then finish what was claimed, commit, and leave the group."""
        health, stop = self._context.health, self._context.stop
        health.require("kafka", self._check_kafka)
        health.require("temporal", self._check_temporal)
        health.require("database", self._check_database)
        health.require("dead_letters", self._check_dead_letters)
        health.name("gate", self._check_gate)
        self._intake.start()
        working = [
            asyncio.create_task(self._pipeline.run(), name="pipeline"),
            asyncio.create_task(self._watch(), name="watch"),
            asyncio.create_task(self._broker.run(), name="broker-watch"),
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
        self._intake.hold("stopping")
        settled = await self._pipeline.settle(SETTLE_SECONDS)
        left = await asyncio.to_thread(self._intake.stop, LEAVE_SECONDS)
        await self._dead_letters.close()
        _log.info("intake ended", all_settled=settled, left_the_group=left)

    def _deliver(self, records: Sequence[Record]) -> None:
        """On the poll thread."""
        self._loop.call_soon_threadsafe(self._pipeline.offer, records)

    def _hold(self, part: Part) -> None:
        if part != "dead_letters":  # orders go on where only the place for poison is away
            self._intake.hold(part)

    async def _check_kafka(self) -> str:
        trouble = self._trouble_with_kafka()
        if trouble is not None:
            raise Unavailable(trouble)
        return self._intake.remark()

    def _trouble_with_kafka(self) -> str | None:
        return self._broker.trouble or self._intake.trouble()

    async def _check_temporal(self) -> None:
        self._raise_if_away("temporal")
        await check(self._client)

    async def _check_database(self) -> None:
        self._raise_if_away("database")
        await self._book.ping()

    async def _check_dead_letters(self) -> None:
        self._raise_if_away("dead_letters")

    async def _check_gate(self) -> str:
        return f"{self._gate.at_most} of {self._limit} orders are in their first pass."

    def _raise_if_away(self, part: Part) -> None:
        sentence = self._outages.sentence(part)
        if sentence:
            raise Unavailable(sentence)

    async def _watch(self) -> None:
        was_well: bool | None = None
        said_at = 0.0
        while True:
            self._intake.watch_once()
            trouble = self._trouble_with_kafka()
            well = trouble is None
            now = self._loop.time()
            if well is not was_well or (not well and now - said_at > LINE_EVERY_SECONDS):
                _log.log(logging.INFO if well else logging.WARNING, "intake", sentence=trouble or self._intake.remark())
                was_well, said_at = well, now
            await asyncio.sleep(WATCH_EVERY_SECONDS)
