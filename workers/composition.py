"""Puts the parts of a worker together from its settings; the only place that knows them all."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client

from activities.call_gate import CallGate
from activities.context import Alert, Journal, quiet
from activities.notifying import NotifyingActivities
from activities.order_desk import OrderDesk
from activities.reconciling import ReconcilingActivities
from activities.recording import RecordingActivities
from activities.refunding import RefundingActivities
from activities.reopening import Reopening
from activities.telecom import TelecomActivities
from adapters import http
from adapters.http import EndpointHealth
from adapters.mqtt.broker import MqttLimits
from adapters.mqtt.notifier import MqttNotifier
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.reconciling import ReconciliationBook
from adapters.order_book.worked_on import WorkedOn
from adapters.otlp.client import OtlpClient
from adapters.push.client import PushClient
from configuration.processes import WorkerSettings
from orders.clock import Clock
from orders.state import CarrierTimes
from orders.time_scale import scaled
from runtime.clock import SystemClock
from workers.reconciling import open_reconciliation
from workers.tracing import Tracer
from workflows import policies
from workflows.goodwill_refund import GoodwillRefund
from workflows.reconciliation import TopUpReconciliation
from workflows.sweep import TopUpSweep
from workflows.top_up_order import TopUpOrder

WORKFLOWS: tuple[type, ...] = (TopUpOrder, GoodwillRefund, TopUpSweep, TopUpReconciliation)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Something of the outside world that is asked over HTTP."""

    url: str
    health: EndpointHealth


@dataclass(frozen=True, slots=True)
class Dependencies:
    """A worker's parts, open."""

    book: OrderBook
    notifier: MqttNotifier
    telecom: TelecomActivities
    endpoints: Mapping[str, Endpoint]
    """Whether carrier and providers answer, by the names that `/readyz` has for them."""
    activities: Sequence[Callable[..., Any]]
    notices: Sequence[Callable[..., Any]]
    """What runs on the notices' own queue as well."""
    pushing: PushClient | None
    """Who is told of orders that need a person, if anybody is."""
    tracer: Tracer | None
    """Who sends orders' traces to a collector, if anybody does."""
    differences: ReconciliationBook
    """The differences of money that are open."""


@asynccontextmanager
async def open_dependencies(
    settings: WorkerSettings,
    client: Callable[[], Client],
    alert: Alert,
    journal: Journal = quiet,
    turned_away: Callable[[str], None] = lambda _: None,
) -> AsyncGenerator[Dependencies, None]:
    """Build everything; connects lazily or in the background, so that nothing that is away delays the start."""
    async with AsyncExitStack() as stack:
        clock, scale = SystemClock(), settings.time_scale
        book = OrderBook.open(settings.database_url, FieldCipher(*settings.pii_keys), clock)
        stack.push_async_callback(book.close)
        carrier = await stack.enter_async_context(settings.carrier.open())
        notifier = await stack.enter_async_context(_notifier(settings))
        times = carrier_times(settings)
        gate = CallGate(
            book.holds, book.call_slots, clock, settings.calls_per_second, scale=scale, turned_away=turned_away
        )
        tracer = await _tracer(stack, settings, book)
        if tracer is not None:
            journal = _both(journal, tracer.hear)
        worked_on = WorkedOn(book)
        desk = OrderDesk(
            book=worked_on,
            clock=clock,
            alert=alert,
            times=times,
            scale=scale,
            platforms=notifier.platforms,
            local_first=settings.local_first,
            four_eyes=settings.two_persons,
            refund_silent_seconds=scaled(settings.refund_silent_seconds, scale),
            gate=gate,
            journal=journal,
        )
        telecom, recording = TelecomActivities(carrier, desk), RecordingActivities(desk)
        providers = {name: await stack.enter_async_context(one.open()) for name, one in settings.payments.items()}
        refunding = RefundingActivities(providers, desk)
        notifying = NotifyingActivities(
            notifier,
            worked_on,
            alert,
            scale,
            waiting_most=waiting_most(settings),
            call_after_seconds=settings.notice_pending_seconds,
            journal=journal,
        )
        reopening = Reopening(client, worked_on, clock, alert, task_queue=settings.task_queue, scale=scale)
        differences = book.reconciliation()
        reconciling = ReconcilingActivities(
            lambda: open_reconciliation(settings, book, clock, alert), differences, clock
        )
        yield Dependencies(
            book=book,
            differences=differences,
            pushing=await _pushing(stack, settings, clock),
            tracer=tracer,
            notifier=notifier,
            telecom=telecom,
            endpoints={"carrier": Endpoint(settings.carrier.url, carrier.health)}
            | {name: Endpoint(settings.payments[name].url, one.health) for name, one in providers.items()},
            activities=(
                *activities_of(telecom, recording, refunding, notifying, reopening),
                reconciling.find_days_to_reconcile,
                reconciling.reconcile_day,
            ),
            notices=(notifying.notify_vehicle,),
        )


