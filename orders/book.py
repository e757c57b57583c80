"""The order book's rules: what may be sent, what was heard, where an order stands.

Each rule is a pure function from an entry to the next one and an answer. The adapter runs a rule in one transaction
that holds the order's row, which makes each of them one compare-and-set: the protocol of the money (design.md, "The
saga"). An intent is written before anything is sent; each effect looks here first and goes on from what it finds.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from orders import lifecycle
from orders.lifecycle import Outcome, Status
from orders.outcomes import (
    Completed,
    InDoubt,
    NotFound,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundInDoubt,
    RefundUnknown,
    Refused,
)

Fact = Literal["sold", "refused", "burnt"]
CANCELLED = "CANCELLED"
NOT_FOUND_AND_BURNT = "NOT_FOUND_AND_BURNT"
RESOLVED_BY_OPERATOR = "RESOLVED_BY_OPERATOR"
ONE_POST_EVER = "The one POST of this order may have reached the carrier, which can't be asked: a person must find out."
PERHAPS_SENT = (
    "The order book was restored from a backup and the carrier can't be asked: a person must find out if it was sent."
)
ASK_FIRST = "The order book was restored from a backup: the carrier is asked before anything is sent."
SHORTEST_RIGHT = timedelta(seconds=1)
"""A loaded worker's own time between a right's transaction and the send, which no scale makes shorter."""


@dataclass(frozen=True, slots=True)
class CarrierTimes:
    """What the rules need to know of a carrier: how slow it may be (contracts §4), scaled, and if it can be asked."""

    longest_latency: timedelta
    """From a POST's arrival to its effect."""
    visibility_lag: timedelta
    """From an effect to its being seen by `GET`."""
    completion_window: timedelta
    """From the first call to `requestedCompletionDate`."""
    can_be_asked: bool = True
    """False: its dialect has no serial of ours, no query and no cancel: one POST per order (`orders.at_most_once`)."""
    restored_at: datetime | None = None
    """When a book restored from a backup was put in service, the processes of before stopped. What they sent in the
    time that the book has lost may act or show up until the waits below are over; never scaled."""

    def __post_init__(self) -> None:
        assert self.longest_latency < self.completion_window, "a POST would be too late at once (runtime.settings)"

    @property
    def post_leaves_within(self) -> timedelta:
        """How long the right to a POST lasts.

        Longer than connecting takes, and short: what a POST without an answer did is known from its end + latency +
        lag on.
        """
        return max(self.longest_latency / 8, SHORTEST_RIGHT)

    @property
    def empty_counts_from(self) -> datetime | None:
        """After a restore: from when on an empty `GET` says that the lost time left nothing at the carrier."""
        return None if self.restored_at is None else self.restored_at + self.longest_latency + self.visibility_lag

    @property
    def burn_from(self) -> datetime | None:
        """After a restore: from when on no POST of the lost time can be taken in any more."""
        return None if self.restored_at is None else self.restored_at + self.completion_window + self.visibility_lag


@dataclass(frozen=True, slots=True)
class OrderState:
    """The money part of one order's row. Times are aware, UTC."""

    order_id: str
    claimed_at: datetime
    status: Status = "placing"
    first_pass: bool = True
    """Claimed and not yet settled, parked, in doubt or refunding: what the bridge's gate counts."""
    needs_operator: bool = False
    reason: str = ""

    posts: int = 0
    """POSTs granted; the submit intent stands when it is above 0."""
    body: bytes | None = None
    completion_date: datetime | None = None
    """None in a row with a POST: that went to a carrier that can't be asked, whatever dialect is spoken today."""
    last_post_at: datetime | None = None
    last_post_answered_at: datetime | None = None
    carrier_not_before: datetime | None = None

    cancel_reason: str = ""
    """Someone asked that this order be cancelled (or resolved as not delivered); stands before anything follows."""
    resolution_note: str = ""
    burn_at: datetime | None = None
    """The burn intent: closes the row to POSTs for ever."""
    burn_reason: str = ""

    fact: Fact | None = None
    """The carrier's final word, written once."""
    fact_code: str = ""
    fact_at: datetime | None = None
    carrier_order_id: str = ""
    contradicted: bool = False
    """The carrier has said the opposite of the booked fact: alert; no refund starts on such a row."""

    refund_sequence: int = 0
    """The refund number in use, counted from 1; the refund intent stands when it is above 0."""
    refund_at: datetime | None = None
    refund_sent_at: datetime | None = None
    refund_denied: str = ""
    refund_word: str = ""
    """An operator's reference for a refund that the provider has refused and that was paid another way."""
    refund_confirmed_at: datetime | None = None
    provider_refund_id: str = ""

    outcome: Outcome | None = None
    settled_at: datetime | None = None

    restored_at: datetime | None = None
    """For a carrier that can't be asked: the restored book could not rule out that this order was sent."""

    proposal: str = ""
    """What the first of two persons wishes (`orders.four_eyes`); open while nobody has confirmed it."""
    proposed_by: str = ""
    proposed_at: datetime | None = None
    proposed_note: str = ""
    confirmed_by: str = ""
    confirmed_note: str = ""


