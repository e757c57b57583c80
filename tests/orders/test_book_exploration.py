"""The protocol of the money holds in every state that one order can get into, and the walk that shows it has teeth:
it finds each of these mutants of the rules (`tests.orders.exploration` says what can happen, and what must hold).
"""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from orders.book import BurnAuthorized, CarrierTimes, OrderState, PostAuthorized, RefundAuthorized

from orders import book
from orders.outcomes import InDoubt, NotFound, RefundAccepted, RefundClosed, RefundConfirmed, Refused
from tests.orders.exploration import KINDS, TICKS_EARLY, Broken, Exploration

RULES = {name: getattr(book, name) for name in dir(book) if callable(getattr(book, name))}
Mutant = Callable[..., Any]
ASKING = ("place", "query")
BURNING = ("place", "burn")
REFUNDING = ("place", "refund")


def test_no_path_with_a_fault_breaks_a_rule_of_the_money():
    exploration = Exploration(faults=1)

    exploration.explore()

    ends = {exploration.entries[world.row].outcome for world in exploration.parents}
    assert ends == {None, "delivered", "refunded"}


@pytest.mark.parametrize("kinds", [BURNING, REFUNDING], ids=["burning", "refunding"])
def test_no_path_with_two_faults_through_fewer_activities_breaks_a_rule_of_the_money(kinds: tuple[str, ...]):
    Exploration(faults=2, kinds=kinds).explore()


@pytest.mark.parametrize(("kinds", "most_posts"), [(ASKING, 2), (BURNING, 1)], ids=["asking", "burning"])
def test_no_path_breaks_a_rule_of_the_money_where_the_lag_is_longer_than_the_longest_latency(
    kinds: tuple[str, ...], most_posts: int
):
    times = CarrierTimes(timedelta(seconds=60), timedelta(seconds=90), timedelta(minutes=10))

    exploration = Exploration(faults=1, kinds=kinds, times=times, ticks=(0, 241, 541, 691, 931))
    exploration.explore()

    assert max(exploration.entries[world.row].posts for world in exploration.parents) == most_posts


def test_no_sampled_path_with_many_faults_breaks_a_rule_of_the_money():
    exploration = Exploration(faults=4, ticks=TICKS_EARLY)

    exploration.sample(random.Random(20230821), walks=600, steps=60)

    assert len(exploration.parents) > 5_000


# --- mutants: each is a rule that someone could have written -------------------------------------------------------


def _asked(entry: OrderState) -> NotFound:
    return NotFound(posts=entry.posts, asked_at=datetime(2999, 1, 1).astimezone().timestamp())


def blind_resubmit(entry: OrderState, now: datetime, times: CarrierTimes, body: Any, _evidence: NotFound | None) -> Any:
    return RULES["authorize_post"](entry, now, times, body, _asked(entry))


def stale_evidence_counts(
    entry: OrderState, now: datetime, times: CarrierTimes, body: Any, evidence: NotFound | None
) -> Any:
    evidence = evidence and _asked(entry)
    return RULES["authorize_post"](entry, now, times, body, evidence)


def counts_from_the_grant(entry: OrderState, times: CarrierTimes) -> Any:
    if entry.last_post_at is None or entry.last_post_answered_at is not None:
        return RULES["_empty_counts_from"](entry, times)
    return entry.last_post_at + times.longest_latency + times.visibility_lag


def a_right_until_the_date(
    entry: OrderState, now: datetime, times: CarrierTimes, body: Any, evidence: NotFound | None
) -> Any:
    after, answer = RULES["authorize_post"](entry, now, times, body, evidence)
    if isinstance(answer, PostAuthorized) and after.completion_date is not None:
        answer = replace(answer, send_before=after.completion_date - times.longest_latency)
    return after, answer


def fresh_date(entry: OrderState, now: datetime, times: CarrierTimes, body: Any, evidence: NotFound | None) -> Any:
    after, answer = RULES["authorize_post"](entry, now, times, body, evidence)
    if isinstance(answer, PostAuthorized):
        date = now + times.completion_window
        after = replace(after, completion_date=date, body=body(date))
        answer = replace(answer, body=body(date))
    return after, answer


