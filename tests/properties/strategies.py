"""What happens to one paid order, as data: how each call goes, what the other side makes of it, who does what when.

A plan is drawn whole before it is played, so that it prints, shrinks and replays; past its end everything goes well.
"""

from dataclasses import dataclass, replace
from typing import Literal

from hypothesis import strategies as st

LATENCY_SECONDS = 60.0
LAG_SECONDS = 15.0
WINDOW_SECONDS = 300.0
"""The carrier's times, as contracts §4 has them by default."""

Reach = Literal["arrives", "lost", "late", "away"]
Answer = Literal["tells", "lost", "500", "429", "401", "404", "409", "malformed"]


@dataclass(frozen=True)
class Call:
    """How one request to the other side goes.

    Attributes:
        reach: it arrives, never does, arrives `late_seconds` later (and its sender hears nothing), or there was no
            connection.
        acts: whether the other side does what it is asked; if not, it answers an error.
        answer: what comes back, `seconds` after the request left.
        blind: it is answered by a node that has not seen what others took in up to the visibility lag ago.
    """

    reach: Reach = "arrives"
    late_seconds: float = 0.0
    acts: bool = True
    answer: Answer = "tells"
    seconds: float = 0.1
    blind: bool = False


@dataclass(frozen=True)
class Fate:
    """What the carrier makes of an order it has taken in: `first` at once, `then` after `seconds`.

    `hangs` never ends; `breaks_word` sells later what was refused or burnt, which no product can survive unharmed.
    """

    first: Literal["completed", "inProgress", "rejected", "failed", "partial"] = "completed"
    then: Literal["completed", "rejected", "failed", "partial", "hangs"] = "completed"
    seconds: float = 30.0
    breaks_word: float = 0.0


@dataclass(frozen=True)
class RefundFate:
    """What becomes of a refund number that the provider has taken in: PROCESSING, then `then` after `seconds`."""

    then: Literal["SUCCESS", "CLOSED", "ABNORMAL"] = "SUCCESS"
    seconds: float = 20.0


@dataclass(frozen=True)
class Fault:
    """What happens to the attempt that comes to a boundary for the `nth` time.

    Attributes:
        what: it dies there; it freezes for `seconds`; its whole worker dies or freezes; the order book can't be
            reached (`before`), or its commit's answer is lost (`after`).
    """

    at: str
    nth: int
    what: Literal["die", "freeze", "kill worker", "freeze worker", "no book"]
    seconds: float = 0.0


HANDS = (
    "cancel",
    "terminate",
    "sweep",
    "reopen",
    "delete",
    "reset to start",
    "reset to last",
    "retry_now",
    "refund_now",
    "renotify",
    "not delivered",
    "not delivered, reference",
    "delivered",
    "refunded",
    "record again",
    "conflicting record",
    "payment under another order",
)


@dataclass(frozen=True)
class Hand:
    """What a person or the bridge does: `wait` seconds after the hand before, or as soon as `at` is come to."""

    what: str
    wait: float = 0.0
    at: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything that is open about one order's story."""

    local_first: bool = True
    fate: Fate = Fate()
    posts: tuple[Call, ...] = ()
    gets: tuple[Call, ...] = ()
    burns: tuple[Call, ...] = ()
    refunds: tuple[Call, ...] = ()
    refund_queries: tuple[Call, ...] = ()
    refund_fates: tuple[RefundFate, ...] = ()
    denied: bool = False
    """The provider refuses the refund for good, in the answer to its sending."""
    no_balance_seconds: float = 0.0
    legacy: Literal["up", "down", "hung", "refusing"] = "up"
    faults: tuple[Fault, ...] = ()
    hands: tuple[Hand, ...] = ()


_BOOKED = (
    "post_intent",
    "post",
    "query",
    "burn_intent",
    "burn",
    "refund_intent",
    "refund_send",
    "refund_answer",
    "refund_query",
    "refund_number",
    "post_not_sent",
    "settle",
    "status",
    "cancel_requested",
    "resolve",
    "retry_now",
    "read",
)
_CALLED = ("POST", "GET", "CANCEL", "REFUND", "REFUND QUERY", "PUBLISH")
BOUNDARIES = tuple(f"{side} {what}" for what in (*_CALLED, *_BOOKED) for side in ("before", "after"))

