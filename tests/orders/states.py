"""States of an order for tests: a fixed moment, the contract's times, and orders brought to a named place."""

from datetime import UTC, datetime, timedelta

from orders import carrier_rules, refund_rules
from orders.carrier_rules import PostAuthorized
from orders.outcomes import Completed, InDoubt, RefundDenied, Refused
from orders.state import CarrierTimes, OrderState

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


def empty(state: OrderState, asked_seconds: float, times: CarrierTimes = TIMES) -> OrderState:
    """An empty `GET`, asked and heard at that moment."""
    asked_at = at(asked_seconds)
    return carrier_rules.record_not_found(state, asked_at, times, asked_at=asked_at, posts=state.posts)[0]


def granted(state: OrderState, seconds: float = 0, times: CarrierTimes = TIMES) -> tuple[OrderState, PostAuthorized]:
    """One POST authorized; fails the test if the book says no."""
    state, answer = carrier_rules.authorize_post(state, at(seconds), times, body_of)
    assert answer is not None, state
    return state, answer


def posted(*answers: InDoubt, at_seconds: float = 0, times: CarrierTimes = TIMES) -> OrderState:
    """Posted once; each answer heard in the same moment."""
    state, right = granted(claimed(), at_seconds, times)
    for answer in answers:
        state, _ = carrier_rules.record_post_response(state, at(at_seconds), answer, right.number)
    return state


def refused() -> OrderState:
    return carrier_rules.record_post_response(posted(), at(1), REFUSED, 1)[0]


def sold() -> OrderState:
    return carrier_rules.record_post_response(posted(), at(1), COMPLETED, 1)[0]


def burnt() -> OrderState:
    state, closed = carrier_rules.authorize_burn(empty(posted(UNANSWERED), 315), at(315), TIMES)
    assert closed
    return carrier_rules.record_response(state, at(316), BURNT)[0]


def refunding() -> OrderState:
    """The refund intent stands, nothing is sent."""
    state, started = refund_rules.start_refund(refused(), at(2), TIMES)
    assert started
    return state


def refund_sent(seconds: float = 3) -> OrderState:
    state, leaves = refund_rules.authorize_refund(refunding(), at(seconds), TIMES, 1)
    assert leaves
    return state
