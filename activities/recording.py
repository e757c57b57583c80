"""The steps that touch the order book alone: where an order stands, its end, an operator's word."""

from collections.abc import Mapping
from datetime import datetime

from temporalio import activity

from activities.order_desk import ENDS, OrderDesk
from orders import four_eyes, operator_rules, refund_rules
from orders.four_eyes import Proposed
from orders.state import OrderState
from workflows import steps
from workflows.steps import CallPerson, GivenUp, OrderRequest, Progress, Recorded, SignedRequest

UNPROVEN = "Two persons are demanded, and a cancel proves none: two operators give `topup orders refund`."
NO_SUCH_UPDATE = "The saga has no such update; nothing was written."
"""Who calls an activity past the saga gives the trail no line that reads as a step's."""
TOO_LATE = "The carrier's final word is in the book; the cancel came too late."


class RecordingActivities:
    """`record_order` and its siblings."""

    def __init__(self, desk: OrderDesk) -> None:
        self._desk = desk

    @activity.defn(name=steps.READ_ORDER.name)
    async def read_order(self, request: OrderRequest) -> Progress:
        """Where the book says the order stands."""
        return (await self._desk.read(request.order_id)).progress

    @activity.defn(name=steps.RECORD_ORDER.name)
    async def record_order(self, request: OrderRequest) -> Progress:
        """Write the end, once; what is there already stands."""
        settled = await self._desk.decide(
            request.order_id,
            lambda stored, now: refund_rules.settle(stored.state, now, self._desk.times),
            kind=ENDS,
            detail=lambda outcome: {"outcome": outcome},
        )
        return settled.progress

    @activity.defn(name=steps.CALL_PERSON.name)
    async def record_attention(self, call: CallPerson) -> Progress:
        """Call a person for an order that has waited too long; everything goes on meanwhile."""
        called = await self._desk.decide(
            call.order_id,
            lambda stored, _: operator_rules.call_person(stored.state, call.attention, call.why),
            kind="status",
        )
        return called.progress

    @activity.defn(name=steps.RECORD_CANCEL.name)
    async def record_cancel(self, signed: SignedRequest) -> Recorded:
        """Write a cancel before anything follows from it; after the carrier's final word it changes nothing.

        Where two persons are demanded, it is noted and does nothing: its reason, the only place for a name, is what
        was typed, past whatever names operators elsewhere; one person would be both of two.
        """
        if self._desk.four_eyes:
            return await self._note_cancel(signed)
        written = await self._desk.decide(
            signed.order_id,
            lambda stored, _: operator_rules.request_cancel(stored.state),
            kind="cancel_requested",
            detail=lambda written: {**_said(signed), "in_time": written},
        )
        return Recorded(refusal="" if written.answer else TOO_LATE)

    async def _note_cancel(self, signed: SignedRequest) -> Recorded:
        await self._desk.decide(
            signed.order_id,
            lambda stored, _: (stored.state, None),
            kind="cancel_requested",
            detail=lambda _: {**_said(signed), "refused": UNPROVEN},
        )
        return Recorded(refusal=UNPROVEN)

    @activity.defn(name=steps.RECORD_RESOLUTION.name)
    async def record_resolution(self, signed: SignedRequest) -> Recorded:
        """Write an operator's `resolve` or `refund_now` before anything follows from it.

        Where two persons are demanded, the first one's word is a proposal alone; a word that would be refused is
        refused at once.
        """
        if signed.update not in ("resolve", four_eyes.REFUND_NOW):
            return Recorded(refusal=NO_SUCH_UPDATE)
        written = await self._desk.decide(
            signed.order_id,
            lambda stored, now: self._write(stored.state, now, signed),
            kind=signed.update,
            detail=lambda written: {**_said(signed), **written.detail},
        )
        return Recorded(refusal=written.answer.refusal, proposal=written.answer.proposal)

    @activity.defn(name=steps.RECORD_REQUEST.name)
    async def record_request(self, signed: SignedRequest) -> Recorded:
        """Note who asked for what and why; `retry_now` lets what was refused be tried once more."""
        if signed.update not in ("retry_now", "renotify"):
            return Recorded(refusal=NO_SUCH_UPDATE)
        retries = signed.update == "retry_now"
        await self._desk.decide(
            signed.order_id,
            lambda stored, now: operator_rules.request_retry(stored.state, now) if retries else (stored.state, None),
            kind=signed.update,
            detail=lambda _: _said(signed),
        )
        return Recorded()

    @activity.defn(name=steps.RECORD_GIVEN_UP.name)
    async def record_notice_given_up(self, notice: GivenUp) -> Recorded:
        """Note that a platform did not take a notice before it would have expired."""
        states = {notice.platform: ("given_up", "The platform did not take it before it would have expired.")}
        await self._desk.book.write_notices(notice.order_id, notice.result, states)
        return Recorded()

    def _write(self, state: OrderState, now: datetime, signed: SignedRequest) -> tuple[OrderState, "_Written"]:
        said = signed.request
        wish = said.outcome or signed.update
        after, refusal = self._follow(state, now, wish, said.note)
        if refusal or not self._desk.four_eyes:
            return (state, _Written(refusal)) if refusal else (four_eyes.withdraw(after), _Written())
        marked, answer = four_eyes.propose(state, now, wish, said.operator, said.note)
        if isinstance(answer, Proposed):
            clause = four_eyes.open_proposal(marked, now)
            replaces = {"replaces": answer.replaced} if answer.replaced else {}
            return marked, _Written(proposal=clause, detail={"two_persons": "proposed", **replaces})
        after, refusal = self._follow(marked, now, wish, answer.note)
        return after, _Written(refusal, detail={"two_persons": f"confirmed what {answer.proposed_by} proposed"})

    def _follow(self, state: OrderState, now: datetime, wish: str, note: str) -> tuple[OrderState, str]:
        """What the book makes of an operator's word; why not, or `""`."""
        match wish:
            case "delivered":
                return operator_rules.resolve_delivered(state, now, self._desk.times)
            case "not_delivered":
                return operator_rules.resolve_not_delivered(state, now, self._desk.times, note)
            case four_eyes.REFUND_NOW:
                after, written = operator_rules.request_cancel(state)
                return after, "" if written else operator_rules.FINAL
            case "refunded":
                return operator_rules.resolve_refunded(state, note)
            case _:
                return state, "outcome must be delivered, not_delivered or refunded."


class _Written:
    """What became of an operator's word, and what the audit trail says of it."""

    def __init__(self, refusal: str = "", *, proposal: str = "", detail: Mapping[str, str] | None = None) -> None:
        self.refusal = refusal
        self.proposal = proposal
        self.detail = {**({"refused": refusal} if refusal else {}), **(detail or {})}


def _said(signed: SignedRequest) -> dict[str, str]:
    return signed.request.model_dump(exclude_defaults=True)