@dataclass(frozen=True, slots=True)
class PostAuthorized:
    """The right to exactly one POST of `body`, if it leaves no later than `send_before`."""

    number: int
    body: bytes
    send_before: datetime
    previous: OrderState


@dataclass(frozen=True, slots=True)
class BurnAuthorized:
    """The row is closed to POSTs; cancel the serial at the carrier."""


@dataclass(frozen=True, slots=True)
class RefundAuthorized:
    """The refund number to use. `fresh`: nobody can have sent it yet; else ask the provider before sending."""

    sequence: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class RefundForbidden:
    """No refund: nothing in the book proves that the carrier won't deliver."""

    why: str
    contradicted: bool = True
    """The carrier has taken its refusal back. False: the book knows of none (any more): ask the carrier again."""


@dataclass(frozen=True, slots=True)
class NotFoundAssessment:
    """What an empty `GET` is worth, and when looking again makes a difference."""

    answer: Completed | Refused | InDoubt | NotFound
    look_again_at: datetime | None = None


def final_outcome(entry: OrderState) -> Completed | Refused | None:
    """The carrier's final word, if the book has it."""
    if entry.fact is None:
        return None
    if entry.fact == "sold":
        return Completed(carrier_order_id=entry.carrier_order_id)
    return Refused(code=entry.fact_code, burnt=entry.fact == "burnt", carrier_order_id=entry.carrier_order_id)


def can_be_asked(entry: OrderState, times: CarrierTimes) -> bool:
    """Whether the carrier that this order was sent to (or would be) can be asked what became of it."""
    if entry.posts:
        return entry.completion_date is not None
    return times.can_be_asked and entry.restored_at is None


def may_have_been_sent(entry: OrderState, times: CarrierTimes) -> bool:
    """Whether the one POST of a carrier that can't be asked is spent: granted, or perhaps lost with a restored book."""
    return bool(entry.posts) or entry.restored_at is not None or times.restored_at is not None


def never_again(entry: OrderState, times: CarrierTimes) -> tuple[OrderState, InDoubt]:
    """Doubt that only a person ends; a restored book keeps that for later, when nobody speaks of the restore."""
    if entry.posts:
        return entry, InDoubt(cause="book", why=ONE_POST_EVER)
    return replace(entry, restored_at=entry.restored_at or times.restored_at), InDoubt(cause="book", why=PERHAPS_SENT)


# --- POST ------------------------------------------------------------------------------------------------------


def authorize_post(
    entry: OrderState,
    now: datetime,
    times: CarrierTimes,
    make_body: Callable[[datetime], bytes],
    evidence: NotFound | None,
) -> tuple[OrderState, PostAuthorized | Completed | Refused | InDoubt]:
    """Take the right to one POST.

    The first fixes body and date for ever. Each further one is granted on an empty `GET` that was asked after the last
    POST could no longer be hidden, and only from the count of POSTs that was read before asking (contracts §4).
    A carrier that can't be asked gets no further one.
    """
    if (word := final_outcome(entry)) is not None:
        return entry, word
    if entry.burn_at is not None or entry.cancel_reason or entry.refund_sequence:
        return entry, InDoubt(cause="book", why="This order is to be cancelled: no POST is allowed any more.")
    if not can_be_asked(entry, times) and may_have_been_sent(entry, times):
        return never_again(entry, times)
    if entry.posts:
        return _grant_further_post(entry, now, times, evidence)
    if times.can_be_asked and not _nothing_was_lost(times, evidence):
        return entry, InDoubt(cause="book", why=ASK_FIRST)
    date = _round_up(now + times.completion_window)
    fixed = replace(entry, body=make_body(date), completion_date=date if times.can_be_asked else None)
    return _granted(fixed, entry, now, times)


