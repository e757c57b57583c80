"""The cases of the crash matrix, as data: which order, which point of its way, which fault."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from devkit.audit.books import End
from tests.reliability.crashing_process import Fault, When

Hand = Literal["", "cancel", "resolve"]
Thaw = Literal["taken over", "settled", "soon"]

REFUSED: Mapping[str, Any] = {"kind": "refuse", "code": "SIM_SUSPENDED"}
HOLD_SECONDS = 1.0
"""How long a simulator holds the request in whose middle the fault fires; below the longest latency of every scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One kind of order: what the outside world does to it, and the points that its way passes.

    Attributes:
        scale: `TOPUP_TIME_SCALE`; large enough that a crash (10 s until Temporal gives the task to another worker)
            leaves time for what this story is about, small enough to be quick.
        end: what it must come to; `either` where the crash may take so long that the order is burnt instead.
        points: point → the passings at which faults fire.
        faults: which faults fire there; all that make sense, if not given.
    """

    name: str
    says: str
    scale: float
    end: End
    points: Mapping[str, Sequence[int]]
    provider: str = "wechat"
    carrier: Sequence[Mapping[str, Any]] = ()
    refund: Sequence[Mapping[str, Any]] = ()
    hand: Hand = ""
    away: bool = False
    faults: Sequence[tuple[Fault, When]] = ()


ONCE = (1,)
STORIES: tuple[Story, ...] = (
    Story(
        name="delivered",
        says="nothing else goes wrong",
        scale=0.3,  # a machine that takes 70 s to go on still finds the POST allowed
        end="delivered",
        points=dict.fromkeys(
            ("book:post_intent", "carrier:post", "book:post", "book:settle", "book:notice_delivered", "mqtt:delivered"),
            ONCE,
        ),
    ),
    Story(
        name="slow",
        says="the carrier takes 40 s, then sells",
        scale=0.1,
        end="delivered",
        carrier=({"kind": "delay", "seconds": 4},),
        points=dict.fromkeys(("book:status", "carrier:get", "book:post"), ONCE),
    ),
    Story(
        name="burnt under a zombie",
        says="frozen between its right to POST and the POST; thawed when the order is burnt and refunded",
        scale=0.02,
        end="refunded",
        points={"carrier:post": ONCE},
        faults=(("stop", "before"),),
    ),
    Story(
        name="doubted",
        says="the carrier sells and says 500",
        scale=0.1,
        end="delivered",
        carrier=({"kind": "error"},),
        points=dict.fromkeys(("book:status", "carrier:get", "book:query"), ONCE),
    ),
    Story(
        name="posted again",
        says="the carrier says 500 and did nothing: GET, then the same body again",
        scale=0.15,
        end="delivered",
        carrier=({"kind": "error", "act": False},),
        points={
            "carrier:get": ONCE,
            "book:query": ONCE,
            "book:post_intent": (2,),
            "carrier:post": (2,),
            "book:post": (2,),
        },
    ),
    Story(
        name="not reached",
        says="no connection to the carrier is made at first",
        scale=0.1,
        end="delivered",
        away=True,
        points=dict.fromkeys(("book:post_not_sent",), ONCE),
    ),
    Story(
        name="refunded by WeChat",
        says="the carrier refuses",
        scale=0.05,
        end="refunded",
        carrier=(REFUSED,),
        points=dict.fromkeys(
            (
                "book:refund_intent",
                "book:refund_send",
                "refund:send",
                "book:refund_answer",
                "refund:ask",
                "book:refund_query",
                "book:notice_failed",
                "mqtt:failed",
                "book:notice_refunded",
                "mqtt:refunded",
                "book:settle",
            ),
            ONCE,
        ),
    ),
    Story(
        name="refunded by Alipay",
        says="the carrier refuses",
        scale=0.05,
        end="refunded",
        provider="alipay",
        carrier=(REFUSED,),
        points=dict.fromkeys(
            ("book:post", "book:refund_intent", "book:refund_send", "refund:send", "book:refund_answer", "refund:ask"),
            ONCE,
        ),
    ),
    Story(
        name="refund closed",
        says="WeChat Pay closes the first refund number; a second follows",
        scale=0.05,
        end="refunded",
        carrier=(REFUSED,),
        refund=({"kind": "closed"},),
        points={"book:refund_number": ONCE, "book:refund_send": (2,), "refund:send": (2,)},
    ),
    Story(
        name="burnt",
        says="the carrier never acts: the serial is burnt, then refunded",
        scale=0.02,
        end="refunded",
        provider="alipay",
        carrier=({"kind": "error", "act": False, "times": -1},),
        points=dict.fromkeys(("book:burn_intent", "carrier:cancel", "book:burn", "book:refund_intent"), ONCE),
    ),
    Story(
        name="cancelled",
        says="cancelled while in doubt; the carrier never acts",
        scale=0.02,
        end="refunded",
        carrier=({"kind": "error", "act": False, "times": -1},),
        hand="cancel",
        points=dict.fromkeys(("book:cancel_requested", "book:burn_intent", "carrier:cancel", "book:burn"), ONCE),
    ),
    Story(
        name="given up",
        says="the carrier never ends it; an operator records its word, with the reference",
        scale=0.05,
        end="refunded",
        carrier=({"kind": "async", "state": "inProgress", "then": "never"},),
        hand="resolve",
        points={"book:resolve": ONCE, "book:query": (2,)},
    ),
)
BY_NAME: Mapping[str, Story] = {story.name: story for story in STORIES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One order with one fault in its way."""

    story: Story
    point: str
    when: When
    fault: Fault
    passing: int = 1
    seed: int = 1
    scale: float = 0.1
    thaw: Thaw = "settled"
    acts_late: bool = False
    """For the middle of a request: the other side acts after the fault, not before."""
    on_postgres: bool = False
    then: str = ""
    """The point after whose first passing by the next process that one is killed too, if it comes there."""

    @property
    def name(self) -> str:
        """Readable, and the same for the same case."""
        again = f"#{self.passing}" if self.passing > 1 else ""
        then = f", then after {self.then}" if self.then else ""
        return f"{self.story.name} / {self.fault} {self.when} {self.point}{again}{then} / seed {self.seed}"

    @property
    def end(self) -> End:
        """What must come of it."""
        slow_enough = self.scale >= self.story.scale and self.fault != "stop" and not self.then
        return self.story.end if self.story.end == "refunded" or slow_enough else "either"

    @property
    def is_http(self) -> bool:
        """Whether the fault sits in a request over HTTP."""
        return self.point.startswith(("carrier:", "refund:"))


