"""The saga: one paid order, to exactly one of two ends.

It reads top to bottom in `_saga`. What may be sent is decided in the order book (`orders.book`), by the activities;
the saga decides what to ask next, and shows where it stands.
"""

import asyncio
from typing import Any

from pydantic import ValidationError
from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from orders.identities import NoticeResult
from orders.lifecycle import Outcome
from orders.outcomes import (
    CarrierResult,
    Completed,
    InDoubt,
    NotFound,
    RefundAccepted,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundResult,
    RefundUnknown,
    Refused,
)
from workflows import policies, steps
from workflows.durable import Step, Steps
from workflows.policies import StepPolicy
from workflows.steps import (
    CarrierRequest,
    GivenUp,
    NotifyRequest,
    NotifyResult,
    OperatorRequest,
    Recorded,
    RefundStepRequest,
    Settled,
    SignedRequest,
    Stand,
    TopUpInput,
    TopUpResult,
    TopUpState,
)
from workflows.view import View, label

_WORD = '{"operator": "YOUR NAME", "note": "WHY"}'
_RESOLVE = '{"operator": "YOUR NAME", "note": "REFERENCE", "outcome": "delivered"}'
_OUTCOMES = "delivered, not_delivered or (paid another way) refunded"


@workflow.defn(name=steps.TOP_UP_ORDER)
class TopUpOrder:
    """Takes one paid order to delivered or refunded, and tells the car."""

    @workflow.init
    def __init__(self, order: TopUpInput) -> None:
        self._order = order
        self._steps = Steps()
        self._view = View(order, self._steps)
        self._platforms: tuple[str, ...] = ()
        self._word: Completed | Refused | None = None
        self._denied = False
        self._contradicted = False
        self._asks_first = False
        self._beside: list[asyncio.Task[None]] = []
        self._renotify = 0
        self._refund_again = False

    @workflow.run
    async def run(self, order: TopUpInput) -> TopUpResult:
        """The saga runs beside, so that a cancel never interrupts it: a cancel is a wish that the book writes first."""
        del order
        saga = asyncio.create_task(self._saga())
        while not saga.done():
            try:
                await asyncio.shield(saga)
            except asyncio.CancelledError:
                word = _word_of_cancel(workflow.cancellation_reason())
                self._beside.append(asyncio.create_task(self._cancel(word)))
        return saga.result()

    async def _saga(self) -> TopUpResult:
        outcome: Outcome | None = None
        while outcome is None:
            stand = await self._steps.record(steps.READ_ORDER, self._order.order_id, Stand)
            self._go_by(stand)
            self._word = await self._carriers_last_word(stand)
            match self._word:
                case Completed():
                    pass
                case Refused():
                    await self._view.enter("refunding", self._word.code)
                    if "failed" not in self._view.notices:
                        self._tell_beside("failed", self._platforms)
                    await self._refund_until_confirmed()
            outcome = (await self._steps.record(steps.RECORD_ORDER, self._order.order_id, Settled)).outcome
        await self._view.enter(outcome, self._word.code if isinstance(self._word, Refused) else "")
        await self._tell(outcome)
        await workflow.wait_condition(lambda: all(task.done() for task in self._beside))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return TopUpResult(
            order_id=self._order.order_id, outcome=outcome, reason=self._view.reason, notices=self._view.notices
        )

    # --- the carrier --------------------------------------------------------------------------------------------

    async def _carriers_last_word(self, stand: Stand) -> Completed | Refused:
        """Place the order once, resolve the doubt by asking, burn what can't be found; never guess."""
        says = self._where_it_stands(stand)
        if self._asks_first and isinstance(says.answer, NotFound):
            says = await self._carrier(steps.QUERY, policies.QUERY_ORDER, "GET the order", once=True)
        looks = 0
        while True:
            match says.answer:
                case Completed() | Refused():
                    self._view.carrier_has_spoken()
                    return says.answer
                case NotFound(may_post=True):
                    evidence = says.answer if says.answer.asked_at else None
                    says = await self._carrier(steps.PLACE, policies.PLACE_ORDER, "POST the order", evidence=evidence)
                case NotFound():
                    says = await self._carrier(steps.BURN, policies.BURN_ORDER, "burn the serial")
                case InDoubt() if says.manual_resolution is not None:
                    self._view.reference = says.answer.carrier_order_id
                    label = await self._view.wait_for_a_person(says.answer.why, says.manual_resolution)
                    await self._steps.pause(says.next_look_seconds or policies.LABEL_SECONDS, label)
                    says = await self._carrier(steps.QUERY, policies.QUERY_ORDER, "look in the book for", once=True)
                case InDoubt():
                    await self._show_doubt(says.answer)
                    if says.next_look_seconds:
                        await self._steps.pause(says.next_look_seconds, f"Next look at the carrier: {says.answer.why}")
                    says = await self._carrier(steps.QUERY, policies.QUERY_ORDER, "GET the order", local=looks == 0)
                    looks += 1

    def _where_it_stands(self, stand: Stand) -> CarrierResult:
        if stand.carrier is not None:
            return stand.carrier
        if stand.posts or self._order.reopened:
            return CarrierResult(
                answer=InDoubt(cause="book", why="An earlier run may have sent it; asking the carrier.")
            )
        return CarrierResult(answer=NotFound(may_post=not stand.cancel_reason))

    async def _carrier(
        self,
        name: str,
        policy: StepPolicy,
        what: str,
        *,
        evidence: NotFound | None = None,
        local: bool = True,
        once: bool = False,
    ) -> CarrierResult:
        insist = self._view.needs_operator
        ask = CarrierRequest(order_id=self._order.order_id, evidence=evidence, insist=insist, once=once)
        step = Step(
            name=name,
            arg=ask,
            result=CarrierResult,
            policy=policy,
            summary=f"{what} {self._order.order_id}",
            activity_id=steps.TELECOM_ID,
            local=local and (once or not insist),
        )
        says = await self._steps.ask(step, self._view.carrier_stage)
        return says or CarrierResult(answer=InDoubt(cause="book", why="Looking again."))

    async def _show_doubt(self, doubt: InDoubt) -> None:
        self._view.reference = doubt.carrier_order_id or self._view.reference
        if doubt.cause == "partial":
            await self._view.enter("parked", "the carrier says partial", needs_operator=True)
        elif self._view.status == "placing":
            await self._view.enter("in_doubt", doubt.why)

    # --- the refund ---------------------------------------------------------------------------------------------

    async def _refund_until_confirmed(self) -> None:  # noqa: C901 - one arm per thing the provider can say
        """Send the refund, ask until it is confirmed; no end, and nothing interrupts it."""
        name, closed, looks = steps.REFUND, 0, 0
        while True:
            says = await self._provider(name, closed, local=looks <= 1)
            looks += 1
            match says.answer if says is not None else None:
                case None:  # nudged: the step that sends asks first
                    name = steps.REFUND
                case RefundConfirmed():
                    break
                case RefundUnknown():
                    name, closed = steps.REFUND, 0
                case RefundClosed():
                    name, closed = steps.REFUND, says.sequence if says else 0
                case RefundHeld(code=steps.FORGOTTEN):
                    await self._start_over()
                    return
                case RefundHeld(code=steps.FORBIDDEN, why=why):
                    await self._wait_out_contradiction(why)
                    return
                case RefundHeld(why=why):
                    await self._view.enter("refunding", why, needs_operator=True)
                    name = steps.REFUND
                case RefundDenied(why=why):
                    self._denied = True
                    await self._view.enter("parked", why, needs_operator=True)
                    name = steps.QUERY_REFUND
                case RefundInDoubt(alert=True, why=why):
                    await self._view.enter("refunding", why, needs_operator=True)
                    name = steps.QUERY_REFUND
                case RefundAccepted(why=why) | RefundInDoubt(why=why):
                    if says is not None and says.next_look_seconds:
                        await self._steps.pause(says.next_look_seconds, f"Refund is under way. {why}")
                    name = steps.QUERY_REFUND

    async def _start_over(self) -> None:
        """The book has forgotten the carrier's word: it was restored from a backup. So both are asked again."""
        self._asks_first, self._word = True, None
        self._view.carrier_has_spoken(final=False)
        await self._view.enter("in_doubt", "the order book was restored; asking the carrier again")

    async def _wait_out_contradiction(self, why: str) -> None:
        """The carrier has taken its refusal back before any refund was sent: only an operator's word goes on."""
        self._contradicted = True
        self._view.carrier_has_spoken(final=False)
        await self._view.enter("parked", why, needs_operator=True)
        await self._steps.pause(policies.LABEL_SECONDS, label(f"PARKED: {why} Then Send an Update > resolve"))

    async def _provider(self, name: str, closed: int, *, local: bool) -> RefundResult | None:
        insist = self._view.needs_operator
        sending = name == steps.REFUND
        ask = RefundStepRequest(
            order_id=self._order.order_id,
            closed=closed,
            insist=insist,
            denied=insist and self._denied,
            again=sending and self._refund_again,
        )
        step = Step(
            name=name,
            arg=ask,
            result=RefundResult,
            policy=policies.REFUND_MONEY if sending else policies.QUERY_MONEY,
            summary=f"{'send' if sending else 'ask for'} the refund of {self._order.order_id}",
            activity_id=steps.REFUND_ID,
            local=local and not ask.insist,
        )
        says = await self._steps.ask(step, self._view.refund_stage)
        if says is not None and sending:
            self._refund_again = False
        return says

    # --- the notices --------------------------------------------------------------------------------------------

    async def _tell(self, result: NoticeResult) -> None:
        """All platforms at once, once, locally; each that did not take it goes on beside, on its own.

        One that still waits for an earlier notice gets this one after it: the car's last word is the last one.
        """
        behind = tuple(platform for platform in self._platforms if self._waits_for_failed(platform))
        self._tell_beside(result, behind)
        at_once = tuple(platform for platform in self._platforms if platform not in behind)
        if not at_once:
            return
        step = Step(
            name=steps.NOTIFY,
            arg=NotifyRequest(order_id=self._order.order_id, result=result, platforms=at_once),
            result=NotifyResult,
            policy=policies.NOTIFY_FIRST,
            summary=f"notice {result}",
        )
        says = await self._steps.try_locally(step)
        states = says.states if says is not None else dict.fromkeys(at_once, "pending")
        self._view.notices.setdefault(result, {}).update(states)
        self._tell_beside(result, tuple(name for name, state in states.items() if state == "pending"))

    def _tell_beside(self, result: NoticeResult, platforms: tuple[str, ...]) -> None:
        self._beside += [asyncio.create_task(self._tell_platform(result, platform)) for platform in platforms]

    async def _tell_platform(self, result: NoticeResult, platform: str) -> None:
        """One platform's notice, with its own policy and its own end; its failure changes nothing but its own state."""
        states = self._view.notices.setdefault(result, {})
        states[platform] = "pending"
        self._view.show()
        if result != "failed":
            await workflow.wait_condition(lambda: not self._waits_for_failed(platform))
        step = Step(
            name=steps.NOTIFY,
            arg=NotifyRequest(order_id=self._order.order_id, result=result, platforms=(platform,)),
            result=NotifyResult,
            policy=policies.NOTIFY_PLATFORM,
            summary=f"notice {result} on {platform}",
            activity_id=steps.notice_activity_id(result, platform),
            task_queue=steps.notices_queue(workflow.info().task_queue),
        )
        try:
            says = await self._steps.insist(step, lambda: self._renotify)
            states[platform] = says.states.get(platform, "given_up")  # where a hand has completed it with none
            self._view.show()
        except ActivityError:
            states[platform] = "given_up"
            given_up = GivenUp(order_id=self._order.order_id, result=result, platform=platform)
            await self._steps.record(steps.RECORD_GIVEN_UP, given_up, Recorded)

    def _waits_for_failed(self, platform: str) -> bool:
        return self._view.notices.get("failed", {}).get(platform) == "pending"

    # --- operators ----------------------------------------------------------------------------------------------

    def _go_by(self, stand: Stand) -> None:
        self._platforms = stand.platforms
        self._steps.scale, self._steps.local_first = stand.scale, stand.local_first
        self._asks_first = self._asks_first or stand.ask_first
        self._view.propose(stand.proposal)

    async def _cancel(self, word: OperatorRequest) -> None:
        asked = SignedRequest(order_id=self._order.order_id, word=word)
        await self._steps.record(steps.RECORD_CANCEL, asked, Recorded)
        self._steps.nudge()

    async def _note(self, update: str, word: OperatorRequest) -> None:
        asked = SignedRequest(order_id=self._order.order_id, word=word, update=update)
        await self._steps.record(steps.RECORD_WORD, asked, Recorded)

    @workflow.query
    def status(self) -> TopUpState:
        """Where the order stands (contracts §3)."""
        return self._view.state()

    @workflow.update(description=f"Ask carrier or provider again now, without waiting for the next try. {_WORD}")
    async def retry_now(self, given: Any = None) -> str:
        """Wake whatever waits."""
        word = _word(given)
        await self._note("retry_now", word)
        self._refund_again = True
        self._steps.nudge()
        if self._view.person is not None:
            return "Looking in the order book again. The carrier can't be asked from here: ask its desk, then resolve."
        return "Asking again now."

    @retry_now.validator
    def _may_retry_now(self, given: Any = None) -> None:
        _signed(given)
        self._unsettled()

    @workflow.update(
        description=f"Say what a person has found out about the order: {_RESOLVE}, or as outcome {_OUTCOMES}."
    )
    async def resolve(self, given: Any = None) -> str:
        """Write the word in the book, then go on from what the book makes of it."""
        word = _word(given)
        asked = SignedRequest(order_id=self._order.order_id, word=word)
        return await self._write(asked, f"Recorded: {word.outcome}. The order goes on by it.")

    async def _write(self, asked: SignedRequest, then: str) -> str:
        """The book decides what the word means: refused, proposed to a second person, or to be gone on by."""
        recorded = await self._steps.record(steps.RECORD_RESOLUTION, asked, Recorded)
        if recorded.refusal:
            raise ApplicationError(recorded.refusal, type="Refused")
        self._view.propose(recorded.proposal)
        if asked.word.outcome == "refunded" and not recorded.proposal:
            self._view.paid_another_way()
        if recorded.proposal:
            return f"{recorded.proposal}. Nothing follows yet: confirm with the same update by another operator."
        self._steps.nudge()
        return then

    @resolve.validator
    def _may_resolve(self, given: Any = None) -> None:
        word = _signed(given)
        self._unsettled()
        match word.outcome:
            case "refunded":
                if not self._denied:
                    then = "it goes on by itself."
                    if self._view.needs_operator:
                        then = f"it waits for this: {self._view.reason}"
                    raise ApplicationError(
                        f"The provider has not definitely refused this refund; {then}", type="Refused"
                    )
            case "delivered" | "not_delivered":
                if self._word is not None and not self._contradicted:
                    raise ApplicationError(
                        f"The carrier's final word is known ({self._word.kind}); there is no doubt to resolve.",
                        type="Refused",
                    )
            case _:
                raise ApplicationError(f"outcome must be one of {_OUTCOMES}: {_RESOLVE}", type="Refused")

    @workflow.update(
        description=f"Cancel at the carrier, then refund, unless it has delivered; refunds nothing by itself. {_WORD}"
    )
    async def refund_now(self, given: Any = None) -> str:
        """The same as a cancel, signed by an operator."""
        word = _word(given)
        asked = SignedRequest(order_id=self._order.order_id, word=word, update="refund_now")
        then = "Recorded: the serial is burnt as soon as the carrier allows, then the payment is refunded."
        if self._view.person is not None:
            then = "Recorded, and nothing follows: this carrier has no cancel. Ask its desk, then resolve."
        return await self._write(asked, then)

    @refund_now.validator
    def _may_refund_now(self, given: Any = None) -> None:
        _signed(given)
        self._unsettled()
        if isinstance(self._word, Completed):
            raise ApplicationError("The carrier has delivered this order; it can't be refunded here.", type="Refused")
        if self._word is not None:
            raise ApplicationError("The refund is under way already.", type="Refused")

    @workflow.update(description=f"Publish the notices that no platform has acknowledged again now. {_WORD}")
    async def renotify(self, given: Any = None) -> str:
        """Wake the pending notices."""
        await self._note("renotify", _word(given))
        self._renotify += 1
        return "Publishing the pending notices now."

    @renotify.validator
    def _may_renotify(self, given: Any = None) -> None:
        _signed(given)
        if not any(state == "pending" for states in self._view.notices.values() for state in states.values()):
            raise ApplicationError("No notice is pending: each platform has it, or its time is over.", type="Refused")

    def _unsettled(self) -> None:
        if self._view.status in ("delivered", "refunded"):
            raise ApplicationError(f"This order is {self._view.status}; nothing is to be done.", type="Refused")


def _word(given: Any) -> OperatorRequest:
    """What an operator has typed; whatever is no word is refused by a sentence."""
    try:
        return OperatorRequest.model_validate(given)
    except ValidationError as error:
        raise ApplicationError(f"Send one JSON object whose members are texts: {_WORD}", type="Refused") from error


def _signed(given: Any) -> OperatorRequest:
    word = _word(given)
    if not word.operator.strip() or not word.note.strip():
        raise ApplicationError(f"Say who you are and why: {_WORD}", type="Refused")
    return word


def _word_of_cancel(reason: str | None) -> OperatorRequest:
    """`NAME: WHY`, as `topup orders cancel` says it; every other way of cancelling names nobody."""
    operator, _, note = (reason or "").partition(": ")
    return (
        OperatorRequest(operator=operator, note=note)
        if note
        else OperatorRequest(note=reason or "temporal workflow cancel")
    )
