"""Every state that one order can get into: `next_step` and the rules it guards, driven by all interleavings.

Carrier, provider, operators and clock are free to do what contracts §3 to §5 let them do. Any activity may start at any
moment at which its own guard lets it: so nothing here rests on the saga's own order of steps.
An attempt may stay where it is for ever (it died) or go on at any later moment (it was frozen, or its run is gone).

What costs one of the few `faults` of an exploration: an attempt beside others that have not ended, a request that is
late or lost, an answer that is lost or says 5xx, a run that is gone and another that takes the order up. Cancel,
`resolve`, `retry_now`, time, lag and slow carriers are free.

With `restores`, the row may be rolled back, once, at the price of a fault, to what it was at any earlier moment: every
attempt has ended then, what was sent may still arrive.

Invariants, checked in every state (`Broken`):
    M1 sold at most once · M2 paid back at most once · M3 never sold and paid back
    R4 a refund intent and its request only on a definite refusal or a confirmed burn that is true at the carrier
    B5 the book's fact and outcome agree with the world, and a fact once written stays
    P6 one body is on its way per order · P7 a further POST is granted only after a `GET` that was asked after the last
    grant · C8 no POST is granted after a cancel, a burn intent or a refund intent
    P7b and, where the last POST was not answered, asked the longest latency + the lag after it may have left
    P8 a burn of what was posted rests on an empty `GET` that was asked after the last grant
    P9 a run that takes the order up asks the carrier before it posts or burns
    A9 after a restore nothing is sent unasked: no POST before a `GET` that was asked when all that the lost time had
    sent has arrived, no refund number before the provider was asked for it
    R5 a refund number that the provider has refused leaves again only where an operator has asked for it · R6 the next
    number follows one that was seen `CLOSED` twice
    N1 `next_step` says one step in every state, and `Done` in those that have their end · N2 no rule moves the status
    where `orders.lifecycle` knows no way
    and no rule raises. Beside these `dead_ends` finds the states that the saga alone gets out of no more.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple, get_args

from orders import carrier_rules, lifecycle, next_step, operator_rules, refund_rules
from orders.carrier_rules import PostAuthorized
from orders.next_step import Done, NextStep, QueryCarrier, QueryRefund, SendRefund
from orders.outcomes import (
    Completed,
    InDoubt,
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundInDoubt,
    RefundUnknown,
    Refused,
)
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR, CarrierTimes, OrderState
from tests.orders.states import START, TIMES, at, body_of, claimed

KINDS = ("place", "query", "burn", "refund")
TICKS = (0, 91, 241, 316, 406)
"""Seconds: POST allowed; latency + lag over since it may have left; date - latency passed; date + lag passed; all over
for a date that was fixed at the second tick, too. No step is shorter than the lag, so what happens within one tick is
what lags."""
TICKS_EARLY = (0, 76, 91, 241, 316, 406)
"""Beside these: latency + lag over since the POST was granted, not yet since it may have left."""
LAST_RESTORE_TICK = 1
MOST_GRANTS = 3
MOST_REFUND_NUMBERS = 3
REFERENCE = "C-4711"

SAYS: dict[str, Completed | Refused | InDoubt] = {
    "completed": Completed(carrier_order_id=REFERENCE),
    "rejected": Refused(code="SIM_SUSPENDED", carrier_order_id=REFERENCE),
    "cancelled": Refused(code="CANCELLED", burnt=True),
    "in flight": InDoubt(cause="in_flight", why="works on it", carrier_order_id=REFERENCE),
    "hangs": InDoubt(cause="in_flight", why="works on it", carrier_order_id=REFERENCE),
    "409": InDoubt(cause="answered", why="HTTP 409"),
    "500": InDoubt(cause="answered", why="HTTP 500"),
    "nothing": InDoubt(cause="unanswered", why="no answer"),
}
PROVIDER_SAYS: dict[str, RefundAnswer] = {
    "-": RefundUnknown(),
    "processing": RefundAccepted(),
    "success": RefundConfirmed(provider_refund_id="P"),
    "closed": RefundClosed(),
    "abnormal": RefundDenied(code="ABNORMAL", why="can't pay it out"),
    "refused": RefundDenied(code="TRADE_HAS_FINISHED", why="can't refund it"),
    "nothing": RefundInDoubt(why="no answer"),
}


STEPS: Final = get_args(get_args(NextStep)[0])
_MOMENTS = (
    "in_doubt_since",
    "burn_at",
    "carrier_outcome_at",
    "refund_at",
    "refund_sent_at",
    "refund_denied_at",
    "refund_confirmed_at",
    "settled_at",
)
_OF_DOUBT = (
    "body",
    "completion_date",
    "last_post_at",
    "last_post_answered_at",
    "carrier_not_before",
    "not_found_at",
    "reopened_at",
    "burn_at",
)
_NO_DOUBT: dict[str, Any] = {
    **dict.fromkeys(_OF_DOUBT),
    "posts": 0,
    "cancel_reason": "",
    "resolution_note": "",
    "carrier_code": "",
}
"""What no rule looks at any more once the carrier's final word is booked."""


