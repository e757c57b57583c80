"""The order's row: what `next_step` says of it, and what a rule makes of it in one transaction."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from orders import carrier_rules, lifecycle, next_step
from orders.carrier_rules import PostAuthorized
from orders.next_step import NextStep
from orders.state import CANCELLED, CarrierTimes, OrderState
from tests.orders.exploration.world import Broken, World, hold
from tests.orders.states import START, at

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


class Book:
    """The row as it is in each world, by the rules that are in `orders` at this moment (a test may have changed one).

    Args:
        faults: how many faults a path may have.
        mode: whether the rules are told of a restore.
        times: the carrier's; `ticks` lie on both sides of what follows from them.
        ticks: the moments at which things happen, in seconds.
    """

    def __init__(self, *, faults: int, mode: bool, times: CarrierTimes, ticks: tuple[int, ...]) -> None:
        self.faults = faults
        self.mode = mode
        self.ticks = ticks
        self._times = replace(times, refund_again_after=timedelta(0))
        self._hidden = times.longest_latency + times.visibility_lag
        self.states: list[OrderState] = []
        self.rights: list[PostAuthorized] = []
        self._rows: dict[OrderState, int] = {}
        self._decided: dict[Any, tuple[int, Any]] = {}
        self._next: dict[Any, NextStep] = {}

    def now(self, world: World) -> datetime:
        """The moment of a state."""
        return at(self.ticks[world.tick])

    def times(self, world: World) -> CarrierTimes:
        """What the rules know of carrier and restore."""
        if world.restored < 0 or not self.mode:
            return self._times
        return replace(self._times, restored_at=at(self.ticks[world.restored]))

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
            hold("B5 a fact stays", before.carrier_outcome in (None, after.carrier_outcome))
            hold("B5 an end stays", before.outcome is None or before == after)
            legal = before.status == after.status or after.status in lifecycle.TRANSITIONS[before.status]
            hold(f"N2 {before.status} to {after.status} by {getattr(rule, '__name__', rule)}", legal)
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

    def _fault(self, world: World) -> Iterator[World]:
        if world.faults < self.faults:
            yield world._replace(faults=world.faults + 1)
