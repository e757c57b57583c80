"""Wrong products: each is one mistake, made by patches, that the judge must find.

The first eleven are those of the protocol's model (its table of mutants) that can be made in the product; the others
are mistakes that somebody might make in the steps around the rules.
"""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false
# Mistakes are made inside the product's parts, whatever their types are.

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import pytest

import activities.notifying
import activities.order_desk
import activities.telecom
import adapters.carriers.tmf622.client
import adapters.http
from activities.refunding import RefundingActivities
from activities.reopening import Reopened, Reopening
from adapters.carriers.tmf622.client import Tmf622Carrier
from adapters.order_book import claims, decisions
from adapters.order_book.book import Claim, ClaimResult, OrderBook
from orders import carrier_rules, next_step, operator_rules, refund_rules
from orders.carrier_rules import PostAuthorized
from orders.outcomes import InDoubt, RefundAccepted, RefundClosed, RefundConfirmed, RefundDenied, Refused
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR
from tests.properties import fast, oracle
from tests.properties.strategies import Call, Fate, Fault, Hand, Plan, RefundFate
from workflows import steps
from workflows.steps import Progress, TopUpResult
from workflows.top_up_order import TopUpOrder

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutant:
    """One mistake, the rules of which at least one must break, and a seed whose plans show it soon."""

    apply: Callable[[Patch], None]
    rules: tuple[str, ...]
    seed: int
    plan: Plan | None = None
    """Where drawn plans rarely show it: one that does, of the same kind."""

    def made(self) -> AbstractContextManager[Patch]:
        """The wrong product, until the end of the `with`."""
        return _made(self.apply)


class _made(AbstractContextManager[Patch]):  # noqa: N801 - used as a function
    def __init__(self, apply: Callable[[Patch], None]) -> None:
        self._patch = Patch()
        self._apply = apply

    def __enter__(self) -> Patch:
        self._apply(self._patch)
        return self._patch

    def __exit__(self, *_error: object) -> None:
        self._patch.undo()


MUTANTS: dict[str, Mutant] = {}


