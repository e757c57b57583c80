"""The rules for an order whose carrier can't be asked: its dialect has no serial of ours, no query and no cancel.

It gets one POST ever (`book.authorize_post`). What settles it is that POST's answer, however late, or an operator's
word; the book alone says where it stands. Nothing is guessed (contracts §3).
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from orders import book
from orders.book import RESOLVED_BY_OPERATOR, CarrierTimes, OrderState
from orders.outcomes import Completed, InDoubt, NotFound, Refused


def look(
    entry: OrderState, now: datetime, times: CarrierTimes, *, listening: timedelta
) -> tuple[OrderState, Completed | Refused | InDoubt | NotFound]:
    """What the book says, in place of a query. `NotFound` only where no POST can have been sent.

    `listening`: how long after the grant some worker may still wait for the POST's answer.
    """
    if (word := book.final_outcome(entry)) is not None:
        return entry, word
    if not book.may_have_been_sent(entry, times):
        closed = entry.burn_at is not None or bool(entry.cancel_reason)
        return entry, NotFound(asked_at=now.timestamp(), may_post=not closed)
    if entry.last_post_at is not None and entry.last_post_answered_at is None and now < entry.last_post_at + listening:
        return entry, InDoubt(cause="listening", why="The carrier has not answered yet; a worker waits for it.")
    after, doubt = book.never_again(entry, times)
    told = {"why": entry.reason or doubt.why, "carrier_order_id": entry.carrier_order_id}
    return after, doubt.model_copy(update=told)


def not_delivered_counts_from(entry: OrderState, times: CarrierTimes) -> datetime | None:
    """From when on `resolve not_delivered` stands for the burn that this order's carrier does not have (contracts §3).

    The last moment at which the POST could leave + latency + lag: what it does is done by then, and can be seen.
    None: the carrier can be asked, or nothing was sent; there the word is a cancel.
    """
    if book.can_be_asked(entry, times) or not book.may_have_been_sent(entry, times):
        return None
    left = [moment for moment in (entry.restored_at, times.restored_at) if moment is not None]
    if entry.last_post_at is not None:
        left.append(book.left_by(entry, times))
    return max(left) + times.longest_latency + times.visibility_lag


def resolve_not_delivered(entry: OrderState, now: datetime, times: CarrierTimes, note: str) -> tuple[OrderState, str]:
    """An operator's word that the carrier has not delivered and never will. Returns why not, or "".

    It is a cancel, and the burn decides. Where there is none it is a definite refusal, once no POST can act any more.
    """
    counts_from = not_delivered_counts_from(entry, times)
    if counts_from is None or entry.fact is not None:
        after, written = book.request_cancel(entry, RESOLVED_BY_OPERATOR, note)
        return after, "" if written else "The carrier's final word is in the book already."
    if now < counts_from:
        moment = counts_from.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return entry, f"Too early: its POST may still act. Ask the carrier again after {moment}, then resolve again."
    return replace(entry, fact="refused", fact_code=RESOLVED_BY_OPERATOR, fact_at=now, resolution_note=note), ""
