"""The steps at the payment provider: send the refund, ask for it. Same number and amount until it is confirmed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from temporalio import activity

from activities.context import Alert, AttemptTimeout, is_local, raise_retryable
from activities.ports import Book, PaymentProvider, StoredOrder
from orders import book as rules
from orders.book import RefundAuthorized, RefundForbidden
from orders.clock import Clock
from orders.identities import refund_number
from orders.outcomes import (
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundRequest,
    RefundResult,
    RefundUnknown,
)
from workflows import policies, steps
from workflows.policies import refund_pace_seconds, scaled
from workflows.steps import RefundStepRequest

REASON = "The data package could not be delivered"
"""What the customer reads beside the refund; the same on every attempt of one number."""


_DENIED_BEFORE = "The provider has refused this refund; it is sent again only when an operator asks for it (retry)."


class RefundingActivities:
    """Refunds at the configured providers.

    Args:
        restored: whether the book comes from a backup: then each number is asked for before it is sent.
    """

    def __init__(
        self,
        providers: Mapping[str, PaymentProvider],
        book: Book,
        clock: Clock,
        alert: Alert,
        scale: float,
        *,
        restored: bool = False,
    ) -> None:
        self._providers = providers
        self._book = book
        self._clock = clock
        self._alert = alert
        self._scale = scale
        self._restored = restored

    @activity.defn(name=steps.REFUND)
    async def refund_payment(self, ask: RefundStepRequest) -> RefundResult:
        """Write the refund intent and send it; where the intent stands already, ask the provider first."""
        granted = await self._book.decide(
            ask.order_id,
            lambda record: rules.authorize_refund(record.state, self._clock.now(), restored=self._restored),
            kind="refund_intent",
            detail=_grant_detail,
        )
        match granted:
            case RefundConfirmed():
                return RefundResult(answer=granted)
            case RefundForbidden(contradicted=False):  # a run knows more than the book: that was rolled back
                return RefundResult(answer=RefundHeld(code=steps.FORGOTTEN, why=granted.why))
            case RefundForbidden():
                return await self._held(steps.FORBIDDEN, granted.why, ask, sequence=0)
            case RefundAuthorized():
                sequence = granted.sequence
        record = await self._book.read(ask.order_id)
        provider, missing = self._provider(record)
        if provider is None:
            return await self._held("UNCONFIGURED", missing, ask, sequence)
        if not granted.fresh:
            answer = await self._ask(provider, record, sequence)
            if isinstance(answer, RefundClosed) and ask.closed == sequence:
                sequence = await self._next_number(ask.order_id, sequence)
                answer = await self._ask(provider, record, sequence) if self._restored else RefundUnknown()
            if not isinstance(answer, RefundUnknown):
                return await self._says(ask, answer, sequence)
        return await self._says(ask, await self._send(provider, record, sequence, again=ask.again), sequence)

    @activity.defn(name=steps.QUERY_REFUND)
    async def query_refund(self, ask: RefundStepRequest) -> RefundResult:
        """Ask for the refund number in use until there is something to decide; the local try asks once."""
        record = await self._book.read(ask.order_id)
        entry = record.state
        if entry.refund_confirmed_at is not None:
            return RefundResult(answer=RefundConfirmed(provider_refund_id=entry.provider_refund_id))
        if not entry.refund_sequence:  # the book was rolled back under this run: the step that sends begins anew
            return RefundResult(answer=RefundUnknown())
        provider, missing = self._provider(record)
        if provider is None:
            return await self._held("UNCONFIGURED", missing, ask, entry.refund_sequence)
        answer = await self._ask(provider, record, entry.refund_sequence)
        again = scaled(policies.REFUND_AGAIN_SECONDS, self._scale)
        just_sent = entry.refund_sent_at is not None and self._seconds_since(entry.refund_sent_at) < again
        if isinstance(answer, RefundUnknown) and just_sent:
            answer = RefundInDoubt(why="The provider doesn't show the refund yet; it was sent less than a minute ago.")
        elif isinstance(answer, RefundUnknown) and entry.refund_denied:
            answer = RefundDenied(code=entry.refund_denied, why=_DENIED_BEFORE)
        return await self._says(ask, answer, entry.refund_sequence)

    async def _send(
        self, provider: PaymentProvider, record: StoredOrder, sequence: int, *, again: bool
    ) -> RefundAnswer:
        order_id, sent_at = record.state.order_id, self._clock.now()
        leaves = await self._book.decide(
            order_id,
            lambda record: rules.mark_refund_sent(record.state, sent_at, sequence, again=again),
            kind="refund_send",
            detail=lambda leaves: {"refund_number": refund_number(order_id, sequence), "leaves": leaves},
        )
        if not leaves:
            denied = (await self._book.read(order_id)).state.refund_denied
            if denied:
                return RefundDenied(code=denied, why=_DENIED_BEFORE)
            return RefundInDoubt(why="Another attempt has gone on with this refund; asking what became of it.")

        def in_time() -> bool:  # asked right before the first byte leaves
            return self._seconds_since(sent_at) <= policies.REFUND_LEAVES_SECONDS

        timeout = AttemptTimeout(self._http_seconds())
        request = self._request(record, sequence)
        answer = await provider.refund(request, timeout_seconds=timeout.seconds, in_time=in_time)
        heard = await self._hear(order_id, answer, "refund_answer", sequence, sent_at)
        if isinstance(heard, RefundInDoubt) and timeout.ran_out:
            raise_retryable("NoAnswerYet", heard.why)
        return heard

    async def _ask(self, provider: PaymentProvider, record: StoredOrder, sequence: int) -> RefundAnswer:
        timeout = AttemptTimeout(self._http_seconds())
        answer = await provider.query(self._request(record, sequence), timeout_seconds=timeout.seconds)
        heard = await self._hear(record.state.order_id, answer, "refund_query", sequence)
        if isinstance(heard, RefundInDoubt) and timeout.ran_out:
            raise_retryable("NoAnswerYet", heard.why)
        return heard

    async def _hear(
        self, order_id: str, answer: RefundAnswer, kind: str, sequence: int, sent_at: datetime | None = None
    ) -> RefundAnswer:
        heard = await self._book.decide(
            order_id,
            lambda record: rules.record_refund_response(
                record.state, self._clock.now(), answer, of_number=sequence, of_send=sent_at
            ),
            kind=kind,
            detail=lambda _: _answer_detail(answer),
        )
        if isinstance(answer, RefundDenied | RefundHeld) or (isinstance(answer, RefundInDoubt) and answer.alert):
            self._alert("refund_needs_a_person", order_id=order_id, why=answer.why)
        return heard

    async def _next_number(self, order_id: str, closed: int) -> int:
        return await self._book.decide(
            order_id,
            lambda record: rules.close_refund_number(record.state, closed),
            kind="refund_number",
            detail=lambda sequence: {"refund_number": refund_number(order_id, sequence), "closed": closed},
        )

    async def _says(self, ask: RefundStepRequest, answer: RefundAnswer, sequence: int) -> RefundResult:
        """The answer as a result; a failed attempt, with the moment of the next, where nothing is to be decided."""
        entry = (await self._book.read(ask.order_id)).state
        # What waits for a person is asked about ever more rarely; what was just sent is looked for soon.
        waits = isinstance(answer, RefundHeld | RefundDenied)
        pace = refund_pace_seconds(self._seconds_since(entry.refund_at if waits else entry.refund_sent_at), self._scale)
        wait = max(pace, getattr(answer, "retry_after_seconds", None) or 0)
        says = RefundResult(answer=answer, sequence=sequence, next_look_seconds=wait)
        asking = activity.info().activity_type == steps.QUERY_REFUND
        match answer:
            case RefundConfirmed() | RefundClosed() | RefundUnknown():
                return says
            case RefundHeld():
                undecided = ask.insist
            case RefundDenied():
                undecided = ask.denied and not ask.again  # once for each time that an operator asks
            case RefundInDoubt(alert=True):
                undecided = ask.insist
            case _:  # taken in, or in doubt: sending goes on with asking, asking asks again
                undecided = asking
        if undecided and not is_local():
            raise_retryable("RefundNotConfirmed", answer.why or "The provider works on the refund.", after_seconds=wait)
        return says

    async def _held(self, code: str, why: str, ask: RefundStepRequest, sequence: int) -> RefundResult:
        entry = (await self._book.read(ask.order_id)).state
        wait = refund_pace_seconds(self._seconds_since(entry.refund_at), self._scale)
        if ask.insist and not is_local():
            raise_retryable("RefundHeld", why, after_seconds=wait)
        self._alert("refund_needs_a_person", order_id=ask.order_id, why=why)
        return RefundResult(answer=RefundHeld(code=code, why=why), sequence=sequence, next_look_seconds=wait)

    def _provider(self, record: StoredOrder) -> tuple[PaymentProvider | None, str]:
        payment = record.order.payment
        provider = self._providers.get(payment.provider)
        if provider is None:
            return None, f"{payment.provider} is not configured on this worker: set its TOPUP_* variables and restart."
        if provider.merchant_id != payment.merchant_id:
            return None, (
                f"This payment belongs to merchant {payment.merchant_id} of {payment.provider}, the worker is for"
                f" {provider.merchant_id}: refund it there, or start a worker with that merchant's keys."
            )
        return provider, ""

    def _request(self, record: StoredOrder, sequence: int) -> RefundRequest:
        order = record.order
        return RefundRequest(
            refund_number=refund_number(order.order_id, sequence),
            transaction_id=order.payment.transaction_id,
            out_trade_no=order.payment.out_trade_no,
            merchant_id=order.payment.merchant_id,
            amount_fen=order.amount_fen,
            total_fen=order.amount_fen,
            currency=order.currency,
            reason=REASON,
        )

    def _seconds_since(self, at: datetime | None) -> float:
        return 0.0 if at is None else (self._clock.now() - at).total_seconds()

    def _http_seconds(self) -> float:
        return scaled(policies.REFUND_MONEY.call_seconds, self._scale)


def _grant_detail(granted: RefundAuthorized | RefundConfirmed | RefundForbidden) -> Mapping[str, Any]:
    match granted:
        case RefundAuthorized():
            return {"sequence": granted.sequence, "fresh": granted.fresh}
        case RefundConfirmed():
            return {"found": "confirmed"}
        case RefundForbidden():
            return {"forbidden": granted.why}


def _answer_detail(answer: RefundAnswer) -> Mapping[str, Any]:
    return {"says": answer.kind, **answer.model_dump(include={"code", "why", "provider_refund_id"})}
