"""Walks through what persons, a worker, the provider and a restore can do to the goodwill of one order.

Steps are drawn by a seed, so that a walk is the same each time. What must hold is looked at after each step, in what
stands at the provider and not in what the rules say of themselves:

  G1 only what two persons have decided is paid, and each of their words once
  G2 all together is at most what was paid for the order
  G3 what the book says is paid stands at the provider, under that number with that amount
  G5 one at a time
  G6 a worker of a restored book asks for a number before it sends it
"""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from orders import goodwill, refund_rules
from orders.goodwill import Delivered, Goodwill
from orders.identities import refund_number
from orders.next_step import QueryRefund, SendRefund, Settle, StartRefund, next_step
from orders.outcomes import RefundAccepted, RefundConfirmed, RefundDenied, RefundUnknown
from orders.state import CarrierTimes, OrderState

ORDER: Final = Delivered("T20230821183406000001", "delivered", "delivered", 5)
WISHES: Final = ((1, "ticket 1"), (2, "ticket 2"), (4, "ticket 4"))
"""Amounts and reasons. No two amounts are the same, so that nobody's word confirms another wish."""
PERSONS: Final = ("li", "wang")
STEPS: Final = 60
PASSES: Final = (timedelta(seconds=1), timedelta(minutes=10), timedelta(hours=2))
TIMES: Final = CarrierTimes(timedelta(seconds=60), timedelta(seconds=15), timedelta(minutes=5))


class BrokenGoodwill(Exception):
    """A rule is broken; the text begins with its name."""


class Walk:
    """One order's goodwill, from its delivery on. `restores`: the book may come from a backup, once."""

    def __init__(self, seed: int, *, restores: bool = False) -> None:
        self.draw = random.Random(seed)
        self.now = datetime(2026, 11, 29, 10, tzinfo=UTC)
        self.times = TIMES
        self.given: list[Goodwill] = []
        self.paid: dict[str, int] = {}
        """At the provider: refund number to amount."""
        self.refused: set[str] = set()
        self.asked_for: set[str] = set()
        self.restores = restores

    def go(self) -> "Walk":
        """All steps.

        Raises:
            BrokenGoodwill: a rule of money is broken.
        """
        for _ in range(STEPS):
            steps = [self._say, self._work, self._work, self._work, self._pass, self._by_hand, self._give_up]
            self.draw.choice([*steps, self._restore] if self.restores else steps)()
            self._look()
        return self

    def _say(self) -> None:
        if self.times.restored_at is not None:
            return  # the command refuses it, which its own test shows
        amount_fen, note = self.draw.choice(WISHES)
        operator = self.draw.choice(PERSONS)
        word = goodwill.ask(ORDER, self.given, self.now, amount_fen=amount_fen, operator=operator, note=note)
        if word.goodwill is not None:
            kept = [one for one in self.given if one.number != word.goodwill.number]
            self.given = sorted([*kept, word.goodwill], key=lambda one: one.number)

    def _pass(self) -> None:
        self.now += self.draw.choice(PASSES)

    def _open(self) -> Goodwill | None:
        found = [one for one in self.given if one.is_approved and one.refund.outcome is None]
        return self.draw.choice(found) if found else None

    def _keep(self, one: Goodwill, refund: OrderState) -> None:
        self.given[one.number - 1] = replace(one, refund=refund)

    def _work(self) -> None:
        """One step of a worker, as the activities take it."""
        one = self._open()
        if one is None:
            return
        state = one.refund
        match next_step(state, self.now, self.times):
            case StartRefund():
                self._keep(one, refund_rules.start_refund(state, self.now, self.times)[0])
            case SendRefund():
                self._send(one)
            case QueryRefund():
                self._keep(one, self._asked(one))
            case Settle():
                self._keep(one, refund_rules.settle(state, self.now, self.times)[0])
            case _:
                pass

    def _asked(self, one: Goodwill) -> OrderState:
        number = refund_number(one.name, one.refund.refund_sequence)
        self.asked_for.add(number)
        answer = RefundConfirmed(provider_refund_id=f"P{number}") if number in self.paid else RefundUnknown()
        of_number = one.refund.refund_sequence
        return refund_rules.record_refund_response(one.refund, self.now, self.times, answer, of_number=of_number)[0]

    def _send(self, one: Goodwill) -> None:
        state, number = one.refund, refund_number(one.name, one.refund.refund_sequence)
        if refund_rules.must_ask_first(state, self.times):
            state = self._asked(one)
        sent, may = refund_rules.authorize_refund(state, self.now, self.times, state.refund_sequence)
        self._keep(one, sent)
        if not may:
            return
        if self.times.restored_at is not None and number not in self.asked_for:
            raise BrokenGoodwill(f"G6: {number} is sent unasked by a worker of a restored book")
        what = self.draw.choice(("paid", "paid, not heard", "lost", "refused"))
        if what == "refused" and number not in self.paid:
            self.refused.add(number)
        elif what != "lost" and number not in self.refused:
            self.paid.setdefault(number, one.amount_fen)
        if what in ("lost", "paid, not heard"):
            return
        refused = RefundDenied(code="ACCOUNT", why="The account is gone.")
        answer = refused if number in self.refused else RefundAccepted(why="PROCESSING")
        heard, _ = refund_rules.record_refund_response(
            sent, self.now, self.times, answer, of_number=sent.refund_sequence, of_send=sent.refund_sent_at
        )
        self._keep(one, heard)

    def _by_hand(self) -> None:
        """Somebody pays at the merchant platform what the provider has refused, under its number."""
        one = self._open()
        if one is None or not one.refund.refund_sequence:
            return
        number = refund_number(one.name, one.refund.refund_sequence)
        if number in self.refused:
            self.paid.setdefault(number, one.amount_fen)

    def _give_up(self) -> None:
        one = self._open()
        if one is not None:
            self._keep(one, goodwill.give_up(one.refund, "li", "the account is closed")[0])

    def _restore(self) -> None:
        """The book comes from a backup made before the last refund was sent; its restore stays on."""
        self.times = replace(TIMES, restored_at=self.now)
        if self.given and self.given[-1].is_approved:
            last = self.given[-1]
            self._keep(last, goodwill.begin(last.order_id, last.number, last.refund.claimed_at))
        self.asked_for, self.restores = set(), False

    def _look(self) -> None:
        decided = [one for one in self.given if one.is_approved]
        if any(one.asked_by == one.approved_by for one in decided):
            raise BrokenGoodwill("G1: one person has decided alone")
        if any(times > 1 for times in Counter(one.amount_fen for one in decided).values()):
            raise BrokenGoodwill("G1: a word that was said again is a second refund")
        if len([one for one in decided if one.refund.outcome is None]) > 1:
            raise BrokenGoodwill("G5: two are under way at once")
        if sum(self.paid.values()) > ORDER.paid_fen:
            raise BrokenGoodwill("G2: more is paid back than was paid")
        for one in decided:
            number = refund_number(one.name, one.refund.refund_sequence) if one.refund.refund_sequence else ""
            if one.stands == "refunded" and self.paid.get(number) != one.amount_fen:
                raise BrokenGoodwill(f"G3: {number} is not paid")
