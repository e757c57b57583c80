"""The rules of the operator's word: written in the book before anything follows from it. Pure, as `carrier_rules`."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from orders.foreign_runs import note_own_run
from orders.next_step import not_delivered_counts_from
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR, Attention, CarrierTimes, OrderState

CARRIER_SILENT: Final = "the carrier has settled nothing for 24 h"
FINAL = "The carrier's final word is in the book already."
NOTHING_SENT = "Nothing was ever sent to the carrier for this order, so it can't have delivered it."
GOES_ON = "The provider has not definitely refused this refund: it goes on by itself."


def request_cancel(state: OrderState, reason: str = CANCELLED, note: str = "") -> tuple[OrderState, bool]:
    """Write that this order is to be cancelled, before anything follows from it. False: too late, nothing changes."""
    refused = state.carrier_outcome in ("rejected", "cancelled")
    if state.contradicted and reason == RESOLVED_BY_OPERATOR and refused and not state.refund_sequence:
        return replace(state, contradicted=False, resolution_note=note, attention=""), True
    if state.carrier_outcome is not None or state.outcome is not None:
        return state, False
    return replace(
        state, cancel_reason=state.cancel_reason or reason, resolution_note=note or state.resolution_note
    ), True


def resolve_delivered(state: OrderState, now: datetime, times: CarrierTimes) -> tuple[OrderState, str]:
    """An operator's word that the carrier has delivered. Returns why not, or ""."""
    if state.contradicted and not state.refund_sequence and state.outcome is None:
        return replace(state, carrier_outcome="completed", carrier_code=RESOLVED_BY_OPERATOR, contradicted=False), ""
    if state.carrier_outcome is not None:
        return state, FINAL
    if state.posts == 0 and state.restored_at is None and times.restored_at is None:
        return state, NOTHING_SENT
    return replace(state, carrier_outcome="completed", carrier_code=RESOLVED_BY_OPERATOR, carrier_outcome_at=now), ""


def resolve_not_delivered(state: OrderState, now: datetime, times: CarrierTimes, note: str) -> tuple[OrderState, str]:
    """An operator's word that the carrier has not delivered and never will. Returns why not, or "".

    It is a cancel, and the burn decides. Where there is none it is a definite refusal, once no POST can act any more.
    """
    counts_from = not_delivered_counts_from(state, times)
    if counts_from is None or state.carrier_outcome is not None:
        after, written = request_cancel(state, RESOLVED_BY_OPERATOR, note)
        return after, "" if written else FINAL
    if now < counts_from:
        moment = counts_from.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return state, f"Too early: its POST may still act. Ask the carrier again after {moment}, then resolve again."
    return (
        replace(
            state,
            carrier_outcome="rejected",
            carrier_code=RESOLVED_BY_OPERATOR,
            carrier_outcome_at=now,
            resolution_note=note,
            attention="",
        ),
        "",
    )


def resolve_refunded(state: OrderState, reference: str) -> tuple[OrderState, str]:
    """An operator's word that a refund which the provider has definitely refused was paid another way.

    It settles nothing itself: the next query that shows no refund does (`record_refund_response`), so one is always
    asked. From here on nothing is sent to the provider, which would pay a second time.
    """
    if state.refund_confirmed_at is not None:
        return state, ""
    if not state.refund_sequence or not state.refund_denied:
        return state, GOES_ON
    return replace(state, paid_another_way=reference), ""


def request_retry(state: OrderState, now: datetime) -> tuple[OrderState, None]:
    """An operator asks for another try: what waits is looked at now, and a denied refund may be sent once more."""
    return (state if state.outcome is not None else replace(state, retry_requested_at=now)), None


def reopen(state: OrderState, now: datetime) -> tuple[OrderState, None]:
    """Another run takes the order up: it asks the carrier before it sends anything to it (contracts §3)."""
    return (state if state.outcome is not None else replace(note_own_run(state)[0], reopened_at=now)), None


def call_person(state: OrderState, attention: Attention, why: str) -> tuple[OrderState, bool]:
    """Call a person for an order that has waited too long. False: it has gone on since, or one is called already."""
    waits = state.outcome is None and not state.attention
    if attention == "carrier_silent":
        waits = waits and state.carrier_outcome is None
    else:
        waits = waits and bool(state.refund_sequence) and state.refund_confirmed_at is None
    return (replace(state, attention=attention, reason=why), True) if waits else (state, False)


def call_if_silent(
    state: OrderState, now: datetime, *, carrier_after: timedelta, refund_after: timedelta, refund_words: str
) -> OrderState:
    """Call a person where carrier or provider has settled nothing for so long, however quickly each answer comes.

    A run that waits for one answer calls by itself; here the ages in the book count, whichever run has asked.
    """
    if state.refund_at is not None and now - state.refund_at > refund_after:
        return call_person(state, "refund_silent", refund_words)[0]
    if state.in_doubt_since is not None and now - state.in_doubt_since > carrier_after:
        return call_person(state, "carrier_silent", CARRIER_SILENT)[0]
    return state


def refund_silent_for(seconds: float) -> str:
    """What a person reads of a refund that is not confirmed: `… for 1 h`, `… for 90 min`."""
    minutes = round(seconds / 60)
    long = f"{minutes // 60} h" if minutes and minutes % 60 == 0 else f"{minutes} min"
    return f"the payment provider has not confirmed the refund for {long}"
