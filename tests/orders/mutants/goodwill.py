"""Wrong goodwill, each with the rule that its walk (`tests/orders/goodwill_walk.py`) must see broken."""

# pyright: reportPrivateUsage=false
# Mistakes are made inside the product's parts.

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import pytest

from orders import four_eyes, goodwill, refund_rules
from orders.goodwill import GIVEN_UP, Delivered, Goodwill
from orders.outcomes import RefundConfirmed, RefundDenied
from orders.state import CarrierTimes, OrderState

_WHY_NOT: Final = goodwill._why_not
_GIVEN_FEN: Final[Any] = Goodwill.given_fen
_RECORD: Final = refund_rules.record_refund_response
Patch = pytest.MonkeyPatch


def what_was_given_before_does_not_count(patch: Patch) -> None:
    patch.setattr(Goodwill, "given_fen", property(lambda _one: 0))


def given_up_before_the_providers_last_word(patch: Patch) -> None:
    def given_fen(one: Goodwill) -> int:
        return 0 if one.refund.paid_another_way.startswith(GIVEN_UP) else _GIVEN_FEN.__get__(one)

    patch.setattr(Goodwill, "given_fen", property(given_fen))


def a_repeated_word_is_a_new_one(patch: Patch) -> None:
    patch.setattr(goodwill, "_is_word_of", lambda *_: False)


def one_person_is_enough(patch: Patch) -> None:
    patch.setattr(four_eyes, "same_person", lambda *_: False)


def two_at_once(patch: Patch) -> None:
    def why_not(order: Delivered, given: Sequence[Goodwill], amount_fen: int) -> str:
        ended = [replace(one, refund=replace(one.refund, outcome="refunded")) for one in given]
        return _WHY_NOT(order, [was if not was.is_approved else one for was, one in zip(given, ended, strict=True)],
                        amount_fen)  # fmt: skip

    patch.setattr(goodwill, "_why_not", why_not)


def a_refusal_is_a_success(patch: Patch) -> None:
    def record(state: OrderState, now: datetime, times: CarrierTimes, answer: Any, **which: Any) -> Any:
        answer = RefundConfirmed() if isinstance(answer, RefundDenied) else answer
        return _RECORD(state, now, times, answer, **which)

    patch.setattr(refund_rules, "record_refund_response", record)


def a_restored_number_is_fresh(patch: Patch) -> None:
    patch.setattr(refund_rules, "must_ask_first", lambda state, _times: state.refund_sent_at is not None)


GOODWILL: Final[tuple[tuple[Callable[[Patch], None], str], ...]] = (
    (what_was_given_before_does_not_count, "G2"),
    (given_up_before_the_providers_last_word, "G2"),
    (a_repeated_word_is_a_new_one, "G1: a word"),
    (one_person_is_enough, "G1: one person"),
    (two_at_once, "G5"),
    (a_refusal_is_a_success, "G3"),
    (a_restored_number_is_fresh, "G6"),
)
"""What is wrong, and what breaks."""
