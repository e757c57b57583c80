"""What the saga asks of the world: names, arguments and results of its activities, and how a run is started.

Workflow and activity names are fixed here, so that moving a module breaks no history. No argument or result carries
vehicle data: activities read it from the order book.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from pydantic import BaseModel, ConfigDict
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from orders.identities import workflow_id
from orders.lifecycle import Outcome, Status
from orders.paid_order import Provider

TOP_UP_ORDER: Final = "TopUpOrder"
"""The workflow type (contracts §3)."""

STATUS: Final = SearchAttributeKey.for_keyword("TopUpStatus")
NEEDS_OPERATOR: Final = SearchAttributeKey.for_bool("TopUpNeedsOperator")
VEHICLE: Final = SearchAttributeKey.for_keyword("TopUpVehicle")
PACKAGE: Final = SearchAttributeKey.for_keyword("TopUpPackage")
PAYMENT_PROVIDER: Final = SearchAttributeKey.for_keyword("TopUpPaymentProvider")
SEARCH_ATTRIBUTES: Final = (STATUS, NEEDS_OPERATOR, VEHICLE, PACKAGE, PAYMENT_PROVIDER)


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class TopUpInput(_Data):
    """What a run starts with. Readable in the Web UI; no vehicle data."""

    order_id: str
    package_id: str
    amount_fen: int
    provider: Provider
    reopened: bool = False
    """Set by `topup orders reopen` and the sweep alone: this run asks the carrier before it sends anything to it."""


class StartArguments(TypedDict):
    """Keyword arguments of `Client.start_workflow`."""

    workflow: str
    arg: TopUpInput
    id: str
    task_queue: str
    id_reuse_policy: WorkflowIDReusePolicy
    id_conflict_policy: WorkflowIDConflictPolicy
    search_attributes: TypedSearchAttributes
    static_summary: str


@dataclass(frozen=True, slots=True)
class Start:
    """The arguments of `Client.start_workflow` for an order's run, the same wherever a run is started."""

    order: TopUpInput
    vehicle_hash: str

    def arguments(self, task_queue: str) -> StartArguments:
        """Keyword arguments: workflow ID from the order ID, REJECT_DUPLICATE and FAIL (contracts §3)."""
        order = self.order
        reuse = (
            WorkflowIDReusePolicy.ALLOW_DUPLICATE if order.reopened else WorkflowIDReusePolicy.REJECT_DUPLICATE
        )  # a reopened order has a closed run; the book and the lock of the sweep decide, not this policy
        return {
            "workflow": TOP_UP_ORDER,
            "arg": order,
            "id": workflow_id(order.order_id),
            "task_queue": task_queue,
            "id_reuse_policy": reuse,
            "id_conflict_policy": WorkflowIDConflictPolicy.FAIL,
            "search_attributes": TypedSearchAttributes(
                [
                    SearchAttributePair(STATUS, "placing"),
                    SearchAttributePair(NEEDS_OPERATOR, value=False),
                    SearchAttributePair(VEHICLE, self.vehicle_hash),
                    SearchAttributePair(PACKAGE, order.package_id),
                    SearchAttributePair(PAYMENT_PROVIDER, order.provider),
                ]
            ),
            "static_summary": f"{order.package_id} · {order.amount_fen} fen · {order.provider}",
        }