_waits = st.sampled_from([0.0, 0.5, 2.5, 16.0, 40.0, 61.0, 76.0, 241.0, 300.0, 316.0, 400.0, 700.0])
_late = st.sampled_from([1.0, 30.0, 59.0, 76.0, 240.0, 290.0, 310.0, 330.0, 500.0])
_slow = st.sampled_from([0.1, 1.0, 1.6, 5.0, 40.0, 58.0])


def _calls(*answers: Answer, most: int) -> st.SearchStrategy[tuple[Call, ...]]:
    call = st.one_of(
        st.just(Call()),
        st.builds(Call, answer=st.sampled_from(answers), acts=st.booleans(), seconds=_slow, blind=st.booleans()),
        st.builds(Call, reach=st.sampled_from(["lost", "away"])),
        st.builds(Call, reach=st.just("late"), late_seconds=_late),
        st.builds(Call, answer=st.just("lost")),
        st.builds(Call, blind=st.just(True)),
    )
    return st.lists(call, max_size=most).map(tuple)


_fates = st.one_of(
    st.just(Fate()),
    st.builds(Fate, first=st.sampled_from(["rejected", "failed"])),
    st.builds(
        Fate,
        first=st.sampled_from(["inProgress", "partial"]),
        then=st.sampled_from(["completed", "rejected", "failed", "partial", "hangs"]),
        seconds=_waits,
    ),
    st.builds(Fate, first=st.just("rejected"), breaks_word=st.sampled_from([0.0, 0.0, 5.0, 100.0])),
)
_refund_fates = st.builds(
    RefundFate, then=st.sampled_from(["SUCCESS", "CLOSED", "ABNORMAL"]), seconds=st.sampled_from([0.0, 20.0, 4000.0])
)
_MONEY = (
    "before read",
    "before post_intent",
    "after post_intent",
    "before POST",
    "after POST",
    "after GET",
    "after query",
    "before post_not_sent",
    "before refund_intent",
    "before refund_send",
    "before REFUND",
    "after REFUND QUERY",
)
"""Where an accident is most likely to meet money: half of them happen here."""
_where = st.one_of(st.sampled_from(_MONEY), st.sampled_from(BOUNDARIES))
_long = st.sampled_from([1.0, 3.0, 20.0, 76.0, 100.0, 250.0, 320.0, 1000.0, 5000.0])
_faults = st.builds(
    Fault,
    at=_where,
    nth=st.sampled_from([1, 1, 2, 3]),
    what=st.sampled_from(["die", "freeze", "freeze", "no book", "kill worker", "freeze worker"]),
    seconds=_long,
)
_hands = st.builds(Hand, what=st.sampled_from(HANDS), wait=_waits, at=st.one_of(st.just(""), _where))

_any = st.builds(
    Plan,
    local_first=st.booleans(),
    fate=_fates,
    posts=_calls("tells", "lost", "500", "429", "401", "404", "409", "malformed", most=3),
    gets=_calls("tells", "lost", "500", "429", "404", "malformed", most=4),
    burns=_calls("tells", "lost", "500", "409", "malformed", most=2),
    refunds=_calls("tells", "lost", "500", "429", most=3),
    refund_queries=_calls("tells", "lost", "500", "429", most=3),
    refund_fates=st.lists(_refund_fates, max_size=3).map(tuple),
    denied=st.sampled_from([False, False, False, True]),
    no_balance_seconds=st.sampled_from([0.0, 0.0, 50.0, 4000.0]),
    legacy=st.sampled_from(["up", "up", "down", "hung", "refusing"]),
    faults=st.lists(_faults, max_size=3).map(tuple),
    hands=st.lists(_hands, max_size=4).map(tuple),
)


_FREEZES: list[Literal["freeze", "freeze worker"]] = ["freeze", "freeze worker"]
_RUN_LOST: list[tuple[Hand, ...]] = [(), (Hand("terminate", wait=2.5), Hand("reopen", wait=0.5))]


def _with_frozen_post(plan: Plan, fault: Fault, hand: Hand) -> Plan:
    return replace(plan, faults=(fault, *plan.faults[:1]), hands=(hand, *plan.hands[:2]))


