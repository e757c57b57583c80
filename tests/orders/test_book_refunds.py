"""Contracts §5 and rules of money 4 to 6: when a refund may start, and under which number."""

import pytest
from orders.book import OrderState, RefundAuthorized, RefundForbidden

from orders import book
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundHeld,
    RefundInDoubt,
    RefundUnknown,
)
from tests.orders.entries import (
    DENIED,
    IN_FLIGHT,
    PARTIAL,
    UNANSWERED,
    at,
    burnt,
    claimed,
    posted,
    refunding,
    refused,
    sold,
)

PAID = RefundConfirmed(provider_refund_id="P-1")
UNDECIDED: list[RefundAnswer] = [
    RefundAccepted(why="PROCESSING"),
    RefundUnknown(),
    RefundClosed(),
    RefundHeld(code="NOT_ENOUGH", why="Top it up."),
    RefundInDoubt(why="No answer."),
    DENIED,
]
IDS = [answer.kind for answer in UNDECIDED]


@pytest.mark.parametrize("entry", [claimed(), posted(), posted(UNANSWERED), posted(IN_FLIGHT), posted(PARTIAL), sold()])
def test_no_refund_without_a_definite_refusal_or_a_confirmed_burn_in_the_book(entry: OrderState):
    after, answer = book.authorize_refund(entry, at(1000))

    assert isinstance(answer, RefundForbidden)
    assert after == entry


@pytest.mark.parametrize("entry", [refused(), burnt()], ids=["refused", "burnt"])
def test_a_refusal_or_a_confirmed_burn_lets_one_refund_go(entry: OrderState):
    after, answer = book.authorize_refund(entry, at(400))

    assert answer == RefundAuthorized(1, fresh=True)
    assert (after.status, after.refund_at) == ("refunding", at(400))


def test_only_the_first_to_take_the_intent_may_send_without_asking():
    entry, _ = book.authorize_refund(refused(), at(2))

    again, answer = book.authorize_refund(entry, at(3))

    assert answer == RefundAuthorized(1, fresh=False)
    assert again == entry


def test_what_was_definitely_refused_leaves_once_more_only_where_an_operator_asks():
    sent, _ = book.mark_refund_sent(refunding(), at(3), 1)
    denied, _ = book.record_refund_response(sent, at(4), DENIED)

    assert book.mark_refund_sent(denied, at(5), 1) == (denied, False)
    again, leaves = book.mark_refund_sent(denied, at(5), 1, again=True)
    assert leaves
    assert again.refund_sent_at == at(5)
    _, refusal = book.resolve_refunded(again, "bank transfer")
    assert "has not definitely refused" in refusal
    worded = book.resolve_refunded(denied, "bank transfer")[0]
    assert book.mark_refund_sent(worded, at(6), 1, again=True) == (worded, False)


def test_a_number_leaves_only_while_it_is_the_one_in_use():
    entry, leaves = book.mark_refund_sent(refunding(), at(3), 1)
    assert leaves
    assert entry.refund_sent_at == at(3)

    entry, _ = book.close_refund_number(entry, 1)

    assert book.mark_refund_sent(entry, at(4), 1) == (entry, False)
    assert book.mark_refund_sent(entry, at(4), 2)[1]


def test_a_new_number_comes_by_compare_and_set_from_the_closed_one():
    entry, in_use = book.close_refund_number(refunding(), 1)
    assert in_use == 2

    again, still = book.close_refund_number(entry, 1)

    assert (again, still) == (entry, 2)
    assert book.close_refund_number(entry, 2)[1] == 3


def test_a_new_number_has_been_sent_by_nobody_and_denied_by_nobody():
    entry, _ = book.record_refund_response(book.mark_refund_sent(refunding(), at(3), 1)[0], at(4), DENIED)

    entry, _ = book.close_refund_number(entry, 1)

    assert (entry.refund_sent_at, entry.refund_denied) == (None, "")


