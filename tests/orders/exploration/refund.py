"""The activities at the provider, a step at a time; what they do is what `activities.refunding` does."""

from datetime import timedelta
from typing import Any

from orders import refund_rules
from orders.next_step import SendRefund
from orders.outcomes import RefundClosed, RefundDenied
from tests.orders.exploration.book import Book
from tests.orders.exploration.outside import arrives
from tests.orders.exploration.world import PROVIDER_SAYS, Attempt, Moves, World, hold, with_attempt


class RefundAttempts(Book):
    """`refund` and `query_refund`."""

    def _refund(self, world: World, attempt: Attempt) -> Moves:
        """Ask first unless nobody can have sent it; a new number only from one that was seen `CLOSED` twice."""
        now, times, number = self.now(world), self.times(world), attempt.hand[0]
        if attempt.step == "ask":
            yield (
                "asks",
                with_attempt(
                    self._asks_for(world, number), "refund", "asked", *attempt.hand, self._said(world, number)
                ),
            )
        elif attempt.step == "asked":
            yield from self._refund_asked(world, attempt)
        elif attempt.step == "close":
            before = self.states[world.row].refund_sequence
            world, _ = self.decide(world, refund_rules.close_refund_number, number)
            hold("R6", self.states[world.row].refund_sequence == before or world.closed.count(before) > 1)
            yield "goes on to the next number", world
        elif attempt.step == "leave":
            world, leaves = self.decide(world, refund_rules.authorize_refund, now, times, number)
            if leaves:
                hold("R5", number not in world.denied)
                world = with_attempt(world, "refund", "send", number)
            yield f"leaves: {leaves}", world
        elif attempt.step == "send":
            state = self.states[world.row]
            hold("R4", state.carrier_outcome in ("rejected", "cancelled") and not world.sold)
            hold("A9 refund", world.restored < 0 or number in world.asked_for)
            for words, after, answer in arrives(world, "refund", number, now):
                yield words, with_attempt(after, "refund", "record", number, answer)
            for fault in self._fault(world):
                late = fault._replace(late=(*fault.late, ("refund", number)))
                yield "the refund is late or lost", with_attempt(late, "refund", "record", number, "nothing")
        else:
            world, _ = self._hear_refund(world, number, attempt.hand[1])
            yield f"hears {attempt.hand[1]}", world

    def _refund_asked(self, world: World, attempt: Attempt) -> Moves:
        number, was_closed, says = attempt.hand
        world, heard = self._hear_refund(world, number, says)
        if isinstance(heard, RefundClosed) and was_closed:
            world = with_attempt(world, "refund", "close", number, was_closed)
        elif isinstance(self.next(world), SendRefund) and not isinstance(heard, RefundClosed):
            world = with_attempt(world, "refund", "leave", number, was_closed)
        yield f"hears {says}", world

    def _query_refund(self, world: World, attempt: Attempt) -> Moves:
        number = attempt.hand[0]
        if attempt.step == "ask":
            asked = self._asks_for(world, number)
            yield "asks", with_attempt(asked, "query_refund", "asked", number, self._said(world, number))
        else:
            world, _ = self._hear_refund(world, number, attempt.hand[1])
            yield f"hears {attempt.hand[1]}", world

    def _asks_for(self, world: World, number: int) -> World:
        return world if world.restored < 0 else world._replace(asked_for=tuple(sorted({*world.asked_for, number})))

    def _said(self, world: World, number: int) -> str:
        return world.provider[number - 1]

    def _hear_refund(self, world: World, number: int, says: str) -> tuple[World, Any]:
        answer = PROVIDER_SAYS[says]
        denied = set(world.denied)
        if isinstance(answer, RefundDenied) and number == self.states[world.row].refund_sequence:
            denied.add(number)
        closed = world.closed
        if isinstance(answer, RefundClosed) and closed.count(number) < 2:
            closed = tuple(sorted((*closed, number)))
        before = self.states[world.row].refund_sequence
        world, heard = self.decide(
            world._replace(denied=tuple(sorted(denied)), closed=closed),
            refund_rules.record_refund_response,
            self.now(world) + timedelta(seconds=3),  # after whatever an operator has asked for
            self.times(world),
            answer,
            of_number=number,
        )
        hold("R6", self.states[world.row].refund_sequence == before or world.closed.count(before) > 1)
        return world, heard