def _mutant(
    name: str, *broken: str, seed: int = 1, plan: Plan | None = None
) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    def named(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTANTS[name] = Mutant(apply, broken, seed, plan)
        return apply

    return named


def _answers(patch: Patch, owner: Any, name: str, changed: Callable[[Any, Any], Any]) -> None:
    """An awaited method whose answer is another: `changed(answer, first argument)`."""
    real: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @functools.wraps(real)
    async def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return changed(await real(self, *arguments, **named), arguments[0])

    patch.setattr(owner, name, method)


def _refused(state: Any, now: Any, code: str = "MUTANT") -> Any:
    return replace(state, carrier_outcome="rejected", carrier_code=code, carrier_outcome_at=now)


def _decides(patch: Patch, seen_as: Callable[[Any], Any]) -> None:
    """`next_step` of another state, wherever it is asked."""
    real = next_step.next_step

    def decide(state: Any, now: Any, times: Any) -> Any:
        return real(seen_as(state), now, times)

    for asks in (activities.order_desk, carrier_rules, refund_rules):
        patch.setattr(asks, "next_step", decide)


def _empty_whenever(patch: Patch) -> None:
    """One empty `GET`, whenever it was asked, is all the evidence that is looked for."""

    def not_found_since(state: Any, moment: Any) -> bool:
        return moment is None or state.not_found_at is not None

    patch.setattr(next_step, "_not_found_since", not_found_since)


# --- those of the protocol's model --------------------------------------------------------------------------------


@_mutant("blind resubmit", oracle.ASKED, seed=5)
def _blind(patch: Patch) -> None:
    real = next_step._not_found_since
    patch.setattr(next_step, "_not_found_since", lambda state, moment: bool(state.posts) or real(state, moment))


@_mutant("refund on an empty GET", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _refund_on_empty(patch: Patch) -> None:
    real = carrier_rules.record_not_found

    def record_not_found(state: Any, now: Any, times: Any, **named: Any) -> Any:
        if state.posts and state.carrier_outcome is None:
            return _refused(state, now), Refused(code="MUTANT")
        return real(state, now, times, **named)

    patch.setattr(carrier_rules, "record_not_found", record_not_found)


@_mutant("no burn", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _no_burn(patch: Patch) -> None:
    real = carrier_rules.authorize_burn

    def authorize_burn(state: Any, now: Any, times: Any) -> Any:
        after, authorized = real(state, now, times)
        return (_refused(after, now), False) if authorized else (after, authorized)

    patch.setattr(carrier_rules, "authorize_burn", authorize_burn)


@_mutant("fresh date", oracle.ONE_BODY, seed=2)
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


@_mutant("no refund row", oracle.SAME_NUMBER, seed=2)
def _no_refund_row(patch: Patch) -> None:
    real = refund_rules.authorize_refund

    def authorize_refund(state: Any, *arguments: Any) -> Any:
        after, leaves = real(state, *arguments)
        return (replace(after, refund_sequence=state.refund_sequence + 1) if leaves else after), leaves

    patch.setattr(refund_rules, "authorize_refund", authorize_refund)


@_mutant("reopened without asking", oracle.REOPENED_ASKS, oracle.ASKED, seed=2)
def _reopen_blind(patch: Patch) -> None:
    patch.setattr(operator_rules, "reopen", lambda state, _now: (state, None))


def _status_is_refusal(patch: Patch, statuses: range) -> None:
    send = adapters.carriers.tmf622.client.send

    async def refuses(*arguments: Any, **named: Any) -> Any:
        reply = await send(*arguments, **named)
        if isinstance(reply, adapters.http.Reply) and reply.status in statuses:
            order = b'{"id": "C-4711", "externalId": "TSAGA00000001", "state": "rejected"}'
            body = b"[" + order + b"]" if arguments[1].method == "GET" else order
            return adapters.http.Reply(200, reply.headers, body)
        return reply

    patch.setattr(adapters.carriers.tmf622.client, "send", refuses)


@_mutant(
    "409 is a refusal",
    oracle.TRUE_BOOK,
    oracle.REFUSED_TRUE,
    oracle.REFUSED_HEARD,
    plan=Plan(posts=(Call(answer="409", acts=False),)),
)
def _conflict_is_refusal(patch: Patch) -> None:
    _status_is_refusal(patch, range(409, 410))


def _cancel_refuses(patch: Patch, of_reason: str) -> None:
    real = operator_rules.request_cancel

    def request_cancel(state: Any, reason: str = CANCELLED, note: str = "") -> Any:
        after, written = real(state, reason, note)
        if written and reason == of_reason and state.carrier_outcome is None:
            after = _refused(after, state.claimed_at, reason)
        return after, written

    patch.setattr(operator_rules, "request_cancel", request_cancel)


@_mutant("cancel without burn", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _cancel_without_burn(patch: Patch) -> None:
    _cancel_refuses(patch, CANCELLED)


@_mutant(
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


def _seems_closed(patch: Patch, kind: type) -> None:
    real = refund_rules.record_refund_response

    def record(state: Any, now: Any, times: Any, answer: Any, **named: Any) -> Any:
        if isinstance(answer, kind) and named.get("of_send") is None:
            answer = RefundClosed()
        return real(state, now, times, answer, **named)

    patch.setattr(refund_rules, "record_refund_response", record)


@_mutant("new number while PROCESSING", oracle.SAME_NUMBER)
def _renumber(patch: Patch) -> None:
    _seems_closed(patch, RefundAccepted)


@_mutant(
    "resolve without burn",
    oracle.TRUE_BOOK,
    oracle.REFUSED_TRUE,
    oracle.REFUSED_HEARD,
    plan=Plan(fate=Fate("inProgress", seconds=300.0), hands=(Hand("not delivered", wait=16.0),)),
)
def _resolve_without_burn(patch: Patch) -> None:
    _cancel_refuses(patch, RESOLVED_BY_OPERATOR)


# --- the carrier's answers ----------------------------------------------------------------------------------------


@_mutant("4xx is a refusal", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD, seed=5)
def _client_errors_are_refusals(patch: Patch) -> None:
    _status_is_refusal(patch, range(400, 409))


@_mutant("5xx is a refusal", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _server_errors_are_refusals(patch: Patch) -> None:
    _status_is_refusal(patch, range(500, 600))


@_mutant("a timeout is a refusal", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _timeout_is_refusal(patch: Patch) -> None:
    def changed(answer: Any, _body: Any) -> Any:
        return Refused(code="TIMEOUT") if isinstance(answer, InDoubt) and answer.cause == "unanswered" else answer

    _answers(patch, Tmf622Carrier, "submit", changed)


@_mutant("a timeout is no POST", oracle.ASKED, oracle.ONE_BODY, seed=3)
def _timeout_is_no_post(patch: Patch) -> None:
    def changed(answer: Any, _body: Any) -> Any:
        unanswered = isinstance(answer, InDoubt) and answer.cause == "unanswered"
        return InDoubt(cause="not_sent", why="No answer.") if unanswered else answer

    _answers(patch, Tmf622Carrier, "submit", changed)


@_mutant("an empty GET counts at once", oracle.ASKED, seed=3)
def _counts_at_once(patch: Patch) -> None:
    patch.setattr(next_step, "not_found_counts_from", lambda state, _times: state.claimed_at)


@_mutant(
    "evidence kept over a POST",
    oracle.ASKED,
    plan=Plan(posts=(Call(acts=False),), hands=(Hand("terminate", at="before POST"), Hand("reopen", wait=1.0))),
)
def _kept_evidence(patch: Patch) -> None:
    """Two guards at once: the evidence falls with the POST, and it would be too old besides."""
    real = carrier_rules.authorize_post

    def authorize_post(state: Any, *arguments: Any) -> Any:
        after, authorized = real(state, *arguments)
        return replace(after, not_found_at=state.not_found_at), authorized

    patch.setattr(carrier_rules, "authorize_post", authorize_post)
    _empty_whenever(patch)


@_mutant(
    "an empty GET counts from its answer",
    oracle.ASKED,
    plan=Plan(posts=(Call(acts=False),), gets=(Call(seconds=58.0),) * 8),
)
def _counts_from_answer(patch: Patch) -> None:
    real = carrier_rules.record_not_found

    def record_not_found(state: Any, now: Any, times: Any, **_named: Any) -> Any:
        return real(state, now, times, asked_at=now, posts=state.posts)

    patch.setattr(carrier_rules, "record_not_found", record_not_found)


@_mutant("last word wins", oracle.FINAL, oracle.SOUND, oracle.ENDS)
def _last_word_wins(patch: Patch) -> None:
    real = carrier_rules._record_outcome

    def record(state: Any, now: Any, answer: Any) -> Any:
        return real(replace(state, carrier_outcome=None), now, answer)

    patch.setattr(carrier_rules, "_record_outcome", record)


@_mutant("no last look before the POST", oracle.IN_TIME, seed=3)
def _no_last_look(patch: Patch) -> None:
    real = Tmf622Carrier.submit

    async def submit(self: Any, body: bytes, *, timeout_seconds: float, **_named: Any) -> Any:
        return await real(self, body, timeout_seconds=timeout_seconds)

    patch.setattr(Tmf622Carrier, "submit", submit)


@_mutant("burn before the date", oracle.BURN_LATE, seed=5)
def _early_burn(patch: Patch) -> None:
    patch.setattr(next_step, "burn_allowed_from", lambda state, _times: state.claimed_at)


@_mutant(
    "a cancel leaves the row open",
    oracle.CLOSED_ROW,
    plan=Plan(
        faults=(Fault("before post_intent", 1, "freeze", 3.0), Fault("before post_intent", 2, "freeze", 3.0)),
        hands=(Hand("cancel", wait=0.5),),
    ),
)
def _open_row(patch: Patch) -> None:
    patch.setattr(next_step, "is_closed", lambda state: state.burn_at is not None)


@_mutant(
    "whoever was not sent gives any right back",
    oracle.ASKED,
    oracle.ONE_BODY,
    oracle.FINAL,
    oracle.BURN_LATE,
    plan=Plan(posts=(Call(), Call(reach="lost")), faults=(Fault("before POST", 1, "freeze", 130.0),)),
)
def _withdraws_any(patch: Patch) -> None:
    def withdraw(state: Any, _authorized: Any) -> Any:
        return replace(state, posts=0, body=None, completion_date=None, last_post_at=None), None

    patch.setattr(carrier_rules, "withdraw_post", withdraw)


@_mutant("any note names the reference", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _any_note(patch: Patch) -> None:
    patch.setattr(carrier_rules, "_names", lambda note, _reference: bool(note))


# --- the refund ---------------------------------------------------------------------------------------------------


@_mutant("refunded overtakes failed", oracle.IN_ORDER)
def _overtakes(patch: Patch) -> None:
    patch.setattr(TopUpOrder, "_waits_for_failed", lambda _self, _platform: False)


@_mutant("new number after ABNORMAL", oracle.SAME_NUMBER)
def _renumber_denied(patch: Patch) -> None:
    _seems_closed(patch, RefundDenied)


@_mutant(
    "retry without a request",
    oracle.DENIED,
    plan=Plan(fate=Fate(first="rejected"), refund_fates=(RefundFate("ABNORMAL", 20.0),)),
)
def _unasked_retry(patch: Patch) -> None:
    patch.setattr(next_step, "_asked_for_again", lambda _state: True)


@_mutant("half a refund", oracle.SAME_NUMBER)
def _half(patch: Patch) -> None:
    real = RefundingActivities._request

    def request(self: Any, record: Any, sequence: int) -> Any:
        asked = real(self, record, sequence)
        return asked.model_copy(update={"amount_fen": asked.amount_fen // 2})

    patch.setattr(RefundingActivities, "_request", request)


@_mutant(
    "refund on a contradicted row",
    oracle.CONTRADICTED,
    plan=Plan(
        local_first=False,
        fate=Fate(first="rejected", breaks_word=90.0),
        posts=(Call(answer="500"),),
        faults=(
            Fault("before GET", 1, "freeze", 100.0),
            Fault("before refund_intent", 1, "freeze", 200.0),
            Fault("before refund_intent", 2, "freeze", 200.0),
        ),
    ),
)
def _contradicted(patch: Patch) -> None:
    _decides(patch, lambda state: replace(state, contradicted=False))


@_mutant("refunded once accepted", oracle.TRUE_BOOK)
def _accepted_is_confirmed(patch: Patch) -> None:
    real = refund_rules.record_refund_response

    def record(state: Any, now: Any, times: Any, answer: Any, **named: Any) -> Any:
        if isinstance(answer, RefundAccepted):
            answer = RefundConfirmed(provider_refund_id="P")
        return real(state, now, times, answer, **named)

    patch.setattr(refund_rules, "record_refund_response", record)


@_mutant(
    "refund goes on after the operator has paid",
    oracle.SETTLED_QUIET,
    oracle.ONE_REFUND,
    oracle.SAME_NUMBER,
    oracle.ENDS,
)
def _word_is_ignored(patch: Patch) -> None:
    real = operator_rules.resolve_refunded

    def resolve(state: Any, reference: str) -> Any:
        after, refusal = real(state, reference)
        return replace(after, paid_another_way=""), refusal

    patch.setattr(operator_rules, "resolve_refunded", resolve)


# --- the run and what it takes from the book ----------------------------------------------------------------------


@_mutant("a run that ignores what is next", oracle.SOUND, oracle.ENDS)
def _ignores_next(patch: Patch) -> None:
    async def saga(self: Any) -> TopUpResult:
        for step in (steps.PLACE, steps.QUERY, steps.RECORD_ORDER):
            await self._take(step)
        progress = self._view.progress
        outcome = "refunded" if progress.refund_started else "delivered"
        await self._tell(outcome, progress.platforms)
        return TopUpResult(order_id=self._order.order_id, outcome=outcome, reason="", notices={})

    patch.setattr(TopUpOrder, "_saga", saga)


@_mutant("what a run has seen never differs", oracle.ENDS)
def _nothing_new(patch: Patch) -> None:
    patch.setattr(Progress, "mark", property(lambda _self: ""))


@_mutant("failed is told before the refund starts", oracle.NOTICES)
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


# --- around the money ---------------------------------------------------------------------------------------------


@_mutant("notify inside the order step", oracle.NOT_HELD_UP, oracle.ENDS, plan=Plan(legacy="down"))
def _notifies_inside(patch: Patch) -> None:
    real = TopUpOrder._record

    async def record(self: Any, step: Any) -> Any:
        if step is steps.RECORD_ORDER and self._view.progress.carrier_outcome == "completed":
            for platform in self._view.progress.platforms:
                self._view.notices.setdefault("delivered", {})[platform] = "pending"
                await self._tell_platform("delivered", platform)
        return await real(self, step)

    patch.setattr(TopUpOrder, "_record", record)


@_mutant("says refunded when the refund starts", oracle.NOTICES)
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


@_mutant("a cancel ends the run", oracle.SOUND, oracle.ENDS)
def _cancel_ends(patch: Patch) -> None:
    async def cancel(self: Any, _word: Any) -> None:
        self._saga_task.cancel()

    saga = TopUpOrder._saga

    async def cancellable(self: Any) -> Any:
        self._saga_task = asyncio.current_task()
        return await saga(self)

    patch.setattr(TopUpOrder, "_cancel", cancel)
    patch.setattr(TopUpOrder, "_saga", cancellable)


@_mutant("the sweep finds nothing", oracle.ENDS)
def _blind_sweep(patch: Patch) -> None:
    async def always(_self: Any, _order_id: str) -> Reopened:
        return Reopened.RUNNING

    patch.setattr(Reopening, "_open_run", always)


@_mutant("a conflict is taken for a duplicate", oracle.DUPLICATES)
def _no_conflict(patch: Patch) -> None:
    def compare(self: Any, order: Any) -> ClaimResult:
        return ClaimResult(order.order_id, Claim.UNSETTLED)

    patch.setattr(claims.Known, "compare", compare)


@_mutant("the trail holds what was sent", oracle.NO_PII)
def _trail_tells(patch: Patch) -> None:
    real = activities.telecom._authorized_detail

    def detail(authorized: PostAuthorized | None) -> Mapping[str, Any]:
        body = {"body": authorized.body.decode()} if authorized is not None else {}
        return {**real(authorized), **body}

    patch.setattr(activities.telecom, "_authorized_detail", detail)


@_mutant("an answer without a line in the trail", oracle.TRAIL_WHOLE)
def _no_line(patch: Patch) -> None:
    real = decisions._apply

    def apply(kept: Any, decision: Any, now: Any) -> Any:
        answer = real(kept, decision, now)
        if decision.kind == "refund_send":
            kept.lines.pop()
        return answer

    patch.setattr(decisions, "_apply", apply)
