"""The steps at the payment provider: send the refund, ask for it. Same number and amount until it is confirmed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.context import AttemptTimeout, raise_retryable
from activities.order_desk import Decided, OrderDesk, unless_seen
from activities.ports import PaymentProvider, StoredOrder
from orders import refund_rules
from orders.identities import goodwill_of, refund_number
from orders.next_step import QueryRefund, SendRefund
from orders.outcomes import (
    RefundAnswer,
    RefundClosed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundRequest,
)
from orders.time_scale import scaled
from workflows import policies, steps
from workflows.steps import OrderRequest, Progress

REASON = "The data package could not be delivered"
GOODWILL_REASON = "Goodwill refund"
"""What the customer reads beside the refund; the same on every attempt of one number."""


class RefundingActivities:
    """Refunds at the configured providers."""

    def __init__(self, providers: Mapping[str, PaymentProvider], desk: OrderDesk) -> None:
        self._providers = providers
        self._desk = desk

    @activity.defn(name=steps.START_REFUND.name)
    async def record_refund(self, request: OrderRequest) -> Progress:
        """Write the refund intent, before anything is sent."""
        started = await self._desk.decide(
            request.order_id,
            lambda stored, now: refund_rules.start_refund(stored.state, now, self._desk.times),
            kind="refund_intent",
            detail=lambda started: {"refund_number": refund_number(request.order_id, 1)} if started else {},
        )
        return started.progress

    @activity.defn(name=steps.REFUND.name)
    async def refund_payment(self, request: OrderRequest) -> Progress:
        """Send the refund number in use; where it may have been sent before, ask the provider first."""
        read = await self._desk.read(request.order_id)
        if not isinstance(read.progress.next, SendRefund):
            return read.progress
        stored = read.answer
        provider = self._provider(stored)
        if isinstance(provider, RefundHeld):
            return self._result(request, await self._record(stored, provider, kind="refund_held"))
        if refund_rules.must_ask_first(stored.state, self._desk.times):
            asked = await self._ask(provider, stored)
            if isinstance(asked.answer, RefundClosed) and stored.state.refund_answered == "closed":
                return await self._next_number(request.order_id, stored.state.refund_sequence)
            if not isinstance(asked.progress.next, SendRefund) or isinstance(asked.answer, RefundClosed):
                return self._result(request, asked)
        return self._result(request, await self._send(provider, stored))

    @activity.defn(name=steps.QUERY_REFUND.name)
    async def query_refund(self, request: OrderRequest) -> Progress:
        """Ask for the refund number in use until there is something new; the local try asks once."""
        read = await self._desk.read(request.order_id)
        if not isinstance(read.progress.next, QueryRefund):
            return read.progress
        provider = self._provider(read.answer)
        if isinstance(provider, RefundHeld):
            return self._result(request, await self._record(read.answer, provider, kind="refund_held"))
        return self._result(request, await self._ask(provider, read.answer))

    def _result(self, request: OrderRequest, decided: Decided[RefundAnswer]) -> Progress:
        return unless_seen(request, decided, "RefundNotConfirmed", getattr(decided.answer, "why", ""))

    async def _send(self, provider: PaymentProvider, stored: StoredOrder) -> Decided[RefundAnswer]:
        await self._must_be_free(stored)
        order_id, sequence = stored.state.order_id, stored.state.refund_sequence
        authorized = await self._desk.decide(
            order_id,
            lambda stored, now: refund_rules.authorize_refund(stored.state, now, self._desk.times, sequence),
            kind="refund_send",
            detail=lambda leaves: {"refund_number": refund_number(order_id, sequence), "leaves": leaves},
        )
        sent_at = authorized.state.refund_sent_at
        if not authorized.answer or sent_at is None:
            why = "Another attempt has gone on with this refund; asking what became of it."
            return Decided(RefundInDoubt(why=why), authorized.state, authorized.progress)

        def in_time() -> bool:  # asked right before the first byte leaves
            return (self._desk.clock.now() - sent_at).total_seconds() <= policies.REFUND_LEAVES_SECONDS

        timeout = AttemptTimeout(self._http_seconds())
        refund = self._request(stored, sequence)
        answer = await provider.refund(refund, timeout_seconds=timeout.seconds, in_time=in_time)
        return self._in_time(timeout, await self._record(stored, answer, kind="refund_answer", sent_at=sent_at))

    async def _ask(self, provider: PaymentProvider, stored: StoredOrder) -> Decided[RefundAnswer]:
        await self._must_be_free(stored)
        timeout = AttemptTimeout(self._http_seconds())
        refund = self._request(stored, stored.state.refund_sequence)
        answer = await provider.query(refund, timeout_seconds=timeout.seconds)
        return self._in_time(timeout, await self._record(stored, answer, kind="refund_query"))

    async def _must_be_free(self, stored: StoredOrder) -> None:
        """Before a call, and before the book is told of it: where none may leave now, this attempt comes again."""
        if (stopped := await self._desk.gate.stopped(stored.order.payment.provider)) is not None:
            stopped.again_later()

    def _in_time(self, timeout: AttemptTimeout, decided: Decided[RefundAnswer]) -> Decided[RefundAnswer]:
        if isinstance(decided.answer, RefundInDoubt) and timeout.ran_out:
            raise_retryable("NoAnswerYet", decided.answer.why)
        return decided

    async def _record(
        self, stored: StoredOrder, answer: RefundAnswer, *, kind: str, sent_at: datetime | None = None
    ) -> Decided[RefundAnswer]:
        order_id, number = stored.state.order_id, stored.state.refund_sequence
        decided = await self._desk.decide(
            order_id,
            lambda stored, now: refund_rules.record_refund_response(
                stored.state, now, self._desk.times, answer, of_number=number, of_send=sent_at
            ),
            kind=kind,
            detail=lambda _: _answer_detail(answer),
            wait_at_least_seconds=getattr(answer, "retry_after_seconds", None) or 0.0,
        )
        if isinstance(answer, RefundDenied | RefundHeld) or (isinstance(answer, RefundInDoubt) and answer.alert):
            self._desk.alert("refund_needs_a_person", order_id=order_id, why=answer.why)
        return decided

    async def _next_number(self, order_id: str, closed: int) -> Progress:
        decided = await self._desk.decide(
            order_id,
            lambda stored, _: refund_rules.close_refund_number(stored.state, closed),
            kind="refund_number",
            detail=lambda sequence: {"refund_number": refund_number(order_id, sequence), "closed": closed},
        )
        return decided.progress

    def _provider(self, stored: StoredOrder) -> PaymentProvider | RefundHeld:
        payment = stored.order.payment
        provider = self._providers.get(payment.provider)
        if provider is None:
            why = f"{payment.provider} is not configured on this worker: set its TOPUP_* variables and restart."
            return RefundHeld(code="UNCONFIGURED", why=why)
        if provider.merchant_id != payment.merchant_id:
            why = (
                f"This payment belongs to merchant {payment.merchant_id} of {payment.provider}, the worker is for"
                f" {provider.merchant_id}: refund it there, or start a worker with that merchant's keys."
            )
            return RefundHeld(code="UNCONFIGURED", why=why)
        return provider

    def _request(self, stored: StoredOrder, sequence: int) -> RefundRequest:
        order = stored.order
        return RefundRequest(
            refund_number=refund_number(stored.order_id, sequence),
            transaction_id=order.payment.transaction_id,
            out_trade_no=order.payment.out_trade_no,
            merchant_id=order.payment.merchant_id,
            amount_fen=stored.refund_fen,
            total_fen=order.amount_fen,
            currency=order.currency,
            reason=REASON if goodwill_of(stored.order_id) is None else GOODWILL_REASON,
        )

    def _http_seconds(self) -> float:
        return scaled(policies.REFUND_MONEY.call_seconds, self._desk.scale)


def _answer_detail(answer: RefundAnswer) -> Mapping[str, Any]:
    return {"says": answer.kind, **answer.model_dump(include={"code", "why", "provider_refund_id"})}
