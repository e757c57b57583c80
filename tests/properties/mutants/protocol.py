"""Mistakes of the protocol's model (its table of mutants) that can be made in the product."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false
# Mistakes are made inside the product's parts, whatever their types are.

from dataclasses import replace
from typing import Any

from adapters.order_book.book import OrderBook
from orders import carrier_rules, operator_rules, refund_rules
from orders.outcomes import RefundAccepted, Refused
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR
from tests import mistakes
from tests.properties import fast, oracle
from tests.properties.mutants.mutant import Patch, mutant, refused, seems_closed, status_is_refusal
from tests.properties.strategies import Call, Fate, Fault, Hand, Plan


def _cancel_refuses(patch: Patch, of_reason: str) -> None:
    real = operator_rules.request_cancel

    def request_cancel(state: Any, reason: str = CANCELLED, note: str = "") -> Any:
        after, written = real(state, reason, note)
        if written and reason == of_reason and state.carrier_outcome is None:
            after = refused(after, state.claimed_at, reason)
        return after, written

    patch.setattr(operator_rules, "request_cancel", request_cancel)


mutant("blind resubmit", oracle.ASKED, seed=5)(mistakes.posts_again_without_asking)


@mutant("refund on an empty GET", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _refund_on_empty(patch: Patch) -> None:
    real = carrier_rules.record_not_found

    def record_not_found(state: Any, now: Any, times: Any, **named: Any) -> Any:
        if state.posts and state.carrier_outcome is None:
            return refused(state, now), Refused(code="MUTANT")
        return real(state, now, times, **named)

    patch.setattr(carrier_rules, "record_not_found", record_not_found)


@mutant("no burn", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _no_burn(patch: Patch) -> None:
    real = carrier_rules.authorize_burn

    def authorize_burn(state: Any, now: Any, times: Any) -> Any:
        after, authorized = real(state, now, times)
        return (refused(after, now), False) if authorized else (after, authorized)

    patch.setattr(carrier_rules, "authorize_burn", authorize_burn)


@mutant("fresh date", oracle.ONE_BODY, seed=2)
def _fresh_date(patch: Patch) -> None:
    real = carrier_rules.authorize_post

    def authorize_post(state: Any, now: Any, times: Any, make_body: Any) -> Any:
        after, authorized = real(state, now, times, make_body)
        if authorized is not None and authorized.number > 1:
            date = now + times.completion_window
            after = replace(after, body=make_body(date), completion_date=date)
            authorized = replace(authorized, body=after.body)
        return after, authorized

    patch.setattr(carrier_rules, "authorize_post", authorize_post)


@mutant("no refund row", oracle.SAME_NUMBER, seed=2)
def _no_refund_row(patch: Patch) -> None:
    real = refund_rules.authorize_refund

    def authorize_refund(state: Any, *arguments: Any) -> Any:
        after, leaves = real(state, *arguments)
        return (replace(after, refund_sequence=state.refund_sequence + 1) if leaves else after), leaves

    patch.setattr(refund_rules, "authorize_refund", authorize_refund)


mutant("reopened without asking", oracle.REOPENED_ASKS, oracle.ASKED, seed=2)(mistakes.does_not_hear_of_a_reopening)


@mutant(
    "409 is a refusal",
    oracle.TRUE_BOOK,
    oracle.REFUSED_TRUE,
    oracle.REFUSED_HEARD,
    plan=Plan(posts=(Call(answer="409", acts=False),)),
)
def _conflict_is_refusal(patch: Patch) -> None:
    status_is_refusal(patch, range(409, 410))


@mutant("cancel without burn", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _cancel_without_burn(patch: Patch) -> None:
    _cancel_refuses(patch, CANCELLED)


@mutant(
    "no compare-and-set",
    oracle.ONE_BODY,
    oracle.ASKED,
    oracle.CLOSED_ROW,
    plan=Plan(posts=(Call(seconds=40.0),), faults=(Fault("before post_intent", 2, "freeze", 3.0),)),
)
def _no_cas(patch: Patch) -> None:
    real = OrderBook.decide

    async def decide(self: Any, order_id: str, rule: Any, *, kind: str, detail: Any) -> Any:
        if kind != "post_intent":
            return await real(self, order_id, rule, kind=kind, detail=detail)
        result = rule(await self.read(order_id))
        await fast.stage.get().boundary(f"before {kind}")
        return await real(self, order_id, lambda _: result, kind=kind, detail=detail)

    patch.setattr(OrderBook, "decide", decide)


@mutant("new number while PROCESSING", oracle.SAME_NUMBER)
def _renumber(patch: Patch) -> None:
    seems_closed(patch, RefundAccepted)


@mutant(
    "resolve without burn",
    oracle.TRUE_BOOK,
    oracle.REFUSED_TRUE,
    oracle.REFUSED_HEARD,
    plan=Plan(fate=Fate("inProgress", seconds=300.0), hands=(Hand("not delivered", wait=16.0),)),
)
def _resolve_without_burn(patch: Patch) -> None:
    _cancel_refuses(patch, RESOLVED_BY_OPERATOR)
