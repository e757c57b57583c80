"""One callback: read, kept, answered, counted, logged (contracts §7).

Only the count and the log depend on what was wrong. The answer is the same bytes each time, so that nobody can learn
anything from it.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final, Literal

from adapters.payments.notifications import (
    NotificationReader,
    NotificationRefused,
    OtherNotice,
    PaymentNotice,
    RefundNotice,
)
from gateway.alerts import CallbackAlerts
from gateway.intake import Record
from gateway.server import Request, Response
from orders.arrival import arrival_headers
from orders.errors import Unavailable
from orders.identities import is_order_id, is_our_refund, order_ids_of_refund
from orders.paid_order import Provider
from runtime.metrics import Metrics
from runtime.redaction import in_one_line, redacted
from runtime.telemetry import get_logger

ANSWER_SECONDS: Final = 4.5
"""From the whole request to the answer; the provider waits 5 s."""
MAX_IN_HAND: Final = 256
"""Callbacks that wait for Kafka or the order backend at once; more are told to come again."""

PATHS: Final[Mapping[str, Provider]] = {"/callbacks/wechat": "wechat", "/callbacks/alipay": "alipay"}
STORED: Final[Mapping[Provider, Response]] = {
    "wechat": Response(HTTPStatus.NO_CONTENT),
    "alipay": Response(HTTPStatus.OK, b"success", "text/plain; charset=utf-8"),
}
AGAIN: Final[Mapping[Provider, Response]] = {
    "wechat": Response(
        HTTPStatus.INTERNAL_SERVER_ERROR, b'{"code": "FAIL", "message": "FAIL"}', "application/json; charset=utf-8"
    ),
    "alipay": Response(HTTPStatus.BAD_REQUEST, b"fail", "text/plain; charset=utf-8"),
}
NOT_FOUND: Final = Response(HTTPStatus.NOT_FOUND)

Result = Literal["order", "unmatched", "refund", "other", "refused"]
RESULTS: Final[tuple[Result, ...]] = ("order", "unmatched", "refund", "other", "refused")

_NOTIFICATION_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LONGER_THAN_PERSONAL: Final = 21
"""A VIN, an ICCID and a phone number are shorter; a shorter ID is shown where it looks like none of them."""
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a callback. `order_id`, `notification_id`: "" where unknown or of no form to be logged."""

    result: Result
    stored: bool
    notification_id: str = ""
    order_id: str = ""
    reason: str = ""
    sentence: str = ""


