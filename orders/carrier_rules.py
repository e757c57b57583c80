"""The rules of the carrier: what may be sent to it, and what its answers mean.

Each is a pure function from the order's state to the next state and an answer. The order book runs a rule in one
transaction that holds the order's row, which makes each of them one compare-and-set. An intent is written before
anything is sent. What is allowed is decided by `orders.next_step` alone.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orders.next_step import (
    AskPerson,
    CancelAtCarrier,
    QueryCarrier,
    Submit,
    can_be_asked,
    last_post_until,
    left_by,
    may_have_been_sent,
    next_step,
)
from orders.outcomes import CarrierAnswer, Completed, InDoubt, NotFound, Refused
from orders.state import (
    CANCELLED,
    NOT_FOUND_AND_BURNT,
    RESOLVED_BY_OPERATOR,
    CarrierOutcome,
    CarrierTimes,
    OrderState,
    final_outcome,
)

AT_MOST_ONCE = "The one POST of this order may have reached the carrier, which can't be asked: a person must find out."
PERHAPS_SENT = (
    "The order book was restored from a backup and the carrier can't be asked: a person must find out if it was sent."
)
CONTRADICTED = "The carrier has contradicted its own refusal: ask it before any money moves."
LISTENING = "No answer yet; the worker goes on listening, and books it when it comes."
NOT_SHOWN = "The carrier doesn't show the order; until it is sure this proves nothing."


@dataclass(frozen=True, slots=True)
class PostAuthorized:
    """The right to exactly one POST of `body`, if it leaves no later than `send_before`."""

    number: int
    body: bytes
    send_before: datetime
    previous: OrderState


# --- POST ------------------------------------------------------------------------------------------------------


def authorize_post(
    state: OrderState, now: datetime, times: CarrierTimes, make_body: Callable[[datetime], bytes]
) -> tuple[OrderState, PostAuthorized | None]:
    """Take the right to one POST. None: something else is next.

    The first fixes body and date for ever. Each further one rests on an empty `GET` that was asked after the last
    POST could no longer be hidden, and that no POST was authorized since (contracts §4).
    """
    state = note_restore(state, times)
    if not isinstance(next_step(state, now, times), Submit):
        return state, None
    fixed = state
    if not state.posts:
        date = _round_up(now + times.completion_window)
        fixed = replace(state, body=make_body(date), completion_date=date if times.can_be_asked else None)
    assert fixed.body is not None
    authorized = replace(
        fixed,
        posts=fixed.posts + 1,
        last_post_at=now,
        last_post_answered_at=None,
        carrier_not_before=None,
        not_found_at=None,
    )
    send_before = left_by(authorized, times)
    if authorized.completion_date is not None:
        send_before = min(send_before, last_post_until(authorized, times))
    return authorized, PostAuthorized(authorized.posts, fixed.body, send_before, previous=state)


def withdraw_post(state: OrderState, authorized: PostAuthorized) -> tuple[OrderState, None]:
    """Give the right back: the connection was never made, so there was no POST (contracts §4).

    Only the attempt that holds the right may say so; if another was authorized since, nothing changes. The first right
    takes date and body with it, so that an order that waits out a carrier's outage starts afresh. After the carrier's
    final word the row keeps what was authorized: an attempt that thaws then has nothing to give back.
    """
    before = authorized.previous
    answered = state.carrier_outcome is not None or state.last_post_answered_at is not None
    if answered or state.posts != authorized.number:
        return state, None
    return (
        replace(
            state,
            posts=before.posts,
            body=before.body,
            completion_date=before.completion_date,
            last_post_at=before.last_post_at,
            last_post_answered_at=before.last_post_answered_at,
            carrier_not_before=before.carrier_not_before,
            not_found_at=before.not_found_at,
        ),
        None,
    )


def record_post_response(
    state: OrderState, now: datetime, answer: Completed | Refused | InDoubt, number: int
) -> tuple[OrderState, CarrierAnswer]:
    """Book what the carrier said to POST `number`; the caller goes on with what the book makes of it."""
    after, heard = record_response(state, now, answer)
    if not isinstance(heard, InDoubt) or number != state.posts:
        return after, heard
    # A carrier that can't be asked has said all that it ever will, if only by hanging up.
    ended = state.completion_date is None or heard.cause in ("answered", "unknown_state", "in_flight", "partial")
    if not ended:
        return after, heard
    wait = timedelta(seconds=heard.retry_after_seconds or 0)
    return replace(after, last_post_answered_at=now, carrier_not_before=now + wait), heard


# --- GET and burn ----------------------------------------------------------------------------------------------


def record_response(
    state: OrderState, now: datetime, answer: Completed | Refused | InDoubt
) -> tuple[OrderState, CarrierAnswer]:
    """Book an answer that isn't an empty `GET`.

    A final word is written once. An answer in doubt takes away what an empty `GET` had shown before.
    """
    if not isinstance(answer, InDoubt):
        return _record_outcome(state, now, answer)
    if (outcome := final_outcome(state)) is not None:
        return state, outcome
    heard = answer.cause not in ("not_sent", "unanswered")
    # What a person is called for stands while the carrier is asked on; of one that can't be asked, each word counts.
    stands = state.attention not in ("", "manual") and answer.cause != "partial"
    return (
        replace(
            state,
            in_doubt_since=state.in_doubt_since or now,
            reason=state.reason if stands else answer.why,
            carrier_order_id=answer.carrier_order_id or state.carrier_order_id,
            not_found_at=None if heard else state.not_found_at,
            attention="partial" if answer.cause == "partial" else state.attention,
        ),
        answer,
    )


def record_not_found(
    state: OrderState, now: datetime, times: CarrierTimes, *, asked_at: datetime, posts: int
) -> tuple[OrderState, CarrierAnswer]:
    """Book an empty `GET` that was asked at `asked_at`, with `posts` POSTs authorized then.

    `orders.next_step` says what it is worth. Asked before the newest POST, it says nothing of that POST.
    """
    if (outcome := final_outcome(state)) is not None:
        return state, outcome
    if posts != state.posts:
        return state, NotFound()
    newest = asked_at if state.not_found_at is None else max(asked_at, state.not_found_at)
    state = replace(state, not_found_at=newest)
    if isinstance(next_step(state, now, times), QueryCarrier):
        state = replace(state, in_doubt_since=state.in_doubt_since or now, reason=state.reason or NOT_SHOWN)
    return state, NotFound()


def note_listening(state: OrderState, now: datetime) -> tuple[OrderState, None]:
    """The run that sent the POST no longer waits for its answer: a slow carrier is doubt, and no first pass."""
    if state.carrier_outcome is None and state.posts:
        state = replace(state, in_doubt_since=state.in_doubt_since or now, reason=state.reason or LISTENING)
    return state, None


def authorize_burn(state: OrderState, now: datetime, times: CarrierTimes) -> tuple[OrderState, bool]:
    """Write the burn intent, which closes the row to POSTs for ever. False: nothing is to be sent.

    At a carrier that can't be asked this is the burn itself.
    """
    state = note_restore(state, times)
    if not isinstance(next_step(state, now, times), CancelAtCarrier):
        return state, False
    reason = state.burn_reason or state.cancel_reason or NOT_FOUND_AND_BURNT
    closed = replace(state, burn_at=state.burn_at or now, burn_reason=reason)
    if can_be_asked(state, times):
        return closed, True
    burnt, _ = _record_outcome(closed, now, Refused(code=CANCELLED, burnt=True))
    return burnt, False


def carrier_gave_up(state: OrderState, now: datetime, answer: CarrierAnswer) -> tuple[OrderState, CarrierAnswer]:
    """`resolve not_delivered` with the carrier's reference, for an order that `GET` shows and never ends (§3).

    The note is that of `resolve not_delivered` alone; whether someone had asked for a cancel before does not matter.
    """
    if state.carrier_outcome is not None or not isinstance(answer, InDoubt):
        return state, answer
    reference = answer.carrier_order_id
    if answer.cause not in ("in_flight", "partial", "unknown_state") or not _names(state.resolution_note, reference):
        return state, answer
    refused = Refused(code=RESOLVED_BY_OPERATOR, carrier_order_id=reference)
    return _record_outcome(state, now, refused)


# --- who is called, and what is kept ---------------------------------------------------------------------------


def call_if_needed(state: OrderState, now: datetime, times: CarrierTimes) -> OrderState:
    """Call a person where only one can move the order on; once for each reason."""
    step = next_step(state, now, times)
    if not isinstance(step, AskPerson) or state.attention == step.why:
        return state
    if step.why == "contradicted":
        return replace(state, attention="contradicted", reason=CONTRADICTED)
    why = state.reason or (AT_MOST_ONCE if state.posts else PERHAPS_SENT)
    return replace(state, attention="manual", reason=why, in_doubt_since=state.in_doubt_since or now)


def note_restore(state: OrderState, times: CarrierTimes) -> OrderState:
    """Note in the row that a restored book can't rule out a POST: it holds after `TOPUP_RESTORED_AT` is unset, too."""
    lost = times.restored_at is not None and not times.can_be_asked and not state.posts
    if not lost or state.restored_at is not None or state.carrier_outcome is not None:
        return state
    assert may_have_been_sent(state, times)
    return replace(state, restored_at=times.restored_at)


