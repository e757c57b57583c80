"""Mistakes of the run, in what it takes from the book, and around the money: notices, cancels, sweep, claims, trail."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false
# Mistakes are made inside the product's parts, whatever their types are.

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import activities.notifying
import activities.order_desk
import activities.telecom
from activities.reopening import Reopened, Reopening
from adapters.order_book import claims
from adapters.order_book.book import Claim, ClaimResult
from tests import mistakes
from tests.properties import oracle
from tests.properties.mutants.mutant import Patch, mutant
from tests.properties.strategies import Plan
from workflows import steps
from workflows.steps import Progress, TopUpResult
from workflows.top_up_order import TopUpOrder


@mutant("a run that ignores what is next", oracle.SOUND, oracle.ENDS)
def _ignores_next(patch: Patch) -> None:
    async def saga(self: Any) -> TopUpResult:
        for step in (steps.PLACE, steps.QUERY, steps.RECORD_ORDER):
            await self._take(step)
        progress = self._view.progress
        outcome = "refunded" if progress.refund_started else "delivered"
        await self._tell(outcome, progress.platforms)
        return TopUpResult(order_id=self._order.order_id, outcome=outcome, reason="", notices={})

    patch.setattr(TopUpOrder, "_saga", saga)


@mutant("what a run has seen never differs", oracle.ENDS)
def _nothing_new(patch: Patch) -> None:
    patch.setattr(Progress, "mark", property(lambda _self: ""))


@mutant("failed is told before the refund starts", oracle.NOTICES)
def _failed_early(patch: Patch) -> None:
    real = TopUpOrder._go_by
    compose = activities.notifying._compose

    def go_by(self: Any, progress: Any) -> Any:
        refused = progress.carrier_outcome in ("rejected", "cancelled")
        real(self, progress.model_copy(update={"refund_started": refused}))
        return progress

    def told(stored: Any, result: Any) -> Any:
        state = replace(stored.state, refund_sequence=max(1, stored.state.refund_sequence))
        return compose(_Stored(stored.order, state), result)

    patch.setattr(TopUpOrder, "_go_by", go_by)
    patch.setattr(activities.notifying, "_compose", told)


@dataclass(frozen=True)
class _Stored:
    order: Any
    state: Any


@mutant("notify inside the order step", oracle.NOT_HELD_UP, oracle.ENDS, plan=Plan(legacy="down"))
def _notifies_inside(patch: Patch) -> None:
    real = TopUpOrder._record

    async def record(self: Any, step: Any) -> Any:
        if step is steps.RECORD_ORDER and self._view.progress.carrier_outcome == "completed":
            for platform in self._view.progress.platforms:
                self._view.notices.setdefault("delivered", {})[platform] = "pending"
                await self._tell_platform("delivered", platform)
        return await real(self, step)

    patch.setattr(TopUpOrder, "_record", record)


@mutant("says refunded when the refund starts", oracle.NOTICES)
def _says_refunded_early(patch: Patch) -> None:
    real = TopUpOrder._tell_in_background
    compose = activities.notifying._compose

    def tell(self: Any, result: Any, platforms: Any) -> None:
        if result == "failed":
            self._view.notices.setdefault(result, {}).update(dict.fromkeys(platforms, "acknowledged"))
        real(self, "refunded" if result == "failed" else result, platforms)

    def named(stored: Any, result: Any) -> Any:
        early = result == "refunded" and stored.state.refund_confirmed_at is None
        due = compose(stored, "failed" if early else result)
        return None if due is None else replace(due, result=result)

    patch.setattr(TopUpOrder, "_tell_in_background", tell)
    patch.setattr(activities.notifying, "_compose", named)


@mutant("a cancel ends the run", oracle.SOUND, oracle.ENDS)
def _cancel_ends(patch: Patch) -> None:
    async def cancel(self: Any, _word: Any) -> None:
        self._saga_task.cancel()

    saga = TopUpOrder._saga

    async def cancellable(self: Any) -> Any:
        self._saga_task = asyncio.current_task()
        return await saga(self)

    patch.setattr(TopUpOrder, "_cancel", cancel)
    patch.setattr(TopUpOrder, "_saga", cancellable)


@mutant("the sweep finds nothing", oracle.ENDS)
def _blind_sweep(patch: Patch) -> None:
    async def always(_self: Any, _order_id: str) -> Reopened:
        return Reopened.RUNNING

    patch.setattr(Reopening, "_open_run", always)


@mutant("a conflict is taken for a duplicate", oracle.DUPLICATES)
def _no_conflict(patch: Patch) -> None:
    def compare(self: Any, order: Any) -> ClaimResult:
        return ClaimResult(order.order_id, Claim.UNSETTLED)

    patch.setattr(claims.Known, "compare", compare)


mutant("the trail holds what was sent", oracle.NO_PII)(mistakes.writes_the_body_into_the_trail)


@mutant("an answer without a line in the trail", oracle.TRAIL_WHOLE)
def _no_line(patch: Patch) -> None:
    mistakes.leaves_out_of_the_trail(patch, "refund_send")
