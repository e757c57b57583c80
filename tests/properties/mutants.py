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
import activities.telecom
import adapters.carriers.tmf622.client
import adapters.http
from activities.recording import RecordingActivities
from activities.refunding import RefundingActivities
from activities.reopening import Reopening
from adapters.carriers.tmf622.client import Tmf622Carrier
from adapters.order_book import claims
from adapters.order_book.book import Claim, ClaimResult, OrderBook
from orders import book as rules
from orders.outcomes import Completed, InDoubt, RefundAccepted, RefundClosed, RefundDenied, Refused
from tests.properties import fast, oracle
from tests.properties.strategies import Call, Fate, Fault, Hand, Plan
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


def _refused(entry: Any, now: Any, code: str = "MUTANT") -> tuple[Any, Any]:
    booked = replace(entry, fact="refused", fact_code=code, fact_at=now)
    return booked, Refused(code=code)


# --- those of the protocol's model --------------------------------------------------------------------------------


@_mutant("blind resubmit", oracle.ASKED, seed=5)
def _blind(patch: Patch) -> None:
    real = rules.authorize_post

    def authorize_post(entry: Any, now: Any, times: Any, make_body: Any, evidence: Any) -> Any:
        if entry.posts and entry.fact is None:
            return rules._granted(entry, entry, now, times)
        return real(entry, now, times, make_body, evidence)

    patch.setattr(rules, "authorize_post", authorize_post)
    _answers(patch, RecordingActivities, "read_order", lambda stand, _: stand.model_copy(update={"posts": 0}))


