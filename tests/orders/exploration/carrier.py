"""The activities at the carrier, a step at a time; what they do is what `activities.telecom` does."""

from datetime import datetime
from typing import Any

from orders import carrier_rules
from orders.state import OrderState
from tests.orders.exploration.book import Book
from tests.orders.exploration.outside import arrives
from tests.orders.exploration.world import SAYS, Attempt, Moves, World, hold, with_attempt
from tests.orders.states import at, body_of


class CarrierAttempts(Book):
    """`place`, `query` and `burn`."""

    def _place(self, world: World, attempt: Attempt) -> Moves:
        now = self.now(world)
        if attempt.step == "write":
            yield from self._takes_a_right(world, attempt.hand[0])
        elif attempt.step == "send":
            right, asked = self.rights[attempt.hand[0]], attempt.hand[1]
            back, _ = self.decide(world, carrier_rules.withdraw_post, right)
            if back.row != world.row:
                back = back._replace(asked=max(asked, back.asked))
            yield "no connection", back
            hold("P6", world.on_its_way in (b"", right.body))
            sent = world._replace(on_its_way=right.body)
            for words, after, answer in arrives(sent, "POST", right.body, self.now(sent)):
                yield words, with_attempt(after, "place", "record", right.number, answer)
                for lost in self._fault(after):
                    yield f"{words}; the answer is lost", with_attempt(lost, "place", "record", right.number, "nothing")
            for fault in self._fault(sent):
                late = fault._replace(late=(*fault.late, ("POST", right.body)))
                yield "the POST is late or lost", with_attempt(late, "place", "record", right.number, "nothing")
                yield "HTTP 500, nothing done", with_attempt(fault, "place", "record", right.number, "500")
        else:
            number, answer = attempt.hand
            world, _ = self.decide(world, carrier_rules.record_post_response, now, SAYS[answer], number)
            yield f"hears {answer}", world

    def _takes_a_right(self, world: World, row: int) -> Moves:
        """`row`: the row as the attempt has read it; with one transaction, as it is now."""
        before = self.states[world.row]
        after, right = self.decide(
            world._replace(row=row), carrier_rules.authorize_post, self.now(world), self.times(world), body_of
        )
        if right is None:
            return
        hold("P9", world.reopened < 0 or world.asked >= world.reopened)
        first = before.posts == 0 and world.restored < 0
        hold("A9" if world.restored >= 0 else "P7", first or self._asked(world))
        hold("P7b", first or self._asked_late_enough(world, before))
        hold("C8", not (before.cancel_reason or before.burn_at or before.refund_sequence))
        if right not in self.rights:
            self.rights.append(right)
        known = (*world.leaves_before[: before.posts], right.send_before)
        after = after._replace(grants=world.grants + 1, asked=-1, leaves_before=known)
        yield (
            f"place gets POST {right.number}",
            with_attempt(after, "place", "send", self.rights.index(right), world.asked),
        )

    def _asked_late_enough(self, world: World, before: OrderState) -> bool:
        if not world.leaves_before or before.posts == 0 or before.last_post_answered_at is not None:
            return True
        left_by = world.leaves_before[before.posts - 1]
        if world.restored >= 0:  # nobody was left to send it
            left_by = min(left_by, at(self.ticks[world.restored]))
        return at(self.ticks[world.asked]) >= left_by + self._hidden

    def _asked(self, world: World) -> bool:
        """Whether a `GET` was asked that every run and every restore lets count."""
        if world.asked < world.reopened or world.asked < 0:
            return False
        return world.restored < 0 or at(self.ticks[world.asked]) >= at(self.ticks[world.restored]) + self._hidden

    def _query(self, world: World, attempt: Attempt) -> Moves:
        now = self.now(world)
        if attempt.step == "send":
            posts, tick = attempt.hand
            counts = world.restored < 0 or at(self.ticks[tick]) >= at(self.ticks[world.restored]) + self._hidden
            if world.carrier == "-" or world.since == world.tick:
                asked = world
                if world.restored >= 0 and counts and not self._asked(world):
                    asked = world._replace(on_its_way=b"")  # what the lost time has sent, if anything, did nothing
                yield "GET, empty", with_attempt(asked, "query", "record", "empty", posts, tick)
            if world.carrier != "-":
                yield f"GET, {world.carrier}", with_attempt(world, "query", "record", world.carrier)
            return
        answer = attempt.hand[0]
        if answer == "empty":
            posts, tick = attempt.hand[1:]
            if posts == self.states[world.row].posts:
                world = world._replace(asked=max(world.asked, tick))
            world, _ = self.decide(
                world,
                carrier_rules.record_not_found,
                now,
                self.times(world),
                asked_at=at(self.ticks[tick]),
                posts=posts,
            )
        else:
            world, _ = self.decide(world, record_and_give_up, now, SAYS[answer])
        yield f"hears {answer}", world

    def _burn(self, world: World, attempt: Attempt) -> Moves:
        if attempt.step == "send":
            for words, after, answer in arrives(world, "cancel", None, self.now(world)):
                yield words, with_attempt(after, "burn", "record", answer)
            for fault in self._fault(world):
                yield "the cancel is late or lost", fault._replace(late=(*fault.late, ("cancel", None)))
        else:
            answer = attempt.hand[0]
            yield f"hears {answer}", self.decide(world, record_and_give_up, self.now(world), SAYS[answer])[0]


def record_and_give_up(state: OrderState, now: datetime, answer: Any) -> Any:
    """What `query` and `cancel` do with an answer, in one transaction."""
    after, heard = carrier_rules.record_response(state, now, answer)
    return carrier_rules.carrier_gave_up(after, now, heard)
