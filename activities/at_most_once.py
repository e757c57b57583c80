"""What the order book alone says of an order whose carrier can't be asked, as the saga takes it."""

from datetime import datetime, timedelta

from orders import at_most_once
from orders.book import CarrierTimes, OrderState
from orders.outcomes import CarrierResult, InDoubt, ManualResolution
from workflows import policies
from workflows.policies import look_pace_seconds, parked_pace_seconds, scaled


def book_says(entry: OrderState, now: datetime, times: CarrierTimes, scale: float) -> tuple[OrderState, CarrierResult]:
    """The book's word in place of a query's, with the next look where a person is waited for.

    While some worker may still hear the POST's answer it is `listening`; after that only a person can end the doubt.
    The entry changes only where a restored book can't rule out that the order was sent.
    """
    after, answer = at_most_once.look(entry, now, times, listening=_listening(times, scale))
    if not isinstance(answer, InDoubt):
        return after, CarrierResult(answer=answer)
    if answer.cause == "listening":
        return after, CarrierResult(answer=answer)
    age = (now - (entry.last_post_at or entry.claimed_at)).total_seconds()
    wait = parked_pace_seconds(age, scale)
    counts_from = at_most_once.not_delivered_counts_from(after, times)
    assert counts_from is not None, "a POST may have been sent"
    if counts_from > now:
        wait = min(wait, max((counts_from - now).total_seconds(), policies.SHORTEST_SECONDS))
    person = ManualResolution(sent_at=entry.last_post_at, not_delivered_from=counts_from)
    return after, CarrierResult(answer=answer, next_look_seconds=wait, manual_resolution=person)


def listens_again_seconds(entry: OrderState, now: datetime, times: CarrierTimes, scale: float) -> float:
    """How long to wait before the next look for an answer that another worker may hear, no longer than it may."""
    sent_at = entry.last_post_at or now
    left = sent_at + _listening(times, scale) - now
    wait = look_pace_seconds((now - sent_at).total_seconds(), scale)
    return max(min(wait, left.total_seconds()), policies.SHORTEST_SECONDS)


def _listening(times: CarrierTimes, scale: float) -> timedelta:
    call_seconds = scaled(policies.PLACE_ORDER.call_seconds, scale)
    return times.post_leaves_within + timedelta(seconds=call_seconds + policies.LISTENING_MARGIN_SECONDS)
