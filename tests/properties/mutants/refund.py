"""Mistakes with the refund."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false
# Mistakes are made inside the product's parts, whatever their types are.

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import activities.notifying
import activities.order_desk
import activities.telecom
from activities.refunding import RefundingActivities
from orders import carrier_rules, next_step, operator_rules, refund_rules
from orders.outcomes import RefundAccepted, RefundConfirmed, RefundDenied
from tests.properties import oracle
from tests.properties.mutants.mutant import Patch, mutant, seems_closed
from tests.properties.strategies import Call, Fate, Fault, Plan, RefundFate
from workflows.top_up_order import TopUpOrder


def decides(patch: Patch, seen_as: Callable[[Any], Any]) -> None:
    """`next_step` of another state, wherever it is asked."""
    real = next_step.next_step

    def decide(state: Any, now: Any, times: Any) -> Any:
        return real(seen_as(state), now, times)

    for asks in (activities.order_desk, carrier_rules, refund_rules):
        patch.setattr(asks, "next_step", decide)


@mutant("refunded overtakes failed", oracle.IN_ORDER)
def _overtakes(patch: Patch) -> None:
    patch.setattr(TopUpOrder, "_waits_for_failed", lambda _self, _platform: False)


@mutant("new number after ABNORMAL", oracle.SAME_NUMBER)
def _renumber_denied(patch: Patch) -> None:
    seems_closed(patch, RefundDenied)


@mutant(
    "retry without a request",
    oracle.DENIED,
    plan=Plan(fate=Fate(first="rejected"), refund_fates=(RefundFate("ABNORMAL", 20.0),)),
)
def _unasked_retry(patch: Patch) -> None:
    patch.setattr(next_step, "_asked_for_again", lambda _state: True)


@mutant("half a refund", oracle.SAME_NUMBER)
def _half(patch: Patch) -> None:
    real = RefundingActivities._request

    def request(self: Any, record: Any, sequence: int) -> Any:
        asked = real(self, record, sequence)
        return asked.model_copy(update={"amount_fen": asked.amount_fen // 2})

    patch.setattr(RefundingActivities, "_request", request)


@mutant(
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
    decides(patch, lambda state: replace(state, contradicted=False))


@mutant("refunded once accepted", oracle.TRUE_BOOK)
def _accepted_is_confirmed(patch: Patch) -> None:
    real = refund_rules.record_refund_response

    def record(state: Any, now: Any, times: Any, answer: Any, **named: Any) -> Any:
        if isinstance(answer, RefundAccepted):
            answer = RefundConfirmed(provider_refund_id="P")
        return real(state, now, times, answer, **named)

    patch.setattr(refund_rules, "record_refund_response", record)


@mutant(
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
