"""The one place that decides what happens next to a paid order: from its state to one step.

The saga follows it, the activities are guarded by it, the explorer of the tests walks it, and the state diagram of
docs/architecture.md is drawn from it. Top to bottom it reads as a table; the first line that fits decides.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from orders.lifecycle import Outcome
from orders.state import CarrierTimes, OrderState


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True)


class Submit(_Step):
    """POST the order to the carrier: for the first time, or again on an empty `GET` that counts."""

    kind: Literal["submit"] = "submit"


class QueryCarrier(_Step):
    """Ask the carrier (`GET` by our serial), and again; nothing else is allowed now."""

    kind: Literal["query_carrier"] = "query_carrier"
    not_before: datetime | None = None
    """From when on another answer makes a difference; None: any moment."""
    listening: bool = False
    """The carrier can't be asked, and some worker still waits for the POST's answer."""


class CancelAtCarrier(_Step):
    """Burn the serial, so that no POST can ever sell it."""

    kind: Literal["cancel_at_carrier"] = "cancel_at_carrier"


class StartRefund(_Step):
    """Write the refund intent: a definite refusal or a confirmed burn is in the book."""

    kind: Literal["start_refund"] = "start_refund"


class SendRefund(_Step):
    """Send the refund number in use; where it may have been sent before, ask for it first: if closed, take the next."""

    kind: Literal["send_refund"] = "send_refund"


class QueryRefund(_Step):
    """Ask the provider what became of the refund number in use."""

    kind: Literal["query_refund"] = "query_refund"


class AskPerson(_Step):
    """Only a person (or an answer that comes late) moves this order on."""

    kind: Literal["ask_person"] = "ask_person"
    why: Literal["manual", "contradicted"]
    sent_at: datetime | None = None
    """`manual`: when its one POST was authorized; None: lost with the order book that was restored."""
    not_delivered_from: datetime | None = None
    """`manual`: from when on the book takes `resolve not_delivered`."""


class Settle(_Step):
    """Write the end."""

    kind: Literal["settle"] = "settle"
    outcome: Outcome


class Done(_Step):
    """The end is written."""

    kind: Literal["done"] = "done"
    outcome: Outcome


NextStep = Annotated[
    Submit | QueryCarrier | CancelAtCarrier | StartRefund | SendRefund | QueryRefund | AskPerson | Settle | Done,
    Field(discriminator="kind"),
]

_SUBMIT: Final = Submit()
_CANCEL: Final = CancelAtCarrier()
_START_REFUND: Final = StartRefund()
_SEND_REFUND: Final = SendRefund()
_QUERY_REFUND: Final = QueryRefund()


def next_step(state: OrderState, now: datetime, times: CarrierTimes) -> NextStep:
    """What happens next to an order in this state at this moment."""
    if state.outcome is not None:
        return Done(outcome=state.outcome)
    if state.refund_confirmed_at is not None:
        return Settle(outcome="refunded")
    if state.carrier_outcome == "completed":
        return Settle(outcome="delivered")
    if state.carrier_outcome is not None:
        return _refund(state)
    if can_be_asked(state, times):
        return _resolve_by_asking(state, now, times)
    return _at_most_once(state, now, times)


def _refund(state: OrderState) -> NextStep:
    """The carrier will never deliver: refund, once."""
    if not state.refund_sequence and state.contradicted:
        return AskPerson(why="contradicted")
    if not state.refund_sequence:
        return _START_REFUND
    if state.paid_another_way:
        return _QUERY_REFUND
    if state.refund_denied and not _asked_for_again(state):
        return _QUERY_REFUND
    if state.refund_denied or state.refund_answered in ("", "unknown", "held", "closed"):
        return _SEND_REFUND
    return _QUERY_REFUND


def _resolve_by_asking(state: OrderState, now: datetime, times: CarrierTimes) -> NextStep:
    """No final word, and the carrier can be asked: POST, or ask until it is sure, or burn; never guess."""
    if not is_closed(state) and not state.posts:
        asks_first = asks_first_from(state, times)
        return _SUBMIT if _not_found_since(state, asks_first) else QueryCarrier(not_before=asks_first)
    if not is_closed(state) and times.can_be_asked:
        counts_from = not_found_counts_from(state, times)
        if max(now, counts_from) <= last_post_until(state, times):
            return _SUBMIT if _not_found_since(state, counts_from) else QueryCarrier(not_before=counts_from)
    burn_from = burn_allowed_from(state, times)
    asked_from = asks_first_from(state, times) or (state.claimed_at if state.posts else None)
    if now >= burn_from and _not_found_since(state, asked_from):
        return _CANCEL
    return QueryCarrier(not_before=burn_from)


def _at_most_once(state: OrderState, now: datetime, times: CarrierTimes) -> NextStep:
    """No final word, and the carrier can't be asked: one POST ever, then its answer or a person's word."""
    if not may_have_been_sent(state, times):
        return _CANCEL if is_closed(state) else _SUBMIT
    unanswered_since = state.last_post_at if state.last_post_answered_at is None else None
    if unanswered_since is not None and now < left_by(state, times) + times.listens_for:
        return QueryCarrier(listening=True)
    return AskPerson(
        why="manual", sent_at=state.last_post_at, not_delivered_from=not_delivered_counts_from(state, times)
    )


# --- what the table asks ----------------------------------------------------------------------------------------


def can_be_asked(state: OrderState, times: CarrierTimes) -> bool:
    """Whether the carrier that this order was sent to (or would be) can be asked what became of it."""
    if state.posts:
        return state.completion_date is not None
    return times.can_be_asked and state.restored_at is None


def may_have_been_sent(state: OrderState, times: CarrierTimes) -> bool:
    """Whether the one POST of a carrier that can't be asked is spent: authorized, or perhaps lost with a book."""
    return bool(state.posts) or state.restored_at is not None or times.restored_at is not None


