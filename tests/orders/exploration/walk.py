"""Every state that one order can get into, each by a shortest path, and the invariants of each."""

from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Final, get_args

from orders import carrier_rules, operator_rules, refund_rules
from orders.next_step import Done, NextStep, QueryCarrier, QueryRefund, SendRefund
from orders.state import CarrierTimes
from tests.orders.exploration.carrier import CarrierAttempts
from tests.orders.exploration.operators import Operators
from tests.orders.exploration.outside import arrives, surroundings
from tests.orders.exploration.refund import RefundAttempts
from tests.orders.exploration.world import (
    KINDS,
    LAST_RESTORE_TICK,
    MOST_GRANTS,
    MOST_REFUND_NUMBERS,
    TICKS,
    Broken,
    Moves,
    World,
    hold,
    with_attempt,
)
from tests.orders.states import TIMES, claimed

STEPS: Final = get_args(get_args(NextStep)[0])


class Exploration(CarrierAttempts, RefundAttempts, Operators):
    """Breadth first from a claimed order, so that the first broken invariant is reached by a shortest path.

    Args:
        faults: how many faults a path may have.
        kinds: the activities that start; fewer leave room for more faults.
        one_transaction: False: a place attempt reads the row in one step and writes it in the next (a mutant of the
            adapter, not of a rule).
        restores: whether the row may be rolled back once to what it was.
        mode: whether the rules are told of the restore.
        reopens: whether another run may take the order up, at the price of a fault.
        times: the carrier's; `ticks` lie on both sides of what follows from them.
        ticks: the moments at which things happen, in seconds.
    """

    def __init__(
        self,
        *,
        faults: int,
        kinds: tuple[str, ...] = KINDS,
        one_transaction: bool = True,
        restores: bool = False,
        mode: bool = True,
        reopens: bool = True,
        times: CarrierTimes = TIMES,
        ticks: tuple[int, ...] = TICKS,
    ) -> None:
        super().__init__(faults=faults, mode=mode, times=times, ticks=ticks)
        self.kinds = kinds
        self.one_transaction = one_transaction
        self.restores = restores
        self.reopens = reopens
        self.parents: dict[World, tuple[World, str] | None] = {}
        self.follows: set[tuple[str, str, str]] = set()
        """Which kind of next step can follow which, and by what class of event."""

    def explore(self) -> None:
        """Walk all states.

        Raises:
            Broken: in one of them an invariant doesn't hold.
        """
        start = World(self._row_of(claimed()))
        self.parents[start] = None
        queue = deque([start])
        while queue:
            world = queue.popleft()
            try:
                for words, untidy in self.moves(world):
                    after = self._tidy(untidy)
                    if after not in self.parents:
                        self.parents[after] = (world, words)
                        self.check(after)
                        queue.append(after)
                    if after.restored == world.restored:
                        self.follows.add((self.next(world).kind, self.next(after).kind, event_of(words)))
            except Broken as broken:
                raise Broken(f"{broken}\n{self.path_to(world)}") from None

    def sample(self, chance: Random, *, walks: int, steps: int) -> None:
        """Walk at random: for more faults than all paths can be walked with.

        Raises:
            Broken: in one of the states an invariant doesn't hold.
        """
        for _ in range(walks):
            world, told = World(self._row_of(claimed())), list[str]()
            for _ in range(steps):
                self.parents.setdefault(world, None)
                try:
                    words, world = chance.choice(list(self.moves(world)) or [("nothing", world)])
                    told.append(words)
                    world = self._tidy(world)
                    self.check(world)
                except Broken as broken:
                    raise Broken("\n".join([str(broken), *told])) from None

    def path_to(self, world: World) -> str:
        """What led there, a line per step."""
        lines = [f"{world}\n{self.states[world.row]}"]
        while (step := self.parents[world]) is not None:
            world, words = step
            lines.append(f"t={self.ticks[world.tick]:<4} {words}")
        return "\n".join(reversed(lines))

    def check(self, world: World) -> None:
        """The invariants of a state."""
        state = self.states[world.row]
        paid_back = world.provider.count("success") + world.bank
        step = self.next(world)
        hold("N1", isinstance(step, STEPS) and isinstance(step, Done) == (state.outcome is not None))
        hold("M1", world.sold <= 1)
        hold("M2", paid_back <= 1)
        hold("M3", not (world.sold and paid_back))
        refused = state.carrier_outcome in ("rejected", "cancelled")
        hold("R4 intent", refused or not state.refund_sequence)
        hold("B5 sold", state.carrier_outcome != "completed" or world.sold == 1)
        hold("B5 refused", state.carrier_outcome not in ("rejected", "cancelled") or not world.sold)
        hold("B5 delivered", state.outcome != "delivered" or world.sold == 1)
        hold("B5 refunded", state.outcome != "refunded" or paid_back == 1)

    def moves(self, world: World) -> Moves:
        """Every next state, in words."""
        yield from self._starts(world)
        yield from self._goes_on(world)
        for index, (kind, what) in enumerate(world.late):
            rest = world._replace(late=world.late[:index] + world.late[index + 1 :])
            for words, after, _ in arrives(rest, kind, what, self.now(rest)):
                yield f"a late {kind}: {words}", after
        yield from self._operators(world)
        yield from surroundings(world, self.ticks)
        yield from self._reopens(world)
        if self._may_be_backed_up(world):
            yield "a backup is made", world._replace(backup=world.row)
        if self._may_be_restored(world) and world.backup != world.row:
            lost = world._replace(row=world.backup, backup=-1, restored=world.tick, faults=world.faults + 1)
            lost = lost._replace(attempts=(), asked=-1, asked_for=(), denied=(), closed=self._still_closed(lost))
            yield "the backup is restored", lost

    def _still_closed(self, world: World) -> tuple[int, ...]:
        """The number that was seen `CLOSED` before the backup, by what the row itself says."""
        state = self.states[world.row]
        return (state.refund_sequence,) if state.refund_answered == "closed" else ()

    def _reopens(self, world: World) -> Moves:
        state = self.states[world.row]
        if self.reopens and state.carrier_outcome is None and world.reopened < world.tick:
            for fault in self._fault(world):
                after, _ = self.decide(fault, operator_rules.reopen, self.now(world))
                yield "another run takes the order up", after._replace(reopened=world.tick)

    def _may_be_backed_up(self, world: World) -> bool:
        in_time = world.faults < self.faults and world.tick <= LAST_RESTORE_TICK
        return self.restores and in_time and world.backup < 0 and world.restored < 0

    def _may_be_restored(self, world: World) -> bool:
        """An operator's word on money that went another way must be given again before: it is not rolled back here."""
        return world.backup >= 0 and world.faults < self.faults and world.tick <= LAST_RESTORE_TICK and not world.bank

    def _tidy(self, world: World) -> World:
        """Forget what can change nothing any more: all of the doubt, once both sides have their final word."""
        late = tuple(
            (kind, what)
            for kind, what in world.late
            if (world.provider[what - 1] if kind == "refund" else world.carrier) == "-"
        )
        known = world.leaves_before[: self.states[world.row].posts]
        since = world.since if world.since == world.tick else -1
        world = world._replace(late=late, since=since, leaves_before=known)
        if self._may_be_backed_up(world) or self._may_be_restored(world):
            return world
        if self.states[world.row].carrier_outcome is None or world.carrier in ("-", "in flight"):
            return world
        return world._replace(
            tick=len(self.ticks) - 1,
            since=-1,
            body=b"",
            grants=MOST_GRANTS,
            asked=-1,
            reopened=-1,
            leaves_before=(),
            on_its_way=b"",
            attempts=tuple(attempt for attempt in world.attempts if attempt.kind in ("refund", "query_refund")),
        )

    def _starts(self, world: World) -> Moves:
        """Any activity, at any moment. One beside another costs a fault: the other is frozen, or its run is gone."""
        now, times = self.now(world), self.times(world)
        for name, rule in (("settle", refund_rules.settle), ("start refund", refund_rules.start_refund)):
            after, _ = self.decide(world, rule, now, times)
            if after.row != world.row and (name == "settle" or "refund" in self.kinds):
                yield name, after
        if world.attempts and world.faults == self.faults:
            return
        cost = world._replace(faults=world.faults + 1) if world.attempts else world
        for kind in self.kinds:
            yield from self._start(cost, kind)

    def _start(self, world: World, kind: str) -> Moves:
        state, step = self.states[world.row], self.next(world)
        if kind == "place" and world.grants < MOST_GRANTS and self.one_transaction:
            yield from self._takes_a_right(world, world.row)
        elif kind == "place" and world.grants < MOST_GRANTS and state.posts == 0:
            yield "place reads the row", with_attempt(world, "place", "write", world.row)
        elif kind == "query" and state.carrier_outcome is None:
            yield "query starts", with_attempt(world, "query", "send", state.posts, world.tick)
        elif kind == "burn":
            after, closed = self.decide(world, carrier_rules.authorize_burn, self.now(world), self.times(world))
            if closed:
                hold("P8", not state.posts or self._asked(world))
                hold("P9", world.reopened < 0 or self._asked(world))
                yield "burn starts", with_attempt(after, "burn", "send")
        elif kind == "refund" and state.refund_sequence <= MOST_REFUND_NUMBERS:
            number = state.refund_sequence
            if isinstance(step, SendRefund):
                asks = refund_rules.must_ask_first(state, self.times(world))
                hand = (number, state.refund_answered == "closed")
                yield "refund starts", with_attempt(world, "refund", "ask" if asks else "leave", *hand)
            elif isinstance(step, QueryRefund):
                yield "query_refund starts", with_attempt(world, "query_refund", "ask", number)

    def _goes_on(self, world: World) -> Moves:
        """An attempt takes its next step."""
        step = {
            "place": self._place,
            "query": self._query,
            "burn": self._burn,
            "refund": self._refund,
            "query_refund": self._query_refund,
        }
        for index, attempt in enumerate(world.attempts):
            rest = world._replace(attempts=world.attempts[:index] + world.attempts[index + 1 :])
            for words, after in step[attempt.kind](rest, attempt):
                yield f"{attempt.kind}: {words}", after

    # --- does the saga get to an end? -------------------------------------------------------------------------------

    def dead_ends(self, later: tuple[int, ...]) -> list[World]:
        """The explored states out of which the saga alone finds neither an end nor a person who is called.

        Every attempt has died then and nothing that is late arrives; the saga takes its own steps one after another,
        carrier, provider and clock go on (`later`: its further ticks), nothing more goes wrong, no operator helps.
        """
        self.ticks = (*self.ticks, *later)
        quiet = {world: self._quiet(world) for world in self.parents}
        came_from: dict[World, list[World]] = {world: [] for world in quiet.values()}
        todo, good = list(came_from), list[World]()
        while todo:
            world = todo.pop()
            state = self.states[world.row]
            if state.outcome is not None or state.needs_operator:
                good.append(world)
                continue
            for after in self._saga(world):
                if after not in came_from:
                    came_from[after] = []
                    todo.append(after)
                came_from[after].append(world)
        alive = set(good)
        while good:
            for before in came_from[good.pop()]:
                if before not in alive:
                    alive.add(before)
                    good.append(before)
        return [world for world, silent in quiet.items() if silent not in alive]

    def _quiet(self, world: World) -> World:
        grants = 0 if self.states[world.row].carrier_outcome is None else world.grants
        return world._replace(attempts=(), late=(), faults=self.faults, grants=grants, since=-1, backup=-1)

    def _saga(self, world: World) -> Iterator[World]:
        for _, after in surroundings(world, self.ticks):
            yield after
        if world.attempts:
            for _, after in self._goes_on(world):
                yield after
            return
        waits = isinstance(self.next(world), QueryCarrier)
        for words, after in self._starts(world):
            if words != "query starts" or waits:
                yield after
        if world.tick + 1 == len(self.ticks):  # a day of this, and the saga calls a person
            for attention in ("carrier_silent", "refund_silent"):
                yield self.decide(world, operator_rules.call_person, attention, "a day")[0]


def event_of(words: str) -> str:
    """The class of an event, from its words."""
    who, _, what = words.partition(": ")
    if who in ("time passes", "listens"):
        return "time"
    if who.startswith("another run"):
        return "another run"
    if who in ("place", "query", "burn", "refund", "query_refund") and what.startswith("hears"):
        return "provider's answer" if "refund" in who else "carrier's answer"
    if what.startswith("no connection"):
        return "not sent"
    return who if who == "operator" else "intent written" if who != "settle" else "end written"
