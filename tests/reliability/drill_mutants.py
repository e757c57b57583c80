"""Wrong products that the drills must catch, each in the drill that is there for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orders.book

import adapters.order_book.claims
from adapters.order_book.book import Claim, ClaimResult
from devkit.servers.kafka import Kafka
from orders.outcomes import CarrierResult, NotFound
from tests.reliability.cancels import cancel_drill
from tests.reliability.forgetting import TOUCHES_NOTHING, forgotten_records_drill
from tests.reliability.mutants import MUTANTS
from tests.reliability.operator_faults import operator_fault_drill
from tests.reliability.running import Drill
from tests.reliability.states import STATES
from tests.reliability.zombies import zombie_drill
from workflows.top_up_order import TopUpOrder


@dataclass(frozen=True, slots=True)
class DrillMutant:
    """One mistake, the rule that must break, and the drill that shows it."""

    apply: Callable[[], None]
    rule: str
    drill: Callable[[Kafka], Drill]


def _takes_a_cancel_for_a_refusal() -> None:
    def hasty(entry: Any, reason: str, note: str = "") -> Any:
        del note
        if entry.fact is not None:
            return entry, False
        refused = replace(entry, fact="refused", fact_code=reason, fact_at=entry.claimed_at, cancel_reason=reason)
        return refused, True

    assert hasattr(orders.book, "request_cancel"), "orders.book has no request_cancel any more: correct the mutant"
    orders.book.request_cancel = hasty


def _reopens_without_asking() -> None:
    """The book forgets the POST, and the run that it was reopened."""

    def anew(_self: Any, _stand: Any) -> CarrierResult:
        return CarrierResult(answer=NotFound(may_post=True))

    MUTANTS["posts again without asking"].apply()
    assert hasattr(TopUpOrder, "_where_it_stands"), "TopUpOrder has no _where_it_stands any more: correct the mutant"
    setattr(TopUpOrder, "_where_it_stands", anew)  # noqa: B010 - private


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