def _record_outcome(
    state: OrderState, now: datetime, answer: Completed | Refused
) -> tuple[OrderState, Completed | Refused]:
    outcome: CarrierOutcome = (
        "completed" if isinstance(answer, Completed) else "cancelled" if answer.burnt else "rejected"
    )
    if (word := final_outcome(state)) is not None:
        opposite = (outcome == "completed") != (state.carrier_outcome == "completed")
        return replace(state, contradicted=state.contradicted or opposite), word
    code = "" if isinstance(answer, Completed) else answer.code
    if outcome == "cancelled":
        code = state.burn_reason or CANCELLED
    booked = replace(
        state,
        carrier_outcome=outcome,
        carrier_code=code,
        carrier_outcome_at=now,
        carrier_order_id=answer.carrier_order_id or state.carrier_order_id,
        attention=state.attention if outcome == "completed" else "",
    )
    word = final_outcome(booked)
    assert word is not None
    return booked, word


def _names(note: str, reference: str) -> bool:
    """Whether a note holds the whole reference: `4711` names neither `47110` nor `C-4711`."""
    return bool(reference) and re.search(rf"(?<![\w-]){re.escape(reference)}(?![\w-])", note) is not None


def _round_up(at: datetime) -> datetime:
    """To the next millisecond, never down: body and book hold the same moment (contracts §4)."""
    return at.replace(microsecond=0) + timedelta(milliseconds=math.ceil(at.microsecond / 1000))