@pytest.mark.parametrize("answer", UNDECIDED, ids=IDS)
def test_only_a_confirmation_settles_a_refund(answer: RefundAnswer):
    entry, heard = book.record_refund_response(refunding(), at(5), answer)

    assert heard == answer
    assert (entry.refund_sequence, entry.refund_confirmed_at) == (1, None)
    assert book.settle(entry, at(6)) == (entry, None)


@pytest.mark.parametrize("answer", UNDECIDED, ids=IDS)
def test_a_confirmed_refund_stays_confirmed_and_is_never_sent_again(answer: RefundAnswer):
    entry, _ = book.record_refund_response(refunding(), at(5), PAID)

    assert book.record_refund_response(entry, at(6), answer) == (entry, PAID)
    assert book.authorize_refund(entry, at(6)) == (entry, PAID)
    assert book.mark_refund_sent(entry, at(6), 1) == (entry, False)
    assert book.close_refund_number(entry, 1) == (entry, 1)
    assert book.settle(entry, at(7))[1] == "refunded"


# --- resolve refunded ---------------------------------------------------------------------------------------------


def denied() -> OrderState:
    return book.record_refund_response(refunding(), at(5), DENIED)[0]


def paid_by_bank() -> OrderState:
    entry, refusal = book.resolve_refunded(denied(), "bank transfer 4711")
    assert refusal == ""
    return entry


@pytest.mark.parametrize("answer", UNDECIDED[:-1], ids=IDS[:-1])
def test_resolve_refunded_is_refused_unless_the_provider_has_definitely_refused(answer: RefundAnswer):
    entry, _ = book.record_refund_response(refunding(), at(5), answer)

    after, refusal = book.resolve_refunded(entry, "bank transfer 4711")

    assert "has not definitely refused" in refusal
    assert after == entry


def test_resolve_refunded_is_refused_where_no_refund_was_begun():
    assert book.resolve_refunded(burnt(), "bank transfer 4711")[1] != ""


def test_resolve_refunded_settles_nothing_before_a_last_query():
    assert book.settle(paid_by_bank(), at(6))[1] is None


@pytest.mark.parametrize("answer", [DENIED, RefundClosed(), RefundUnknown()], ids=lambda answer: answer.kind)
def test_a_last_query_that_shows_no_refund_settles_it_by_the_operators_reference(answer: RefundAnswer):
    """Alipay shows nothing of a refund that it refused, WeChat may close an abnormal one: neither may start anew."""
    entry, heard = book.record_refund_response(paid_by_bank(), at(7), answer)

    assert heard == RefundConfirmed(provider_refund_id="bank transfer 4711")
    assert book.settle(entry, at(8))[1] == "refunded"


def test_a_last_query_that_shows_the_provider_paid_settles_it_by_the_providers_reference():
    entry, heard = book.record_refund_response(paid_by_bank(), at(7), PAID)

    assert heard == PAID
    assert entry.provider_refund_id == "P-1"


@pytest.mark.parametrize(
    "answer", [RefundAccepted(), RefundInDoubt(why="No answer."), UNDECIDED[3]], ids=lambda answer: answer.kind
)
def test_a_last_query_that_settles_nothing_is_asked_again(answer: RefundAnswer):
    entry, heard = book.record_refund_response(paid_by_bank(), at(7), answer)

    assert heard == answer
    assert book.settle(entry, at(8))[1] is None


def test_nothing_is_sent_to_the_provider_after_the_operators_word():
    entry = paid_by_bank()

    assert book.mark_refund_sent(entry, at(7), 1) == (entry, False)
    assert book.close_refund_number(entry, 1) == (entry, 1)


@pytest.mark.parametrize("late", [DENIED, book.RefundClosed(), book.RefundUnknown()], ids=lambda answer: answer.kind)
def test_a_late_word_about_another_number_changes_nothing(late):
    second, _ = book.close_refund_number(refunding(), 1)

    after, heard = book.record_refund_response(second, at(9), late, of_number=1)

    assert (after, heard) == (second, late)


def test_money_that_was_paid_under_another_number_ends_the_refund():
    second, _ = book.close_refund_number(refunding(), 1)

    after, _ = book.record_refund_response(second, at(9), PAID, of_number=1)

    assert after.refund_confirmed_at == at(9)
