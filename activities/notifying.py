"""The step that tells the vehicle. Whatever a platform does, nothing but the notice's own state changes."""

import asyncio

from temporalio import activity

from activities.context import is_local, try_again
from activities.ports import Book, Notifier, Record
from orders.errors import NotAcknowledged
from orders.identities import NoticeResult
from orders.notices import Notice, compose, reason_code
from workflows import policies, steps
from workflows.policies import LOCAL_NOTICE_SECONDS, scaled
from workflows.steps import NoticeAsk, NoticeSays


class NotifyingActivities:
    """Publishes notices to the configured platforms."""

    def __init__(self, notifier: Notifier, book: Book, scale: float) -> None:
        self._notifier = notifier
        self._book = book
        self._scale = scale

    @activity.defn(name=steps.NOTIFY)
    async def notify_vehicle(self, ask: NoticeAsk) -> NoticeSays:
        """Publish one notice to the asked platforms side by side; one that has it already is left alone.

        The local try returns what is pending; a regular attempt (one platform) fails with it and is tried again.
        """
        record, notices = await self._book.read_with_notices(ask.order_id)
        states = {
            notice.platform: notice.state
            for notice in notices
            if notice.result == ask.result and notice.platform in ask.platforms and notice.state == "acknowledged"
        }
        due = [platform for platform in ask.platforms if platform not in states]
        if ask.result == "failed" and record.entry.fact == "sold":  # delivered after all: that is its one notice
            return NoticeSays(states=states | dict.fromkeys(due, "refused"))
        notice = _compose(record, ask.result)
        if notice is None:
            return _forgotten(ask)
        outcomes = dict(zip(due, await asyncio.gather(*(self._publish(one, notice) for one in due)), strict=True))
        ended = {platform: outcome for platform, outcome in outcomes.items() if outcome[0] != "pending"}
        if ended:
            await self._book.write_notices(ask.order_id, ask.result, ended)
        pending = [why for state, why in outcomes.values() if state == "pending"]
        if pending and not is_local():
            try_again("NoticeNotAcknowledged", " ".join(pending))
        return NoticeSays(states=states | {platform: state for platform, (state, _) in outcomes.items()})

    async def _publish(self, platform: str, notice: Notice) -> tuple[str, str]:
        if platform not in self._notifier.platforms:
            return "pending", f"The platform {platform} is not configured on this worker: see TOPUP_MQTT_BROKERS."
        limit = LOCAL_NOTICE_SECONDS if is_local() else scaled(policies.NOTICE_ANSWER_SECONDS, self._scale)
        try:
            remark = await self._notifier.publish(platform, notice, timeout_seconds=limit)
        except NotAcknowledged as error:
            return "pending" if error.retryable else "refused", str(error)
        return "acknowledged", remark


def _forgotten(ask: NoticeAsk) -> NoticeSays:
    """The book was rolled back under this run, and knows nothing (any more) of what the notice tells.

    A run that has ended must close, so that another takes the order up; one that refunds will have it booked again.
    """
    if ask.result == "failed":
        try_again("NoticeNotDue", "The order book was restored; the notice follows what it finds out.")
    return NoticeSays(states=dict.fromkeys(ask.platforms, "refused"))


def _compose(record: Record, result: NoticeResult) -> Notice | None:
    """The notice, from the book alone, so that each attempt sends the same bytes. None: nothing to tell of."""
    order, entry = record.order, record.entry
    at = entry.refund_confirmed_at if result == "refunded" else entry.fact_at
    if at is None:
        return None
    return compose(
        order_id=order.order_id,
        vin=order.vehicle.vin,
        package_id=order.package_id,
        amount_fen=order.amount_fen,
        result=result,
        at=at,
        reason=reason_code(entry.fact_code, "REJECTED"),
    )
