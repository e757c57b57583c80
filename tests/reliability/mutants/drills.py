"""Wrong products that the drills must catch, each in the drill that is there for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

import adapters.order_book.claims
from adapters.order_book.book import Claim, ClaimResult
from devkit.servers.kafka import Kafka
from orders import operator_rules
from orders.state import CANCELLED
from tests import mistakes
from tests.reliability.cancels import cancel_drill
from tests.reliability.forgetting import TOUCHES_NOTHING, forgotten_records_drill
from tests.reliability.mutants.matrix import MUTANTS
from tests.reliability.operator_faults import operator_fault_drill
from tests.reliability.running import Drill
from tests.reliability.states import STATES
from tests.reliability.zombies import zombie_drill


@dataclass(frozen=True, slots=True)
class DrillMutant:
    """One mistake, the rule that must break, and the drill that shows it."""

    apply: Callable[[], None]
    rule: str
    drill: Callable[[Kafka], Drill]


def _takes_a_cancel_for_a_refusal() -> None:
    def hasty(state: Any, reason: str = CANCELLED, note: str = "") -> Any:
        del note
        if state.carrier_outcome is not None:
            return state, False
        refused = replace(
            state,
            carrier_outcome="rejected",
            carrier_code=reason,
            carrier_outcome_at=state.claimed_at,
            cancel_reason=reason,
        )
        return refused, True

    assert hasattr(operator_rules, "request_cancel"), "there is no request_cancel any more: correct the mutant"
    operator_rules.request_cancel = hasty


def _reopens_without_asking() -> None:
    """The book takes the POST for one that did nothing, and does not hear that the order was reopened."""
    mistakes.posts_again_without_asking(pytest.MonkeyPatch())
    mistakes.does_not_hear_of_a_reopening(pytest.MonkeyPatch())


def _forgets_that_orders_are_settled() -> None:
    known: Any = adapters.order_book.claims.Known
    compare = known.compare

    def forgetful(self: Any, order: Any) -> ClaimResult:
        said: ClaimResult = compare(self, order)
        return replace(said, outcome=Claim.UNSETTLED) if said.outcome is Claim.SETTLED else said

    known.compare = forgetful


_STATES: Final = {state.name: state for state in STATES}

DRILL_MUTANTS: Final[Mapping[str, DrillMutant]] = {
    "a frozen worker's order is refunded without a burn": DrillMutant(
        MUTANTS["takes not found for burnt"].apply, "exactly one end", lambda _: zombie_drill("POST, then burnt", 8)
    ),
    "takes a cancel for a refusal": DrillMutant(
        _takes_a_cancel_for_a_refusal, "exactly one end", lambda _: cancel_drill(_STATES["placing"], "web")
    ),
    "a reopened order is posted without asking": DrillMutant(
        _reopens_without_asking,
        "asked between two POSTs",
        lambda _: operator_fault_drill(_STATES["placing"], "terminate", worker="dead", by="reopen"),
    ),
    "forgets that orders are settled": DrillMutant(
        _forgets_that_orders_are_settled, TOUCHES_NOTHING, lambda kafka: forgotten_records_drill(kafka, 6)
    ),
}
