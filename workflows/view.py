"""What an operator sees of a run: status, search attributes, labelled timers, details with the commands valid now."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from orders.lifecycle import Status
from workflows.durable import Stage, Steps
from workflows.policies import LABEL_SECONDS, PARK_AFTER_SECONDS, TROUBLE_AFTER_SECONDS, scaled
from workflows.steps import (
    NEEDS_OPERATOR,
    RECORD_STATUS,
    STATUS,
    Recorded,
    StatusNote,
    TopUpInput,
    TopUpState,
)

CARRIER_SILENT: Final = "the carrier has settled nothing for 24 h"


class View:
    """The visible side of one run; nothing of the money rests on it."""

    def __init__(self, order: TopUpInput, steps: Steps) -> None:
        self._order = order
        self._steps = steps
        self.status: Status = "placing"
        self.reason = ""
        self.needs_operator = False
        self.notices: dict[str, dict[str, str]] = {}
        self._trouble_since: float | None = None

    def state(self) -> TopUpState:
        """The answer of the query `status`."""
        return TopUpState(
            order_id=self._order.order_id,
            state=self.status,
            reason=self.reason,
            needs_operator=self.needs_operator,
            notices=self.notices,
        )

    async def enter(self, status: Status, reason: str = "", *, needs_operator: bool = False) -> None:
        """Show a new place, here and in the book. An end and the refund's start stand in the book already."""
        if (status, reason, needs_operator) == (self.status, self.reason, self.needs_operator):
            return
        attributes_change = (status, needs_operator) != (self.status, self.needs_operator)
        self.status, self.reason, self.needs_operator = status, reason, needs_operator
        if attributes_change:
            updates: list[SearchAttributeUpdate[Any]] = [
                STATUS.value_set(status),
                NEEDS_OPERATOR.value_set(needs_operator),
            ]
            workflow.upsert_search_attributes(updates)  # pyright: ignore[reportUnknownMemberType] - the SDK's own type
        workflow.set_current_details(self._details())
        if status in ("in_doubt", "parked") or needs_operator:
            note = StatusNote(
                order_id=self._order.order_id, status=status, reason=reason, needs_operator=needs_operator
            )
            await self._steps.record(RECORD_STATUS, note, Recorded)

    def carrier_stage(self) -> Stage:
        """Waiting for the carrier: quiet, then shown as trouble, then parked while the saga goes on asking."""

        async def park() -> None:
            await self.enter("parked", CARRIER_SILENT, needs_operator=True)

        if self.needs_operator:
            return Stage(
                f"PARKED: {self.reason}. Ask the carrier for {self._order.order_id}, then Send an Update > resolve",
                LABEL_SECONDS,
            )
        return self._stage("carrier", PARK_AFTER_SECONDS, park)

    def refund_stage(self) -> Stage:
        """Waiting for the payment provider: there is no end, only a person who may be needed."""
        if self.needs_operator:
            return Stage(f"REFUND WAITS FOR YOU: {self.reason}", LABEL_SECONDS)
        return self._stage("payment provider", None, None)

    def calm(self) -> None:
        """The trouble is over; the next one is measured from its own beginning."""
        self._trouble_since = None

    def _stage(self, whom: str, then_seconds: float | None, then: Callable[[], Awaitable[None]] | None) -> Stage:
        now = workflow.time()
        if self._trouble_since is None:
            self._trouble_since = now
        elapsed = now - self._trouble_since
        quiet = scaled(TROUBLE_AFTER_SECONDS, self._steps.scale)
        if elapsed < quiet:
            return Stage(f"Waiting for the {whom}'s answer", quiet - elapsed)
        label = f"RETRYING > 2 min: click the orange bar for the {whom}'s answer; Reset there = retry now"
        if then is None or then_seconds is None:
            return Stage(label, LABEL_SECONDS)
        left = scaled(then_seconds, self._steps.scale) - elapsed
        return Stage(label, max(left, 1.0), then)

    def _details(self) -> str:
        order_id = self._order.order_id
        lines = [f"### {self.status}" + (f": {self.reason}" if self.reason else "")]
        word = '{"operator": "YOUR NAME", "note": "WHY"}'
        match self.status:
            case "in_doubt" | "placing":
                lines += [
                    "The carrier has not settled this order; the saga goes on asking. Nothing is refunded in doubt.",
                    f"- now: `topup orders retry {order_id}` (Send an Update > `retry_now`: `{word}`)",
                    f"- cancel and refund: `topup orders cancel {order_id}`",
                ]
            case "parked":
                said = '{"operator": "YOUR NAME", "note": "CARRIER\'S REFERENCE", "outcome": "delivered"}'
                lines += [
                    f"Ask the carrier what became of `{order_id}`, then Send an Update > `resolve`:",
                    f"- it has delivered: `{said}`",
                    '- it has not and never will: the same with `"outcome": "not_delivered"`',
                    f"- or `topup orders resolve {order_id} --outcome delivered --note …`",
                ]
            case "refunding":
                lines += [f"The refund is under way: `topup orders retry {order_id}` asks again now."]
                if self.needs_operator:
                    lines += [
                        "If it can never be paid there and you have paid it another way, Send an Update > `resolve`:",
                        '- `{"operator": "YOUR NAME", "note": "REFERENCE", "outcome": "refunded"}`',
                    ]
            case "delivered" | "refunded":
                lines += ["Nothing is to be done."]
        return "\n".join(lines)
