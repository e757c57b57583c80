"""`next_step` line by line: a state at a moment, and the step that follows from it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orders import carrier_rules, operator_rules, refund_rules
from orders.next_step import (
    AskPerson,
    CancelAtCarrier,
    Done,
    NextStep,
    QueryCarrier,
    QueryRefund,
    SendRefund,
    Settle,
    StartRefund,
    Submit,
    next_step,
)
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundHeld,
    RefundInDoubt,
    RefundUnknown,
)
from orders.state import CarrierTimes, OrderState
from tests.orders.states import (
    ANSWERED,
    COMPLETED,
    DENIED,
    TIMES,
    UNANSWERED,
    at,
    burnt,
    claimed,
    empty,
    posted,
    refund_sent,
    refunding,
    refused,
    sold,
)

FLAT = replace(TIMES, can_be_asked=False)
RESTORED = replace(TIMES, restored_at=at(0))
FLAT_RESTORED = replace(FLAT, restored_at=at(0))
SURE = 7.5 + 60 + 15
"""Seconds: an unanswered POST has left, acted and can be seen."""
LAST_POST = 300 - 60
BURN = 300 + 15


def cancelled(state: OrderState) -> OrderState:
    return operator_rules.request_cancel(state)[0]


def closed(state: OrderState) -> OrderState:
    return replace(state, burn_at=at(0))


def reopened(state: OrderState, seconds: float) -> OrderState:
    return operator_rules.reopen(state, at(seconds))[0]


def contradicted(state: OrderState) -> OrderState:
    return carrier_rules.record_response(state, at(2), COMPLETED)[0]


def told(answer: RefundAnswer, state: OrderState | None = None, seconds: float = 100) -> OrderState:
    return refund_rules.record_refund_response(state or refund_sent(), at(seconds), TIMES, answer, of_number=1)[0]


def retried(state: OrderState, seconds: float) -> OrderState:
    return operator_rules.request_retry(state, at(seconds))[0]


def paid_another_way() -> OrderState:
    return operator_rules.resolve_refunded(told(DENIED), "bank transfer")[0]


def settled(state: OrderState) -> OrderState:
    return refund_rules.settle(state, at(200), TIMES)[0]


HELD = RefundHeld(code="NOT_ENOUGH", why="Top it up.")
SILENT = RefundInDoubt(why="No answer.")
CONFIRMED = RefundConfirmed(provider_refund_id="P")


def manual(sent_at: float | None, from_seconds: float) -> AskPerson:
    sent = None if sent_at is None else at(sent_at)
    return AskPerson(why="manual", sent_at=sent, not_delivered_from=at(from_seconds))


Row = tuple[str, OrderState, float, CarrierTimes, NextStep]
ROWS: list[Row] = [
    # the end
    ("delivered", settled(sold()), 300, TIMES, Done(outcome="delivered")),
    ("refunded", settled(told(CONFIRMED)), 300, TIMES, Done(outcome="refunded")),
    ("refund confirmed", told(CONFIRMED), 300, TIMES, Settle(outcome="refunded")),
    ("completed", sold(), 300, TIMES, Settle(outcome="delivered")),
    (
        "completed after a cancel",
        carrier_rules.record_response(cancelled(posted()), at(9), COMPLETED)[0],
        9,
        TIMES,
        Settle(outcome="delivered"),
    ),
    # the refund
    ("refused", refused(), 2, TIMES, StartRefund()),
    ("burnt", burnt(), 400, TIMES, StartRefund()),
    ("refused, contradicted", contradicted(refused()), 3, TIMES, AskPerson(why="contradicted")),
    ("intent, contradicted: the refund goes on", contradicted(refunding()), 3, TIMES, SendRefund()),
    ("intent, nothing sent", refunding(), 3, TIMES, SendRefund()),
    ("sent, no answer", refund_sent(), 4, TIMES, QueryRefund()),
    ("sent, accepted", told(RefundAccepted()), 101, TIMES, QueryRefund()),
    ("sent, in doubt", told(SILENT), 101, TIMES, QueryRefund()),
    ("sent, held", told(HELD), 101, TIMES, SendRefund()),
    ("sent, not shown a moment later", told(RefundUnknown(), seconds=62), 62, TIMES, QueryRefund()),
    ("sent, not shown for long", told(RefundUnknown(), seconds=63), 63, TIMES, SendRefund()),
    ("sent, CLOSED", told(RefundClosed()), 101, TIMES, SendRefund()),
    ("denied", told(DENIED), 101, TIMES, QueryRefund()),
    ("denied, not shown since", told(RefundUnknown(), told(DENIED)), 101, TIMES, QueryRefund()),
    ("denied, asked for before", told(DENIED, retried(refund_sent(), 99)), 101, TIMES, QueryRefund()),
    ("denied, asked for again", retried(told(DENIED), 101), 101, TIMES, SendRefund()),
    ("denied, paid another way", paid_another_way(), 101, TIMES, QueryRefund()),
    ("paid another way, asked for again", retried(paid_another_way(), 102), 102, TIMES, QueryRefund()),
    # nothing sent, the carrier can be asked
    ("claimed", claimed(), 0, TIMES, Submit()),
    ("claimed, reopened", reopened(claimed(), 5), 6, TIMES, QueryCarrier(not_before=at(5))),
    ("claimed, reopened, asked before", reopened(empty(claimed(), 4), 5), 6, TIMES, QueryCarrier(not_before=at(5))),
    ("claimed, reopened, asked since", empty(reopened(claimed(), 5), 5), 6, TIMES, Submit()),
    ("claimed, restored", claimed(), 1, RESTORED, QueryCarrier(not_before=at(75))),
    ("claimed, restored, asked too early", empty(claimed(), 74), 80, RESTORED, QueryCarrier(not_before=at(75))),
    ("claimed, restored, asked late enough", empty(claimed(), 75), 80, RESTORED, Submit()),
    ("cancelled, nothing sent", cancelled(claimed()), 0, TIMES, CancelAtCarrier()),
    ("burn intent, nothing sent", closed(claimed()), 0, TIMES, CancelAtCarrier()),
    (
        "cancelled, nothing sent, reopened",
        cancelled(reopened(claimed(), 5)),
        6,
        TIMES,
        QueryCarrier(not_before=claimed().claimed_at),
    ),
    (
        "cancelled, nothing sent, restored",
        empty(cancelled(claimed()), 80),
        80,
        RESTORED,
        QueryCarrier(not_before=at(BURN)),
    ),
    ("cancelled, nothing sent, restored long ago", empty(cancelled(claimed()), 80), BURN, RESTORED, CancelAtCarrier()),
    # one POST, the carrier can be asked
    ("posted", posted(), 1, TIMES, QueryCarrier(not_before=at(SURE))),
    ("posted, empty too early", empty(posted(UNANSWERED), SURE - 1), 200, TIMES, QueryCarrier(not_before=at(SURE))),
    ("posted, empty late enough", empty(posted(UNANSWERED), SURE), SURE, TIMES, Submit()),
    ("posted, answered, empty after the lag", empty(posted(ANSWERED), 15), 15, TIMES, Submit()),
    (
        "posted, empty, reopened since",
        reopened(empty(posted(ANSWERED), 15), 16),
        17,
        TIMES,
        QueryCarrier(not_before=at(16)),
    ),
    (
        "posted, empty, doubt heard since",
        carrier_rules.record_response(empty(posted(UNANSWERED), SURE), at(SURE), ANSWERED)[0],
        SURE + 1,
        TIMES,
        QueryCarrier(not_before=at(SURE)),
    ),
    ("posted, empty at the last moment", empty(posted(UNANSWERED), 200), LAST_POST, TIMES, Submit()),
    (
        "posted, empty, too late to post",
        empty(posted(UNANSWERED), 200),
        LAST_POST + 1,
        TIMES,
        QueryCarrier(not_before=at(BURN)),
    ),
    ("posted, cancelled", empty(cancelled(posted(UNANSWERED)), 200), 200, TIMES, QueryCarrier(not_before=at(BURN))),
    ("posted, date over, empty", empty(posted(UNANSWERED), 200), BURN, TIMES, CancelAtCarrier()),
    ("posted, date over, never empty", posted(UNANSWERED), BURN, TIMES, QueryCarrier(not_before=at(BURN))),
    (
        "posted, date over, reopened since",
        reopened(empty(posted(UNANSWERED), 200), 320),
        321,
        TIMES,
        QueryCarrier(not_before=at(BURN)),
    ),
    (
        "posted, empty, by a worker of another dialect",
        empty(posted(ANSWERED), 15),
        15,
        FLAT,
        QueryCarrier(not_before=at(BURN)),
    ),
    # the carrier can't be asked
    ("flat, claimed", claimed(), 0, FLAT, Submit()),
    ("flat, cancelled, nothing sent", cancelled(claimed()), 0, FLAT, CancelAtCarrier()),
    ("flat, posted, still listening", posted(times=FLAT), 72, FLAT, QueryCarrier(listening=True)),
    ("flat, posted, nobody listens any more", posted(times=FLAT), 73, FLAT, manual(0, SURE)),
    ("flat, posted, the call has ended", posted(UNANSWERED, times=FLAT), 1, FLAT, manual(0, SURE)),
    ("flat, posted, cancelled", cancelled(posted(UNANSWERED, times=FLAT)), 999, FLAT, manual(0, SURE)),
    ("flat, posted, by a worker of another dialect", posted(UNANSWERED, times=FLAT), 1, TIMES, manual(0, SURE)),
    ("flat, restored, nothing sent says the book", claimed(), 1, FLAT_RESTORED, manual(None, 75)),
]


@pytest.mark.parametrize(("state", "seconds", "times", "step"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_first_line_that_fits_decides(state: OrderState, seconds: float, times: CarrierTimes, step: NextStep):
    assert next_step(state, at(seconds), times) == step


def test_the_rows_name_every_kind_of_step():
    assert {row[4].kind for row in ROWS} == {
        "submit", "query_carrier", "cancel_at_carrier", "start_refund", "send_refund", "query_refund", "ask_person",
        "settle", "done",
    }  # fmt: skip


def test_a_moment_later_the_same_state_is_never_sent_again():
    """What a grant writes takes its own evidence away."""
    state, right = carrier_rules.authorize_post(empty(posted(ANSWERED), 15), at(15), TIMES, lambda _: b"")
    assert right is not None

    assert isinstance(next_step(state, at(15) + timedelta(microseconds=1), TIMES), QueryCarrier)