def post_after_a_burn_intent(
    entry: OrderState, now: datetime, times: CarrierTimes, body: Any, evidence: NotFound | None
) -> Any:
    after, answer = RULES["authorize_post"](replace(entry, burn_at=None, cancel_reason=""), now, times, body, evidence)
    return replace(after, burn_at=entry.burn_at, cancel_reason=entry.cancel_reason), answer


def anyone_may_withdraw(entry: OrderState, granted: PostAuthorized) -> Any:
    return RULES["withdraw_post"](replace(entry, last_post_answered_at=None), replace(granted, number=entry.posts))


def unanswered_is_not_sent(entry: OrderState, now: datetime, answer: Any, *, of_post: int = 0) -> Any:
    if of_post and isinstance(answer, InDoubt) and answer.cause == "unanswered" and entry.fact is None:
        return replace(entry, posts=0, body=None, completion_date=None, last_post_at=None), answer
    return RULES["record_response"](entry, now, answer, of_post=of_post)


def a_409_is_a_refusal(entry: OrderState, now: datetime, answer: Any, *, of_post: int = 0) -> Any:
    if isinstance(answer, InDoubt) and "409" in answer.why:
        answer = Refused(code="CONFLICT")
    return RULES["record_response"](entry, now, answer, of_post=of_post)


def a_timeout_is_a_refusal(entry: OrderState, now: datetime, answer: Any, *, of_post: int = 0) -> Any:
    if isinstance(answer, InDoubt) and answer.cause == "unanswered":
        answer = Refused(code="TIMEOUT")
    return RULES["record_response"](entry, now, answer, of_post=of_post)


def empty_is_a_refusal(entry: OrderState, now: datetime, times: CarrierTimes, empty: NotFound) -> Any:
    after, weighed = RULES["assess_not_found"](entry, now, times, empty)
    if isinstance(weighed.answer, NotFound) and entry.posts:
        after, _ = RULES["record_response"](after, now, Refused(code="NOT_FOUND"))
    return after, weighed


def the_horizon_is_a_burn(entry: OrderState, now: datetime, times: CarrierTimes) -> Any:
    after, answer = RULES["authorize_burn"](entry, now, times)
    if isinstance(answer, BurnAuthorized):
        after, _ = RULES["record_response"](after, now, Refused(code="", burnt=True))
    return after, answer


def burn_at_once(entry: OrderState, now: datetime, times: CarrierTimes) -> Any:
    after, answer = RULES["authorize_burn"](replace(entry, posts=0), now, times)
    return replace(after, posts=entry.posts), answer


def burn_at_the_last_moment_of_a_post(entry: OrderState, now: datetime, times: CarrierTimes) -> Any:
    date = entry.completion_date and entry.completion_date - times.longest_latency - times.visibility_lag
    after, answer = RULES["authorize_burn"](replace(entry, completion_date=date), now, times)
    return replace(after, completion_date=entry.completion_date), answer


def a_cancel_is_a_refusal(entry: OrderState, reason: str, note: str = "") -> Any:
    after, written = RULES["request_cancel"](entry, reason, note)
    if written and reason == book.CANCELLED:
        after = replace(after, fact="refused", fact_code=reason)
    return after, written


def not_delivered_is_a_refusal(entry: OrderState, reason: str, note: str = "") -> Any:
    after, written = RULES["request_cancel"](entry, reason, note)
    if written and reason == book.RESOLVED_BY_OPERATOR:
        after = replace(after, fact="refused", fact_code=reason)
    return after, written


def not_delivered_needs_no_reference(entry: OrderState, now: datetime, answer: InDoubt) -> Any:
    note = entry.resolution_note and answer.carrier_order_id
    return RULES["carrier_gave_up"](replace(entry, resolution_note=note), now, answer)


