"""Mistakes with the carrier's answers, with evidence, and with the right to post or burn."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false
# Mistakes are made inside the product's parts, whatever their types are.

from dataclasses import replace
from typing import Any

from adapters.carriers.tmf622.client import Tmf622Carrier
from orders import carrier_rules, next_step
from orders.outcomes import InDoubt, Refused
from tests import mistakes
from tests.properties import oracle
from tests.properties.mutants.mutant import Patch, answers, mutant, status_is_refusal
from tests.properties.strategies import Call, Fault, Hand, Plan


def _empty_whenever(patch: Patch) -> None:
    """One empty `GET`, whenever it was asked, is all the evidence that is looked for."""

    def not_found_since(state: Any, moment: Any) -> bool:
        return moment is None or state.not_found_at is not None

    patch.setattr(next_step, "_not_found_since", not_found_since)


@mutant("4xx is a refusal", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD, seed=5)
def _client_errors_are_refusals(patch: Patch) -> None:
    status_is_refusal(patch, range(400, 409))


@mutant("5xx is a refusal", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _server_errors_are_refusals(patch: Patch) -> None:
    status_is_refusal(patch, range(500, 600))


@mutant("a timeout is a refusal", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _timeout_is_refusal(patch: Patch) -> None:
    def changed(answer: Any, _body: Any) -> Any:
        return Refused(code="TIMEOUT") if isinstance(answer, InDoubt) and answer.cause == "unanswered" else answer

    answers(patch, Tmf622Carrier, "submit", changed)


@mutant("a timeout is no POST", oracle.ASKED, oracle.ONE_BODY, seed=3)
def _timeout_is_no_post(patch: Patch) -> None:
    def changed(answer: Any, _body: Any) -> Any:
        unanswered = isinstance(answer, InDoubt) and answer.cause == "unanswered"
        return InDoubt(cause="not_sent", why="No answer.") if unanswered else answer

    answers(patch, Tmf622Carrier, "submit", changed)


@mutant("an empty GET counts at once", oracle.ASKED, seed=3)
def _counts_at_once(patch: Patch) -> None:
    patch.setattr(next_step, "not_found_counts_from", lambda state, _times: state.claimed_at)


@mutant(
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


@mutant(
    "an empty GET counts from its answer",
    oracle.ASKED,
    plan=Plan(posts=(Call(acts=False),), gets=(Call(seconds=58.0),) * 8),
)
def _counts_from_answer(patch: Patch) -> None:
    real = carrier_rules.record_not_found

    def record_not_found(state: Any, now: Any, times: Any, **_named: Any) -> Any:
        return real(state, now, times, asked_at=now, posts=state.posts)

    patch.setattr(carrier_rules, "record_not_found", record_not_found)


@mutant("last word wins", oracle.FINAL, oracle.SOUND, oracle.ENDS)
def _last_word_wins(patch: Patch) -> None:
    real = carrier_rules._record_outcome

    def record(state: Any, now: Any, answer: Any) -> Any:
        return real(replace(state, carrier_outcome=None), now, answer)

    patch.setattr(carrier_rules, "_record_outcome", record)


@mutant("no last look before the POST", oracle.IN_TIME, seed=3)
def _no_last_look(patch: Patch) -> None:
    real = Tmf622Carrier.submit

    async def submit(self: Any, body: bytes, *, timeout_seconds: float, **_named: Any) -> Any:
        return await real(self, body, timeout_seconds=timeout_seconds)

    patch.setattr(Tmf622Carrier, "submit", submit)


mutant("burn before the date", oracle.BURN_LATE, seed=5)(mistakes.burns_before_the_date)


@mutant(
    "a cancel leaves the row open",
    oracle.CLOSED_ROW,
    plan=Plan(
        faults=(Fault("before post_intent", 1, "freeze", 3.0), Fault("before post_intent", 2, "freeze", 3.0)),
        hands=(Hand("cancel", wait=0.5),),
    ),
)
def _open_row(patch: Patch) -> None:
    patch.setattr(next_step, "is_closed", lambda state: state.burn_at is not None)


@mutant(
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


@mutant("any note names the reference", oracle.TRUE_BOOK, oracle.REFUSED_TRUE, oracle.REFUSED_HEARD)
def _any_note(patch: Patch) -> None:
    patch.setattr(carrier_rules, "_names", lambda note, _reference: bool(note))
