"""Entries of the order book for tests: a fixed moment, the contract's times, and orders brought to a named place."""

from datetime import UTC, datetime, timedelta

from orders.book import CarrierTimes, OrderState, PostAuthorized

from orders import book
from orders.outcomes import Completed, InDoubt, NotFound, RefundDenied, Refused

START = datetime(2023, 8, 21, 10, 34, 6, tzinfo=UTC)
TIMES = CarrierTimes(
    longest_latency=timedelta(seconds=60), visibility_lag=timedelta(seconds=15), completion_window=timedelta(minutes=5)
)
UNANSWERED = InDoubt(cause="unanswered", why="No answer within the limit.")
ANSWERED = InDoubt(cause="answered", why="HTTP 500.")
THROTTLED = InDoubt(cause="answered", why="HTTP 429.", retry_after_seconds=30)
CONFLICT = InDoubt(cause="answered", why="HTTP 409.")
IN_FLIGHT = InDoubt(cause="in_flight", why="The carrier works on it.", carrier_order_id="C-4711")
PARTIAL = InDoubt(cause="partial", why="The carrier says partial.", carrier_order_id="C-4711")
WEIRD = InDoubt(cause="unknown_state", why="A state that isn't known.", carrier_order_id="C-4711")
COMPLETED = Completed(carrier_order_id="C-4711")
REFUSED = Refused(code="SIM_SUSPENDED")
BURNT = Refused(code="CANCELLED", burnt=True)
DENIED = RefundDenied(code="ABNORMAL", why="WeChat can't pay it out.")


def at(seconds: float) -> datetime:
    """A moment after the first POST was granted (START)."""
    return START + timedelta(seconds=seconds)


def claimed() -> OrderState:
    return OrderState(order_id="T20230821183406000001", claimed_at=START - timedelta(seconds=1))


def body_of(date: datetime) -> bytes:
    """Another date, another body."""
    return date.isoformat().encode()


def granted(
    entry: OrderState, seconds: float = 0, evidence: NotFound | None = None
) -> tuple[OrderState, PostAuthorized]:
    """One POST granted; fails the test if the book says no."""
    entry, answer = book.authorize_post(entry, at(seconds), TIMES, body_of, evidence)
    assert isinstance(answer, PostAuthorized), answer
    return entry, answer


def posted(*answers: InDoubt, at_seconds: float = 0) -> OrderState:
    """Posted once; each answer heard in the same moment."""
    entry, right = granted(claimed(), at_seconds)
    for answer in answers:
        entry, _ = book.record_response(entry, at(at_seconds), answer, of_post=right.number)
    return entry


def empty(posts: int, asked_seconds: float) -> NotFound:
    return NotFound(posts=posts, asked_at=at(asked_seconds).timestamp())


def refused() -> OrderState:
    entry, _ = book.record_response(posted(), at(1), REFUSED, of_post=1)
    return entry


def sold() -> OrderState:
    entry, _ = book.record_response(posted(), at(1), COMPLETED, of_post=1)
    return entry


def burnt() -> OrderState:
    entry, answer = book.authorize_burn(posted(UNANSWERED), at(315), TIMES)
    assert isinstance(answer, book.BurnAuthorized)
    entry, _ = book.record_response(entry, at(316), BURNT)
    return entry


def refunding() -> OrderState:
    entry, answer = book.authorize_refund(refused(), at(2))
    assert isinstance(answer, book.RefundAuthorized)
    return entry
