"""Every state that one order can get into: the real rules of the book, driven by all interleavings of its activities.

Carrier, provider, operators and clock are free to do what contracts §3 to §5 let them do. Any activity may start at any
moment, with any evidence that an activity has ever returned: so nothing here rests on the saga's own order of steps.
An attempt may stay where it is for ever (it died) or go on at any later moment (it was frozen, or its run is gone).

What costs one of the few `faults` of an exploration: an attempt beside others that have not ended, a request that is
late or lost, an answer that is lost or says 5xx. Cancel, `resolve`, time, lag and slow carriers are free.

With `restores`, the row may be rolled back, once, at the price of a fault, to what it was at any earlier moment: every
attempt has ended then, what was sent may still arrive.

Invariants, checked in every state (`Broken`):
    M1 sold at most once · M2 paid back at most once · M3 never sold and paid back
    R4 a refund request only on a definite refusal or a confirmed burn that is true at the carrier
    B5 the book's fact and outcome agree with the world, and a fact once written stays
    P6 one body is on its way per order · P7 a further POST is granted only after a `GET` that was asked after the last
    grant · C8 no POST is granted after a cancel, a burn intent or a refund intent
    P7b and, where the last POST was not answered, asked the longest latency + the lag after it may have left
    A9 after a restore nothing is sent unasked: no POST before a `GET` that was asked when all that the lost time had
    sent has arrived, no refund number before the provider was asked for it
    and no rule raises.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any, NamedTuple

from orders.book import BurnAuthorized, CarrierTimes, OrderState, PostAuthorized, RefundAuthorized

from orders import book
from orders.outcomes import (
    Completed,
    InDoubt,
    NotFound,
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundInDoubt,
    RefundUnknown,
    Refused,
)
from tests.orders.entries import START, TIMES, at, body_of, claimed

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


_MOMENTS = ("burn_at", "fact_at", "refund_at", "refund_sent_at", "refund_confirmed_at", "settled_at")
_NO_DOUBT: dict[str, Any] = {
    **dict.fromkeys(("body", "completion_date", "last_post_at", "last_post_answered_at", "carrier_not_before")),
    "posts": 0,
    "burn_at": None,
    "cancel_reason": "",
    "resolution_note": "",
    "fact_code": "",
}
"""What no rule looks at any more once the carrier's final word is booked."""


class Attempt(NamedTuple):
    """One attempt of an activity: what it does next, with what it has in hand."""

    kind: str
    step: str
    hand: tuple[Any, ...] = ()


