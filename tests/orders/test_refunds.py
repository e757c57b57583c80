"""Contracts §5 and rules of money 4 to 6: when a refund may start, and under which number."""

import pytest

from orders import operator_rules, refund_rules
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundUnknown,
)
from orders.state import OrderState
from tests.orders.states import (
    DENIED,
    IN_FLIGHT,
    PARTIAL,
    TIMES,
    UNANSWERED,
    at,
    burnt,
    claimed,
    posted,
    refund_sent,
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


def hear(
    state: OrderState, answer: RefundAnswer, seconds: float = 100, number: int = 1
) -> tuple[OrderState, RefundAnswer]:
    return refund_rules.record_refund_response(state, at(seconds), TIMES, answer, of_number=number)


def leaves(state: OrderState, seconds: float = 200, number: int = 1) -> bool:
    after, leaves = refund_rules.authorize_refund(state, at(seconds), TIMES, number)
    assert leaves or after == state
    return leaves


def ends(state: OrderState) -> str | None:
    return refund_rules.settle(state, at(300), TIMES)[1]


@pytest.mark.parametrize("state", [claimed(), posted(), posted(UNANSWERED), posted(IN_FLIGHT), posted(PARTIAL), sold()])
def test_no_refund_without_a_definite_refusal_or_a_confirmed_burn_in_the_book(state: OrderState):
    assert refund_rules.start_refund(state, at(1000), TIMES) == (state, False)
    assert not leaves(state)


@pytest.mark.parametrize("state", [refused(), burnt()], ids=["refused", "burnt"])
def test_a_refusal_or_a_confirmed_burn_lets_one_refund_go_once_its_intent_stands(state: OrderState):
    assert not leaves(state)
    after, started = refund_rules.start_refund(state, at(400), TIMES)

    assert started
    assert (after.status, after.refund_at, after.refund_sequence) == ("refunding", at(400), 1)
    assert refund_rules.start_refund(after, at(401), TIMES) == (after, False)
    assert leaves(after)


def test_what_was_never_sent_needs_no_question_first_all_else_does():
    assert not refund_rules.must_ask_first(refunding(), TIMES)
    assert refund_rules.must_ask_first(refund_sent(), TIMES)


def test_what_was_sent_is_asked_for_and_not_sent_again():
    assert not leaves(refund_sent())
    assert not leaves(hear(refund_sent(), RefundAccepted())[0])


def test_what_the_provider_does_not_show_is_sent_again_unless_it_was_sent_a_moment_ago():
    assert hear(refund_sent(), RefundUnknown(), 62)[1].kind == "in_doubt"
    assert not leaves(hear(refund_sent(), RefundUnknown(), 62)[0])
    assert leaves(hear(refund_sent(), RefundUnknown(), 63)[0])


def test_what_was_definitely_refused_leaves_once_more_only_where_an_operator_asks():
    denied, _ = hear(refund_sent(), DENIED)
    assert (denied.attention, denied.status) == ("refund_denied", "parked")
    assert not leaves(denied)

    retried, _ = operator_rules.request_retry(denied, at(101))
    again, sent = refund_rules.authorize_refund(retried, at(102), TIMES, 1)

    assert sent
    assert (again.refund_sent_at, again.status) == (at(102), "refunding")
    assert not leaves(again), "once"
    assert "has not definitely refused" in operator_rules.resolve_refunded(again, "bank transfer")[1]
    worded, _ = operator_rules.resolve_refunded(denied, "bank transfer")
    assert not leaves(operator_rules.request_retry(worded, at(101))[0])


def test_a_refusal_of_an_earlier_send_says_nothing_of_a_later_one():
    retried, _ = operator_rules.request_retry(hear(refund_sent(), DENIED)[0], at(101))
    again, _ = refund_rules.authorize_refund(retried, at(102), TIMES, 1)

    after, heard = refund_rules.record_refund_response(again, at(103), TIMES, DENIED, of_number=1, of_send=at(3))

    assert after == again
    assert isinstance(heard, RefundInDoubt)


def test_a_new_number_comes_by_compare_and_set_from_the_closed_one_sent_and_denied_by_nobody():
    state, in_use = refund_rules.close_refund_number(hear(refund_sent(), DENIED)[0], 1)
    assert in_use == 2
    assert (state.refund_sent_at, state.refund_denied, state.refund_answered) == (None, "", "")

    assert refund_rules.close_refund_number(state, 1) == (state, 2)
    assert refund_rules.close_refund_number(state, 2)[1] == 3
    assert not leaves(state, number=1)
    assert leaves(state, number=2)


@pytest.mark.parametrize("answer", UNDECIDED, ids=IDS)
def test_only_a_confirmation_settles_a_refund(answer: RefundAnswer):
    state, heard = hear(refund_sent(), answer)

    assert heard == answer
    assert (state.refund_sequence, state.refund_confirmed_at) == (1, None)
    assert ends(state) is None


@pytest.mark.parametrize("answer", UNDECIDED, ids=IDS)
def test_a_confirmed_refund_stays_confirmed_and_is_never_sent_again(answer: RefundAnswer):
    state, _ = hear(refund_sent(), PAID)

    assert hear(state, answer) == (state, PAID)
    assert not leaves(state)
    assert refund_rules.close_refund_number(state, 1) == (state, 1)
    assert ends(state) == "refunded"


def test_a_held_refund_calls_a_person_until_the_provider_takes_it():
    held, _ = hear(refund_sent(), UNDECIDED[3])
    assert (held.attention, held.status, leaves(held)) == ("refund_held", "refunding", True)

    assert hear(held, RefundAccepted())[0].attention == ""


# --- resolve refunded ---------------------------------------------------------------------------------------------


def paid_by_bank() -> OrderState:
    state, refusal = operator_rules.resolve_refunded(hear(refund_sent(), DENIED)[0], "bank transfer 4711")
    assert refusal == ""
    return state


@pytest.mark.parametrize("answer", UNDECIDED[:-1], ids=IDS[:-1])
def test_resolve_refunded_is_refused_unless_the_provider_has_definitely_refused(answer: RefundAnswer):
    state, _ = hear(refund_sent(), answer)

    assert operator_rules.resolve_refunded(state, "bank transfer 4711") == (state, operator_rules.GOES_ON)


def test_resolve_refunded_is_refused_where_no_refund_was_begun():
    assert operator_rules.resolve_refunded(burnt(), "bank transfer 4711")[1] == operator_rules.GOES_ON


@pytest.mark.parametrize("answer", [DENIED, RefundClosed(), RefundUnknown()], ids=lambda answer: answer.kind)
def test_a_last_query_that_shows_no_refund_settles_it_by_the_operators_reference(answer: RefundAnswer):
    """Alipay shows nothing of a refund that it refused, WeChat may close an abnormal one: neither may start anew."""
    assert ends(paid_by_bank()) is None
    state, heard = hear(paid_by_bank(), answer)

    assert heard == RefundConfirmed(provider_refund_id="bank transfer 4711")
    assert ends(state) == "refunded"


def test_a_last_query_that_shows_the_provider_paid_settles_it_by_the_providers_reference():
    assert hear(paid_by_bank(), PAID)[0].provider_refund_id == "P-1"


@pytest.mark.parametrize("answer", [UNDECIDED[0], UNDECIDED[3], UNDECIDED[4]], ids=lambda answer: answer.kind)
def test_a_last_query_that_settles_nothing_is_asked_again(answer: RefundAnswer):
    state, heard = hear(paid_by_bank(), answer)

    assert heard == answer
    assert ends(state) is None
    assert not leaves(state)


def test_nothing_is_sent_to_the_provider_after_the_operators_word():
    assert not leaves(paid_by_bank())
    assert refund_rules.close_refund_number(paid_by_bank(), 1) == (paid_by_bank(), 1)


@pytest.mark.parametrize("late", [DENIED, RefundClosed(), RefundUnknown()], ids=lambda answer: answer.kind)
def test_a_late_word_about_another_number_changes_nothing(late: RefundDenied | RefundClosed | RefundUnknown):
    second, _ = refund_rules.close_refund_number(refund_sent(), 1)

    assert hear(second, late) == (second, late)


def test_money_that_was_paid_under_another_number_ends_the_refund():
    second, _ = refund_rules.close_refund_number(refund_sent(), 1)

    assert hear(second, PAID)[0].refund_confirmed_at == at(100)
