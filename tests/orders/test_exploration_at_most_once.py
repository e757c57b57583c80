"""A carrier that can't be asked: the money rules hold in every state, and the walk finds each of these mutants."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from orders.book import CarrierTimes, OrderState, PostAuthorized

from orders import at_most_once, book
from orders.outcomes import InDoubt, Refused
from tests.orders.exploration import Broken
from tests.orders.exploration_at_most_once import FLAT, OnePostExploration

RULES = {name: getattr(book, name) for name in dir(book) if callable(getattr(book, name))}
RESOLVE = at_most_once.resolve_not_delivered
Mutant = Callable[..., Any]


def test_no_path_with_two_faults_breaks_a_rule_of_the_money():
    exploration = OnePostExploration(faults=2)

    exploration.explore()

    ends = {exploration.entries[world.row].outcome for world in exploration.parents}
    facts = {exploration.entries[world.row].fact for world in exploration.parents}
    assert ends == {None, "delivered", "refunded"}
    assert facts == {None, "sold", "refused", "burnt"}


def test_the_one_risk_left_is_a_worker_that_freezes_between_its_last_look_and_the_byte_that_leaves():
    """No rule of ours can see it; reconciliation with the carrier's bill does (docs/carrier-flat.md)."""
    with pytest.raises(Broken, match=r"M3|B5|S1"):
        OnePostExploration(faults=1, frozen_at_the_worst=True).explore()


def a_second_post(entry: OrderState, now: datetime, times: CarrierTimes, body: Any, evidence: Any) -> Any:
    after, answer = RULES["authorize_post"](replace(entry, posts=0), now, times, body, evidence)
    return (replace(after, posts=entry.posts + 1), answer) if isinstance(answer, PostAuthorized) else (entry, answer)


def a_right_without_an_end(entry: OrderState, now: datetime, times: CarrierTimes, body: Any, evidence: Any) -> Any:
    after, answer = RULES["authorize_post"](entry, now, times, body, evidence)
    if isinstance(answer, PostAuthorized):
        answer = replace(answer, send_before=now + timedelta(hours=1))
    return after, answer


def a_post_after_a_cancel(entry: OrderState, now: datetime, times: CarrierTimes, body: Any, evidence: Any) -> Any:
    cleared = replace(entry, cancel_reason="", burn_at=None, fact=None)
    after, answer = RULES["authorize_post"](cleared, now, times, body, evidence)
    return replace(after, cancel_reason=entry.cancel_reason, burn_at=entry.burn_at, fact=entry.fact), answer


def a_cancel_burns_in_doubt(entry: OrderState, now: datetime, times: CarrierTimes) -> Any:
    after, answer = RULES["authorize_burn"](replace(entry, posts=0), now, times)
    return replace(after, posts=entry.posts), answer


def a_cancel_is_a_refusal(entry: OrderState, reason: str, note: str = "") -> Any:
    after, written = RULES["request_cancel"](entry, reason, note)
    return (replace(after, fact="refused", fact_code=reason) if written else after), written


def not_delivered_at_any_time(entry: OrderState, _now: datetime, times: CarrierTimes, note: str) -> Any:
    return RESOLVE(entry, datetime(2999, 1, 1).astimezone(), times, note)


def not_delivered_without_the_latency(entry: OrderState, now: datetime, times: CarrierTimes, note: str) -> Any:
    return RESOLVE(entry, now + times.longest_latency, times, note)


def a_time_out_is_a_refusal(entry: OrderState, now: datetime, answer: Any, *, of_post: int = 0) -> Any:
    if isinstance(answer, InDoubt) and answer.cause == "unanswered":
        answer = Refused(code="TIMEOUT")
    return RULES["record_response"](entry, now, answer, of_post=of_post)


def a_doubtful_receipt_is_a_refusal(entry: OrderState, now: datetime, answer: Any, *, of_post: int = 0) -> Any:
    if isinstance(answer, InDoubt) and answer.cause == "answered":
        answer = Refused(code="UNKNOWN")
    return RULES["record_response"](entry, now, answer, of_post=of_post)


def a_time_out_is_no_post(entry: OrderState, now: datetime, answer: Any, *, of_post: int = 0) -> Any:
    after, heard = RULES["record_response"](entry, now, answer, of_post=of_post)
    if isinstance(heard, InDoubt) and heard.cause == "unanswered":
        after = replace(after, posts=0, last_post_at=None, last_post_answered_at=None)
    return after, heard


def anyone_withdraws(entry: OrderState, granted: PostAuthorized) -> Any:
    return RULES["withdraw_post"](replace(entry, last_post_answered_at=None), replace(granted, number=entry.posts))


def refund_in_doubt(entry: OrderState, now: datetime) -> Any:
    after, answer = RULES["authorize_refund"](replace(entry, fact=entry.fact or "refused"), now)
    return replace(after, fact=entry.fact), answer


MUTANTS: list[tuple[Any, str, Mutant]] = [
    (book, "authorize_post", a_second_post),
    (book, "authorize_post", a_right_without_an_end),
    (book, "authorize_post", a_post_after_a_cancel),
    (book, "authorize_burn", a_cancel_burns_in_doubt),
    (book, "request_cancel", a_cancel_is_a_refusal),
    (at_most_once, "resolve_not_delivered", not_delivered_at_any_time),
    (at_most_once, "resolve_not_delivered", not_delivered_without_the_latency),
    (book, "record_response", a_time_out_is_a_refusal),
    (book, "record_response", a_doubtful_receipt_is_a_refusal),
    (book, "record_response", a_time_out_is_no_post),
    (book, "authorize_refund", refund_in_doubt),
]


@pytest.mark.parametrize(("where", "rule", "mutant"), MUTANTS, ids=[mutant.__name__ for _, _, mutant in MUTANTS])
def test_a_mutant_of_a_rule_is_found(monkeypatch: pytest.MonkeyPatch, where: Any, rule: str, mutant: Mutant):
    monkeypatch.setattr(where, rule, mutant)

    with pytest.raises(Broken):
        OnePostExploration(faults=2).explore()


def test_the_moments_of_the_walk_lie_on_both_sides_of_each_limit():
    """0: a granted POST may leave; 76: it may not, and no word counts yet; 241: it does."""
    assert FLAT.post_leaves_within < timedelta(seconds=76)
    total = FLAT.post_leaves_within + FLAT.longest_latency + FLAT.visibility_lag
    assert timedelta(seconds=76) < total < timedelta(seconds=241 - 76)
