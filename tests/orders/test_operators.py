"""Contracts §3: an operator's word in the book. Nothing is refunded by a word alone."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from orders import carrier_rules, operator_rules, refund_rules
from orders.outcomes import CarrierAnswer, InDoubt, Refused
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR, OrderState
from tests.orders.states import (
    BURNT,
    COMPLETED,
    IN_FLIGHT,
    PARTIAL,
    TIMES,
    UNANSWERED,
    WEIRD,
    at,
    burnt,
    claimed,
    empty,
    posted,
    refunding,
    refused,
    sold,
)

ENDED = {
    "delivered": refund_rules.settle(sold(), at(9), TIMES)[0],
    "sold": sold(),
    "refused": refused(),
    "burnt": burnt(),
}


@pytest.mark.parametrize("reason", [CANCELLED, RESOLVED_BY_OPERATOR])
def test_a_cancel_or_not_delivered_refunds_nothing_itself_it_burns(reason: str):
    state, written = operator_rules.request_cancel(claimed(), reason, "asked by phone")

    assert written
    assert not refund_rules.start_refund(state, at(0), TIMES)[1]
    state, closed = carrier_rules.authorize_burn(state, at(0), TIMES)
    assert closed
    assert not refund_rules.start_refund(state, at(1), TIMES)[1]
    state, _ = carrier_rules.record_response(state, at(1), BURNT)
    assert refund_rules.start_refund(state, at(2), TIMES)[1]


def test_if_the_carrier_has_completed_a_cancelled_order_it_is_delivered():
    state, _ = operator_rules.request_cancel(posted(UNANSWERED), CANCELLED)
    state, _ = carrier_rules.record_response(state, at(20), COMPLETED)

    assert refund_rules.settle(state, at(21), TIMES)[1] == "delivered"


@pytest.mark.parametrize("state", ENDED.values(), ids=ENDED.keys())
def test_a_cancel_after_the_final_word_comes_too_late_and_changes_nothing(state: OrderState):
    assert operator_rules.request_cancel(state, CANCELLED) == (state, False)


def test_the_first_reason_of_a_cancel_stands():
    state, _ = operator_rules.request_cancel(claimed(), CANCELLED)
    state, written = operator_rules.request_cancel(state, RESOLVED_BY_OPERATOR, "asked by phone")

    assert written
    assert (state.cancel_reason, state.resolution_note) == (CANCELLED, "asked by phone")


# --- not_delivered with the carrier's reference -------------------------------------------------------------------


WITHOUT_A_NUMBER = [doubt.model_copy(update={"carrier_order_id": ""}) for doubt in (IN_FLIGHT, WEIRD)]
MALFORMED = InDoubt(cause="answered", why="No state.", carrier_order_id="C-4711")


def gives_up(state: OrderState, answer: InDoubt) -> CarrierAnswer:
    return carrier_rules.carrier_gave_up(state, at(999), answer)[1]


@pytest.mark.parametrize("shown", [IN_FLIGHT, PARTIAL, WEIRD], ids=["in flight", "partial", "a state nobody knows"])
@pytest.mark.parametrize("before", [(), (CANCELLED,)], ids=["at once", "after a cancel"])
def test_where_get_shows_an_order_that_never_ends_the_carriers_reference_counts_as_a_refusal(
    shown: InDoubt, before: tuple[str, ...]
):
    state, _ = carrier_rules.record_post_response(posted(), at(1), shown, 1)
    for reason in before:  # the natural first try of an operator; its 409 settles nothing
        state, _ = operator_rules.request_cancel(state, reason)
    state, _ = operator_rules.request_cancel(state, RESOLVED_BY_OPERATOR, "Ms Wu says C-4711 is given up")

    assert gives_up(state, shown) == Refused(code=RESOLVED_BY_OPERATOR, carrier_order_id="C-4711")


@pytest.mark.parametrize("answer", [UNANSWERED, MALFORMED, *WITHOUT_A_NUMBER])
def test_while_get_shows_no_order_a_reference_counts_for_nothing(answer: InDoubt):
    state, _ = operator_rules.request_cancel(posted(UNANSWERED), RESOLVED_BY_OPERATOR, "C-4711 is given up")

    assert gives_up(state, answer) == answer


@pytest.mark.parametrize("note", ["I think so", "C-47110 is given up", "see XC-4711", "call 4711"])
def test_a_note_without_the_whole_reference_counts_for_nothing(note: str):
    state, _ = operator_rules.request_cancel(posted(IN_FLIGHT), RESOLVED_BY_OPERATOR, note)

    assert gives_up(state, IN_FLIGHT) == IN_FLIGHT


def test_an_order_in_flight_is_not_given_up_by_a_cancel():
    state, _ = operator_rules.request_cancel(posted(IN_FLIGHT), CANCELLED)

    assert gives_up(state, IN_FLIGHT) == IN_FLIGHT


def test_a_completed_order_cannot_be_given_up():
    state, _ = operator_rules.request_cancel(posted(IN_FLIGHT), RESOLVED_BY_OPERATOR, "C-4711")
    state, _ = carrier_rules.record_response(state, at(50), COMPLETED)

    assert carrier_rules.carrier_gave_up(state, at(60), IN_FLIGHT) == (state, IN_FLIGHT)


# --- delivered ---------------------------------------------------------------------------------------------------


def test_resolve_delivered_is_booked_as_the_carriers_word():
    state, refusal = operator_rules.resolve_delivered(posted(PARTIAL), at(100), TIMES)

    assert refusal == ""
    assert refund_rules.settle(state, at(101), TIMES)[1] == "delivered"


def test_nothing_that_was_never_sent_can_have_been_delivered():
    state, refusal = operator_rules.resolve_delivered(claimed(), at(0), TIMES)

    assert "Nothing was ever sent" in refusal
    assert state == claimed()


@pytest.mark.parametrize("state", [*ENDED.values(), refunding()], ids=[*ENDED.keys(), "refunding"])
def test_resolve_delivered_does_not_overrule_a_final_word(state: OrderState):
    assert operator_rules.resolve_delivered(state, at(100), TIMES) == (state, operator_rules.FINAL)


def test_a_contradiction_before_the_refund_is_resolved_by_a_person_either_way():
    contradicted, _ = carrier_rules.record_response(refused(), at(2), COMPLETED)

    delivered, refusal = operator_rules.resolve_delivered(contradicted, at(3), TIMES)
    assert refusal == ""
    assert refund_rules.settle(delivered, at(4), TIMES)[1] == "delivered"
    not_delivered, written = operator_rules.request_cancel(contradicted, RESOLVED_BY_OPERATOR, "sold by mistake")
    assert written
    assert refund_rules.start_refund(not_delivered, at(4), TIMES)[1]


def test_a_contradiction_after_the_refund_intent_is_for_reconciliation_alone():
    contradicted, _ = carrier_rules.record_response(refunding(), at(3), COMPLETED)

    assert operator_rules.resolve_delivered(contradicted, at(4), TIMES)[1] != ""
    assert operator_rules.request_cancel(contradicted, RESOLVED_BY_OPERATOR)[1] is False


# --- where an order stands ----------------------------------------------------------------------------------------


def test_late_doubt_does_not_move_an_order_whose_refund_stands():
    """A frozen worker's answer comes after the refund has begun: it must still end."""
    for state in (refunding(), replace(refunding(), attention="refund_denied")):
        assert carrier_rules.record_response(state, at(20), UNANSWERED)[0] == state
        assert carrier_rules.note_listening(state, at(20))[0] == state


