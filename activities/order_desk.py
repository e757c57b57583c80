"""What every step of an order shares: run a rule on its row, call a person where one is needed, say what is next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from activities.call_gate import Gate, OpenGate
from activities.context import Alert, Journal, is_local, quiet, raise_retryable
from activities.ports import Book, StoredOrder
from orders import carrier_rules, four_eyes, operator_rules
from orders.clock import Clock
from orders.foreign_runs import note_own_run
from orders.identities import goodwill_of
from orders.milestones import ending, milestones
from orders.next_step import AskPerson, QueryCarrier, QueryRefund, SendRefund, left_by, next_step
from orders.paid_order import unix_seconds
from orders.state import CarrierTimes, OrderState
from orders.time_scale import SHORTEST_SECONDS, scaled
from workflows.policies import (
    PARK_AFTER_SECONDS,
    REFUND_SILENT_AFTER_SECONDS,
    look_pace_seconds,
    parked_pace_seconds,
    refund_pace_seconds,
)
from workflows.steps import OrderRequest, Progress

T = TypeVar("T")
ENDS: Final = "settle"
"""The trail's line of an order's end."""

Rule = Callable[[StoredOrder, datetime], tuple[OrderState, T]]
"""A rule of `orders` on the row as it is in the transaction, and its moment."""


@dataclass(frozen=True, slots=True)
class Decided(Generic[T]):
    """What a rule has answered, and the row after it."""

    answer: T
    state: OrderState
    progress: Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDesk:
    """The order book as the steps use it.

    Attributes:
        times: what the rules need to know of the carrier.
        scale: `TOPUP_TIME_SCALE`.
        platforms: the configured MQTT platforms; enters each run with a step's result.
        local_first: whether steps are tried locally first; likewise.
        four_eyes: whether `resolve` and `refund_now` wait for a second operator's same word.
        gate: whether a call may leave now.
        journal: hears of each step that an order has taken.
        refund_silent_seconds: after how long a refund that is not confirmed calls a person; scaled, None: the policy's.
    """

    book: Book
    clock: Clock
    alert: Alert
    times: CarrierTimes
    scale: float
    platforms: tuple[str, ...] = ()
    local_first: bool = True
    four_eyes: bool = False
    refund_silent_seconds: float | None = None
    gate: Gate = field(default_factory=OpenGate)
    journal: Journal = quiet

    async def decide(
        self,
        order_id: str,
        rule: Rule[T],
        *,
        kind: str,
        detail: Callable[[T], Mapping[str, Any]] = lambda _: {},
        wait_at_least_seconds: float = 0.0,
    ) -> Decided[T]:
        """Run a rule as one compare-and-set. Where its outcome needs a person, one is called with it."""
        found: StoredOrder | None = None

        def run(stored: StoredOrder) -> tuple[OrderState, tuple[T, OrderState, bool]]:
            nonlocal found
            found = stored
            now = self.clock.now()
            after, answer = rule(stored, now)
            after, _ = note_own_run(after)  # a step of its own run asks
            after = carrier_rules.call_if_needed(after, now, self.times)
            if not stored.state.attention:  # who has just been freed is not called for again at once
                after = self._call_if_silent(after, now)
            called = bool(after.attention) and after.attention != stored.state.attention
            return after, (answer, after, called)

        def shown(decided: tuple[T, OrderState, bool]) -> Mapping[str, Any]:
            answer, after, called = decided
            return {**detail(answer), **({"calls_for": after.attention} if called else {})}

        answer, after, called = await self.book.decide(order_id, run, kind=kind, detail=shown)
        if found is not None:
            self._say(found, after, ends=kind == ENDS)
        if called:
            self.alert("order_needs_operator", order_id=order_id, why=after.reason)
        progress = self.progress(after, wait_at_least_seconds=wait_at_least_seconds)
        return Decided(answer, after, progress)

    def _call_if_silent(self, state: OrderState, now: datetime) -> OrderState:
        silent_seconds = self.refund_silent_seconds
        if silent_seconds is None:
            silent_seconds = scaled(REFUND_SILENT_AFTER_SECONDS, self.scale)
        return operator_rules.call_if_silent(
            state,
            now,
            carrier_after=timedelta(seconds=scaled(PARK_AFTER_SECONDS, self.scale)),
            refund_after=timedelta(seconds=silent_seconds),
            refund_words=operator_rules.refund_silent_for(silent_seconds / self.scale),
        )

    def _say(self, stored: StoredOrder, after: OrderState, *, ends: bool) -> None:
        goodwill = goodwill_of(stored.order_id)
        said = list(milestones(stored.state, after))
        if ends and stored.state.outcome is not None:
            # Whoever wrote the end may have been cut off before it was said: after a lost answer, this is the word.
            said.append(("settled_before", ending(after)))
        for event, fields in said:
            if goodwill is not None:  # the order's own end was told before, and stays what it is
                self.journal(f"goodwill_{event}", goodwill[0], goodwill=goodwill[1], **fields)
                continue
            if event.startswith("settled") and after.settled_at is not None and stored.unreadable is None:
                paid_at_seconds = unix_seconds(stored.order.payment.paid_at)
                fields["paid_to_settled_seconds"] = round(after.settled_at.timestamp() - paid_at_seconds, 3)
            self.journal(event, after.order_id, **fields)

    async def read(self, order_id: str) -> Decided[StoredOrder]:
        """Where the order stands now."""
        stored = await self.book.read(order_id)
        return Decided(stored, stored.state, self.progress(stored.state))

    def progress(self, state: OrderState, *, wait_at_least_seconds: float = 0.0) -> Progress:
        """What a step returns of the order: where it stands, what is next and when."""
        now = self.clock.now()
        step = next_step(state, now, self.times)
        return Progress(
            next=step,
            status=state.status,
            reason=state.shown_reason,
            attention=state.attention,
            wait_seconds=max(self._wait_seconds(state, step, now), wait_at_least_seconds),
            carrier_outcome=state.carrier_outcome or "",
            carrier_order_id=state.carrier_order_id,
            contradicted=state.contradicted,
            refund_started=state.refund_sequence > 0,
            refund_denied=bool(state.refund_denied),
            paid_another_way=bool(state.paid_another_way),
            proposal=four_eyes.open_proposal(state, now) if self.four_eyes else "",
            platforms=self.platforms,
            local_first=self.local_first,
            refund_silent_seconds=self.refund_silent_seconds,
        )

    def _wait_seconds(self, state: OrderState, step: object, now: datetime) -> float:
        """How long to wait before the step: the pace of what is asked again grows with the order's age."""
        age = (now - (state.last_post_at or state.claimed_at)).total_seconds()
        match step:
            case QueryCarrier(listening=True):
                left = (left_by(state, self.times) + self.times.listens_for - now).total_seconds()
                return max(min(look_pace_seconds(age, self.scale), left), SHORTEST_SECONDS)
            case QueryCarrier(not_before=not_before):
                return self._until(not_before, now, at_most=look_pace_seconds(age, self.scale))
            case AskPerson(not_delivered_from=not_before):
                return self._until(not_before, now, at_most=parked_pace_seconds(age, self.scale))
            case SendRefund() | QueryRefund():
                # What waits for a person is asked about ever more rarely; what was just sent is looked for soon.
                since = state.refund_at if state.attention else state.refund_sent_at
                return refund_pace_seconds(0.0 if since is None else (now - since).total_seconds(), self.scale)
            case _:
                return 0.0

    def _until(self, moment: datetime | None, now: datetime, *, at_most: float) -> float:
        if moment is None or moment <= now:
            return at_most
        return min(at_most, max((moment - now).total_seconds(), SHORTEST_SECONDS))


def unless_seen(request: OrderRequest, decided: Decided[Any], kind: str, why: str) -> Progress:
    """The result, where the run doesn't know it yet; else this attempt fails, and the engine tries again in time.

    So the waiting is the engine's, and a run's history grows only when there is something new.
    """
    progress = decided.progress
    if not is_local() and progress.mark == request.seen:
        # A step without a pace of its own (a burn that had no answer) is tried again by its policy.
        after_seconds = progress.wait_seconds or None
        raise_retryable(kind, why or progress.reason or "Nothing new yet.", after_seconds=after_seconds)
    return progress