def refund_in_doubt(entry: OrderState, now: datetime) -> Any:
    if entry.fact is None and entry.posts and not entry.refund_sequence:
        return replace(entry, refund_sequence=1, status="refunding"), RefundAuthorized(1, fresh=True)
    return RULES["authorize_refund"](entry, now)


def renumber_while_processing(entry: OrderState, now: datetime, answer: Any) -> Any:
    return RULES["record_refund_response"](entry, now, RefundClosed() if isinstance(answer, RefundAccepted) else answer)


def renumber_without_compare(entry: OrderState, _closed: int) -> Any:
    return RULES["close_refund_number"](entry, entry.refund_sequence)


def accepted_is_confirmed(entry: OrderState, now: datetime, answer: Any) -> Any:
    return RULES["record_refund_response"](
        entry, now, RefundConfirmed() if isinstance(answer, RefundAccepted) else answer
    )


def send_after_the_operators_word(entry: OrderState, now: datetime, sequence: int) -> Any:
    after, leaves = RULES["mark_refund_sent"](replace(entry, refund_word="", refund_denied=""), now, sequence)
    return replace(after, refund_word=entry.refund_word), leaves


def settle_by_the_intent(entry: OrderState, now: datetime) -> Any:
    if entry.refund_sequence and entry.outcome is None:
        return replace(entry, outcome="refunded", status="refunded"), "refunded"
    return RULES["settle"](entry, now)


MUTANTS: list[tuple[str, Mutant, tuple[str, ...]]] = [
    ("authorize_post", blind_resubmit, KINDS),
    ("authorize_post", stale_evidence_counts, ASKING),
    ("authorize_post", fresh_date, ASKING),
    ("authorize_post", post_after_a_burn_intent, KINDS),
    ("withdraw_post", anyone_may_withdraw, ASKING),
    ("record_response", unanswered_is_not_sent, ASKING),
    ("record_response", a_409_is_a_refusal, KINDS),
    ("record_response", a_timeout_is_a_refusal, KINDS),
    ("assess_not_found", empty_is_a_refusal, KINDS),
    ("authorize_burn", the_horizon_is_a_burn, KINDS),
    ("authorize_burn", burn_at_once, KINDS),
    ("authorize_burn", burn_at_the_last_moment_of_a_post, KINDS),
    ("request_cancel", a_cancel_is_a_refusal, KINDS),
    ("request_cancel", not_delivered_is_a_refusal, KINDS),
    ("carrier_gave_up", not_delivered_needs_no_reference, KINDS),
    ("authorize_refund", refund_in_doubt, KINDS),
    ("record_refund_response", renumber_while_processing, REFUNDING),
    ("record_refund_response", accepted_is_confirmed, REFUNDING),
    ("close_refund_number", renumber_without_compare, REFUNDING),
    ("mark_refund_sent", send_after_the_operators_word, REFUNDING),
    ("settle", settle_by_the_intent, REFUNDING),
]


@pytest.mark.parametrize(("rule", "mutant", "kinds"), MUTANTS, ids=[mutant.__name__ for _, mutant, _ in MUTANTS])
def test_a_mutant_of_a_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant, kinds: tuple[str, ...]
):
    monkeypatch.setattr(book, rule, mutant)

    with pytest.raises(Broken):
        Exploration(faults=2, kinds=kinds).explore()


@pytest.mark.parametrize(
    ("rule", "mutant"),
    [("_empty_counts_from", counts_from_the_grant), ("authorize_post", a_right_until_the_date)],
    ids=["counts from the grant", "a right until the date"],
)
def test_a_wait_that_forgets_how_long_a_post_may_take_to_leave_is_found(
    monkeypatch: pytest.MonkeyPatch, rule: str, mutant: Mutant
):
    monkeypatch.setattr(book, rule, mutant)

    with pytest.raises(Broken, match="P7b"):
        Exploration(faults=1, kinds=ASKING, ticks=TICKS_EARLY).explore()


def test_a_rule_that_is_not_one_transaction_is_found():
    with pytest.raises(Broken, match=r"C8|P6"):
        Exploration(faults=2, kinds=ASKING, one_transaction=False).explore()
