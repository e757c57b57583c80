"""The rules of the refund and of the end: one number, one amount, until the provider confirms.

`orders.next_step` says when. Pure, as `orders.carrier_rules`.
"""

from dataclasses import replace
from datetime import datetime

from orders.lifecycle import Outcome
from orders.next_step import SendRefund, Settle, StartRefund, next_step
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundUnknown,
)
from orders.state import CarrierTimes, OrderState

SENT_AGAIN = "This refund was sent again since; asking what became of it."
NOT_SHOWN_YET = "The provider doesn't show the refund yet; it was sent a moment ago."


def start_refund(state: OrderState, now: datetime, times: CarrierTimes) -> tuple[OrderState, bool]:
    """Write the refund intent. Only a definite refusal or a confirmed burn in the book allows it (rule of money 4)."""
    if not isinstance(next_step(state, now, times), StartRefund):
        return state, False
    return replace(state, refund_sequence=1, refund_at=now, attention=""), True


def must_ask_first(state: OrderState, times: CarrierTimes) -> bool:
    """Whether the number in use may have been sent before: then the provider is asked for it before it is sent."""
    restored = times.restored_at is not None or state.restored_at is not None
    return restored or state.refund_sent_at is not None


def authorize_refund(state: OrderState, now: datetime, times: CarrierTimes, number: int) -> tuple[OrderState, bool]:
    """Note that the number is about to be sent. False: something else is next; send nothing.

    What the provider has definitely refused leaves once more only where an operator has asked for it since: somebody
    may be paying it another way. From then on it counts as refused when the provider says so anew.
    """
    if state.refund_sequence != number or not isinstance(next_step(state, now, times), SendRefund):
        return state, False
    called_for = "" if state.attention == "refund_denied" else state.attention
    return (
        replace(
            state,
            refund_sent_at=now,
            refund_answered="sent",
            refund_denied="",
            refund_denied_at=None,
            attention=called_for,
        ),
        True,
    )


def close_refund_number(state: OrderState, closed: int) -> tuple[OrderState, int]:
    """Go on to the next number from one that was seen `CLOSED` twice: a compare-and-set. Returns the number in use."""
    if state.refund_sequence == closed and state.refund_confirmed_at is None and not state.paid_another_way:
        state = replace(
            state,
            refund_sequence=closed + 1,
            refund_sent_at=None,
            refund_answered="",
            refund_denied="",
            refund_denied_at=None,
        )
    return state, state.refund_sequence


def record_refund_response(
    state: OrderState,
    now: datetime,
    times: CarrierTimes,
    answer: RefundAnswer,
    *,
    of_number: int,
    of_send: datetime | None = None,
) -> tuple[OrderState, RefundAnswer]:
    """Book what the provider said of number `of_number`, and say what it is worth.

    A late word about another number than the one in use, unless it is that the money was paid, changes nothing.
    Likewise `of_send`, the moment of the send that this answers: a refusal of it says nothing of a later send, which
    may have been taken in. What was sent a moment ago may not be shown yet.
    """
    if state.refund_confirmed_at is not None:
        return state, RefundConfirmed(provider_refund_id=state.provider_refund_id)
    if of_number != state.refund_sequence and not isinstance(answer, RefundConfirmed):
        return state, answer
    if isinstance(answer, RefundDenied) and of_send not in (None, state.refund_sent_at):
        return state, RefundInDoubt(why=SENT_AGAIN)
    if isinstance(answer, RefundConfirmed):
        return _confirmed(state, now, answer.provider_refund_id)
    if state.paid_another_way and isinstance(answer, RefundDenied | RefundClosed | RefundUnknown):
        return _confirmed(state, now, state.paid_another_way)
    if isinstance(answer, RefundUnknown) and _just_sent(state, now, times):
        answer = RefundInDoubt(why=NOT_SHOWN_YET)
    return _record(state, now, answer), answer


def settle(state: OrderState, now: datetime, times: CarrierTimes) -> tuple[OrderState, Outcome | None]:
    """Write the end, once. None: the book does not hold what an end needs."""
    step = next_step(state, now, times)
    if not isinstance(step, Settle):
        return state, state.outcome
    return replace(state, outcome=step.outcome, settled_at=now, attention="", reason=""), step.outcome


def _confirmed(state: OrderState, now: datetime, provider_refund_id: str) -> tuple[OrderState, RefundConfirmed]:
    confirmed = replace(state, refund_confirmed_at=now, provider_refund_id=provider_refund_id, attention="", reason="")
    return confirmed, RefundConfirmed(provider_refund_id=provider_refund_id)


def _record(state: OrderState, now: datetime, answer: RefundAnswer) -> OrderState:
    match answer:
        case RefundDenied(code=code, why=why):
            return replace(state, refund_denied=code, refund_denied_at=now, attention="refund_denied", reason=why)
        case RefundHeld(why=why):
            return replace(state, refund_answered="held", attention="refund_held", reason=why)
        case RefundInDoubt(alert=True, why=why):
            return replace(state, refund_answered="in_doubt", attention="provider_refuses_us", reason=why)
        case RefundInDoubt(why=why):
            return replace(state, refund_answered="in_doubt", reason=state.reason if state.attention else why)
        case RefundUnknown():  # says nothing of what a person is called for: the send does
            return replace(state, refund_answered="unknown")
        case RefundAccepted() | RefundClosed():
            freed = state.attention in ("refund_held", "provider_refuses_us")
            state = replace(state, attention="" if freed else state.attention, reason="" if freed else state.reason)
            return replace(state, refund_answered=answer.kind)
        case RefundConfirmed():
            return state


def _just_sent(state: OrderState, now: datetime, times: CarrierTimes) -> bool:
    if state.refund_sent_at is None or state.refund_answered == "held":  # not taken in: the provider has said so
        return False
    return now - state.refund_sent_at < times.refund_again_after