def _grant_further_post(
    entry: OrderState, now: datetime, times: CarrierTimes, evidence: NotFound | None
) -> tuple[OrderState, PostAuthorized | InDoubt]:
    assert entry.completion_date is not None
    if not times.can_be_asked or evidence is None or evidence.posts != entry.posts:
        return entry, InDoubt(cause="book", why="An earlier POST may have reached the carrier: ask it first.")
    if now > entry.completion_date - times.longest_latency:
        return entry, InDoubt(cause="book", why="Too late for another POST: the completion date is near.")
    if _timestamp(evidence.asked_at) < _empty_counts_from(entry, times):
        return entry, InDoubt(cause="book", why="The empty answer came too early to count.")
    return _granted(entry, entry, now, times)


def _granted(
    entry: OrderState, previous: OrderState, now: datetime, times: CarrierTimes
) -> tuple[OrderState, PostAuthorized]:
    assert entry.body is not None
    granted = replace(
        entry, posts=entry.posts + 1, last_post_at=now, last_post_answered_at=None, carrier_not_before=None
    )
    send_before = left_by(granted, times)
    if entry.completion_date is not None:
        send_before = min(send_before, entry.completion_date - times.longest_latency)
    return granted, PostAuthorized(number=granted.posts, body=entry.body, send_before=send_before, previous=previous)


def left_by(entry: OrderState, times: CarrierTimes) -> datetime:
    """The latest moment at which the last POST may have left: the book knows when it was granted, not when it went."""
    assert entry.last_post_at is not None
    return entry.last_post_at + times.post_leaves_within


def withdraw_post(entry: OrderState, granted: PostAuthorized) -> tuple[OrderState, None]:
    """Give the right back: the connection was never made, so there was no POST (contracts §4).

    Only the attempt that holds the right may say so; if another was granted since, nothing changes. The first right
    takes date and body with it, so that an order that waits out a carrier's outage starts afresh. After the carrier's
    final word the row keeps what was granted: an attempt that thaws then has nothing to give back.
    """
    before = granted.previous
    if entry.fact is not None or entry.posts != granted.number or entry.last_post_answered_at is not None:
        return entry, None
    return (
        replace(
            entry,
            posts=before.posts,
            body=before.body,
            completion_date=before.completion_date,
            last_post_at=before.last_post_at,
            last_post_answered_at=before.last_post_answered_at,
            carrier_not_before=before.carrier_not_before,
        ),
        None,
    )


def record_response(
    entry: OrderState, now: datetime, answer: Completed | Refused | InDoubt | NotFound, *, of_post: int = 0
) -> tuple[OrderState, Completed | Refused | InDoubt | NotFound]:
    """Book what the carrier said. A final word is written once; the book's word is what the caller goes on with.

    `of_post` is the number of the POST that this answers, 0 for `GET` and cancel.
    """
    if isinstance(answer, Completed | Refused):
        return _hear_final(entry, now, answer)
    if (word := final_outcome(entry)) is not None:
        return entry, word
    status: Status = entry.status if entry.status == "parked" else lifecycle.move(entry.status, "in_doubt")
    entry = replace(entry, status=status, first_pass=False)
    if isinstance(answer, InDoubt):
        entry = replace(entry, carrier_order_id=answer.carrier_order_id or entry.carrier_order_id, reason=answer.why)
        # A carrier that can't be asked has said all that it ever will, if only by hanging up.
        ended = entry.completion_date is None or answer.cause in ("answered", "unknown_state", "in_flight", "partial")
        if of_post and of_post == entry.posts and ended:
            wait = timedelta(seconds=answer.retry_after_seconds or 0)
            entry = replace(entry, last_post_answered_at=now, carrier_not_before=now + wait)
    return entry, answer


def _hear_final(
    entry: OrderState, now: datetime, answer: Completed | Refused
) -> tuple[OrderState, Completed | Refused]:
    fact: Fact = "sold" if isinstance(answer, Completed) else "burnt" if answer.burnt else "refused"
    if (word := final_outcome(entry)) is not None:
        opposite = (fact == "sold") != (entry.fact == "sold")
        return replace(entry, contradicted=entry.contradicted or opposite), word
    code = "" if isinstance(answer, Completed) else answer.code
    if fact == "burnt":
        code = entry.burn_reason or CANCELLED
    booked = replace(
        entry,
        fact=fact,
        fact_code=code,
        fact_at=now,
        carrier_order_id=answer.carrier_order_id or entry.carrier_order_id,
    )
    word = final_outcome(booked)
    assert word is not None
    return booked, word