def is_closed(state: OrderState) -> bool:
    """Whether no POST is allowed any more: a burn or a cancel stands in the book."""
    return state.burn_at is not None or bool(state.cancel_reason)


def asks_first_from(state: OrderState, times: CarrierTimes) -> datetime | None:
    """The carrier must be asked at or after this moment before anything is sent to it; None: nothing was lost.

    Another run has taken the order up (contracts §3), or the book comes from a backup.
    """
    moments = [moment for moment in (state.reopened_at, times.empty_counts_from) if moment is not None]
    return max(moments) if moments else None


def not_found_counts_from(state: OrderState, times: CarrierTimes) -> datetime:
    """From when on an empty `GET` says that the last POST did nothing (contracts §4), and another may leave."""
    if state.last_post_answered_at is not None:
        counts_from = state.last_post_answered_at + times.visibility_lag
    else:
        counts_from = left_by(state, times) + times.longest_latency + times.visibility_lag
    moments = (counts_from, asks_first_from(state, times), state.carrier_not_before)
    return max(moment for moment in moments if moment is not None)


def left_by(state: OrderState, times: CarrierTimes) -> datetime:
    """The latest moment at which the last POST may have left: the book knows when it was authorized, not sent."""
    assert state.last_post_at is not None
    return state.last_post_at + times.post_leaves_within


def last_post_until(state: OrderState, times: CarrierTimes) -> datetime:
    """A POST later than this might be taken in after its completion date."""
    assert state.completion_date is not None
    return state.completion_date - times.longest_latency


def burn_allowed_from(state: OrderState, times: CarrierTimes) -> datetime:
    """The earliest moment of a burn: at once where no POST was authorized, else date + visibility lag (contracts §4).

    A restored book may have lost a POST, or another date: then no earlier than the latest of those would allow.
    """
    if state.posts == 0:
        return times.burn_from or state.claimed_at
    assert state.completion_date is not None
    allowed_from = state.completion_date + times.visibility_lag
    return max(allowed_from, times.burn_from or allowed_from)


def not_delivered_counts_from(state: OrderState, times: CarrierTimes) -> datetime | None:
    """From when on `resolve not_delivered` stands for the burn that this order's carrier does not have (contracts §3).

    The last moment at which the POST could leave + latency + lag: what it does is done by then, and can be seen.
    None: the carrier can be asked, or nothing was sent; there the word is a cancel.
    """
    if can_be_asked(state, times) or not may_have_been_sent(state, times):
        return None
    left = [moment for moment in (state.restored_at, times.restored_at) if moment is not None]
    if state.last_post_at is not None:
        left.append(left_by(state, times))
    return max(left) + times.longest_latency + times.visibility_lag


def _not_found_since(state: OrderState, moment: datetime | None) -> bool:
    """Whether an empty `GET` was asked at or after `moment`; None asks for none."""
    return moment is None or (state.not_found_at is not None and state.not_found_at >= moment)


def _asked_for_again(state: OrderState) -> bool:
    """Whether an operator has asked for another try since the provider refused."""
    asked, denied = state.retry_requested_at, state.refund_denied_at
    return asked is not None and denied is not None and asked > denied
