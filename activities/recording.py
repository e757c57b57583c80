"""The steps that touch the order book alone: where an order stands, its end, an operator's word."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.at_most_once import book_says
from activities.context import Alert
from activities.ports import Book
from orders import at_most_once, four_eyes
from orders import book as rules
from orders.book import CANCELLED, CarrierTimes, OrderState
from orders.clock import Clock
from orders.four_eyes import Proposed
from orders.lifecycle import Outcome
from orders.outcomes import CarrierResult
from workflows import steps
from workflows.steps import GivenUp, Recorded, Settled, SignedRequest, Stand, StatusNote


class RecordingActivities:
    """`record_order` and its siblings.

    Args:
        platforms: the configured MQTT platforms; enters each run through `read_order`.
        scale: `TOPUP_TIME_SCALE`; likewise.
        local_first: whether steps are tried locally first; likewise.
        times: what the rules need to know of the carrier.
        two_persons: whether `resolve` and `refund_now` wait for a second operator's same word.
    """

    def __init__(
        self,
        book: Book,
        clock: Clock,
        alert: Alert,
        *,
        platforms: tuple[str, ...],
        scale: float,
        local_first: bool,
        times: CarrierTimes,
        two_persons: bool = False,
    ) -> None:
        self._book = book
        self._clock = clock
        self._alert = alert
        self._platforms = platforms
        self._scale = scale
        self._local_first = local_first
        self._two_persons = two_persons
        self._times = times

    @activity.defn(name=steps.READ_ORDER)
    async def read_order(self, order_id: str) -> Stand:
        """Where the book says the order stands, and what of the configuration its run goes by."""
        entry, now = (await self._book.read(order_id)).state, self._clock.now()
        word = rules.final_outcome(entry)
        carrier = None if word is None else CarrierResult(answer=word)
        if entry.posts and not rules.can_be_asked(entry, self._times):
            _, carrier = book_says(entry, now, self._times, self._scale)
        return Stand(
            posts=entry.posts,
            cancel_reason=entry.cancel_reason,
            carrier=carrier,
            platforms=self._platforms,
            scale=self._scale,
            local_first=self._local_first,
            ask_first=self._times.restored_at is not None,
            proposal=four_eyes.open_proposal(entry, now) if self._two_persons else "",
        )

    @activity.defn(name=steps.RECORD_ORDER)
    async def record_order(self, order_id: str) -> Settled:
        """Write the end, once; what is there already stands."""
        outcome = await self._book.decide(
            order_id,
            lambda record: rules.settle(record.state, self._clock.now()),
            kind="settle",
            detail=_settled_detail,
        )
        return Settled(outcome=outcome)

    @activity.defn(name=steps.RECORD_STATUS)
    async def record_status(self, note: StatusNote) -> Recorded:
        """Show in the book that an order waits, and for what; call a person if it waits for one."""
        await self._book.decide(
            note.order_id,
            lambda record: rules.note(record.state, note.status, note.reason, needs_operator=note.needs_operator),
            kind="status",
            detail=lambda _: {"status": note.status, "reason": note.reason, "needs_operator": note.needs_operator},
        )
        if note.needs_operator:
            self._alert("order_needs_operator", order_id=note.order_id, why=note.reason)
        return Recorded()

    @activity.defn(name=steps.RECORD_CANCEL)
    async def record_cancel(self, asked: SignedRequest) -> Recorded:
        """Write a cancel before anything follows from it; after the carrier's final word it changes nothing."""
        written = await self._book.decide(
            asked.order_id,
            lambda record: rules.request_cancel(record.state, CANCELLED),
            kind="cancel_requested",
            detail=lambda written: {**asked.word.model_dump(exclude_defaults=True), "in_time": written},
        )
        return Recorded(refusal="" if written else "The carrier's final word is in the book; the cancel came too late.")

    @activity.defn(name=steps.RECORD_RESOLUTION)
    async def record_resolution(self, asked: SignedRequest) -> Recorded:
        """Write an operator's `resolve` or `refund_now` before anything follows from it.

        Where two persons are demanded, the first one's word is a proposal alone; a word that would be refused is
        refused at once.
        """
        now = self._clock.now()
        written = await self._book.decide(
            asked.order_id,
            lambda record: self._write(record.state, now, asked),
            kind=asked.update,
            detail=lambda written: {**asked.word.model_dump(exclude_defaults=True), **written.detail},
        )
        return Recorded(refusal=written.refusal, proposal=written.proposal)

    def _write(self, entry: OrderState, now: datetime, asked: SignedRequest) -> tuple[OrderState, "_Written"]:
        word, wish = asked.word, asked.word.outcome or asked.update
        after, refusal = self._follow(entry, now, wish, word.note)
        if refusal or not self._two_persons:
            return (entry, _Written(refusal)) if refusal else (four_eyes.withdraw(after), _Written())
        marked, answer = four_eyes.propose(entry, now, wish, word.operator, word.note)
        if isinstance(answer, Proposed):
            clause = four_eyes.open_proposal(marked, now)
            replaces = {"replaces": answer.replaced} if answer.replaced else {}
            return marked, _Written(proposal=clause, detail={"two_persons": "proposed", **replaces})
        after, refusal = self._follow(marked, now, wish, answer.note)
        return after, _Written(refusal, detail={"two_persons": f"confirmed what {answer.proposed_by} proposed"})

    def _follow(self, entry: OrderState, now: datetime, wish: str, note: str) -> tuple[OrderState, str]:
        """What the book makes of an operator's word; why not, or `""`."""
        match wish:
            case "delivered":
                return rules.resolve_delivered(entry, now, restored=self._times.restored_at is not None)
            case "not_delivered":
                return at_most_once.resolve_not_delivered(entry, now, self._times, note)
            case four_eyes.REFUND_NOW:
                after, written = rules.request_cancel(entry, CANCELLED)
                return after, "" if written else "The carrier's final word is in the book already."
            case "refunded":
                return rules.resolve_refunded(entry, note)
            case _:
                return entry, "outcome must be delivered, not_delivered or refunded."

    @activity.defn(name=steps.RECORD_WORD)
    async def record_word(self, asked: SignedRequest) -> Recorded:
        """Note who asked for what and why, where the book's row has nothing to change."""
        await self._book.append(asked.order_id, asked.update, asked.word.model_dump(exclude_defaults=True))
        return Recorded()

    @activity.defn(name=steps.RECORD_GIVEN_UP)
    async def record_notice_given_up(self, notice: GivenUp) -> Recorded:
        """Note that a platform did not take a notice before it would have expired."""
        states = {notice.platform: ("given_up", "The platform did not take it before it would have expired.")}
        await self._book.write_notices(notice.order_id, notice.result, states)
        return Recorded()


class _Written:
    """What became of an operator's word, and what the audit trail says of it."""

    def __init__(self, refusal: str = "", *, proposal: str = "", detail: Mapping[str, str] | None = None) -> None:
        self.refusal = refusal
        self.proposal = proposal
        self.detail = {**({"refused": refusal} if refusal else {}), **(detail or {})}


def _settled_detail(outcome: Outcome | None) -> Mapping[str, Any]:
    return {"outcome": outcome}