# --- GET and burn ----------------------------------------------------------------------------------------------


def assess_not_found(
    entry: OrderState, now: datetime, times: CarrierTimes, empty: NotFound
) -> tuple[OrderState, NotFoundAssessment]:
    """What an empty `GET` is worth now: another POST, a burn, or doubt until a known moment."""
    if (word := final_outcome(entry)) is not None:
        return entry, NotFoundAssessment(word)
    if not can_be_asked(entry, times):
        return entry, NotFoundAssessment(
            InDoubt(cause="book", why="This carrier can't be asked: an empty answer says nothing.")
        )
    closed = entry.burn_at is not None or bool(entry.cancel_reason)
    if entry.posts == 0 and not closed:
        if _nothing_was_lost(times, empty):
            return entry, NotFoundAssessment(empty.model_copy(update={"may_post": True}))
        return entry, NotFoundAssessment(InDoubt(cause="book", why=ASK_FIRST), look_again_at=times.empty_counts_from)
    if entry.posts == 0:
        return _weigh_for_burn(entry, now, times, empty)
    assert entry.completion_date is not None
    last_post = entry.completion_date - times.longest_latency
    counts_from = max(_empty_counts_from(entry, times), entry.carrier_not_before or entry.claimed_at)
    if not closed and max(now, counts_from) <= last_post:
        if empty.posts == entry.posts and _timestamp(empty.asked_at) >= counts_from:
            return entry, NotFoundAssessment(empty.model_copy(update={"may_post": True}))
        why = "The carrier doesn't show the order (yet); it may still take the POST in."
        return entry, NotFoundAssessment(InDoubt(cause="book", why=why), look_again_at=counts_from)
    return _weigh_for_burn(entry, now, times, empty)


def _weigh_for_burn(
    entry: OrderState, now: datetime, times: CarrierTimes, empty: NotFound
) -> tuple[OrderState, NotFoundAssessment]:
    burn_from = burn_allowed_from(entry, times)
    if now >= burn_from:
        return entry, NotFoundAssessment(empty.model_copy(update={"may_post": False}))
    why = "The carrier doesn't show the order; until its completion date is over this proves nothing."
    return entry, NotFoundAssessment(InDoubt(cause="book", why=why), look_again_at=burn_from)


def burn_allowed_from(entry: OrderState, times: CarrierTimes) -> datetime:
    """The earliest moment of a burn: at once where no POST was granted, else date + visibility lag (contracts §4).

    A restored book may have lost a POST, or another date: then no earlier than the latest of those would allow.
    """
    if entry.posts == 0:
        return times.burn_from or entry.claimed_at
    assert entry.completion_date is not None
    allowed_from = entry.completion_date + times.visibility_lag
    return max(allowed_from, times.burn_from or allowed_from)


def authorize_burn(
    entry: OrderState, now: datetime, times: CarrierTimes
) -> tuple[OrderState, BurnAuthorized | Completed | Refused | InDoubt]:
    """Write the burn intent, which closes the row to POSTs for ever.

    At a carrier that can't be asked this is the burn itself where no POST was granted; else there is none.
    """
    if (word := final_outcome(entry)) is not None:
        return entry, word
    reason = entry.cancel_reason or NOT_FOUND_AND_BURNT
    closed = replace(entry, burn_at=entry.burn_at or now, burn_reason=entry.burn_reason or reason)
    if not can_be_asked(entry, times):
        if may_have_been_sent(entry, times):
            return never_again(entry, times)
        return _hear_final(closed, now, Refused(code=CANCELLED, burnt=True))
    if now < burn_allowed_from(entry, times):
        why = "Too early to burn: a POST may be under way until the completion date is over."
        return entry, InDoubt(cause="book", why=why)
    return closed, BurnAuthorized()


# --- the operator's word ---------------------------------------------------------------------------------------


def request_cancel(entry: OrderState, reason: str, note: str = "") -> tuple[OrderState, bool]:
    """Write that this order is to be cancelled, before anything follows from it. False: too late, nothing changes."""
    if entry.contradicted and reason == RESOLVED_BY_OPERATOR and entry.fact != "sold" and not entry.refund_sequence:
        return replace(entry, contradicted=False, resolution_note=note), True
    if entry.fact is not None or entry.outcome is not None:
        return entry, False
    return replace(
        entry, cancel_reason=entry.cancel_reason or reason, resolution_note=note or entry.resolution_note
    ), True