class Callbacks:
    """Answers the requests of the callback port.

    Args:
        readers: of the configured providers.
        record_of: `gateway.intake.Intake.record_of`.
        store: writes a record, with headers that tell its order's trail of the callback; raises `Unavailable` where it
            isn't known that all in-sync replicas have it.
        prompt: makes the waiting run ask for its refund, of the orders it may be about; returns at once.
        is_open: whether Kafka has been there; before that nothing is acknowledged.
        now: wall-clock time.
        metrics: counts.
    """

    def __init__(
        self,
        *,
        readers: Mapping[Provider, NotificationReader],
        record_of: Callable[[PaymentNotice], Awaitable[Record]],
        store: Callable[[Record, Sequence[tuple[str, bytes]]], Awaitable[None]],
        prompt: Callable[[Sequence[str]], None],
        is_open: Callable[[], bool],
        now: Callable[[], datetime],
        metrics: Metrics,
    ) -> None:
        self._readers = readers
        self._record_of = record_of
        self._store = store
        self._prompt = prompt
        self._is_open = is_open
        self._now = now
        self._count = metrics.counter("topup_callbacks_total")
        self._alerts = CallbackAlerts(metrics)
        self._unknown_names = metrics.counter("topup_callback_unknown_names_total")
        self._in_hand = 0
        for provider in PATHS.values():
            self._unknown_names.labels(provider)
            for result in RESULTS:
                self._count.labels(provider, result)

    async def answer(self, request: Request) -> Response:
        """The answer to a request, within `ANSWER_SECONDS`. Raises nothing."""
        provider = PATHS.get(request.target) if request.method == "POST" else None
        if provider is None:
            return NOT_FOUND
        if self._in_hand >= MAX_IN_HAND:
            outcome = Outcome("refused", stored=False, reason="busy", sentence="Too many callbacks wait for an answer.")
        else:
            self._in_hand += 1
            try:
                outcome = await self._outcome(provider, request)
            finally:
                self._in_hand -= 1
        self._count.labels(provider, outcome.result).inc()
        _log.info(
            "callback",
            provider=provider,
            notification_id=outcome.notification_id,
            result=outcome.result,
            stored=outcome.stored,
            order_id=outcome.order_id,
            reason=outcome.reason,
            sentence=outcome.sentence,
        )
        return (STORED if outcome.stored else AGAIN)[provider]

    async def _outcome(self, provider: Provider, request: Request) -> Outcome:
        try:
            return await self._kept(provider, request)
        except NotificationRefused as refusal:
            self._alerts.refused(provider, refusal)
            return Outcome("refused", stored=False, reason=refusal.flaw, sentence=str(refusal))
        except Unavailable as away:
            return Outcome("refused", stored=False, reason="unavailable", sentence=in_one_line(away))
        except Exception as bug:  # noqa: BLE001 - the provider sends again, and a person hears of it
            self._alerts(provider, "bug", "A callback can't be worked on; report the traceback.", exc_info=bug)
            return Outcome("refused", stored=False, reason="bug", sentence=type(bug).__name__)

    async def _kept(self, provider: Provider, request: Request) -> Outcome:
        reader = self._readers.get(provider)
        if reader is None:
            raise Unavailable(f"{provider} is not configured here: set its variables, or stop it from calling.")
        if not self._is_open():
            raise Unavailable("Kafka has not been there since the start.")
        if any(name == "content-encoding" for name, _ in request.headers):
            raise NotificationRefused("headers", "Its body is encoded, which no provider does.")
        notice = reader.read(request.headers, request.body, self._now())
        self._alerts.proven(provider)
        self._unknown_names.labels(provider).inc(notice.unknown_names)
        notification_id = _showable(notice.notification_id)
        match notice:
            case PaymentNotice():
                return await self._payment(notice, notification_id)
            case RefundNotice():
                return self._refund(provider, notice, notification_id)
            case OtherNotice():
                return Outcome("other", stored=True, notification_id=notification_id)

    def _refund(self, provider: Provider, notice: RefundNotice, notification_id: str) -> Outcome:
        order_ids = order_ids_of_refund(notice.refund_number)
        self._prompt(order_ids)
        order_id = order_ids[0] if order_ids else ""
        if notice.refund_number and notice.out_trade_no and not _is_ours(provider, notice):
            order_id = notice.out_trade_no if is_order_id(notice.out_trade_no) else ""
            sentence = (
                "A refund moved that has none of our numbers: somebody made it elsewhere. See how its order stands "
                "(`topup orders find`) before anybody pays again."
            )
            self._alerts(provider, "foreign_refund", sentence, notification_id=notification_id, order_id=order_id)
        return Outcome("refund", stored=True, notification_id=notification_id, order_id=order_id)

    async def _payment(self, notice: PaymentNotice, notification_id: str) -> Outcome:
        order_id = notice.out_trade_no if is_order_id(notice.out_trade_no) else ""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                record = await self._record_of(notice)
                await self._store(record, arrival_headers(notification_id, self._now()))
        except (Unavailable, TimeoutError) as away:  # it may be written all the same: then the resend is a repeat
            return Outcome("refused", False, notification_id, order_id, "unavailable", in_one_line(away))
        if record.unmatched is None:
            return Outcome("order", True, notification_id, order_id)
        sentence = f"A genuine payment can't become an order ({record.unmatched}): `topup payments list` shows it."
        self._alerts(notice.provider, record.unmatched, sentence, notification_id=notification_id, order_id=order_id)
        return Outcome("unmatched", True, notification_id, order_id, record.unmatched, sentence)


def _is_ours(provider: Provider, notice: RefundNotice) -> bool:
    return is_our_refund(
        notice.refund_number,
        provider=provider,
        out_trade_no=notice.out_trade_no,
        transaction_id=notice.transaction_id,
    )


def _showable(notification_id: str) -> str:
    """The ID for the log; "" for what has another form than an ID, so perhaps personal data."""
    if _NOTIFICATION_ID.fullmatch(notification_id) is None:
        return ""
    is_safe = len(notification_id) >= _LONGER_THAN_PERSONAL or redacted(notification_id) == notification_id
    return notification_id if is_safe else ""