class Attempt(NamedTuple):
    """One attempt of an activity: what it does next, with what it has in hand."""

    kind: str
    step: str
    hand: tuple[Any, ...] = ()


class World(NamedTuple):
    """One state. `row` is the number of a state (`Exploration.states`); the last line is for the invariants alone."""

    row: int
    tick: int = 0
    carrier: str = "-"
    body: bytes = b""
    since: int = 0
    sold: int = 0
    provider: tuple[str, ...] = ("-",) * MOST_REFUND_NUMBERS
    bank: int = 0
    late: tuple[tuple[str, Any], ...] = ()
    attempts: tuple[Attempt, ...] = ()
    faults: int = 0
    grants: int = 0
    asked: int = -1
    """The tick at which the newest `GET` was asked that was heard, empty, with no POST authorized since."""
    reopened: int = -1
    """The tick at which another run took the order up."""
    leaves_before: tuple[datetime, ...] = ()
    """For each POST that the row knows, until when its right lasts."""
    on_its_way: bytes = b""
    backup: int = -1
    """The row that a backup holds; -1: there is none."""
    restored: int = -1
    """The tick at which that row came back; -1: it has not."""
    asked_for: tuple[int, ...] = ()
    """Refund numbers that the provider was asked for since."""
    denied: tuple[int, ...] = ()
    """Refund numbers that are known as refused, and that nobody has asked for again."""
    closed: tuple[int, ...] = ()
    """Refund numbers that were seen `CLOSED`, each as often as it was."""


class Broken(Exception):
    """An invariant doesn't hold; the text ends with the path to it."""


Moves = Iterator[tuple[str, World]]


