"""What no sequence of rules does, whatever is called when and whatever the carrier says, contradictions included."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders import carrier_rules, operator_rules, refund_rules
from orders.carrier_rules import PostAuthorized
from orders.foreign_runs import note_foreign_run, note_own_run
from orders.lifecycle import TRANSITIONS
from orders.next_step import Done, next_step, not_delivered_counts_from
from orders.outcomes import (
    RefundAccepted,
    RefundClosed,
    RefundConfirmed,
    RefundHeld,
    RefundInDoubt,
    RefundUnknown,
)
from orders.state import CANCELLED, Attention, CarrierTimes, OrderState
from tests.orders.states import (
    BURNT,
    COMPLETED,
    CONFLICT,
    DENIED,
    IN_FLIGHT,
    PARTIAL,
    REFUSED,
    THROTTLED,
    TIMES,
    UNANSWERED,
    WEIRD,
    at,
    body_of,
    claimed,
)

FLAT = replace(TIMES, can_be_asked=False)
ANSWERS = [COMPLETED, REFUSED, BURNT, UNANSWERED, CONFLICT, THROTTLED, IN_FLIGHT, PARTIAL, WEIRD]
REFUND_ANSWERS = [
    RefundConfirmed(provider_refund_id="P"),
    RefundAccepted(),
    RefundUnknown(),
    RefundClosed(),
    DENIED,
    RefundInDoubt(why="No answer."),
    RefundInDoubt(why="Our key is refused.", alert=True),
    RefundHeld(code="NOT_ENOUGH", why="Top it up."),
]
CALLED_FOR: list[Attention] = ["carrier_silent", "refund_silent"]
CALLS = [
    "post",
    "withdraw",
    "record_response",
    "look",
    "burn",
    "cancel",
    "delivered",
    "not delivered",
    "gave up",
    "refunded",
    "refund",
    "leave",
    "close",
    "hear refund",
    "settle",
    "call person",
    "listening",
    "retry",
    "reopen",
    "foreign run",
    "own run",
]
calls = st.tuples(
    st.sampled_from(CALLS),
    st.sampled_from([0.0, 0.5, 15.0, 75.0, 240.0, 315.0]),
    st.integers(min_value=0, max_value=23),
)


class Caller:
    """Calls rules as the activities do, with what it has in hand: rights to POST."""

    def __init__(self, *dialects: CarrierTimes) -> None:
        self.dialects = dialects
        self.times = dialects[0]
        self.state = claimed()
        self.seconds = 0.0
        self.rights: list[PostAuthorized] = []
        self.may_be_out: list[bytes] = []

    @property
    def now(self) -> datetime:
        return at(self.seconds)

    def call(self, what: str, choice: int) -> None:
        before = self.state
        self.times = self.dialects[choice // 7 % len(self.dialects)]
        getattr(self, "_" + what.replace(" ", "_"))(choice)
        self.state = carrier_rules.call_if_needed(self.state, self.now, self.times)
        self._must_hold(before, what)

    def _run(self, rule: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.state, answer = rule(self.state, *arguments, **named)
        return answer

    def _post(self, _choice: int) -> None:
        before = self.state
        right = self._run(carrier_rules.authorize_post, self.now, self.times, body_of)
        if right is not None:
            assert (before.cancel_reason, before.burn_at, before.refund_sequence) == ("", None, 0)
            assert before.carrier_outcome is None
            assert before.posts == 0 or before.completion_date is not None, "one POST ever"
            assert before.posts == 0 or before.not_found_at is not None, "a further one rests on an empty GET"
            assert before.reopened_at is None or not self.times.can_be_asked or before.not_found_at is not None
            self.rights.append(right)
            self.may_be_out.append(right.body)
            assert len(set(self.may_be_out)) == 1, "two bodies while a POST may be out"

    def _withdraw(self, choice: int) -> None:
        """Each right is given back at most once, by its holder, who then never sends it."""
        if self.rights:
            right = self.rights.pop(choice % len(self.rights))
            self._run(carrier_rules.withdraw_post, right)
            self.may_be_out.remove(right.body)

    def _record_response(self, choice: int) -> None:
        """A POST's answer: its holder can't give it back any more, its body stays out."""
        answer = ANSWERS[choice % len(ANSWERS)]
        if self.rights and choice % 2:
            number = self.rights.pop(choice % len(self.rights)).number
            self._run(carrier_rules.record_post_response, self.now, answer, number)
        else:
            self._run(carrier_rules.record_response, self.now, answer)

    def _look(self, choice: int) -> None:
        posts, asked_at = self.state.posts, self.now
        self.seconds += choice % 3
        self._run(carrier_rules.record_not_found, self.now, self.times, asked_at=asked_at, posts=posts)

    def _burn(self, _choice: int) -> None:
        before = self.state
        if self._run(carrier_rules.authorize_burn, self.now, self.times) and self.state.posts:
            assert self.state.completion_date is not None
            assert self.now >= self.state.completion_date + TIMES.visibility_lag
            assert before.not_found_at is not None

    def _cancel(self, _choice: int) -> None:
        self._run(operator_rules.request_cancel, CANCELLED)

    def _not_delivered(self, choice: int) -> None:
        before, note = self.state, ["", "C-4711 is given up"][choice % 2]
        counts_from = not_delivered_counts_from(before, self.times)
        self._run(operator_rules.resolve_not_delivered, self.now, self.times, note)
        if before.carrier_outcome is None and self.state.carrier_outcome is not None:
            assert counts_from is not None
            assert self.now >= counts_from

    def _delivered(self, _choice: int) -> None:
        self._run(operator_rules.resolve_delivered, self.now, self.times)

    def _gave_up(self, choice: int) -> None:
        self._run(carrier_rules.carrier_gave_up, self.now, [IN_FLIGHT, PARTIAL, WEIRD, UNANSWERED][choice % 4])

    def _refunded(self, _choice: int) -> None:
        self._run(operator_rules.resolve_refunded, "bank transfer")

    def _refund(self, _choice: int) -> None:
        outcome = self.state.carrier_outcome
        if self._run(refund_rules.start_refund, self.now, self.times):
            assert outcome in ("rejected", "cancelled")

    def _leave(self, choice: int) -> None:
        before = self.state
        if self._run(refund_rules.authorize_refund, self.now, self.times, 1 + choice % 3):
            assert not before.paid_another_way
            assert not before.refund_denied or before.retry_requested_at is not None

    def _close(self, choice: int) -> None:
        """As `refund_payment` does it: of a number that was seen `CLOSED`, and is again."""
        if self.state.refund_answered == "closed":
            self._run(refund_rules.close_refund_number, 1 + choice % 3)

    def _hear_refund(self, choice: int) -> None:
        if self.state.refund_sequence:
            answer = REFUND_ANSWERS[choice % len(REFUND_ANSWERS)]
            number = 1 + choice // 8 % self.state.refund_sequence
            self._run(refund_rules.record_refund_response, self.now, self.times, answer, of_number=number)

    def _settle(self, _choice: int) -> None:
        self._run(refund_rules.settle, self.now, self.times)

    def _call_person(self, choice: int) -> None:
        self._run(operator_rules.call_person, CALLED_FOR[choice % 2], "too long")

    def _listening(self, _choice: int) -> None:
        self._run(carrier_rules.note_listening, self.now)

    def _retry(self, _choice: int) -> None:
        self._run(operator_rules.request_retry, self.now)

    def _reopen(self, _choice: int) -> None:
        self._run(operator_rules.reopen, self.now)

    def _foreign_run(self, choice: int) -> None:
        before = next_step(self.state, self.now, self.times)
        self._run(note_foreign_run, at(self.seconds - choice))
        assert next_step(self.state, self.now, self.times) == before

    def _own_run(self, _choice: int) -> None:
        before = next_step(self.state, self.now, self.times)
        self._run(note_own_run)
        assert next_step(self.state, self.now, self.times) == before

    def _must_hold(self, before: OrderState, what: str) -> None:
        after = self.state
        assert after.status == before.status or after.status in TRANSITIONS[before.status], what
        assert isinstance(next_step(after, self.now, self.times), Done) == (after.outcome is not None)
        if before.outcome is not None:
            assert replace(after, contradicted=before.contradicted) == before
        by_a_person = what == "delivered" and before.contradicted
        if before.carrier_outcome is not None and not by_a_person:
            assert after.carrier_outcome == before.carrier_outcome
            assert (after.carrier_code, after.carrier_outcome_at) == (before.carrier_code, before.carrier_outcome_at)
        assert not (after.refund_sequence and after.carrier_outcome not in ("rejected", "cancelled"))
        assert after.refund_sequence in (before.refund_sequence, before.refund_sequence + 1)
        assert after.outcome != "refunded" or after.refund_confirmed_at is not None
        assert after.outcome != "delivered" or after.carrier_outcome == "completed"
        assert not (after.first_pass and after.status != "placing")


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(calls, min_size=25, max_size=60))
@pytest.mark.parametrize("dialects", [(TIMES,), (FLAT,), (TIMES, FLAT)], ids=["tmf622", "flat", "now this, now that"])
def test_no_sequence_of_calls_breaks_what_the_book_promises(
    dialects: tuple[CarrierTimes, ...], sequence: list[tuple[str, float, int]]
):
    """And none lets `IllegalTransition` escape, which would stop an order for ever."""
    caller = Caller(*dialects)

    for what, seconds, choice in sequence:
        caller.seconds += seconds
        caller.call(what, choice)
