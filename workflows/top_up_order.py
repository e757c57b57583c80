"""The saga: one paid order, to exactly one of two ends.

It reads top to bottom in `_saga` and decides nothing: what happens next is said by `orders.next_step`, from the order
book, by each step's result. The saga takes that step, shows where the order stands, and tells the car.
"""

import asyncio
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from orders.identities import REFUND_NOTICE, NoticeResult
from orders.next_step import (
    AskPerson,
    CancelAtCarrier,
    Done,
    QueryCarrier,
    QueryRefund,
    SendRefund,
    Settle,
    StartRefund,
    Submit,
)
from workflows import requests, steps
from workflows.durable import StepRunner
from workflows.requests import REQUEST, RESOLVE
from workflows.steps import (
    GivenUp,
    NotifyRequest,
    OperatorRequest,
    OrderRequest,
    Progress,
    SignedRequest,
    Step,
    TopUpInput,
    TopUpResult,
    TopUpState,
)
from workflows.view import View


@workflow.defn(name=steps.TOP_UP_ORDER)
class TopUpOrder:
    """Takes one paid order to delivered or refunded, and tells the car."""

    @workflow.init
    def __init__(self, order: TopUpInput) -> None:
        self._order = order
        self._steps = StepRunner(order.order_id, order.time_scale)
        self._view = View(order, self._steps)
        self._last: Step[Any, Any] | None = None
        self._background: list[asyncio.Task[None]] = []
        self._renotify = 0
        self._cancels_written = 0

    @workflow.run
    async def run(self, order: TopUpInput) -> TopUpResult:
        """The saga is a task of its own: no cancel interrupts it. A cancel is a request, written in the book first."""
        del order
        saga = asyncio.create_task(self._saga())
        while not saga.done():
            try:
                await asyncio.shield(saga)
            except asyncio.CancelledError:
                cancel = requests.of_cancel(workflow.cancellation_reason())
                self._background.append(asyncio.create_task(self._cancel(cancel)))
        return saga.result()

    async def _saga(self) -> TopUpResult:
        """The story of an order: take the step that the order book says is next, until the end is written."""
        await self._let_a_cancel_come_first()
        progress = await self._take(steps.PLACE)
        while not isinstance(progress.next, Done):
            match progress.next:
                case Submit():
                    progress = await self._take(steps.PLACE)
                case QueryCarrier():
                    progress = await self._take(steps.QUERY, after_seconds=progress.wait_seconds)
                case CancelAtCarrier():
                    progress = await self._take(steps.CANCEL)
                case StartRefund():
                    progress = await self._record(steps.START_REFUND)
                case SendRefund():
                    again = self._last is steps.REFUND
                    progress = await self._take(steps.REFUND, after_seconds=progress.wait_seconds if again else 0.0)
                case QueryRefund():
                    progress = await self._take(steps.QUERY_REFUND, after_seconds=progress.wait_seconds)
                case AskPerson():
                    await self._steps.pause(progress.wait_seconds, self._view.parked_label())
                    progress = await self._record(steps.READ_ORDER)
                case Settle():
                    progress = await self._record(steps.RECORD_ORDER)
        outcome = progress.next.outcome
        await self._tell(outcome, progress.platforms)
        await workflow.wait_condition(lambda: all(task.done() for task in self._background))
        await workflow.wait_condition(workflow.all_handlers_finished)
        return TopUpResult(
            order_id=self._order.order_id, outcome=outcome, reason=progress.reason, notices=self._view.notices
        )

    async def _take(self, step: Step[OrderRequest, Progress], *, after_seconds: float = 0.0) -> Progress:
        """Ask the outside world: locally first, unless the same step was the last one; woken, look at the whole."""
        woken = bool(after_seconds) and await self._steps.pause(after_seconds, self._view.waiting_label())
        locally_first, self._last = step is not self._last, step
        self._steps.begin()
        if woken and (changed := await self._record(steps.READ_ORDER)).mark != self._view.progress.mark:
            return changed
        request = OrderRequest(order_id=self._order.order_id, seen=self._view.progress.mark)
        progress = await self._steps.ask(step, request, self._view.wait_label, locally_first=locally_first)
        if progress is None:  # woken, or ended by a hand: what is next is taken at once
            return (await self._record(steps.READ_ORDER)).model_copy(update={"wait_seconds": 0.0})
        return self._go_by(progress)

    async def _record(self, step: Step[OrderRequest, Progress]) -> Progress:
        """A step in the order book alone."""
        self._steps.begin()
        return self._go_by(await self._steps.record(step, OrderRequest(order_id=self._order.order_id)))

    def _go_by(self, progress: Progress) -> Progress:
        """Show where the order stands; once a refund has started, tell each platform that knows nothing of it."""
        self._steps.local_first = progress.local_first
        self._view.show(progress)
        if progress.refund_started:
            told = self._view.notices.get("failed", {})
            unaware = tuple(name for name in progress.platforms if told.get(name, "not_due") == "not_due")
            self._tell_in_background("failed", unaware)
        return progress

    # --- the notices --------------------------------------------------------------------------------------------

    async def _tell(self, result: NoticeResult, platforms: tuple[str, ...]) -> None:
        """All platforms at once, once, locally; each that did not take it goes on in the background, on its own.

        One that still waits for an earlier notice gets this one after it: the car's last word is the last one.
        """
        behind = tuple(platform for platform in platforms if self._waits_for_failed(platform))
        self._tell_in_background(result, behind)
        at_once = tuple(platform for platform in platforms if platform not in behind)
        if not at_once:
            return
        request = NotifyRequest(order_id=self._order.order_id, result=result, platforms=at_once)
        told = await self._steps.try_locally(steps.NOTIFY, request)
        states = told.states if told is not None else dict.fromkeys(at_once, "pending")
        self._view.notices.setdefault(result, {}).update(states)
        self._tell_in_background(result, tuple(name for name, state in states.items() if state == "pending"))

    def _tell_in_background(self, result: NoticeResult, platforms: tuple[str, ...]) -> None:
        for platform in platforms:
            self._view.notices.setdefault(result, {})[platform] = "pending"
            self._background.append(asyncio.create_task(self._tell_platform(result, platform)))
        if platforms:
            self._view.refresh()

    async def _tell_platform(self, result: NoticeResult, platform: str) -> None:
        """One platform's notice, with its own policy and its own end; its failure changes nothing but its own state."""
        states = self._view.notices[result]
        if result != "failed":
            await workflow.wait_condition(lambda: not self._waits_for_failed(platform))
        try:
            told = await self._steps.until_done(
                steps.NOTIFY_PLATFORM,
                NotifyRequest(order_id=self._order.order_id, result=result, platforms=(platform,)),
                lambda: self._renotify,
                activity_id=steps.notice_activity_id(result, platform),
                task_queue=steps.notices_queue(workflow.info().task_queue),
            )
            states[platform] = told.states.get(platform, "given_up")  # where a hand has completed it with none
            self._view.refresh()
        except ActivityError:
            states[platform] = "given_up"
            given_up = GivenUp(order_id=self._order.order_id, result=result, platform=platform)
            await self._steps.record(steps.RECORD_GIVEN_UP, given_up)

    def _waits_for_failed(self, platform: str) -> bool:
        return self._view.notices.get("failed", {}).get(platform) == "pending"

    # --- operators: the book writes a word before anything follows from it ---------------------------------------

    async def _let_a_cancel_come_first(self) -> None:
        """An order that was cancelled before its run began is not sent: the book has the cancel first."""
        if workflow.cancellation_reason() is not None:
            await workflow.wait_condition(lambda: self._cancels_written > 0)

    async def _cancel(self, request: OperatorRequest) -> None:
        await self._steps.record(steps.RECORD_CANCEL, self._signed(request, "cancel"))
        self._cancels_written += 1
        self._steps.wake()

    @workflow.query
    def status(self) -> TopUpState:
        """Where the order stands (contracts §3)."""
        return self._view.state()

    @workflow.signal(name=REFUND_NOTICE)
    def refund_notice(self) -> None:
        """The provider has sent a notice of this order's refund. It proves nothing: the provider is asked now."""
        self._steps.wake()

    @workflow.update(description=f"Ask carrier or provider again now, without waiting for the next try. {REQUEST}")
    async def retry_now(self, given: Any = None) -> str:
        """Wake whatever waits."""
        await self._steps.record(steps.RECORD_REQUEST, self._signed(requests.parse(given), "retry_now"))
        self._steps.wake()
        return requests.retried(self._view.progress)

    @retry_now.validator
    def _may_retry_now(self, given: Any = None) -> None:
        requests.must_be_signed(given)
        requests.must_be_unsettled(self._view.progress)

    @workflow.update(
        description=f"Say what a person has found out about the order: {RESOLVE}, or as outcome {requests.OUTCOMES}."
    )
    async def resolve(self, given: Any = None) -> str:
        """Write the word in the book, then go on from what the book makes of it."""
        request = requests.parse(given)
        return await self._write(self._signed(request, "resolve"), requests.resolved(request, self._view.progress))

    @resolve.validator
    def _may_resolve(self, given: Any = None) -> None:
        requests.may_resolve(self._view.progress, requests.must_be_signed(given))

    @workflow.update(
        description=f"Cancel at the carrier, then refund, unless it has delivered; refunds nothing by itself. {REQUEST}"
    )
    async def refund_now(self, given: Any = None) -> str:
        """The same as a cancel, signed by an operator."""
        then = requests.refunds(self._view.progress)
        return await self._write(self._signed(requests.parse(given), "refund_now"), then)

    @refund_now.validator
    def _may_refund_now(self, given: Any = None) -> None:
        requests.must_be_signed(given)
        requests.may_refund_now(self._view.progress)

    @workflow.update(description=f"Publish the notices that no platform has acknowledged again now. {REQUEST}")
    async def renotify(self, given: Any = None) -> str:
        """Wake the pending notices."""
        await self._steps.record(steps.RECORD_REQUEST, self._signed(requests.parse(given), "renotify"))
        self._renotify += 1
        return "Publishing the pending notices now."

    @renotify.validator
    def _may_renotify(self, given: Any = None) -> None:
        requests.must_be_signed(given)
        requests.may_renotify(self._view.notices)

    def _signed(self, request: OperatorRequest, update: str) -> SignedRequest:
        return SignedRequest(order_id=self._order.order_id, request=request, update=update)

    async def _write(self, signed: SignedRequest, then: str) -> str:
        """The book decides what the word means: refused, proposed to a second person, or to be gone on by."""
        recorded = await self._steps.record(steps.RECORD_RESOLUTION, signed)
        if recorded.refusal:
            raise ApplicationError(recorded.refusal, type="Refused")
        self._go_by(await self._steps.record(steps.READ_ORDER, OrderRequest(order_id=self._order.order_id)))
        if recorded.proposal:
            return f"{recorded.proposal}. Nothing follows yet: confirm with the same update by another operator."
        self._steps.wake()
        return then