class Exploration:
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
        self.faults = faults
        self.kinds = kinds
        self.one_transaction = one_transaction
        self.restores = restores
        self.mode = mode
        self.reopens = reopens
        self.ticks = ticks
        self._times = replace(times, refund_again_after=timedelta(0))
        self._hidden = times.longest_latency + times.visibility_lag
        self.states: list[OrderState] = []
        self.rights: list[PostAuthorized] = []
        self.parents: dict[World, tuple[World, str] | None] = {}
        self._rows: dict[OrderState, int] = {}
        self._decided: dict[Any, tuple[int, Any]] = {}
        self._next: dict[Any, NextStep] = {}
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
        _hold("N1", isinstance(step, STEPS) and isinstance(step, Done) == (state.outcome is not None))
        _hold("M1", world.sold <= 1)
        _hold("M2", paid_back <= 1)
        _hold("M3", not (world.sold and paid_back))
        refused = state.carrier_outcome in ("rejected", "cancelled")
        _hold("R4 intent", refused or not state.refund_sequence)
        _hold("B5 sold", state.carrier_outcome != "completed" or world.sold == 1)
        _hold("B5 refused", state.carrier_outcome not in ("rejected", "cancelled") or not world.sold)
        _hold("B5 delivered", state.outcome != "delivered" or world.sold == 1)
        _hold("B5 refunded", state.outcome != "refunded" or paid_back == 1)

    # --- the book -----------------------------------------------------------------------------------------------

    def next(self, world: World) -> NextStep:
        """What `next_step` says of a state."""
        question = (world.row, world.tick, world.restored)
        if question not in self._next:
            try:
                self._next[question] = next_step.next_step(self.states[world.row], self.now(world), self.times(world))
            except Exception as error:
                raise Broken(f"next_step raises {error!r}") from error
        return self._next[question]

    def decide(self, world: World, rule: Callable[..., Any], *arguments: Any, **named: Any) -> tuple[World, Any]:
        """One transaction: a rule on the row as it is now. Rules are pure, so each question is asked once."""
        question = (rule, world.row, world.tick, world.restored, arguments, tuple(named.items()))
        if question not in self._decided:
            before = self.states[world.row]
            try:
                after, answer = rule(before, *arguments, **named)
                after = carrier_rules.call_if_needed(after, self.now(world), self.times(world))
            except Exception as error:
                raise Broken(f"{getattr(rule, '__name__', rule)} raises {error!r}") from error
            _hold("B5 a fact stays", before.carrier_outcome in (None, after.carrier_outcome))
            _hold("B5 an end stays", before.outcome is None or before == after)
            legal = before.status == after.status or after.status in lifecycle.TRANSITIONS[before.status]
            _hold(f"N2 {before.status} to {after.status} by {getattr(rule, '__name__', rule)}", legal)
            self._decided[question] = self._row_of(after), answer
        row, answer = self._decided[question]
        return world._replace(row=row), answer

    def _row_of(self, state: OrderState) -> int:
        """States that differ only in moments and words on which no rule decides are one."""
        changes: dict[str, Any] = {name: START for name in _MOMENTS if getattr(state, name) is not None}
        if state.carrier_outcome is not None:
            changes |= _NO_DOUBT
        asked, denied = state.retry_requested_at, state.refund_denied_at
        again = asked is not None and denied is not None and asked > denied
        changes["retry_requested_at"] = START + timedelta(seconds=1) if again else None
        state = replace(state, reason="", burn_reason="", carrier_order_id="", **changes)
        if state.cancel_reason:
            state = replace(state, cancel_reason=CANCELLED)
        if state not in self._rows:
            self._rows[state] = len(self.states)
            self.states.append(state)
        return self._rows[state]

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

    # --- what can happen next -----------------------------------------------------------------------------------

    def moves(self, world: World) -> Moves:
        """Every next state, in words."""
        yield from self._starts(world)
        yield from self._goes_on(world)
        for index, (kind, what) in enumerate(world.late):
            rest = world._replace(late=world.late[:index] + world.late[index + 1 :])
            for words, after, _ in _arrives(rest, kind, what, self.now(rest)):
                yield f"a late {kind}: {words}", after
        yield from self._operators(world)
        yield from _surroundings(world, self.ticks)
        yield from self._reopens(world)
        if self._may_be_backed_up(world):
            yield "a backup is made", world._replace(backup=world.row)
        if self._may_be_restored(world) and world.backup != world.row:
            lost = world._replace(row=world.backup, backup=-1, restored=world.tick, faults=world.faults + 1)
            yield "the backup is restored", lost._replace(attempts=(), asked=-1, asked_for=(), denied=(), closed=())

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

    def times(self, world: World) -> CarrierTimes:
        """What the rules know of carrier and restore."""
        if world.restored < 0 or not self.mode:
            return self._times
        return replace(self._times, restored_at=at(self.ticks[world.restored]))

    def now(self, world: World) -> datetime:
        """The moment of a state."""
        return at(self.ticks[world.tick])

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
            yield "place reads the row", _with(world, "place", "write", world.row)
        elif kind == "query" and state.carrier_outcome is None:
            yield "query starts", _with(world, "query", "send", state.posts, world.tick)
        elif kind == "burn":
            after, closed = self.decide(world, carrier_rules.authorize_burn, self.now(world), self.times(world))
            if closed:
                _hold("P8", not state.posts or self._asked(world))
                _hold("P9", world.reopened < 0 or self._asked(world))
                yield "burn starts", _with(after, "burn", "send")
        elif kind == "refund" and state.refund_sequence <= MOST_REFUND_NUMBERS:
            number = state.refund_sequence
            if isinstance(step, SendRefund):
                asks = refund_rules.must_ask_first(state, self.times(world))
                hand = (number, state.refund_answered == "closed")
                yield "refund starts", _with(world, "refund", "ask" if asks else "leave", *hand)
            elif isinstance(step, QueryRefund):
                yield "query_refund starts", _with(world, "query_refund", "ask", number)

    def _asked(self, world: World) -> bool:
        """Whether a `GET` was asked that every run and every restore lets count."""
        if world.asked < world.reopened or world.asked < 0:
            return False
        return world.restored < 0 or at(self.ticks[world.asked]) >= at(self.ticks[world.restored]) + self._hidden

    def _takes_a_right(self, world: World, row: int) -> Moves:
        """`row`: the row as the attempt has read it; with one transaction, as it is now."""
        before = self.states[world.row]
        after, right = self.decide(
            world._replace(row=row), carrier_rules.authorize_post, self.now(world), self.times(world), body_of
        )
        if right is None:
            return
        _hold("P9", world.reopened < 0 or world.asked >= world.reopened)
        first = before.posts == 0 and world.restored < 0
        _hold("A9" if world.restored >= 0 else "P7", first or self._asked(world))
        _hold("P7b", first or self._asked_late_enough(world, before))
        _hold("C8", not (before.cancel_reason or before.burn_at or before.refund_sequence))
        if right not in self.rights:
            self.rights.append(right)
        known = (*world.leaves_before[: before.posts], right.send_before)
        after = after._replace(grants=world.grants + 1, asked=-1, leaves_before=known)
        yield (
            f"place gets POST {right.number}",
            _with(after, "place", "send", self.rights.index(right), world.asked),
        )

    def _asked_late_enough(self, world: World, before: OrderState) -> bool:
        if not world.leaves_before or before.posts == 0 or before.last_post_answered_at is not None:
            return True
        left_by = world.leaves_before[before.posts - 1]
        if world.restored >= 0:  # nobody was left to send it
            left_by = min(left_by, at(self.ticks[world.restored]))
        return at(self.ticks[world.asked]) >= left_by + self._hidden

    # --- the activities, a step at a time; what they do is what `activities` does ----------------------------------

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
            _hold("P6", world.on_its_way in (b"", right.body))
            sent = world._replace(on_its_way=right.body)
            for words, after, answer in _arrives(sent, "POST", right.body, self.now(sent)):
                yield words, _with(after, "place", "record", right.number, answer)
                for lost in self._fault(after):
                    yield f"{words}; the answer is lost", _with(lost, "place", "record", right.number, "nothing")
            for fault in self._fault(sent):
                late = fault._replace(late=(*fault.late, ("POST", right.body)))
                yield "the POST is late or lost", _with(late, "place", "record", right.number, "nothing")
                yield "HTTP 500, nothing done", _with(fault, "place", "record", right.number, "500")
        else:
            number, answer = attempt.hand
            world, _ = self.decide(world, carrier_rules.record_post_response, now, SAYS[answer], number)
            yield f"hears {answer}", world

    def _query(self, world: World, attempt: Attempt) -> Moves:
        now = self.now(world)
        if attempt.step == "send":
            posts, tick = attempt.hand
            counts = world.restored < 0 or at(self.ticks[tick]) >= at(self.ticks[world.restored]) + self._hidden
            if world.carrier == "-" or world.since == world.tick:
                asked = world
                if world.restored >= 0 and counts and world.asked < 0:
                    asked = world._replace(on_its_way=b"")  # what the lost time has sent, if anything, did nothing
                yield "GET, empty", _with(asked, "query", "record", "empty", posts, tick)
            if world.carrier != "-":
                yield f"GET, {world.carrier}", _with(world, "query", "record", world.carrier)
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
            for words, after, answer in _arrives(world, "cancel", None, self.now(world)):
                yield words, _with(after, "burn", "record", answer)
            for fault in self._fault(world):
                yield "the cancel is late or lost", fault._replace(late=(*fault.late, ("cancel", None)))
        else:
            answer = attempt.hand[0]
            yield f"hears {answer}", self.decide(world, record_and_give_up, self.now(world), SAYS[answer])[0]

    def _refund(self, world: World, attempt: Attempt) -> Moves:
        """Ask first unless nobody can have sent it; a new number only from one that was seen `CLOSED` twice."""
        now, times, number = self.now(world), self.times(world), attempt.hand[0]
        if attempt.step == "ask":
            yield (
                "asks",
                _with(self._asks_for(world, number), "refund", "asked", *attempt.hand, self._said(world, number)),
            )
        elif attempt.step == "asked":
            yield from self._refund_asked(world, attempt)
        elif attempt.step == "close":
            before = self.states[world.row].refund_sequence
            world, _ = self.decide(world, refund_rules.close_refund_number, number)
            _hold("R6", self.states[world.row].refund_sequence == before or world.closed.count(before) > 1)
            yield "goes on to the next number", world
        elif attempt.step == "leave":
            world, leaves = self.decide(world, refund_rules.authorize_refund, now, times, number)
            if leaves:
                _hold("R5", number not in world.denied)
                world = _with(world, "refund", "send", number)
            yield f"leaves: {leaves}", world
        elif attempt.step == "send":
            state = self.states[world.row]
            _hold("R4", state.carrier_outcome in ("rejected", "cancelled") and not world.sold)
            _hold("A9 refund", world.restored < 0 or number in world.asked_for)
            for words, after, answer in _arrives(world, "refund", number, now):
                yield words, _with(after, "refund", "record", number, answer)
            for fault in self._fault(world):
                late = fault._replace(late=(*fault.late, ("refund", number)))
                yield "the refund is late or lost", _with(late, "refund", "record", number, "nothing")
        else:
            world, _ = self._hear_refund(world, number, attempt.hand[1])
            yield f"hears {attempt.hand[1]}", world

    def _refund_asked(self, world: World, attempt: Attempt) -> Moves:
        number, was_closed, says = attempt.hand
        world, heard = self._hear_refund(world, number, says)
        if isinstance(heard, RefundClosed) and was_closed:
            world = _with(world, "refund", "close", number, was_closed)
        elif isinstance(self.next(world), SendRefund) and not isinstance(heard, RefundClosed):
            world = _with(world, "refund", "leave", number, was_closed)
        yield f"hears {says}", world

    def _query_refund(self, world: World, attempt: Attempt) -> Moves:
        number = attempt.hand[0]
        if attempt.step == "ask":
            asked = self._asks_for(world, number)
            yield "asks", _with(asked, "query_refund", "asked", number, self._said(world, number))
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
        _hold("R6", self.states[world.row].refund_sequence == before or world.closed.count(before) > 1)
        return world, heard

    def _fault(self, world: World) -> Iterator[World]:
        if world.faults < self.faults:
            yield world._replace(faults=world.faults + 1)

    # --- operators: what they say is true when they say it ----------------------------------------------------------

    def _operators(self, world: World) -> Moves:
        now, state = self.now(world), self.states[world.row]
        words: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
        if not state.cancel_reason:
            words.append(("cancel", operator_rules.request_cancel, (CANCELLED,)))
        if world.sold:
            words.append(("delivered", operator_rules.resolve_delivered, (now, self.times(world))))
        elif not state.resolution_note and world.carrier in ("in flight", "hangs"):  # elsewhere it is a cancel
            note = f"{REFERENCE} is given up" if world.carrier == "hangs" else "not delivered so far"
            words.append(("not delivered", operator_rules.request_cancel, (RESOLVED_BY_OPERATOR, note)))
        for name, rule, arguments in words:
            after, _ = self.decide(world, rule, *arguments)
            if after.row != world.row:
                yield f"operator: {name}", after
        yield from self._operators_of_the_refund(world)

    def _operators_of_the_refund(self, world: World) -> Moves:
        now, state = self.now(world), self.states[world.row]
        on_its_way = any(kind == "refund" for kind, _ in world.late) or any(
            attempt.kind == "refund" and attempt.step == "send" for attempt in world.attempts
        )
        if not state.paid_another_way and not on_its_way and not {"processing", "success"} & set(world.provider):
            after, refusal = self.decide(world, operator_rules.resolve_refunded, "bank transfer")
            if not refusal:
                yield "operator: paid by bank", after._replace(bank=world.bank + 1)
        if state.refund_denied:
            after, _ = self.decide(world, operator_rules.request_retry, now + timedelta(seconds=2))
            if after.row != world.row:
                yield "operator: retry", after._replace(denied=())

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
        for _, after in _surroundings(world, self.ticks):
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