@_mutant("refund on an empty GET", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _refund_on_empty(patch: Patch) -> None:
    real = rules.assess_not_found

    def assess_not_found(entry: Any, now: Any, times: Any, empty: Any) -> Any:
        if entry.posts and entry.fact is None:
            after, word = _refused(entry, now)
            return after, rules.NotFoundAssessment(word)
        return real(entry, now, times, empty)

    patch.setattr(rules, "assess_not_found", assess_not_found)


@_mutant("no burn", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _no_burn(patch: Patch) -> None:
    real = rules.authorize_burn

    def authorize_burn(entry: Any, now: Any, times: Any) -> Any:
        after, granted = real(entry, now, times)
        return _refused(after, now) if isinstance(granted, rules.BurnAuthorized) else (after, granted)

    patch.setattr(rules, "authorize_burn", authorize_burn)


@_mutant("fresh date", oracle.ONE_BODY, seed=2)
def _fresh_date(patch: Patch) -> None:
    real = rules.authorize_post

    def authorize_post(entry: Any, now: Any, times: Any, make_body: Any, evidence: Any) -> Any:
        after, granted = real(entry, now, times, make_body, evidence)
        if isinstance(granted, rules.PostAuthorized) and granted.number > 1:
            date = now + times.completion_window
            after = replace(after, body=make_body(date), completion_date=date)
            granted = replace(granted, body=after.body)
        return after, granted

    patch.setattr(rules, "authorize_post", authorize_post)


@_mutant("no refund row", oracle.SAME_NUMBER, seed=2)
def _no_refund_row(patch: Patch) -> None:
    real = rules.authorize_refund

    def grant(entry: Any, now: Any, **named: Any) -> Any:
        after, granted = real(entry, now, **named)
        if isinstance(granted, rules.RefundAuthorized):
            after = replace(after, refund_sequence=entry.refund_sequence + 1)
            granted = rules.RefundAuthorized(after.refund_sequence, fresh=True)
        return after, granted

    patch.setattr(rules, "authorize_refund", grant)


@_mutant("reopened run posts without GET", oracle.REOPENED_ASKS, oracle.ASKED, seed=2)
def _reopen_blind(patch: Patch) -> None:
    real = TopUpOrder._where_it_stands

    def where(self: Any, stand: Any) -> Any:
        self._order = self._order.model_copy(update={"reopened": False})
        return real(self, stand)

    patch.setattr(TopUpOrder, "_where_it_stands", where)


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


@_mutant("cancel without burn", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _cancel_without_burn(patch: Patch) -> None:
    real = rules.request_cancel

    def request_cancel(entry: Any, reason: str, note: str = "") -> Any:
        after, written = real(entry, reason, note)
        if written and reason == rules.CANCELLED:
            after = replace(after, fact="refused", fact_code=reason, fact_at=entry.claimed_at)
        return after, written

    patch.setattr(rules, "request_cancel", request_cancel)


@_mutant("no compare-and-set", oracle.ONE_BODY, oracle.ASKED, oracle.CLOSED_ROW)
def _no_cas(patch: Patch) -> None:
    real = OrderBook.decide

    async def decide(self: Any, order_id: str, rule: Any, *, kind: str, detail: Any) -> Any:
        if kind != "post_intent":
            return await real(self, order_id, rule, kind=kind, detail=detail)
        result = rule(await self.read(order_id))
        await fast.stage.get().boundary(f"before {kind}")
        return await real(self, order_id, lambda _: result, kind=kind, detail=detail)

    patch.setattr(OrderBook, "decide", decide)


@_mutant("new number while PROCESSING", oracle.SAME_NUMBER)
def _renumber(patch: Patch) -> None:
    def changed(answer: Any, _provider: Any) -> Any:
        return RefundClosed() if isinstance(answer, RefundAccepted) else answer

    _answers(patch, RefundingActivities, "_ask", changed)


@_mutant(
    "resolve without burn",
    oracle.TRUE_BOOK,
    oracle.REFUSED_TRUE,
    oracle.REFUSED_HEARD,
    plan=Plan(fate=Fate("inProgress", seconds=300.0), hands=(Hand("not delivered", wait=16.0),)),
)
def _resolve_without_burn(patch: Patch) -> None:
    real = rules.request_cancel

    def request_cancel(entry: Any, reason: str, note: str = "") -> Any:
        after, written = real(entry, reason, note)
        if written and reason == rules.RESOLVED_BY_OPERATOR and entry.fact is None:
            after = replace(after, fact="refused", fact_code=reason, fact_at=entry.claimed_at)
        return after, written

    patch.setattr(rules, "request_cancel", request_cancel)


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


@_mutant("a GET of before the POST is evidence", oracle.ASKED, seed=3)
def _old_evidence(patch: Patch) -> None:
    patch.setattr(rules, "_empty_counts_from", lambda entry, _times: entry.claimed_at)


@_mutant(
    "evidence for any count of POSTs",
    oracle.ASKED,
    plan=Plan(
        local_first=False,
        posts=(Call(acts=False),) * 2,
        gets=(Call(),) * 8 + (Call(answer="lost"),) * 8,
        faults=(Fault("before post_intent", 2, "freeze", 115.0),),
    ),
)
def _any_count(patch: Patch) -> None:
    real = rules.authorize_post

    def authorize_post(entry: Any, now: Any, times: Any, make_body: Any, evidence: Any) -> Any:
        if evidence is not None and entry.posts:
            evidence = evidence.model_copy(update={"posts": entry.posts, "asked_at": now.timestamp()})
        return real(entry, now, times, make_body, evidence)

    patch.setattr(rules, "authorize_post", authorize_post)


@_mutant("last word wins", oracle.FINAL)
def _last_word_wins(patch: Patch) -> None:
    real = rules._hear_final

    def hear(entry: Any, now: Any, answer: Any) -> Any:
        return real(replace(entry, fact=None), now, answer)

    patch.setattr(rules, "_hear_final", hear)


@_mutant("no last look before the POST", oracle.IN_TIME, seed=3)
def _no_last_look(patch: Patch) -> None:
    real = Tmf622Carrier.submit

    async def submit(self: Any, body: bytes, *, timeout_seconds: float, **_named: Any) -> Any:
        return await real(self, body, timeout_seconds=timeout_seconds)

    patch.setattr(Tmf622Carrier, "submit", submit)


@_mutant("burn before the date", oracle.BURN_LATE, seed=5)
def _early_burn(patch: Patch) -> None:
    patch.setattr(rules, "burn_allowed_from", lambda entry, _times: entry.claimed_at)


@_mutant(
    "a cancel leaves the row open",
    oracle.CLOSED_ROW,
    plan=Plan(
        local_first=False, faults=(Fault("before post_intent", 1, "freeze", 3.0),), hands=(Hand("cancel", wait=0.5),)
    ),
)
def _open_row(patch: Patch) -> None:
    real = rules.authorize_post

    def authorize_post(entry: Any, now: Any, times: Any, make_body: Any, evidence: Any) -> Any:
        cancelled = entry.cancel_reason
        after, granted = real(replace(entry, cancel_reason=""), now, times, make_body, evidence)
        return replace(after, cancel_reason=cancelled), granted

    patch.setattr(rules, "authorize_post", authorize_post)
    where = TopUpOrder._where_it_stands

    def open_again(self: Any, stand: Any) -> Any:
        return where(self, stand.model_copy(update={"cancel_reason": ""}))

    patch.setattr(TopUpOrder, "_where_it_stands", open_again)


@_mutant(
    "whoever was not sent gives any right back",
    oracle.ASKED,
    oracle.ONE_BODY,
    oracle.FINAL,
    oracle.BURN_LATE,
    plan=Plan(posts=(Call(), Call(reach="lost")), faults=(Fault("before POST", 1, "freeze", 130.0),)),
)
def _withdraws_any(patch: Patch) -> None:
    def withdraw(entry: Any, _granted: Any) -> Any:
        return replace(entry, posts=0, body=None, completion_date=None, last_post_at=None), None

    patch.setattr(rules, "withdraw_post", withdraw)


@_mutant("any note names the reference", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _any_note(patch: Patch) -> None:
    patch.setattr(rules, "_names", lambda note, _reference: bool(note))


# --- the refund ---------------------------------------------------------------------------------------------------


@_mutant("refunded overtakes failed", oracle.IN_ORDER)
def _overtakes(patch: Patch) -> None:
    patch.setattr(TopUpOrder, "_waits_for_failed", lambda _self, _platform: False)


@_mutant("new number after ABNORMAL", oracle.SAME_NUMBER)
def _renumber_denied(patch: Patch) -> None:
    def changed(answer: Any, _provider: Any) -> Any:
        return RefundClosed() if isinstance(answer, RefundDenied) else answer

    _answers(patch, RefundingActivities, "_ask", changed)


@_mutant("half a refund", oracle.SAME_NUMBER)
def _half(patch: Patch) -> None:
    real = RefundingActivities._request

    def request(self: Any, record: Any, sequence: int) -> Any:
        asked = real(self, record, sequence)
        return asked.model_copy(update={"amount_fen": asked.amount_fen // 2})

    patch.setattr(RefundingActivities, "_request", request)


@_mutant("refund on a contradicted row", oracle.CONTRADICTED)
def _contradicted(patch: Patch) -> None:
    real = rules.authorize_refund

    def grant(entry: Any, now: Any, **named: Any) -> Any:
        after, granted = real(replace(entry, contradicted=False), now, **named)
        return replace(after, contradicted=entry.contradicted), granted

    patch.setattr(rules, "authorize_refund", grant)


@_mutant("refunded once accepted", oracle.TRUE_BOOK)
def _accepted_is_confirmed(patch: Patch) -> None:
    real = rules.record_refund_response

    def hear(entry: Any, now: Any, answer: Any, **named: Any) -> Any:
        if isinstance(answer, RefundAccepted):
            answer = rules.RefundConfirmed(provider_refund_id="P")
        return real(entry, now, answer, **named)

    patch.setattr(rules, "record_refund_response", hear)


@_mutant(
    "a zombie's refund is not met by the book", oracle.SETTLED_QUIET, oracle.SAME_NUMBER, oracle.ONE_REFUND, seed=3
)
def _zombie_refund(patch: Patch) -> None:
    patch.setattr(rules, "mark_refund_sent", lambda entry, now, _n, **_: (replace(entry, refund_sent_at=now), True))


@_mutant(
    "refund goes on after the operator has paid",
    oracle.SETTLED_QUIET,
    oracle.ONE_REFUND,
    oracle.SAME_NUMBER,
    oracle.ENDS,
)
def _word_is_ignored(patch: Patch) -> None:
    real = rules.resolve_refunded

    def resolve(entry: Any, reference: str) -> Any:
        after, refusal = real(entry, reference)
        return replace(after, refund_word=""), refusal

    patch.setattr(rules, "resolve_refunded", resolve)


# --- around the money ---------------------------------------------------------------------------------------------


@_mutant("notify inside the order step", oracle.NOT_HELD_UP, oracle.ENDS, plan=Plan(legacy="down"))
def _notifies_inside(patch: Patch) -> None:
    real = TopUpOrder._carriers_last_word

    async def last_word(self: Any, stand: Any) -> Any:
        word = await real(self, stand)
        if isinstance(word, Completed):
            for platform in self._platforms:
                await self._tell_platform("delivered", platform)
        return word

    patch.setattr(TopUpOrder, "_carriers_last_word", last_word)


@_mutant("says refunded when the refund starts", oracle.NOTICES)
def _says_refunded_early(patch: Patch) -> None:
    real = TopUpOrder._tell_beside
    compose = activities.notifying._compose

    def tell(self: Any, result: Any, platforms: Any) -> None:
        real(self, "refunded" if result == "failed" else result, platforms)

    def at_once(record: Any, result: Any) -> Any:
        return compose(record, "failed" if record.state.refund_confirmed_at is None else result)

    def named(record: Any, result: Any) -> Any:
        return replace(at_once(record, result), result=result)

    patch.setattr(TopUpOrder, "_tell_beside", tell)
    patch.setattr("activities.notifying._compose", named)


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
    async def always(_self: Any, _order_id: str) -> bool:
        return True

    patch.setattr(Reopening, "_has_open_run", always)


@_mutant("a conflict is taken for a duplicate", oracle.DUPLICATES)
def _no_conflict(patch: Patch) -> None:
    def compare(self: Any, order: Any) -> ClaimResult:
        return ClaimResult(order.order_id, Claim.UNSETTLED)

    patch.setattr(claims.Known, "compare", compare)


@_mutant("the trail holds what was sent", oracle.NO_PII)
def _trail_tells(patch: Patch) -> None:
    real = activities.telecom._grant_detail

    def detail(granted: object) -> Mapping[str, Any]:
        body = {"body": granted.body.decode()} if isinstance(granted, rules.PostAuthorized) else {}
        return {**real(granted), **body}

    patch.setattr(activities.telecom, "_grant_detail", detail)


@_mutant("an answer without a line in the trail", oracle.TRAIL_WHOLE)
def _no_line(patch: Patch) -> None:
    real = OrderBook._append

    async def append(self: Any, connection: Any, order_id: str, kind: str, detail: Any) -> None:
        if kind != "refund_send":
            await real(self, connection, order_id, kind, detail)

    patch.setattr(OrderBook, "_append", append)
