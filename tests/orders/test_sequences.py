"""What no sequence of rules does, whatever is called when and whatever the carrier says, contradictions included."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orders.book import BurnAuthorized, CarrierTimes, OrderState, PostAuthorized, RefundAuthorized

from orders import at_most_once, book
from orders.lifecycle import TRANSITIONS
from orders.outcomes import (
    NotFound,
    RefundAccepted,
    RefundClosed,
    RefundConfirmed,
    RefundInDoubt,
    RefundUnknown,
)
from tests.orders.entries import (
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
]
NOTES = ["in_doubt", "parked", "refunding"]
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
    "note",
]
calls = st.tuples(
    st.sampled_from(CALLS),
    st.sampled_from([0.0, 0.5, 15.0, 75.0, 240.0, 315.0]),
    st.integers(min_value=0, max_value=23),
)


class Caller:
    """Calls rules as the activities do, with what it has in hand: rights to POST, evidence of empty answers."""

    def __init__(self, *dialects: CarrierTimes) -> None:
        self.dialects = dialects
        self.times = dialects[0]
        self.state = claimed()
        self.seconds = 0.0
        self.rights: list[PostAuthorized] = []
        self.evidence: list[NotFound | None] = [None]
        self.may_be_out: list[bytes] = []

    @property
    def now(self) -> datetime:
        return at(self.seconds)

    def call(self, what: str, choice: int) -> None:
        before = self.state
        self.times = self.dialects[choice // 7 % len(self.dialects)]
        rule = getattr(self, "_" + what.replace(" ", "_"))
        rule(choice)
        self._must_hold(before, what)

    def _run(self, rule: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self.state, answer = rule(self.state, *arguments, **named)
        return answer

    def _post(self, choice: int) -> None:
        before = self.state
        answer = self._run(
            book.authorize_post, self.now, self.times, body_of, self.evidence[choice % len(self.evidence)]
        )
        if isinstance(answer, PostAuthorized):
            assert (before.cancel_reason, before.burn_at, before.refund_sequence, before.fact) == ("", None, 0, None)
            assert before.posts == 0 or before.completion_date is not None, "one POST ever"
            self.rights.append(answer)
            self.may_be_out.append(answer.body)
            assert len(set(self.may_be_out)) == 1, "two bodies while a POST may be out"

    def _withdraw(self, choice: int) -> None:
        """Each right is given back at most once, by its holder, who then never sends it."""
        if self.rights:
            right = self.rights.pop(choice % len(self.rights))
            self._run(book.withdraw_post, right)
            self.may_be_out.remove(right.body)

    def _record_response(self, choice: int) -> None:
        """A POST's answer: its holder can't give it back any more, its body stays out."""
        of_post = self.rights.pop(choice % len(self.rights)).number if self.rights and choice % 2 else 0
        self._run(book.record_response, self.now, ANSWERS[choice % len(ANSWERS)], of_post=of_post)

    def _look(self, choice: int) -> None:
        empty = NotFound(posts=self.state.posts, asked_at=self.now.timestamp())
        self.seconds += choice % 3
        if not book.can_be_asked(self.state, self.times):
            self._run(at_most_once.look, self.now, self.times, listening=timedelta(seconds=65))
        weighed = self._run(book.assess_not_found, self.now, self.times, empty)
        if isinstance(weighed.answer, NotFound) and weighed.answer.may_post:
            self.evidence.append(weighed.answer if weighed.answer.posts else None)

    def _burn(self, _choice: int) -> None:
        answer = self._run(book.authorize_burn, self.now, self.times)
        if isinstance(answer, BurnAuthorized) and self.state.posts:
            assert self.state.completion_date is not None
            assert self.now >= self.state.completion_date + TIMES.visibility_lag

    def _cancel(self, _choice: int) -> None:
        self._run(book.request_cancel, book.CANCELLED)

    def _not_delivered(self, choice: int) -> None:
        before, note = self.state, ["", "C-4711 is given up"][choice % 2]
        counts_from = at_most_once.not_delivered_counts_from(before, self.times)
        self._run(at_most_once.resolve_not_delivered, self.now, self.times, note)
        if before.fact is None and self.state.fact is not None:
            assert counts_from is not None
            assert self.now >= counts_from

    def _delivered(self, _choice: int) -> None:
        self._run(book.resolve_delivered, self.now)

    def _gave_up(self, choice: int) -> None:
        self._run(book.carrier_gave_up, self.now, [IN_FLIGHT, PARTIAL, WEIRD, UNANSWERED][choice % 4])

    def _refunded(self, _choice: int) -> None:
        self._run(book.resolve_refunded, "bank transfer")

    def _refund(self, _choice: int) -> None:
        fact = self.state.fact
        if isinstance(self._run(book.authorize_refund, self.now), RefundAuthorized):
            assert fact in ("refused", "burnt")

    def _leave(self, choice: int) -> None:
        if self.state.refund_sequence:
            leaves = self._run(book.mark_refund_sent, self.now, 1 + choice % 3)
            assert not (leaves and self.state.refund_word)

    def _close(self, choice: int) -> None:
        if self.state.refund_sequence:
            self._run(book.close_refund_number, 1 + choice % 3)

    def _hear_refund(self, choice: int) -> None:
        if self.state.refund_sequence:
            self._run(book.record_refund_response, self.now, REFUND_ANSWERS[choice % len(REFUND_ANSWERS)])

    def _settle(self, _choice: int) -> None:
        self._run(book.settle, self.now)

    def _note(self, choice: int) -> None:
        """`refunding` is noted only of a refund that stands (`View.enter`); the rest may come late, of any run."""
        status = NOTES[choice % 3] if self.state.refund_sequence else NOTES[choice % 2]
        self._run(book.note, status, "why", needs_operator=bool(choice % 2))

    def _must_hold(self, before: OrderState, what: str) -> None:
        after = self.state
        assert after.status == before.status or after.status in TRANSITIONS[before.status]
        if before.outcome is not None:
            assert replace(after, contradicted=before.contradicted) == before
        by_a_person = what == "delivered" and before.contradicted
        if before.fact is not None and not by_a_person:
            assert (after.fact, after.fact_code, after.fact_at) == (before.fact, before.fact_code, before.fact_at)
        assert not (after.refund_sequence and after.fact not in ("refused", "burnt"))
        assert after.refund_sequence in (before.refund_sequence, before.refund_sequence + 1)
        assert after.outcome != "refunded" or after.refund_confirmed_at is not None
        assert after.outcome != "delivered" or after.fact == "sold"
        assert not (after.first_pass and after.status != "placing")


@settings(max_examples=600, deadline=None)
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