PAIRS_PER_STORY = 3


def full(seed: int) -> list[Case]:
    """Each boundary and each middle × each fault that makes sense there; and some pairs of kills."""
    singles = [planned(case, seed) for story in STORIES for case in _cases(story)]
    return singles + [pair for story in STORIES for pair in _pairs(story, seed)]


def _pairs(story: Story, seed: int) -> Iterator[Case]:
    """Killed at one point, and the next process again at the same one or at a later one."""
    draw = random.Random(f"{seed} {story.name}")
    points = list(story.points)
    for number in range(0 if story.faults else PAIRS_PER_STORY):
        first = draw.randrange(len(points))
        then = draw.choice(points[first:])
        case = Case(story=story, point=points[first], when="after", fault="kill", then=then)
        passing = draw.choice(story.points[points[first]])
        yield replace(planned(case, seed), passing=passing, scale=max(story.scale, 0.02 * (number + 1)))


def _cases(story: Story) -> Iterator[Case]:
    for point, passings in story.points.items():
        for passing in passings:
            for fault, when in story.faults or _faults(point):
                yield Case(story=story, point=point, when=when, fault=fault, passing=passing)


def _faults(point: str) -> Iterator[tuple[Fault, When]]:
    for when in ("before", "middle", "after"):
        yield "kill", when
    yield "lost", "after"
    if point.startswith(("carrier:", "refund:")):
        yield "term", "middle"
    yield "stop", "before"
    yield "stop", "after"
    if not point.startswith("mqtt:"):
        yield "stop", "middle"


def planned(case: Case, seed: int) -> Case:
    """The case under a seed: seed 1 has the story's own scale, later ones draw the circumstances."""
    draw = random.Random(f"{seed} {case.name}")
    return replace(
        case,
        seed=seed,
        scale=case.story.scale if seed == 1 or case.story.faults else draw.choice((0.02, 0.05, 0.1, case.story.scale)),
        thaw=_thaw(case, draw),
        acts_late=draw.random() < 0.5,
        on_postgres=draw.random() < 0.2,
    )


def _thaw(case: Case, draw: random.Random) -> Thaw:
    if case.story.faults:
        return "settled"
    return "soon" if _holds_a_lock(case) else draw.choice(("taken over", "settled"))


def _holds_a_lock(case: Case) -> bool:
    """Frozen within a transaction: nobody gets past it until it is thawed."""
    return case.fault == "stop" and case.when == "middle" and case.point.startswith("book:")
