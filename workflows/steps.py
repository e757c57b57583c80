"""What the saga asks of the world: names, arguments and results of its activities, and how a run is started.

Workflow and activity names are fixed here, so that moving a module breaks no history. No argument or result carries
vehicle data: activities read it from the order book.
"""

from dataclasses import dataclass
from typing import Final, TypedDict

from pydantic import BaseModel, ConfigDict
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from orders.identities import NoticeResult, carrier_serial, refund_number, workflow_id
from orders.lifecycle import Outcome, Status
from orders.outcomes import CarrierResult, NotFound
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


class Stand(_Data):
    """Where the book says the order stands, and what of today's configuration this run goes by.

    Replays must not depend on the settings of the worker that replays: they enter a run here, once.
    """

    posts: int
    cancel_reason: str
    carrier: CarrierResult | None
    """The carrier's final word, if the book has it; of one that can't be asked, whatever the book says."""
    platforms: tuple[str, ...]
    scale: float
    local_first: bool
    ask_first: bool = False
    """The book was restored from a backup: not even the first POST goes out before a `GET`."""
    proposal: str = ""
    """The open proposal of the first of two persons, as a clause."""


class CarrierRequest(_Data):
    """The argument of every call to the carrier."""

    order_id: str
    evidence: NotFound | None = None
    """For a further POST: the empty answer that it rests on."""
    insist: bool = False
    """The saga has shown the trouble already: raise until there is something new to decide."""
    once: bool = False
    """One look alone: return whatever it says, doubt too."""


class RefundStepRequest(_Data):
    """The argument of every call to the payment provider."""

    order_id: str
    closed: int = 0
    """The refund number that was seen `CLOSED` already."""
    insist: bool = False
    """The saga has shown already that the refund waits for a person."""
    denied: bool = False
    """It has shown a definite refusal: another trouble (no balance, …) shown before does not stand for that."""
    again: bool = False
    """An operator asks for it: send it also where the provider has definitely refused it before."""


class NotifyRequest(_Data):
    """One notice, for some platforms."""

    order_id: str
    result: NoticeResult
    platforms: tuple[str, ...]


class NotifyResult(_Data):
    """What became of it: `acknowledged`, `pending` or `not_due` (there is nothing to tell), by platform."""

    states: dict[str, str]


class StatusNote(_Data):
    """What the book is to show of an unsettled order."""

    order_id: str
    status: Status
    reason: str
    needs_operator: bool


class OperatorRequest(_Data):
    """An operator's word, as `resolve`, `retry_now`, `refund_now` and `renotify` take it (contracts §3).

    Every member is optional for the decoder, so that a missing one is refused by a sentence and not by a dump.
    """

    operator: str = ""
    note: str = ""
    outcome: str = ""


class SignedRequest(_Data):
    """An operator's word about one order, to be written in the book before anything follows from it."""

    order_id: str
    word: OperatorRequest
    update: str = "resolve"
    """The update's name, which is the kind of its line in the audit trail."""


class Recorded(_Data):
    """What the book answered. `refusal` is a sentence, empty if it is written."""

    refusal: str = ""
    proposal: str = ""
    """Where two persons are demanded and this was the first: who proposes what until when; nothing follows yet."""


class Settled(_Data):
    """The end in the book. None: the book does not hold what an end needs."""

    outcome: Outcome | None


class GivenUp(_Data):
    """A notice that a platform did not take before it would have expired."""

    order_id: str
    result: NoticeResult
    platform: str


class TopUpResult(_Data):
    """A run's result: the outcome, and what became of the notices by result and platform."""

    order_id: str
    outcome: Outcome
    reason: str
    notices: dict[str, dict[str, str]]


class TopUpState(_Data):
    """The answer of the query `status` (contracts §3)."""

    order_id: str
    state: Status
    reason: str
    needs_operator: bool
    notices: dict[str, dict[str, str]]
    proposal: str = ""
    """What the first of two persons has proposed, and until when it can be confirmed."""


READ_ORDER: Final = "read_order"
RECORD_ORDER: Final = "record_order"
RECORD_STATUS: Final = "record_status"
RECORD_CANCEL: Final = "record_cancel"
RECORD_RESOLUTION: Final = "record_resolution"
RECORD_WORD: Final = "record_word"
RECORD_GIVEN_UP: Final = "record_notice_given_up"
PLACE: Final = "place_telecom_order"
QUERY: Final = "query_telecom_order"
BURN: Final = "cancel_telecom_order"
NOTIFY: Final = "notify_vehicle"
REFUND: Final = "refund_payment"
QUERY_REFUND: Final = "query_refund"

FORBIDDEN: Final = "FORBIDDEN"
"""Code of a refund that the book holds back because the carrier has contradicted its own refusal."""

FORGOTTEN: Final = "FORGOTTEN"
"""Code of a refund whose refusal the book does not know (any more): it was restored, and the carrier is asked again."""

TELECOM_ID: Final = "telecom"
"""Activity ID of whichever single call to the carrier is pending (contracts §3)."""
REFUND_ID: Final = "refund"
"""Likewise to the payment provider."""


def notices_queue(task_queue: str) -> str:
    """The task queue of the notices that did not go out at once.

    A queue and slots of their own: however many hang on a dead platform, no step of the money waits behind them.
    """
    return f"{task_queue}-notices"


def notice_activity_id(result: NoticeResult, platform: str) -> str:
    """Activity ID of one platform's notice (contracts §3)."""
    return f"notify-{result}-{platform}"


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
    static_details: str


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
            "static_details": (
                f"Serial at the carrier `{carrier_serial(order.order_id)}`, refund number "
                f"`{refund_number(order.order_id, 1)}`. Also without a worker: `topup orders show {order.order_id}`."
            ),
        }
