"""Plans, played until a rule breaks or the number is reached: what the tests and the command share."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.properties.fast import play
from tests.properties.oracle import Tally
from tests.properties.strategies import Plan, plans


@dataclass
class Found:
    """What a search has seen.

    Attributes:
        examples: plans played.
        plan: the first that broke a rule.
        broken: the rules that it broke, and how.
        story: its log.
        tally: how often each rule was checked.
        seed: whose plans they were.
        seconds: how long it took.
    """

    examples: int = 0
    plan: Plan | None = None
    broken: list[str] = field(default_factory=list[str])
    story: list[str] = field(default_factory=list[str])
    tally: Tally = field(default_factory=Tally)
    seed: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return "\n".join([*self.broken[:5], repr(self.plan), *self.story[-150:]])


_ANY_HEALTH: Any = list(HealthCheck)  # its metaclass hides the element type


class _Enough(BaseException):
    """Found, or out of time: passes through Hypothesis, which would look for a simpler plan."""


def drawn(seed_number: int, examples: int, take: Callable[[Plan], None]) -> None:
    """Hand over `examples` plans, the same ones for the same seed."""

    @seed(seed_number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=_ANY_HEALTH,
        print_blob=False,
    )
    @given(plans)
    def each(plan: Plan) -> None:
        take(plan)

    each()


def alone(plan: Plan) -> Found:
    """One plan's verdict."""
    judge = play(plan)
    return Found(1, plan if judge.broken else None, judge.broken, judge.log, judge.tally)


def search(
    seed_number: int, examples: int, *, until: float | None = None, say: Callable[[Found], None] | None = None
) -> Found:
    """Play plans until one breaks a rule, `examples` are played, or the clock (monotonic) says `until`."""
    found = Found()
    began = time.perf_counter()

    def take(plan: Plan) -> None:
        judge = play(plan)
        found.examples += 1
        found.tally.add(judge.tally)
        found.seconds = time.perf_counter() - began
        if say is not None:
            say(found)
        if judge.broken:
            found.plan, found.broken, found.story = plan, judge.broken, judge.log
            raise _Enough
        if until is not None and time.monotonic() > until:
            raise _Enough

    with contextlib.suppress(_Enough):
        drawn(seed_number, examples, take)
    return found
