"""Mistakes that more than one judge must catch, made once: by the property tests and by the crash matrix.

What must break, and where, stands in each judge's own catalogue: `tests/properties/mutants/`,
`tests/reliability/mutants/`.
"""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false
# Mistakes are made inside the product's parts, whatever their types are.

from collections.abc import Mapping
from typing import Any

import pytest

import activities.telecom
from adapters.order_book import decisions
from orders import next_step, operator_rules
from orders.carrier_rules import PostAuthorized


def posts_again_without_asking(patch: pytest.MonkeyPatch) -> None:
    real = next_step._not_found_since
    patch.setattr(next_step, "_not_found_since", lambda state, moment: bool(state.posts) or real(state, moment))


def burns_before_the_date(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(next_step, "burn_allowed_from", lambda state, _times: state.claimed_at)


def does_not_hear_of_a_reopening(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(operator_rules, "reopen", lambda state, _now: (state, None))


def writes_the_body_into_the_trail(patch: pytest.MonkeyPatch) -> None:
    real = activities.telecom._authorized_detail

    def detail(authorized: PostAuthorized | None) -> Mapping[str, Any]:
        body = {"body": authorized.body.decode()} if authorized is not None else {}
        return {**real(authorized), **body}

    patch.setattr(activities.telecom, "_authorized_detail", detail)


def leaves_out_of_the_trail(patch: pytest.MonkeyPatch, kind: str) -> None:
    real = decisions._apply

    def apply(kept: Any, decision: Any, now: Any) -> Any:
        answer = real(kept, decision, now)
        if decision.kind == kind:
            kept.lines.pop()
        return answer

    patch.setattr(decisions, "_apply", apply)
