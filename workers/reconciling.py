"""Puts a reconciliation together: for the worker's activity, and for `topup reconcile run`."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from adapters.order_book.book import OrderBook
from configuration.processes import IntakeAccess, ReconcileSettings, WorkerSettings
from gateway.late_payments import LatePayments
from gateway.records import Records
from orders.clock import Clock
from reconciliation.ports import Bills
from reconciliation.run import Alert, Reconciliation

if TYPE_CHECKING:
    from adapters.kafka.producer import AcknowledgedProducer


@asynccontextmanager
async def open_reconciliation(
    settings: ReconcileSettings | WorkerSettings,
    book: OrderBook,
    clock: Clock,
    alert: Alert,
    beat: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Reconciliation, None]:
    """Its parts, closed at the end; each connects when it is asked."""
    async with AsyncExitStack() as stack:
        bills: dict[str, Bills] = {}
        for name, one in settings.payments.items():
            if (opening := one.open_bills()) is not None:
                bills[name] = await stack.enter_async_context(opening)
        opening = settings.carrier.open_statements()
        statements = None if opening is None else await stack.enter_async_context(opening)
        intake = None
        if settings.intake is not None:
            # kafka-python is a tenth of what a worker imports at its start (measured); few workers need it
            from adapters.kafka.producer import AcknowledgedProducer  # noqa: PLC0415

            producer = AcknowledgedProducer(settings.intake)
            stack.push_async_callback(producer.close)
            merchants = {name: one.merchant_id for name, one in bills.items()}
            intake = LatePayments(_records(producer, settings.intake), settings.intake.attach_keys, merchants)
        yield Reconciliation(
            books=book.reconciliation(),
            bills=bills,
            statements=statements,
            intake=intake,
            clock=clock,
            alert=alert,
            beat=beat,
        )


def _records(producer: "AcknowledgedProducer", access: IntakeAccess) -> Records:
    return Records(
        producer, topic=access.kafka_topic, unmatched_topic=access.kafka_unmatched_topic, key=access.record_key
    )