class World(NamedTuple):
    """One state. `row` is the number of an entry (`Exploration.entries`); the last line is for the invariants alone."""

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
    evidence: tuple[tuple[int, int], ...] = ()
    closed: int = 0
    faults: int = 0
    grants: int = 0
    asked: bool = True
    leaves_before: tuple[datetime, ...] = ()
    """For each POST that the row knows, until when its right lasts."""
    on_its_way: bytes = b""
    backup: int = -1
    """The row that a backup holds; -1: there is none."""
    restored: int = -1
    """The tick at which that row came back; -1: it has not."""
    asked_for: tuple[int, ...] = ()
    """Refund numbers that the provider was asked for since."""


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
        times: CarrierTimes = TIMES,
        ticks: tuple[int, ...] = TICKS,
    ) -> None:
        self.faults = faults
        self.kinds = kinds
        self.one_transaction = one_transaction
        self.restores = restores
        self.mode = mode
        self.ticks = ticks
        self._times = times
        self._hidden = times.longest_latency + times.visibility_lag
        self.entries: list[OrderState] = []
        self.rights: list[PostAuthorized] = []
        self.parents: dict[World, tuple[World, str] | None] = {}
        self._rows: dict[OrderState, int] = {}
        self._decided: dict[Any, tuple[int, Any]] = {}

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
        lines = [f"{world}\n{self.entries[world.row]}"]
        while (step := self.parents[world]) is not None:
            world, words = step
            lines.append(f"t={self.ticks[world.tick]:<4} {words}")
        return "\n".join(reversed(lines))

    def check(self, world: World) -> None:
        """The invariants of a state."""
        entry = self.entries[world.row]
        paid_back = world.provider.count("success") + world.bank
        _hold("M1", world.sold <= 1)
        _hold("M2", paid_back <= 1)
        _hold("M3", not (world.sold and paid_back))
        _hold("B5 sold", entry.fact != "sold" or world.sold == 1)
        _hold("B5 refused", entry.fact not in ("refused", "burnt") or not world.sold)
        _hold("B5 delivered", entry.outcome != "delivered" or world.sold == 1)
        _hold("B5 refunded", entry.outcome != "refunded" or paid_back == 1)

    # --- the book -----------------------------------------------------------------------------------------------

    def decide(self, world: World, rule: Callable[..., Any], *arguments: Any, of_post: int = 0) -> tuple[World, Any]:
        """One transaction: a rule on the row as it is now. Rules are pure, so each question is asked once."""
        question = (rule, world.row, arguments, of_post)
        if question not in self._decided:
            before = self.entries[world.row]
            try:
                after, answer = rule(before, *arguments, of_post=of_post) if of_post else rule(before, *arguments)
            except Exception as error:
                raise Broken(f"{getattr(rule, '__name__', rule)} raises {error!r}") from error
            _hold("B5 a fact stays", before.fact in (None, after.fact))
            _hold("B5 an end stays", before.outcome is None or before == after)
            self._decided[question] = self._row_of(after), answer
        row, answer = self._decided[question]
        return world._replace(row=row), answer

    def _row_of(self, entry: OrderState) -> int:
        """Entries that differ only in moments and words on which no rule decides are one."""
        changes: dict[str, Any] = {name: START for name in _MOMENTS if getattr(entry, name) is not None}
        if entry.fact is not None:
            changes |= _NO_DOUBT
        entry = replace(entry, reason="", burn_reason="", carrier_order_id="", **changes)
        if entry.cancel_reason:
            entry = replace(entry, cancel_reason=book.CANCELLED)
        if entry not in self._rows:
            self._rows[entry] = len(self.entries)
            self.entries.append(entry)
        return self._rows[entry]

    def _tidy(self, world: World) -> World:
        """Forget what can change nothing any more: all of the doubt, once both sides have their final word."""
        late = tuple(
            (kind, what)
            for kind, what in world.late
            if (world.provider[what - 1] if kind == "refund" else world.carrier) == "-"
        )
        known = world.leaves_before[: self.entries[world.row].posts]
        since = world.since if world.since == world.tick else -1
        world = world._replace(late=late, since=since, leaves_before=known)
        if self._may_be_backed_up(world) or self._may_be_restored(world):
            return world
        if self.entries[world.row].fact is None or world.carrier in ("-", "in flight"):
            return world
        return world._replace(
            tick=len(self.ticks) - 1,
            since=-1,
            body=b"",
            evidence=(),
            grants=MOST_GRANTS,
            asked=True,
            leaves_before=(),
            on_its_way=b"",
            attempts=tuple(attempt for attempt in world.attempts if attempt.kind == "refund"),
        )

    # --- what can happen next -----------------------------------------------------------------------------------

    def moves(self, world: World) -> Moves:
        """Every next state, in words."""
        yield from self._starts(world)
        for index, attempt in enumerate(world.attempts):
            rest = world._replace(attempts=world.attempts[:index] + world.attempts[index + 1 :])
            step = {"place": self._place, "query": self._query, "burn": self._burn, "refund": self._refund}
            for words, after in step[attempt.kind](rest, attempt):
                yield f"{attempt.kind}: {words}", after
        for index, (kind, what) in enumerate(world.late):
            rest = world._replace(late=world.late[:index] + world.late[index + 1 :])
            for words, after, _ in _arrives(rest, kind, what, self.now(rest)):
                yield f"a late {kind}: {words}", after
        yield from self._operators(world)
        yield from _surroundings(world, self.ticks)
        if self._may_be_backed_up(world):
            yield "a backup is made", world._replace(backup=world.row)
        if self._may_be_restored(world) and world.backup != world.row:
            lost = world._replace(row=world.backup, backup=-1, restored=world.tick, faults=world.faults + 1)
            yield "the backup is restored", lost._replace(attempts=(), asked=False, asked_for=())

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

    def _starts(self, world: World) -> Moves:  # noqa: C901 - one arm per activity
        """Any activity, at any moment. One beside another costs a fault: the other is frozen, or its run is gone."""
        now, entry = self.now(world), self.entries[world.row]
        settled, _ = self.decide(world, book.settle, now)
        if settled.row != world.row:
            yield "settle", settled
        if world.attempts and world.faults == self.faults:
            return
        cost = world._replace(faults=world.faults + 1) if world.attempts else world
        for kind in self.kinds:
            if kind == "place" and world.grants < MOST_GRANTS and self.one_transaction:
                yield from self._takes_a_right(cost, world.row)
            elif kind == "place" and world.grants < MOST_GRANTS and entry.posts == 0:
                yield "place reads the row", _with(cost, "place", "write", world.row)
            elif kind == "query" and entry.fact is None:
                yield "query starts", _with(cost, "query", "send", entry.posts, world.tick, world.grants)
            elif kind == "burn":
                after, answer = self.decide(cost, book.authorize_burn, now, self.times(world))
                if isinstance(answer, BurnAuthorized):
                    yield "burn starts", _with(after, "burn", "send")
            elif kind == "refund":
                rule = _grant_refund_restored if world.restored >= 0 and self.mode else book.authorize_refund
                after, answer = self.decide(cost, rule, now)
                if isinstance(answer, RefundAuthorized):
                    yield "refund starts", _with(after, "refund", "leave" if answer.fresh else "ask", answer.sequence)

    def _takes_a_right(self, world: World, row: int) -> Moves:
        """`row`: the row as the attempt has read it; with one transaction, as it is now."""
        now, before = self.now(world), self.entries[world.row]
        for proof in (None, *world.evidence):
            evidence = proof and NotFound(posts=proof[0], asked_at=at(self.ticks[proof[1]]).timestamp())
            after, answer = self.decide(
                world._replace(row=row), book.authorize_post, now, self.times(world), body_of, evidence
            )
            if isinstance(answer, PostAuthorized):
                _hold("A9" if world.restored >= 0 else "P7", (before.posts == 0 and world.restored < 0) or world.asked)
                _hold("P7b", self._asked_late_enough(world, before, proof))
                _hold("C8", not (before.cancel_reason or before.burn_at or before.refund_sequence))
                if answer not in self.rights:
                    self.rights.append(answer)
                known = (*world.leaves_before[: before.posts], answer.send_before)
                after = after._replace(grants=world.grants + 1, asked=False, leaves_before=known)
                yield f"place gets POST {answer.number}", _with(after, "place", "send", self.rights.index(answer))

    def _asked_late_enough(self, world: World, before: OrderState, proof: tuple[int, int] | None) -> bool:
        if not world.leaves_before or before.posts == 0 or before.last_post_answered_at is not None or proof is None:
            return True
        left_by = world.leaves_before[before.posts - 1]
        if world.restored >= 0:  # nobody was left to send it
            left_by = min(left_by, at(self.ticks[world.restored]))
        return at(self.ticks[proof[1]]) >= left_by + self._hidden

    # --- the activities, a step at a time; what they do is what `activities` does ----------------------------------

    def _place(self, world: World, attempt: Attempt) -> Moves:
        now = self.now(world)
        if attempt.step == "write":
            yield from self._takes_a_right(world, attempt.hand[0])
        elif attempt.step == "send":
            right = self.rights[attempt.hand[0]]
            back, _ = self.decide(world, book.withdraw_post, right)
            yield "no connection", back._replace(asked=True) if back.row != world.row else back
            _hold("P6", world.on_its_way in (b"", right.body))
            sent = world._replace(on_its_way=right.body)
            for words, after, answer in _arrives(sent, "POST", right.body, self.now(sent)):
                yield words, _with(after, "place", "record_response", right.number, answer)
                for lost in self._fault(after):
                    yield (
                        f"{words}; the answer is lost",
                        _with(lost, "place", "record_response", right.number, "nothing"),
                    )
            for fault in self._fault(sent):
                late = fault._replace(late=(*fault.late, ("POST", right.body)))
                yield "the POST is late or lost", _with(late, "place", "record_response", right.number, "nothing")
                yield "HTTP 500, nothing done", _with(fault, "place", "record_response", right.number, "500")
        else:
            number, answer = attempt.hand
            yield f"hears {answer}", self.decide(world, book.record_response, now, SAYS[answer], of_post=number)[0]

    def _query(self, world: World, attempt: Attempt) -> Moves:
        now = self.now(world)
        if attempt.step == "send":
            posts, tick, grants = attempt.hand
            counts = world.restored < 0 or at(self.ticks[tick]) >= at(self.ticks[world.restored]) + self._hidden
            asked = world._replace(asked=world.asked or (grants == world.grants and counts))
            if world.carrier == "-" or world.since == world.tick:
                if world.restored >= 0 and counts and not world.asked:
                    asked = asked._replace(on_its_way=b"")  # what the lost time has sent, if anything, did nothing
                yield "GET, empty", _with(asked, "query", "record_response", "empty", posts, tick)
            if world.carrier != "-":
                yield f"GET, {world.carrier}", _with(asked, "query", "record_response", world.carrier)
            return
        answer = attempt.hand[0]
        if answer == "empty":
            posts, tick = attempt.hand[1:]
            empty = NotFound(posts=posts, asked_at=at(self.ticks[tick]).timestamp())
            world, weighed = self.decide(world, book.assess_not_found, now, self.times(world), empty)
            counts = posts or world.restored >= 0
            if isinstance(weighed.answer, NotFound) and weighed.answer.may_post and counts:
                world = world._replace(evidence=tuple(sorted({**dict(world.evidence), posts: tick}.items())))
        else:
            world, heard = self.decide(world, book.record_response, now, SAYS[answer])
            if isinstance(heard, InDoubt):
                world, _ = self.decide(world, book.carrier_gave_up, now, heard)
        yield f"hears {answer}", world

    def _burn(self, world: World, attempt: Attempt) -> Moves:
        if attempt.step == "send":
            for words, after, answer in _arrives(world, "cancel", None, self.now(world)):
                yield words, _with(after, "burn", "record_response", answer)
            for fault in self._fault(world):
                yield "the cancel is late or lost", fault._replace(late=(*fault.late, ("cancel", None)))
        else:
            answer = attempt.hand[0]
            yield f"hears {answer}", self.decide(world, book.record_response, self.now(world), SAYS[answer])[0]

    def _refund(self, world: World, attempt: Attempt) -> Moves:
        """Ask first unless the intent is fresh; a new number only from one that was seen `CLOSED` twice."""
        now, number = self.now(world), attempt.hand[0]
        if attempt.step == "ask":
            if world.restored >= 0:
                world = world._replace(asked_for=tuple(sorted({*world.asked_for, number})))
            yield "asks", _with(world, "refund", "asked", number, world.provider[number - 1])
        elif attempt.step == "asked":
            yield from self._refund_asked(world, attempt)
        elif attempt.step == "leave":
            world, leaves = self.decide(world, book.mark_refund_sent, now, number)
            yield f"leaves: {leaves}", _with(world, "refund", "send", number) if leaves else world
        elif attempt.step == "send":
            _hold("R4", self.entries[world.row].fact in ("refused", "burnt") and not world.sold)
            _hold("A9 refund", world.restored < 0 or number in world.asked_for)
            for words, after, answer in _arrives(world, "refund", number, self.now(world)):
                yield words, _with(after, "refund", "record_response", answer)
            for fault in self._fault(world):
                late = fault._replace(late=(*fault.late, ("refund", number)))
                yield "the refund is late or lost", _with(late, "refund", "record_response", "nothing")
        else:
            answer = attempt.hand[0]
            yield f"hears {answer}", self.decide(world, book.record_refund_response, now, PROVIDER_SAYS[answer])[0]

    def _refund_asked(self, world: World, attempt: Attempt) -> Moves:
        now, number = self.now(world), attempt.hand[0]
        world, heard = self.decide(world, book.record_refund_response, now, PROVIDER_SAYS[attempt.hand[1]])
        if isinstance(heard, RefundClosed) and world.closed < number:
            yield "sees CLOSED", world._replace(closed=number)
            return
        if isinstance(heard, RefundClosed):
            world, number = self.decide(world, book.close_refund_number, number)
            if world.restored >= 0 and self.mode and number <= MOST_REFUND_NUMBERS:
                yield "goes on to the next number", _with(world, "refund", "ask", number)
                return
        if isinstance(heard, RefundClosed | RefundUnknown) and number <= MOST_REFUND_NUMBERS:
            world = _with(world, "refund", "leave", number)
        yield f"hears {heard.kind}", world

    def _fault(self, world: World) -> Iterator[World]:
        if world.faults < self.faults:
            yield world._replace(faults=world.faults + 1)

    # --- operators: what they say is true when they say it ----------------------------------------------------------

    def _operators(self, world: World) -> Moves:
        now, entry = self.now(world), self.entries[world.row]
        words: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
        if not entry.cancel_reason:
            words.append(("cancel", book.request_cancel, (book.CANCELLED,)))
        if world.sold:
            words.append(("delivered", book.resolve_delivered, (now,)))
        elif not entry.resolution_note and world.carrier in ("in flight", "hangs"):  # elsewhere it is a cancel
            note = f"{REFERENCE} is given up" if world.carrier == "hangs" else "not delivered so far"
            words.append(("not delivered", book.request_cancel, (book.RESOLVED_BY_OPERATOR, note)))
        for name, rule, arguments in words:
            after, _ = self.decide(world, rule, *arguments)
            if after.row != world.row:
                yield f"operator: {name}", after
        on_its_way = any(kind == "refund" for kind, _ in world.late) or any(
            attempt.kind == "refund" and attempt.step == "send" for attempt in world.attempts
        )
        if not entry.refund_word and not on_its_way and not {"processing", "success"} & set(world.provider):
            after, refusal = self.decide(world, book.resolve_refunded, "bank transfer")
            if not refusal:
                yield "operator: paid by bank", after._replace(bank=world.bank + 1)


def _grant_refund_restored(entry: OrderState, now: datetime) -> Any:
    return book.authorize_refund(entry, now, restored=True)


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