def resolve_delivered(entry: OrderState, now: datetime, *, restored: bool = False) -> tuple[OrderState, str]:
    """An operator's word that the carrier has delivered. Returns why not, or "".

    `restored`: the book may have lost a POST, so that none in it proves nothing.
    """
    if entry.contradicted and not entry.refund_sequence and entry.outcome is None:
        return replace(entry, fact="sold", fact_code=RESOLVED_BY_OPERATOR, contradicted=False), ""
    if entry.fact is not None:
        return entry, "The carrier's final word is in the book already."
    if entry.posts == 0 and entry.restored_at is None and not restored:
        return entry, "Nothing was ever sent to the carrier for this order, so it can't have delivered it."
    return replace(entry, fact="sold", fact_code=RESOLVED_BY_OPERATOR, fact_at=now), ""


def carrier_gave_up(entry: OrderState, now: datetime, answer: InDoubt) -> tuple[OrderState, Refused | InDoubt]:
    """`resolve not_delivered` with the carrier's reference, for an order that `GET` shows and never ends (§3).

    The note is that of `resolve not_delivered` alone; whether someone had asked for a cancel before does not matter.
    """
    reference = answer.carrier_order_id
    given_up = answer.cause in ("in_flight", "partial", "unknown_state") and _names(entry.resolution_note, reference)
    if entry.fact is not None or not given_up:
        return entry, answer
    booked = replace(entry, fact="refused", fact_code=RESOLVED_BY_OPERATOR, fact_at=now, carrier_order_id=reference)
    return booked, Refused(code=RESOLVED_BY_OPERATOR, carrier_order_id=reference)


def resolve_refunded(entry: OrderState, reference: str) -> tuple[OrderState, str]:
    """An operator's word that a refund which the provider has definitely refused was paid another way.

    It settles nothing itself: the next query that shows no refund does (`record_refund_response`), so one is always
    asked. From here on nothing is sent to the provider, which would pay a second time.
    """
    if entry.refund_confirmed_at is not None:
        return entry, ""
    if not entry.refund_sequence or not entry.refund_denied:
        return entry, "The provider has not definitely refused this refund: it goes on by itself."
    return replace(entry, refund_word=reference), ""


# --- refund and end --------------------------------------------------------------------------------------------


def authorize_refund(
    entry: OrderState, now: datetime, *, restored: bool = False
) -> tuple[OrderState, RefundAuthorized | RefundConfirmed | RefundForbidden]:
    """Write the refund intent. Only a definite refusal or a confirmed burn in the book allows it (rule of money 4).

    `restored`: the book may have lost a refund, so that no number of it counts as fresh.
    """
    if entry.refund_confirmed_at is not None:
        return entry, RefundConfirmed(provider_refund_id=entry.provider_refund_id)
    if entry.refund_sequence:
        return entry, RefundAuthorized(entry.refund_sequence, fresh=False)
    if entry.fact not in ("refused", "burnt"):
        return entry, RefundForbidden("The book holds no refusal and no burn of this order.", contradicted=False)
    if entry.contradicted:
        return entry, RefundForbidden("The carrier has contradicted its own refusal: ask it before any money moves.")
    status = lifecycle.move(entry.status, "refunding")
    granted = replace(entry, refund_sequence=1, refund_at=now, status=status, first_pass=False)
    return granted, RefundAuthorized(1, fresh=not restored and entry.restored_at is None)


def mark_refund_sent(
    entry: OrderState, now: datetime, sequence: int, *, again: bool = False
) -> tuple[OrderState, bool]:
    """Note that the number is about to be sent. False: another number is in use, or it was paid; send nothing.

    What the provider has definitely refused leaves once more only where an operator asks for it (`again`): somebody
    may be paying it another way. From then on it counts as refused when the provider says so anew.
    """
    if entry.refund_sequence != sequence or entry.refund_confirmed_at is not None or entry.refund_word:
        return entry, False
    if entry.refund_denied and not again:
        return entry, False
    return replace(entry, refund_sent_at=now, refund_denied=""), True