@pytest.mark.parametrize("state", [sold(), refunding(), claimed()], ids=["sold", "refunding", "claimed"])
def test_the_gate_counts_an_order_until_it_waits_for_anything(state: OrderState):
    assert state.first_pass == (state.status == "placing")
    assert not replace(state, attention="manual").first_pass
    assert not replace(state, outcome="delivered").first_pass


def test_doubt_ends_the_first_pass():
    assert posted().first_pass
    assert not posted(UNANSWERED).first_pass


def test_an_end_needs_what_proves_it():
    for state in (claimed(), posted(UNANSWERED), refused(), burnt(), refunding()):
        assert refund_rules.settle(state, at(400), TIMES) == (state, None)


def test_evidence_of_an_empty_get_never_proves_an_end():
    state = empty(posted(), 400)

    assert refund_rules.settle(state, at(401), TIMES) == (state, None)
    assert not refund_rules.start_refund(state, at(401), TIMES)[1]


# --- calling a person, taking up, trying again ---------------------------------------------------------------------


def test_a_person_is_called_once_and_only_for_what_still_waits():
    called, written = operator_rules.call_person(posted(UNANSWERED), "carrier_silent", "a day")
    assert written
    assert (called.status, called.attention) == ("parked", "carrier_silent")

    assert operator_rules.call_person(called, "carrier_silent", "a day") == (called, False)
    assert operator_rules.call_person(sold(), "carrier_silent", "a day") == (sold(), False)
    assert operator_rules.call_person(refused(), "refund_silent", "an hour") == (refused(), False)
    assert operator_rules.call_person(refunding(), "refund_silent", "an hour")[1]


def test_what_a_person_is_called_for_stands_while_the_carrier_is_asked_on():
    called, _ = operator_rules.call_person(posted(UNANSWERED), "carrier_silent", "a day")
    asked = carrier_rules.record_response(called, at(99), UNANSWERED)[0]
    assert (asked.attention, asked.reason) == ("carrier_silent", "a day")

    partial = carrier_rules.record_response(called, at(99), PARTIAL)[0]
    assert (partial.attention, partial.reason) == ("partial", PARTIAL.why)


@pytest.mark.parametrize("rule", [operator_rules.reopen, operator_rules.request_retry])
def test_nothing_touches_an_order_that_has_its_end(rule: Callable[[OrderState, datetime], tuple[OrderState, None]]):
    assert rule(ENDED["delivered"], at(99))[0] == ENDED["delivered"]
    assert rule(posted(), at(99))[0] != posted()
