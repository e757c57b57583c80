"""Puts the parts of a worker together from its settings; the only place that knows them all."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client

from activities.context import Alert
from activities.notifying import NotifyingActivities
from activities.order_desk import OrderDesk
from activities.recording import RecordingActivities
from activities.refunding import RefundingActivities
from activities.reopening import Reopening
from activities.telecom import TelecomActivities
from adapters.carriers.flat.client import FlatCarrier
from adapters.carriers.tmf622.client import Tmf622Carrier
from adapters.http import EndpointHealth
from adapters.mqtt.broker import MqttLimits, Platform
from adapters.mqtt.notifier import MqttNotifier
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.payments.alipay.client import Alipay
from adapters.payments.wechat.client import WeChatPay
from orders.state import CarrierTimes
from runtime.clock import SystemClock
from runtime.settings import Settings
from workflows import policies
from workflows.policies import scaled
from workflows.sweep import TopUpSweep
from workflows.top_up_order import TopUpOrder

WORKFLOWS: tuple[type, ...] = (TopUpOrder, TopUpSweep)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """A worker's parts, open."""

    book: OrderBook
    notifier: MqttNotifier
    telecom: TelecomActivities
    endpoints: Mapping[str, EndpointHealth]
    """Whether carrier and providers answer, by the names that `/readyz` has for them."""
    activities: Sequence[Callable[..., Any]]
    notices: Sequence[Callable[..., Any]]
    """What runs on the notices' own queue as well."""


@asynccontextmanager
async def open_dependencies(
    settings: Settings, client: Callable[[], Client], alert: Alert
) -> AsyncGenerator[Dependencies, None]:
    """Build everything; connects lazily or in the background, so that nothing that is away delays the start."""
    async with AsyncExitStack() as stack:
        clock, scale = SystemClock(), settings.time_scale
        book = OrderBook.open(settings.database_url, FieldCipher(*settings.pii_keys), clock)
        stack.push_async_callback(book.close)
        carrier = await stack.enter_async_context(_open_carrier(settings))
        notifier = await stack.enter_async_context(_notifier(settings))
        times = carrier_times(settings)
        desk = OrderDesk(
            book=book,
            clock=clock,
            alert=alert,
            times=times,
            scale=scale,
            platforms=notifier.platforms,
            local_first=settings.local_first,
            four_eyes=settings.two_persons,
        )
        telecom, recording = TelecomActivities(carrier, desk), RecordingActivities(desk)
        providers = await _providers(settings, stack)
        refunding = RefundingActivities(providers, desk)
        notifying = NotifyingActivities(notifier, book, alert, scale, waiting_most=waiting_most(settings))
        reopening = Reopening(client, book, clock, alert, task_queue=settings.task_queue, scale=scale)
        yield Dependencies(
            book=book,
            notifier=notifier,
            telecom=telecom,
            endpoints={"carrier": carrier.health, **{name: one.health for name, one in providers.items()}},
            activities=activities_of(telecom, recording, refunding, notifying, reopening),
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


def _open_carrier(settings: Settings) -> AbstractAsyncContextManager[FlatCarrier | Tmf622Carrier]:
    dialect = FlatCarrier if settings.carrier_dialect == FlatCarrier.name else Tmf622Carrier
    return dialect.open(url=settings.carrier_url, token=settings.carrier_token)


def carrier_times(settings: Settings) -> CarrierTimes:
    """How slow the carrier may be, under the time scale."""

    def wait(seconds: float) -> timedelta:
        return timedelta(seconds=scaled(seconds, settings.time_scale))

    return CarrierTimes(
        longest_latency=wait(settings.carrier_longest_latency_seconds),
        visibility_lag=wait(settings.carrier_visibility_lag_seconds),
        completion_window=wait(settings.carrier_completion_seconds),
        can_be_asked=settings.carrier_dialect != FlatCarrier.name,
        restored_at=settings.restored_at,
        listens_for=wait(policies.PLACE_ORDER.call_seconds) + timedelta(seconds=policies.LISTENING_MARGIN_SECONDS),
        refund_again_after=wait(policies.REFUND_AGAIN_SECONDS),
    )


def waiting_most(settings: Settings) -> int:
    """How many notices may wait at one platform at once: half of the slots stay free, however many platforms hang."""
    return max(1, settings.worker_max_activities // (2 * max(1, len(settings.mqtt_brokers))))


def _notifier(settings: Settings) -> MqttNotifier:
    platforms = [
        Platform.from_url(
            broker.name,
            broker.url,
            version=broker.version,
            topic=broker.topic,
            keepalive_seconds=broker.keepalive_seconds,
            publishes_per_second=broker.publishes_per_second,
            cafile=broker.cafile,
            certfile=broker.certfile,
            keyfile=broker.keyfile,
        )
        for broker in settings.mqtt_brokers
    ]
    limits = MqttLimits(
        connect_seconds=policies.NOTICE_ANSWER_SECONDS,
        back_off_longest_seconds=policies.RECONNECT_LONGEST_SECONDS,
        message_expiry_seconds=settings.mqtt_message_expiry_seconds,
    )
    return MqttNotifier(platforms, limits=limits.scaled(lambda seconds: scaled(seconds, settings.time_scale)))


async def _providers(settings: Settings, stack: AsyncExitStack) -> dict[str, WeChatPay | Alipay]:
    providers: dict[str, WeChatPay | Alipay] = {}
    if settings.wechat_configured:
        providers["wechat"] = await stack.enter_async_context(
            WeChatPay.open(
                url=settings.wechat_url,
                merchant_id=settings.wechat_mchid,
                serial_no=settings.wechat_serial_no,
                private_key=settings.wechat_private_key,
                public_key_id=settings.wechat_public_key_id,
                public_key=settings.wechat_public_key,
                notify_url=settings.refund_notify_url or "",
            )
        )
    if settings.alipay_configured:
        providers["alipay"] = await stack.enter_async_context(
            Alipay.open(
                url=settings.alipay_url,
                app_id=settings.alipay_app_id,
                seller_id=settings.alipay_seller_id,
                private_key=settings.alipay_private_key,
                public_key=settings.alipay_public_key,
            )
        )
    return providers
