"""The step that tells the vehicle. Whatever a platform does, nothing but the notice's own state changes."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from temporalio import activity

from activities.concurrency_limit import ConcurrencyLimit, Full
from activities.context import Alert, Journal, is_local, quiet, raise_retryable
from activities.ports import Book, Notifier, StoredOrder
from orders.errors import NotAcknowledged
from orders.identities import NoticeResult
from orders.notices import Notice, NoticeState, compose, reason_code
from orders.state import GOODWILL, UNMATCHED
from orders.time_scale import scaled
from workflows import policies, steps
from workflows.policies import LOCAL_NOTICE_SECONDS
from workflows.steps import NotifyRequest, NotifyResult

WAITING_MOST: Final = 50
"""Regular attempts that may wait at one platform at once, where nothing better is known of the worker's slots."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of one try at one platform; `why` is a remark, or a sentence for the operator."""

    state: Literal["acknowledged", "pending"]
    why: str
    refused: bool = False
    alone: bool = False
    """The platform is not known to be away, so that the fault may be this notice's own."""
    after_seconds: float | None = None
    """When to try again; None: by the policy."""


class NotifyingActivities:
    """Publishes notices to the configured platforms."""

    def __init__(
        self,
        notifier: Notifier,
        book: Book,
        alert: Alert,
        scale: float,
        *,
        waiting_most: int = WAITING_MOST,
        call_after_seconds: float = policies.NOTICE_PENDING_AFTER_SECONDS,
        journal: Journal = quiet,
    ) -> None:
        """`waiting_most` regular attempts wait at one platform at once; of the others each comes back later.

        A person is called for a notice that no platform has taken for `call_after_seconds` (unscaled).
        """
        self._notifier = notifier
        self._book = book
        self._alert = alert
        self._journal = journal
        self._scale = scale
        self._longest_seconds = scaled(policies.NOTIFY_PLATFORM.longest_retry_seconds, scale)
        self._waiting_most = waiting_most
        self._call_after_seconds = scaled(call_after_seconds, scale)
        self._limits: dict[str, ConcurrencyLimit] = {}

    @activity.defn(name=steps.NOTIFY.name)
    async def notify_vehicle(self, request: NotifyRequest) -> NotifyResult:
        """Publish one notice to the asked platforms side by side; one that has it already is left alone.

        The local try returns what is pending; a regular attempt (one platform) fails with it and is tried again.
        """
        stored, notices = await self._book.read_with_notices(request.order_id)
        known = {notice.platform: notice for notice in notices if notice.result == request.result}
        ended = {name: _state(known, name) for name in request.platforms}
        states = {name: state for name, state in ended.items() if state == "acknowledged" or self._retired(name, state)}
        due = [platform for platform in request.platforms if platform not in states]
        notice = _compose(stored, request.result)
        if notice is None:
            return NotifyResult(states=dict.fromkeys(request.platforms, "not_due"))
        told = dict(zip(due, await asyncio.gather(*(self._publish(one, notice) for one in due)), strict=True))
        await self._note(request, told, known)
        pending = [one for one in told.values() if one.state == "pending"]
        if pending and not is_local():
            kind = "NoticeRefused" if pending[0].refused else "NoticeNotAcknowledged"
            raise_retryable(kind, " ".join(one.why for one in pending), after_seconds=pending[0].after_seconds)
        return NotifyResult(states=states | {platform: one.state for platform, one in told.items()})

    def _retired(self, platform: str, state: str) -> bool:
        """Whether a person has ended the notices of a platform that is no more; one that is configured is tried on."""
        return state == "given_up" and platform not in self._notifier.platforms

    async def _publish(self, platform: str, notice: Notice) -> _Told:
        if platform not in self._notifier.platforms:
            return _Told(
                "pending", f"The platform {platform} is not configured on this worker: see TOPUP_MQTT_BROKERS."
            )
        try:
            if is_local():  # has slots of its own, and is over soon
                return _Told(
                    "acknowledged", await self._notifier.publish(platform, notice, timeout_seconds=LOCAL_NOTICE_SECONDS)
                )
            async with self._limit_at(platform).one():
                limit = scaled(policies.NOTICE_ANSWER_SECONDS, self._scale)
                return _Told("acknowledged", await self._notifier.publish(platform, notice, timeout_seconds=limit))
        except NotAcknowledged as error:
            if not error.retryable:
                return _Told("pending", str(error), refused=True, after_seconds=self._longest_seconds)
            alone = error.away_seconds is None
            return _Told("pending", str(error), alone=alone, after_seconds=self._pace_seconds(error.away_seconds))
        except Full as full:
            sentence = (
                f"{self._waiting_most} notices wait for the platform {platform} already: look at its broker if that "
                "goes on; this one is tried again."
            )
            return _Told("pending", sentence, after_seconds=full.come_back_seconds)

    def _pace_seconds(self, away_seconds: float | None) -> float | None:
        """Spread, so that the notices of a burst, which fail together, don't come back together."""
        if away_seconds is None:
            return None
        return policies.notice_pace_seconds(away_seconds, self._scale) * random.uniform(0.5, 1)  # noqa: S311 - spreads load, guards nothing

    def _limit_at(self, platform: str) -> ConcurrencyLimit:
        if platform not in self._limits:
            self._limits[platform] = ConcurrencyLimit(self._waiting_most, longest_seconds=self._longest_seconds)
        return self._limits[platform]

    async def _note(self, request: NotifyRequest, told: Mapping[str, _Told], known: Mapping[str, NoticeState]) -> None:
        """Book what is new: that a notice waits, by its first regular attempt, and once what a person is called for."""
        news = {platform: (one.state, one.why) for platform, one in told.items() if one.state == "acknowledged"}
        for platform, one in told.items():
            if one.state == "acknowledged" or is_local():
                continue
            called = _state(known, platform) == "pending"
            calls = not called and (one.refused or self._is_overdue(one))
            if calls:
                self._alert(
                    "notice_refused" if one.refused else "notice_pending",
                    order_id=request.order_id,
                    platform=platform,
                    why=one.why,
                )
            if calls or (one.refused and known[platform].remark != one.why):
                news[platform] = (one.state, one.why)
            elif platform not in known:
                news[platform] = ("waiting", "")
        if news:
            await self._book.write_notices(request.order_id, request.result, news)
        for platform, (state, _) in news.items():
            if state == "acknowledged":
                self._journal("told", request.order_id, result=request.result, platform=platform)

    def _is_overdue(self, one: _Told) -> bool:
        """Whether a person is to be called: it has waited too long, or fails again and again where others get through.

        A broker of MQTT 3.1.1 that forbids a topic or a size says so by closing the connection, at each try anew.
        """
        info = activity.info()
        age = datetime.now(UTC) - info.scheduled_time
        overdue = age.total_seconds() > self._call_after_seconds
        return overdue or (one.alone and info.attempt >= policies.NOTICE_TRIES_BEFORE_CALL)


def _state(known: Mapping[str, NoticeState], platform: str) -> str:
    return known[platform].state if platform in known else ""


def _compose(stored: StoredOrder, result: NoticeResult) -> Notice | None:
    """The notice, from the book alone, so that each attempt sends the same bytes.

    None: the book was rolled back under this run, and knows nothing (any more) of what the notice tells; or the order
    is an unmatched payment to be paid back, which no car waits for, or a goodwill refund, of which no car hears.
    """
    order, state = stored.order, stored.state
    if state.carrier_code in (UNMATCHED, GOODWILL):
        return None
    at = state.refund_confirmed_at if result == "refunded" else state.carrier_outcome_at
    if at is None or (result == "failed" and not state.refund_sequence):
        return None
    return compose(
        order_id=order.order_id,
        vin=order.vehicle.vin,
        package_id=order.package_id,
        amount_fen=order.amount_fen,
        result=result,
        at=at,
        reason=reason_code(state.carrier_code, "REJECTED"),
    )