def close_refund_number(entry: OrderState, closed: int) -> tuple[OrderState, int]:
    """Go on to the next number from one that was seen `CLOSED`: a compare-and-set. Returns the number in use."""
    if entry.refund_sequence == closed and entry.refund_confirmed_at is None and not entry.refund_word:
        entry = replace(entry, refund_sequence=closed + 1, refund_sent_at=None, refund_denied="")
    return entry, entry.refund_sequence


def record_refund_response(
    entry: OrderState, now: datetime, answer: RefundAnswer, *, of_number: int = 0, of_send: datetime | None = None
) -> tuple[OrderState, RefundAnswer]:
    """Book what the provider said of the number in use.

    `of_number` is the number that was asked about, 0 for the one in use: a late word about another one, unless it is
    that the money was paid, changes nothing. Likewise `of_send`, the moment of the send that this answers: a refusal
    of it says nothing of a later send, which may have been taken in.
    """
    if entry.refund_confirmed_at is not None:
        return entry, RefundConfirmed(provider_refund_id=entry.provider_refund_id)
    if of_number not in (0, entry.refund_sequence) and not isinstance(answer, RefundConfirmed):
        return entry, answer
    if isinstance(answer, RefundDenied) and of_send not in (None, entry.refund_sent_at):
        return entry, RefundInDoubt(why="This refund was sent again since; asking what became of it.")
    match answer:
        case RefundConfirmed():
            entry = replace(entry, refund_confirmed_at=now, provider_refund_id=answer.provider_refund_id)
        case RefundDenied() | RefundClosed() | RefundUnknown() if entry.refund_word:
            entry = replace(entry, refund_confirmed_at=now, provider_refund_id=entry.refund_word)
            return entry, RefundConfirmed(provider_refund_id=entry.refund_word)
        case RefundDenied():
            entry = replace(entry, refund_denied=answer.code)
        case _:
            pass
    return entry, answer


def settle(entry: OrderState, now: datetime) -> tuple[OrderState, Outcome | None]:
    """Write the end, once. None: the book does not hold what an end needs."""
    if entry.outcome is not None:
        return entry, entry.outcome
    outcome: Outcome
    if entry.refund_confirmed_at is not None:
        outcome = "refunded"
    elif entry.fact == "sold" and not entry.refund_sequence:
        outcome = "delivered"
    else:
        return entry, None
    status = lifecycle.move(entry.status, outcome)
    ended = replace(
        entry, outcome=outcome, settled_at=now, status=status, first_pass=False, needs_operator=False, reason=""
    )
    return ended, outcome


def note(entry: OrderState, status: Status, reason: str, *, needs_operator: bool) -> tuple[OrderState, None]:
    """Show where an unsettled order stands. Changes nothing that money rests on.

    Once a refund stands there is no doubt any more: a note of it comes late, from an attempt that was frozen.
    """
    if entry.outcome is not None or (entry.refund_sequence and status == "in_doubt"):
        return entry, None
    return replace(
        entry,
        status=lifecycle.move(entry.status, status),
        reason=reason,
        needs_operator=needs_operator,
        first_pass=entry.first_pass and status == "placing",
    ), None


def _nothing_was_lost(times: CarrierTimes, evidence: NotFound | None) -> bool:
    """Whether the first POST is the first: in a restored book only an empty `GET`, asked late enough, says so."""
    if times.empty_counts_from is None:
        return True
    return evidence is not None and evidence.posts == 0 and _timestamp(evidence.asked_at) >= times.empty_counts_from


def _empty_counts_from(entry: OrderState, times: CarrierTimes) -> datetime:
    """From when on an empty `GET` says that the last POST did nothing (contracts §4)."""
    if entry.last_post_answered_at is not None:
        counts_from = entry.last_post_answered_at + times.visibility_lag
    else:
        counts_from = left_by(entry, times) + times.longest_latency + times.visibility_lag
    return max(counts_from, times.empty_counts_from or counts_from)


def _names(note: str, reference: str) -> bool:
    """Whether a note holds the whole reference: `4711` names neither `47110` nor `C-4711`."""
    return bool(reference) and re.search(rf"(?<![\w-]){re.escape(reference)}(?![\w-])", note) is not None


def _timestamp(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _round_up(at: datetime) -> datetime:
    """To the next millisecond, never down: body and book hold the same moment (contracts §4)."""
    return at.replace(microsecond=0) + timedelta(milliseconds=math.ceil(at.microsecond / 1000))