def activities_of(
    telecom: TelecomActivities,
    recording: RecordingActivities,
    refunding: RefundingActivities,
    notifying: NotifyingActivities,
    reopening: Reopening | None,
) -> Sequence[Callable[..., Any]]:
    """Every activity that the workflows name."""
    sweeping = () if reopening is None else (reopening.reopen_unsettled_orders,)
    return (
        telecom.place_telecom_order,
        telecom.query_telecom_order,
        telecom.cancel_telecom_order,
        recording.read_order,
        recording.record_order,
        recording.record_attention,
        recording.record_cancel,
        recording.record_resolution,
        recording.record_request,
        recording.record_notice_given_up,
        refunding.record_refund,
        refunding.refund_payment,
        refunding.query_refund,
        notifying.notify_vehicle,
        *sweeping,
    )


def carrier_times(settings: WorkerSettings) -> CarrierTimes:
    """How slow the carrier may be, under the time scale."""

    def wait(seconds: float) -> timedelta:
        return timedelta(seconds=scaled(seconds, settings.time_scale))

    return CarrierTimes(
        longest_latency=wait(settings.carrier_longest_latency_seconds),
        visibility_lag=wait(settings.carrier_visibility_lag_seconds),
        completion_window=wait(settings.carrier_completion_seconds),
        can_be_asked=settings.carrier.can_be_asked,
        restored_at=settings.restored_at,
        listens_for=wait(policies.PLACE_ORDER.call_seconds) + timedelta(seconds=policies.LISTENING_MARGIN_SECONDS),
        refund_again_after=wait(policies.REFUND_AGAIN_SECONDS),
    )


def waiting_most(settings: WorkerSettings) -> int:
    """How many notices may wait at one platform at once: half of the slots stay free, however many platforms hang."""
    return max(1, settings.worker_max_activities // (2 * max(1, len(settings.mqtt_brokers))))


async def _pushing(stack: AsyncExitStack, settings: WorkerSettings, clock: Clock) -> PushClient | None:
    if settings.push_url is None:
        return None
    return PushClient(await stack.enter_async_context(http.client(cafile=settings.push_cafile)), settings, clock)


async def _tracer(stack: AsyncExitStack, settings: WorkerSettings, book: OrderBook) -> Tracer | None:
    if settings.otlp_endpoint is None:
        return None
    opening = http.client(cafile=settings.otlp_cafile)
    collector = OtlpClient(await stack.enter_async_context(opening), settings)
    return Tracer(book.events_of, collector, ratio=settings.trace_ratio, slow_seconds=settings.trace_slow_seconds)


def _both(first: Journal, second: Journal) -> Journal:
    def hear(event: str, order_id: str, **fields: object) -> None:
        first(event, order_id, **fields)
        second(event, order_id, **fields)

    return hear


def _notifier(settings: WorkerSettings) -> MqttNotifier:
    limits = MqttLimits(
        connect_seconds=policies.NOTICE_ANSWER_SECONDS,
        back_off_longest_seconds=policies.RECONNECT_LONGEST_SECONDS,
        message_expiry_seconds=settings.mqtt_message_expiry_seconds,
    )
    return MqttNotifier(
        settings.mqtt_brokers, limits=limits.scaled(lambda seconds: scaled(seconds, settings.time_scale))
    )
