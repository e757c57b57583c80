"""The gateway process: its composition root, its readiness, and its end (`topup gateway`, `python -m gateway`)."""

import asyncio
import contextlib
import logging
import resource
import socket
from collections.abc import Mapping
from functools import partial
from typing import Final, NoReturn, cast

from adapters.kafka.broker_watch import BrokerWatch
from adapters.kafka.producer import AcknowledgedProducer
from adapters.otlp.lines import name_traces
from adapters.payments.notifications import NotificationReader
from configuration.processes import GatewaySettings
from gateway.callbacks import Callbacks
from gateway.intake import Intake
from gateway.lookup import OrderLookup
from gateway.records import Records
from gateway.refund_prompts import RefundPrompts
from gateway.server import MAX_CONNECTIONS, CallbackServer
from orders.errors import Unavailable
from orders.paid_order import Provider
from runtime.clock import SystemClock
from runtime.exits import EXIT_OK
from runtime.http import open_listener
from runtime.process import ProcessContext
from runtime.process import run as run_process
from runtime.telemetry import get_logger
from runtime.temporal import connect

FILES_FOR_THE_REST: Final = 200
"""Of the files that the system lets a process open, what Kafka, lookups, health and libraries need."""

_log = get_logger(__name__)


def main() -> NoReturn:
    """Run the gateway until SIGTERM; ends the process."""
    run_process(GatewaySettings, run)


async def run(context: ProcessContext[GatewaySettings]) -> int:
    """Take callbacks until `context.stop`; the exit code."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it repeats several times a second what /readyz says
    settings = context.settings
    name_traces(settings)
    listener = open_listener(
        settings.callback_host, settings.callback_port, host_name="TOPUP_CALLBACK_HOST", port_name="TOPUP_CALLBACK_PORT"
    )
    lookup = (
        None
        if settings.order_lookup_url is None
        else OrderLookup(settings.order_lookup_url, settings.order_lookup_token, cafile=settings.order_lookup_cafile)
    )
    try:
        await Gateway(context, lookup).run(listener)
    finally:
        if lookup is not None:
            await lookup.close()
    return EXIT_OK


class Gateway:
    """The parts of the gateway, put together."""

    def __init__(self, context: ProcessContext[GatewaySettings], lookup: OrderLookup | None) -> None:
        settings = context.settings
        self._context = context
        self._is_open = False
        self._producer = AcknowledgedProducer(settings)
        self._broker = BrokerWatch(settings, (settings.kafka_topic, settings.kafka_unmatched_topic))
        self._prompts = RefundPrompts(partial(connect, settings), settings.task_queue, context.metrics)
        readers = {name: group.open() for name, group in settings.notifications.items()}
        records = Records(
            self._producer,
            topic=settings.kafka_topic,
            unmatched_topic=settings.kafka_unmatched_topic,
            key=settings.record_key,
        )
        callbacks = Callbacks(
            readers=cast("Mapping[Provider, NotificationReader]", readers),
            record_of=Intake(settings.attach_keys, lookup).record_of,
            store=records.store,
            prompt=self._prompts.offer,
            is_open=lambda: self._is_open,
            now=SystemClock().now,
            metrics=context.metrics,
        )
        self._server = CallbackServer(callbacks.answer, max_connections=_connections())
        context.health.require("kafka", self._check_kafka)
        context.health.name("producer", self._check_producer)
        if lookup is not None:
            context.health.name("order_lookup", lookup.check)

    async def run(self, listener: socket.socket) -> None:
        """Serve until told to stop; then answer what is in hand."""
        await self._server.start(listener)
        host, port = listener.getsockname()[:2]
        _log.info("callbacks listening", port=port, host=host)
        watching = asyncio.create_task(self._broker.run(), name="broker-watch")
        prompting = asyncio.create_task(self._prompts.run(), name="refund-prompts")
        try:
            await self._context.wait_for("Kafka", self._check_kafka)
            self._is_open = True
            self._context.health.started()
            await self._context.stop.wait()
        finally:
            await self._server.stop()
            for task in (watching, prompting):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(watching, prompting)
            await self._producer.close()

    async def _check_kafka(self) -> None:
        """Kafka answers, and both topics are there."""
        if self._broker.trouble is not None:
            raise Unavailable(self._broker.trouble)

    async def _check_producer(self) -> None:
        """What was sent last was acknowledged. Makes nothing unready: only the next callback can tell otherwise."""
        if self._producer.trouble is not None:
            raise Unavailable(self._producer.trouble)


def _connections() -> int:
    """As many as this system lets one process hold, at most `MAX_CONNECTIONS`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + FILES_FOR_THE_REST
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MAX_CONNECTIONS, soft - FILES_FOR_THE_REST))
