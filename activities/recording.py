"""The steps that touch the order book alone: where an order stands, its end, an operator's word."""

from collections.abc import Mapping
from typing import Any

from temporalio import activity

from activities.context import Alert
from activities.ports import Book
from orders import book as rules
from orders.book import CANCELLED, RESOLVED_BY_OPERATOR, Entry
from orders.clock import Clock
from orders.lifecycle import Outcome
from orders.outcomes import CarrierSays
from workflows import steps
from workflows.steps import GivenUp, Recorded, Settled, Stand, StatusNote, WordFor


class RecordingActivities:
    """`record_order` and its siblings.

    Args:
        platforms: the configured MQTT platforms; enters each run through `read_order`.
        scale: `TOPUP_TIME_SCALE`; likewise.
        local_first: whether steps are tried locally first; likewise.
    """

    def __init__(
        self, book: Book, clock: Clock, alert: Alert, *, platforms: tuple[str, ...], scale: float, local_first: bool
    ) -> None:
        self._book = book
        self._clock = clock
        self._alert = alert
        self._platforms = platforms
        self._scale = scale
        self._local_first = local_first

    @activity.defn(name=steps.READ_ORDER)
    async def read_order(self, order_id: str) -> Stand:
        """Where the book says the order stands, and what of the configuration its run goes by."""
        entry = (await self._book.read(order_id)).entry
        word = rules.known(entry)
        return Stand(
            posts=entry.posts,
            cancel_reason=entry.cancel_reason,
            carrier=None if word is None else CarrierSays(answer=word),
            platforms=self._platforms,
            scale=self._scale,
            local_first=self._local_first,
        )

    @activity.defn(name=steps.RECORD_ORDER)
    async def record_order(self, order_id: str) -> Settled:
        """Write the end, once; what is there already stands."""
        outcome = await self._book.decide(
            order_id,
            lambda record: rules.settle(record.entry, self._clock.now()),
            kind="settle",
            detail=_settled_detail,
        )
        return Settled(outcome=outcome)

    @activity.defn(name=steps.RECORD_STATUS)
    async def record_status(self, note: StatusNote) -> Recorded:
        """Show in the book that an order waits, and for what; call a person if it waits for one."""
        await self._book.decide(
            note.order_id,
            lambda record: rules.note(record.entry, note.status, note.reason, needs_operator=note.needs_operator),
            kind="status",
            detail=lambda _: {"status": note.status, "reason": note.reason, "needs_operator": note.needs_operator},
        )
        if note.needs_operator:
            self._alert("order_needs_operator", order_id=note.order_id, why=note.reason)
        return Recorded()

    @activity.defn(name=steps.RECORD_CANCEL)
    async def record_cancel(self, asked: WordFor) -> Recorded:
        """Write a cancel before anything follows from it; after the carrier's final word it changes nothing."""
        written = await self._book.decide(
            asked.order_id,
            lambda record: rules.request_cancel(record.entry, CANCELLED),
            kind="cancel_requested",
            detail=lambda written: {**asked.word.model_dump(exclude_defaults=True), "in_time": written},
        )
        return Recorded(refusal="" if written else "The carrier's final word is in the book; the cancel came too late.")

    @activity.defn(name=steps.RECORD_RESOLUTION)
    async def record_resolution(self, asked: WordFor) -> Recorded:
        """Write an operator's `resolve` before anything follows from it."""
        now, word = self._clock.now(), asked.word

        def rule(entry: Entry) -> tuple[Entry, str]:
            match word.outcome:
                case "delivered":
                    return rules.resolve_delivered(entry, now)
                case "not_delivered":
                    after, written = rules.request_cancel(entry, RESOLVED_BY_OPERATOR, word.note)
                    return after, "" if written else "The carrier's final word is in the book already."
                case "refunded":
                    return rules.resolve_refunded(entry, word.note)
                case _:
                    return entry, "outcome must be delivered, not_delivered or refunded."

        refusal = await self._book.decide(
            asked.order_id,
            lambda record: rule(record.entry),
            kind="resolve",
            detail=lambda refusal: {**word.model_dump(), "refused": refusal},
        )
        return Recorded(refusal=refusal)

    @activity.defn(name=steps.RECORD_GIVEN_UP)
    async def record_notice_given_up(self, notice: GivenUp) -> Recorded:
        """Note that a platform did not take a notice before it would have expired."""
        states = {notice.platform: ("given_up", "The platform did not take it before it would have expired.")}
        await self._book.write_notices(notice.order_id, notice.result, states)
        return Recorded()


def _settled_detail(outcome: Outcome | None) -> Mapping[str, Any]:
    return {"outcome": outcome}
