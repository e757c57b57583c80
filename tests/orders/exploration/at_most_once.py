"""Every state that one order can get into whose carrier can't be asked (`walk.py` is the other kind).

Each POST that arrives may sell, once more each time, and what comes back is anything or nothing, whether it did or not.
A POST acts within the carrier's longest latency after it left; an attempt may be frozen anywhere, for ever or for a
while. Operators come at any moment and say what is true then: that it has sold, or that it has not.

Invariants beside M1 to M3 and B5 of the other exploration:
    S1 no second POST ever leaves · S2 none leaves after a cancel with nothing sent was taken for a burn, or after an
    operator's word · S3 no cancel is ever sent
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from orders import carrier_rules, operator_rules, refund_rules
from orders.state import CANCELLED
from tests.orders.exploration.outside import arrives, surroundings
from tests.orders.exploration.walk import Exploration
from tests.orders.exploration.world import MOST_GRANTS, SAYS, Attempt, Moves, World, hold, with_attempt
from tests.orders.states import TIMES, at, body_of

FLAT = replace(TIMES, can_be_asked=False)
TICKS = (0, 76, 241, 316, 400)
SENT = b"sent"
UNCLEAR = ("500", "nothing")


class OnePostExploration(Exploration):
    """Breadth first, as the other.

    Args:
        faults: how many attempts may start beside others that have not ended, and how many refunds may get lost.
        frozen_at_the_worst: an attempt may be frozen between its last look at the clock and the byte that leaves.
    """

    def __init__(self, *, faults: int, frozen_at_the_worst: bool = False) -> None:
        super().__init__(faults=faults, kinds=("place", "burn", "refund"), times=FLAT, ticks=TICKS)
        self.frozen_at_the_worst = frozen_at_the_worst

    def moves(self, world: World) -> Moves:
        """Every next state, in words."""
        yield from self._starts(world)
        yield from self._goes_on(world)
        for index, (kind, what) in enumerate(world.late):
            rest = world._replace(late=world.late[:index] + world.late[index + 1 :])
            if kind == "POST":
                yield "the POST under way sells", rest._replace(sold=rest.sold + 1)
                yield "the POST under way does nothing", rest
            else:
                for words, after, _ in arrives(rest, kind, what, self.now(rest)):
                    yield f"a late {kind}: {words}", after
        yield from self._operators(world)
        yield from self._reopens(world)
        for words, after in surroundings(world, self.ticks):
            if after.tick == world.tick or not self._acts_before(world, after):
                yield words, after

    def _acts_before(self, world: World, after: World) -> bool:
        """Whether a POST under way must have acted by then: generously, whatever can't be seen by an operator yet."""
        longest = FLAT.post_leaves_within + FLAT.longest_latency + FLAT.visibility_lag
        under_way = (at(self.ticks[sent]) for kind, sent in world.late if kind == "POST")
        return any(left + longest <= self.now(after) for left in under_way)

    def _tidy(self, world: World) -> World:
        return world._replace(late=tuple(sorted(world.late)))

    def _starts(self, world: World) -> Moves:
        now, times = self.now(world), self.times(world)
        for name, rule in (
            ("settle", refund_rules.settle),
            ("start refund", refund_rules.start_refund),
            ("burnt in the book", carrier_rules.authorize_burn),
        ):
            after, answer = self.decide(world, rule, now, times)
            hold("S3", name != "burnt in the book" or not answer)
            if after.row != world.row:
                yield name, after
        listened, _ = self.decide(world, carrier_rules.note_listening, now)
        if listened.row != world.row:
            yield "listens: hears nothing yet", listened
        if world.attempts and world.faults == self.faults:
            return
        cost = world._replace(faults=world.faults + 1) if world.attempts else world
        if world.grants < MOST_GRANTS:
            after, right = self.decide(cost, carrier_rules.authorize_post, now, times, body_of)
            if right is not None:
                if right not in self.rights:
                    self.rights.append(right)
                after = after._replace(grants=world.grants + 1)
                yield "place gets the POST", with_attempt(after, "place", "send", self.rights.index(right))
        yield from self._start(cost, "refund")

    def _place(self, world: World, attempt: Attempt) -> Moves:
        now = self.now(world)
        if attempt.step == "record":
            number, answer = attempt.hand
            world, _ = self.decide(world, carrier_rules.record_post_response, now, SAYS[answer], number)
            yield f"hears {answer}", world
            return
        right = self.rights[attempt.hand[0]]
        back, _ = self.decide(world, carrier_rules.withdraw_post, right)
        yield "no connection, or too late", back
        if now <= right.send_before or self.frozen_at_the_worst:
            yield from self._sends(world, right.number)

    def _sends(self, world: World, number: int) -> Iterator[tuple[str, World]]:
        state = self.states[world.row]
        hold("S1", not world.on_its_way)
        hold("S2", self.frozen_at_the_worst or state.carrier_outcome is None)
        sent = world._replace(on_its_way=SENT)
        sells, late = sent._replace(sold=sent.sold + 1), sent._replace(late=(*sent.late, ("POST", world.tick)))
        yield "sells", with_attempt(sells, "place", "record", number, "completed")
        yield "is refused", with_attempt(sent, "place", "record", number, "rejected")
        for answer in UNCLEAR:
            yield f"sells, answers {answer}", with_attempt(sells, "place", "record", number, answer)
            yield f"does nothing, answers {answer}", with_attempt(sent, "place", "record", number, answer)
            yield f"is under way, answers {answer}", with_attempt(late, "place", "record", number, answer)

    def _operators(self, world: World) -> Moves:
        now, times, state = self.now(world), self.times(world), self.states[world.row]
        words: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
        if not state.cancel_reason:
            words.append(("cancel", operator_rules.request_cancel, (CANCELLED,)))
        if world.sold:
            words.append(("delivered", operator_rules.resolve_delivered, (now, times)))
        else:
            words.append(("not delivered", operator_rules.resolve_not_delivered, (now, times, "C-4711")))
        for name, rule, arguments in words:
            after, _ = self.decide(world, rule, *arguments)
            if after.row != world.row:
                yield f"operator: {name}", after
        yield from self._operators_of_the_refund(world)
