"""Contracts §3: an operator's word in the book. Nothing is refunded by a word alone."""

import pytest
from orders.book import BurnAuthorized, OrderState, RefundAuthorized, RefundForbidden

from orders import book
from orders.outcomes import InDoubt, Refused
from tests.orders.entries import (
    BURNT,
    COMPLETED,
    IN_FLIGHT,
    PARTIAL,
    REFUSED,
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

ENDED = {"delivered": book.settle(sold(), at(9))[0], "sold": sold(), "refused": refused(), "burnt": burnt()}


@pytest.mark.parametrize("reason", [book.CANCELLED, book.RESOLVED_BY_OPERATOR])
def test_a_cancel_or_not_delivered_refunds_nothing_itself_it_burns(reason: str):
    entry, written = book.request_cancel(claimed(), reason, "asked by phone")

    assert written
    assert isinstance(book.authorize_refund(entry, at(0))[1], RefundForbidden)
    entry, answer = book.authorize_burn(entry, at(0), TIMES)
    assert isinstance(answer, BurnAuthorized)
    assert isinstance(book.authorize_refund(entry, at(1))[1], RefundForbidden)
    entry, _ = book.record_response(entry, at(1), BURNT)
    assert isinstance(book.authorize_refund(entry, at(2))[1], RefundAuthorized)


def test_if_the_carrier_has_completed_a_cancelled_order_it_is_delivered():
    entry, _ = book.request_cancel(posted(UNANSWERED), book.CANCELLED)
    entry, _ = book.record_response(entry, at(20), COMPLETED)

    assert book.settle(entry, at(21))[1] == "delivered"


@pytest.mark.parametrize("entry", ENDED.values(), ids=ENDED.keys())
def test_a_cancel_after_the_final_word_comes_too_late_and_changes_nothing(entry: OrderState):
    assert book.request_cancel(entry, book.CANCELLED) == (entry, False)


def test_the_first_reason_of_a_cancel_stands():
    entry, _ = book.request_cancel(claimed(), book.CANCELLED)
    entry, written = book.request_cancel(entry, book.RESOLVED_BY_OPERATOR, "asked by phone")

    assert written
    assert (entry.cancel_reason, entry.resolution_note) == (book.CANCELLED, "asked by phone")


# --- not_delivered with the carrier's reference -------------------------------------------------------------------


WITHOUT_A_NUMBER = [doubt.model_copy(update={"carrier_order_id": ""}) for doubt in (IN_FLIGHT, WEIRD)]
MALFORMED = InDoubt(cause="answered", why="No state.", carrier_order_id="C-4711")


def gives_up(entry: OrderState, answer: InDoubt) -> Refused | InDoubt:
    return book.carrier_gave_up(entry, at(999), answer)[1]


@pytest.mark.parametrize("shown", [IN_FLIGHT, PARTIAL, WEIRD], ids=["in flight", "partial", "a state nobody knows"])
@pytest.mark.parametrize("before", [(), (book.CANCELLED,)], ids=["at once", "after a cancel"])
def test_where_get_shows_an_order_that_never_ends_the_carriers_reference_counts_as_a_refusal(
    shown: InDoubt, before: tuple[str, ...]
):
    entry, _ = book.record_response(posted(), at(1), shown, of_post=1)
    for reason in before:  # the natural first try of an operator; its 409 settles nothing
        entry, _ = book.request_cancel(entry, reason)
    entry, _ = book.request_cancel(entry, book.RESOLVED_BY_OPERATOR, "Ms Wu says C-4711 is given up")

    assert gives_up(entry, shown) == Refused(code=book.RESOLVED_BY_OPERATOR, carrier_order_id="C-4711")


@pytest.mark.parametrize("answer", [UNANSWERED, MALFORMED, *WITHOUT_A_NUMBER])
def test_while_get_shows_no_order_a_reference_counts_for_nothing(answer: InDoubt):
    entry, _ = book.request_cancel(posted(UNANSWERED), book.RESOLVED_BY_OPERATOR, "C-4711 is given up")

    assert gives_up(entry, answer) == answer


@pytest.mark.parametrize("note", ["I think so", "C-47110 is given up", "see XC-4711", "call 4711"])
def test_a_note_without_the_whole_reference_counts_for_nothing(note: str):
    entry, _ = book.request_cancel(posted(IN_FLIGHT), book.RESOLVED_BY_OPERATOR, note)

    assert gives_up(entry, IN_FLIGHT) == IN_FLIGHT


def test_an_order_in_flight_is_not_given_up_by_a_cancel():
    entry, _ = book.request_cancel(posted(IN_FLIGHT), book.CANCELLED)

    assert gives_up(entry, IN_FLIGHT) == IN_FLIGHT


def test_a_completed_order_cannot_be_given_up():
    entry, _ = book.request_cancel(posted(IN_FLIGHT), book.RESOLVED_BY_OPERATOR, "C-4711")
    entry, _ = book.record_response(entry, at(50), COMPLETED)

    assert book.carrier_gave_up(entry, at(60), IN_FLIGHT) == (entry, IN_FLIGHT)


# --- delivered ---------------------------------------------------------------------------------------------------


def test_resolve_delivered_is_booked_as_the_carriers_word():
    entry, refusal = book.resolve_delivered(posted(PARTIAL), at(100))

    assert refusal == ""
    assert book.settle(entry, at(101))[1] == "delivered"


def test_nothing_that_was_never_sent_can_have_been_delivered():
    entry, refusal = book.resolve_delivered(claimed(), at(0))

    assert "Nothing was ever sent" in refusal
    assert entry == claimed()


@pytest.mark.parametrize("entry", [*ENDED.values(), refunding()], ids=[*ENDED.keys(), "refunding"])
def test_resolve_delivered_does_not_overrule_a_final_word(entry: OrderState):
    assert book.resolve_delivered(entry, at(100)) == (entry, "The carrier's final word is in the book already.")


def test_a_contradiction_before_the_refund_is_resolved_by_a_person_either_way():
    contradicted, _ = book.record_response(refused(), at(2), COMPLETED)

    delivered, refusal = book.resolve_delivered(contradicted, at(3))
    assert refusal == ""
    assert book.settle(delivered, at(4))[1] == "delivered"
    not_delivered, written = book.request_cancel(contradicted, book.RESOLVED_BY_OPERATOR, "sold by mistake, taken back")
    assert written
    assert isinstance(book.authorize_refund(not_delivered, at(4))[1], RefundAuthorized)


def test_a_contradiction_after_the_refund_intent_is_for_reconciliation_alone():
    contradicted, _ = book.record_response(refunding(), at(3), COMPLETED)

    assert book.resolve_delivered(contradicted, at(4))[1] != ""
    assert book.request_cancel(contradicted, book.RESOLVED_BY_OPERATOR)[1] is False


# --- where an order stands ----------------------------------------------------------------------------------------


def test_a_late_note_of_doubt_does_not_move_an_order_whose_refund_stands():
    """A frozen worker's note comes after the refund has begun, or waits for a person: both must still end."""
    denied, _ = book.note(refunding(), "parked", "ABNORMAL", needs_operator=True)

    for entry in (refunding(), denied):
        after, _ = book.note(entry, "in_doubt", "No answer within the limit.", needs_operator=False)
        assert after == entry
        confirmed, _ = book.record_refund_response(after, at(50), book.RefundConfirmed(provider_refund_id="P"))
        assert book.settle(confirmed, at(51))[1] == "refunded"


@pytest.mark.parametrize("outcome", ["delivered", "refunded"])
def test_no_note_moves_an_order_that_has_its_end(outcome: str):
    entry = (
        sold() if outcome == "delivered" else book.record_refund_response(refunding(), at(9), book.RefundConfirmed())[0]
    )
    entry, _ = book.settle(entry, at(10))
    assert entry.outcome == outcome

    assert book.note(entry, "parked", "late", needs_operator=True)[0] == entry


def test_the_gate_counts_an_order_until_it_waits_for_anything():
    assert claimed().first_pass
    assert posted().first_pass
    assert not posted(UNANSWERED).first_pass
    assert not refunding().first_pass
    assert not book.note(claimed(), "parked", "no reason", needs_operator=True)[0].first_pass
    assert not book.settle(sold(), at(2))[0].first_pass


def test_an_end_needs_what_proves_it():
    for entry in (claimed(), posted(UNANSWERED), refused(), burnt(), refunding()):
        assert book.settle(entry, at(400)) == (entry, None)


def test_evidence_of_an_empty_get_never_proves_an_end():
    entry, _ = book.record_response(posted(), at(400), empty(1, 399))

    assert book.settle(entry, at(401)) == (entry, None)
    assert isinstance(book.authorize_refund(entry, at(401))[1], RefundForbidden)
    assert REFUSED.code not in entry.fact_code
