"""Wrong products, made by patches in one process: the matrix is worth what it catches.

Each mutant is a mistake that somebody might make, one rule of the auditor that must break, and a case that shows it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import pytest

import activities.notifying
from activities.notifying import NotifyingActivities
from adapters.carriers.tmf622.client import Tmf622Carrier
from adapters.order_book.book import OrderBook
from orders import carrier_rules
from orders.outcomes import InDoubt, Refused
from tests import mistakes
from tests.reliability.cases import BY_NAME, Case
from tests.reliability.crashing_process import Fault, When
from workflows.steps import NotifyRequest, NotifyResult


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake.

    Attributes:
        apply: makes it in this process.
        rule: what the auditor must find broken.
        case: where.
    """

    apply: Callable[[], None]
    rule: str
    case: Case


def _patch(owner: Any, name: str, value: Any) -> None:
    assert hasattr(owner, name), f"{owner.__name__} has no {name} any more: correct the mutant"
    setattr(owner, name, value)


def _posts_before_the_intent() -> None:
    """The first intent of each process alone: a book that never hears of a POST has the saga post for ever."""
    decide: Any = OrderBook.decide
    forgotten: list[str] = []

    async def forgetful(self: OrderBook, order_id: str, rule: Any, *, kind: str, detail: Any) -> Any:
        def forget(record: Any) -> Any:
            forgotten.append(order_id)
            return record.state, rule(record)[1]

        forgets = kind == "post_intent" and order_id not in forgotten
        return await decide(self, order_id, forget if forgets else rule, kind=kind, detail=detail)

    _patch(OrderBook, "decide", forgetful)


def _new_body_for_each_post() -> None:
    authorize = carrier_rules.authorize_post

    def authorize_post(state: Any, now: Any, times: Any, make_body: Any) -> Any:
        after, authorized = authorize(state, now, times, make_body)
        if authorized is not None:
            authorized = replace(authorized, body=make_body(now + times.completion_window))
        return after, authorized

    _patch(carrier_rules, "authorize_post", authorize_post)


def _takes_a_500_for_a_refusal() -> None:
    submit = Tmf622Carrier.submit

    async def hasty(self: Tmf622Carrier, body: bytes, *, timeout_seconds: float, in_time: Any) -> Any:
        answer = await submit(self, body, timeout_seconds=timeout_seconds, in_time=in_time)
        return Refused(code="FAILED") if isinstance(answer, InDoubt) else answer

    _patch(Tmf622Carrier, "submit", hasty)


def _takes_not_found_for_burnt() -> None:
    async def imagined(_self: Tmf622Carrier, _serial: str, *, timeout_seconds: float) -> Refused:
        del timeout_seconds
        return Refused(code="CANCELLED", burnt=True)

    _patch(Tmf622Carrier, "cancel", imagined)


def _dates_each_notice_anew() -> None:
    compose: Any = activities.notifying.compose

    def dated(**members: Any) -> Any:
        return compose(**(members | {"at": datetime.now(UTC)}))

    _patch(activities.notifying, "compose", dated)


def _tells_nobody() -> None:
    async def silent(self: NotifyingActivities, ask: NotifyRequest) -> NotifyResult:
        del self
        return NotifyResult(states=dict.fromkeys(ask.platforms, "acknowledged"))

    _patch(NotifyingActivities, "notify_vehicle", _as(NotifyingActivities.notify_vehicle, silent))


def _as(original: Any, replacement: Any) -> Any:
    """The replacement under the original's activity definition."""
    replacement.__dict__.update(original.__dict__)
    definition = replace(original.__dict__["__temporal_activity_definition"], fn=replacement)
    replacement.__dict__["__temporal_activity_definition"] = definition
    return replacement


def _case(story: str, fault: Fault, when: When, point: str, **circumstances: Any) -> Case:
    scale = BY_NAME[story].scale
    return Case(story=BY_NAME[story], point=point, when=when, fault=fault, scale=scale, **circumstances)


MUTANTS: Final[Mapping[str, Mutant]] = {
    "posts again without asking": Mutant(
        partial(mistakes.posts_again_without_asking, pytest.MonkeyPatch()),
        "asked between two POSTs",
        _case("delivered", "kill", "middle", "carrier:post"),
    ),
    "posts before the intent is in the book": Mutant(
        _posts_before_the_intent, "one body per serial", _case("delivered", "kill", "middle", "carrier:post")
    ),
    "makes the body anew for each POST": Mutant(
        _new_body_for_each_post, "one body per serial", _case("posted again", "kill", "before", "carrier:get")
    ),
    "takes a 500 for a refusal": Mutant(
        _takes_a_500_for_a_refusal, "exactly one end", _case("doubted", "kill", "after", "book:refund_intent")
    ),
    "burns before the date": Mutant(
        partial(mistakes.burns_before_the_date, pytest.MonkeyPatch()),
        "burnt late enough",
        _case("cancelled", "lost", "after", "book:cancel_requested"),
    ),
    "takes not found for burnt": Mutant(
        _takes_not_found_for_burnt,
        "refund only after refusal or burn",
        _case("burnt", "kill", "after", "book:burn"),
    ),
    "dates each notice anew": Mutant(
        _dates_each_notice_anew, "the car is told", _case("delivered", "kill", "after", "mqtt:delivered")
    ),
    "tells nobody": Mutant(_tells_nobody, "the car is told", _case("delivered", "kill", "after", "book:post")),
}