def _with_early_cancel(plan: Plan, at: str) -> Plan:
    return replace(plan, hands=(Hand("cancel", at=at), *plan.hands[:2]))


def _with_broken_word(plan: Plan, seconds: float, call: Call, fault: Fault) -> Plan:
    fate = Fate(first="rejected", breaks_word=seconds)
    return replace(plan, fate=fate, posts=(call,), faults=(fault, *plan.faults[:1]))


def _with_late_refund(plan: Plan, fault: Fault, hands: tuple[Hand, ...]) -> Plan:
    faults = (fault, *plan.faults[:1])
    return replace(plan, fate=Fate(first="failed"), posts=(), faults=faults, hands=(*hands, *plan.hands[:2]))


def _with_not_sent(plan: Plan, what: Literal["freeze", "freeze worker"], seconds: float) -> Plan:
    faults = (Fault("before post_not_sent", 1, what, seconds), *plan.faults[:1])
    return replace(plan, posts=(Call(reach="away"), *plan.posts[:2]), faults=faults)


def _with_refusal_taken_back(plan: Plan, broken_after: float) -> Plan:
    return replace(
        plan,
        local_first=False,
        fate=Fate(first="rejected", breaks_word=broken_after),
        posts=(Call(answer="500"),),
        gets=(),
        faults=(
            Fault("before GET", 1, "freeze", 100.0),
            Fault("before refund_intent", 1, "freeze", 200.0),
            Fault("before refund_intent", 2, "freeze", 200.0),
        ),
    )


_frozen_post = st.builds(
    _with_frozen_post,
    _any,
    st.builds(
        Fault,
        at=st.sampled_from(["after post_intent", "before POST", "before post_not_sent"]),
        nth=st.just(1),
        what=st.sampled_from(["freeze", "freeze worker"]),
        seconds=st.sampled_from([20.0, 100.0, 250.0, 320.0]),
    ),
    st.builds(Hand, what=st.sampled_from(["terminate", "cancel", "record again"]), wait=st.sampled_from([0.5, 16.0])),
)
"""A right to POST in the hands of an attempt that is away while others go on."""
_early_cancel = st.builds(
    _with_early_cancel,
    _any,
    st.sampled_from(["before read", "after read", "before post_intent"]),
)
_broken_word = st.builds(
    _with_broken_word,
    _any,
    st.sampled_from([1.0, 5.0, 40.0]),
    st.sampled_from([Call(answer="lost"), Call(seconds=58.0), Call()]),
    st.builds(
        Fault,
        at=st.sampled_from(["before settle", "before refund_intent", "after post", "after GET", "before query"]),
        nth=st.sampled_from([1, 2]),
        what=st.sampled_from(["freeze", "freeze worker", "kill worker", "die"]),
        seconds=st.sampled_from([3.0, 76.0, 250.0]),
    ),
)
"""A carrier that sells what it has refused, heard before the refund starts, or after."""
_late_refund = st.builds(
    _with_late_refund,
    _any,
    st.builds(
        Fault,
        at=st.sampled_from(["after refund_intent", "before refund_send", "before REFUND", "after REFUND QUERY"]),
        nth=st.sampled_from([1, 2]),
        what=st.sampled_from(["freeze", "freeze worker"]),
        seconds=st.sampled_from([100.0, 1000.0, 5000.0]),
    ),
    st.sampled_from(_RUN_LOST),
)
"""A refund in the hands of an attempt that is away while others go on."""

_not_sent = st.builds(
    _with_not_sent,
    _any,
    st.sampled_from(_FREEZES),
    st.sampled_from([76.0, 100.0, 250.0]),
)
"""A right that is given back late, when another may have been taken."""
_taken_back = st.builds(
    _with_refusal_taken_back,
    _any,
    st.sampled_from([85.0, 90.0, 95.0]),
)
"""A refusal that the carrier takes back while the refund waits to begin."""

plans: st.SearchStrategy[Plan] = st.one_of(
    _any, _any, _any, _frozen_post, _early_cancel, _broken_word, _late_refund, _not_sent, _taken_back
)
"""Any plan, and in part plans around the moments that have cost money in the protocol's model."""