def record_and_give_up(state: OrderState, now: datetime, answer: Any) -> Any:
    """What `query` and `cancel` do with an answer, in one transaction."""
    after, heard = carrier_rules.record_response(state, now, answer)
    return carrier_rules.carrier_gave_up(after, now, heard)


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


# --- the outside world -------------------------------------------------------------------------------------------


def _arrives(world: World, kind: str, what: Any, now: datetime) -> Iterator[tuple[str, World, str]]:
    """A request reaches the other side: what happens there, and what it answers."""
    carrier, fresh = world.carrier, world.since == world.tick
    if kind == "refund":
        status = world.provider[what - 1]
        if status == "-":
            yield "the provider refuses the refund", world, "refused"
            status = "processing"
        taken = (*world.provider[: what - 1], status, *world.provider[what:])
        yield "the provider takes it in", world._replace(provider=taken), "processing"
    elif kind == "cancel":
        if carrier == "-":
            yield "the carrier burns the serial", world._replace(carrier="cancelled", since=world.tick), "cancelled"
        else:
            yield "the carrier knows it", world, carrier if carrier in ("rejected", "cancelled") else "409"
            if fresh:
                yield "a node that hasn't seen the POST confirms the burn", world, "cancelled"
    elif carrier != "-":
        same = what == world.body or carrier == "cancelled"
        yield "the carrier knows the serial", world, carrier if same else "409"
    else:
        seen = world._replace(carrier="rejected", body=what, since=world.tick)
        yield "the carrier rejects it", seen, "rejected"
        if now <= datetime.fromisoformat(what.decode()):
            yield "the carrier sells it", seen._replace(carrier="completed", sold=world.sold + 1), "completed"
            yield "the carrier takes it in", seen._replace(carrier="in flight"), "in flight"


def _surroundings(world: World, ticks: tuple[int, ...]) -> Moves:
    """What carrier, provider and clock do by themselves."""
    if world.tick + 1 < len(ticks):
        yield f"time passes: {ticks[world.tick + 1]} s", world._replace(tick=world.tick + 1)
    if world.carrier == "in flight":
        yield "the carrier completes it", world._replace(carrier="completed", sold=world.sold + 1)
        yield "the carrier fails it", world._replace(carrier="rejected")
        yield "the carrier forgets about it", world._replace(carrier="hangs")
    for index, status in enumerate(world.provider):
        nexts = {"processing": ("success", "closed", "abnormal"), "abnormal": ("closed",)}.get(status, ())
        for after in nexts:
            if after == "success" or index == 0:
                provider = (*world.provider[:index], after, *world.provider[index + 1 :])
                yield f"refund {index + 1} is {after}", world._replace(provider=provider)


def _with(world: World, kind: str, step: str, *hand: Any) -> World:
    return world._replace(attempts=tuple(sorted((*world.attempts, Attempt(kind, step, hand)))))


def _hold(rule: str, holds: bool) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise Broken(rule)
