"""What the saga asks of the world: its steps as typed handles, their arguments and results, and how a run is started.

A step's name, argument, result, policy and activity ID stand together here, once. Workflow and activity names are
fixed, so that moving a module breaks no history. No argument or result carries vehicle data: activities read it from
the order book.
"""

from dataclasses import dataclass, field
from typing import Final, Generic, TypedDict, TypeVar

from pydantic import BaseModel, ConfigDict
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from orders.identities import (
    GOODWILL_WORKFLOW_TYPE,
    WORKFLOW_TYPE,
    NoticeResult,
    carrier_serial,
    goodwill_of,
    refund_number,
    workflow_id,
)
from orders.lifecycle import Outcome, Status
from orders.next_step import NextStep
from orders.paid_order import Provider
from orders.state import Attention
from workflows import policies
from workflows.policies import StepPolicy

TOP_UP_ORDER: Final = WORKFLOW_TYPE
"""The workflow type (contracts §3)."""
GOODWILL_REFUND: Final = GOODWILL_WORKFLOW_TYPE
"""The workflow type of a goodwill refund."""

STATUS: Final = SearchAttributeKey.for_keyword("TopUpStatus")
NEEDS_OPERATOR: Final = SearchAttributeKey.for_bool("TopUpNeedsOperator")
VEHICLE: Final = SearchAttributeKey.for_keyword("TopUpVehicle")
PACKAGE: Final = SearchAttributeKey.for_keyword("TopUpPackage")
PAYMENT_PROVIDER: Final = SearchAttributeKey.for_keyword("TopUpPaymentProvider")
SEARCH_ATTRIBUTES: Final = (STATUS, NEEDS_OPERATOR, VEHICLE, PACKAGE, PAYMENT_PROVIDER)


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class TopUpInput(_Data):
    """What a run starts with. Readable in the Web UI; no vehicle data.

    Replays must not depend on the settings of the worker that replays: what a run branches on enters it here, or with
    a step's result.
    """

    order_id: str
    package_id: str
    amount_fen: int
    provider: Provider
    time_scale: float = 1.0
    """`TOPUP_TIME_SCALE` of the process that starts the run."""
    reopened: bool = False
    """Started by `topup orders reopen` or the sweep, which have a second run under one workflow ID."""


# --- arguments and results --------------------------------------------------------------------------------------


class OrderRequest(_Data):
    """The argument of every step that takes an order on.

    `seen` is `Progress.mark` of what the run shows already: a step that asks again and again ends as soon as there is
    something else to show or to do.
    """

    order_id: str
    seen: str = ""


class Progress(_Data):
    """Where the order book says the order stands, and what happens next (`orders.next_step`); each step returns it."""

    next: NextStep
    status: Status
    reason: str = ""
    attention: Attention = ""
    wait_seconds: float = 0.0
    """How long to wait before that step, where it asks again. Scaled already."""
    carrier_outcome: str = ""
    """The carrier's final word, or empty."""
    carrier_order_id: str = ""
    contradicted: bool = False
    refund_started: bool = False
    refund_denied: bool = False
    paid_another_way: bool = False
    proposal: str = ""
    """The open proposal of the first of two persons, as a clause."""
    platforms: tuple[str, ...] = ()
    """The MQTT platforms that the worker of this step knows."""
    local_first: bool = True
    """Whether the worker of this step wants steps tried locally first."""
    refund_silent_seconds: float | None = None
    """After how long a refund that is not confirmed calls a person, as the worker of this step has it; scaled already.
    None: it said nothing of that, and the policy's own holds."""

    @property
    def mark(self) -> str:
        """What makes it another one for people and for the saga."""
        return f"{self.next.kind} {self.status} {self.attention} {self.refund_denied} {self.paid_another_way}"

    @property
    def needs_operator(self) -> bool:
        """Whether a person is called for."""
        return bool(self.attention)


class CallPerson(_Data):
    """An order has waited too long: the argument of the step that calls a person for it."""

    order_id: str
    attention: Attention
    why: str


class NotifyRequest(_Data):
    """One notice, for some platforms."""

    order_id: str
    result: NoticeResult
    platforms: tuple[str, ...]


class NotifyResult(_Data):
    """What became of it: `acknowledged`, `pending` or `not_due` (there is nothing to tell), by platform."""

    states: dict[str, str]


class GivenUp(_Data):
    """A notice that a platform did not take before it would have expired."""

    order_id: str
    result: NoticeResult
    platform: str


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
    request: OperatorRequest
    update: str = "resolve"
    """The update's name, which is the kind of its line in the audit trail."""


class Recorded(_Data):
    """What the book answered. `refusal` is a sentence, empty if it is written."""

    refusal: str = ""
    proposal: str = ""
    """Where two persons are demanded and this was the first: who proposes what until when; nothing follows yet."""


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


# --- the steps ---------------------------------------------------------------------------------------------------

A = TypeVar("A", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)

TELECOM_ID: Final = "telecom"
"""Activity ID of whichever single call to the carrier is pending (contracts §3)."""
REFUND_ID: Final = "refund"
"""Likewise to the payment provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[A, R]):
    """One step: the activity's name, what it takes and gives, under which policy, and how the Web UI names it."""

    name: str
    takes: type[A]
    gives: type[R]
    policy: StepPolicy = field(repr=False)
    says: str
    """What it does, for people."""
    activity_id: str | None = None


PLACE: Final = Step(
    name="place_telecom_order",
    takes=OrderRequest,
    gives=Progress,
    policy=policies.PLACE_ORDER,
    says="POST the order",
    activity_id=TELECOM_ID,
)
QUERY: Final = Step(
    name="query_telecom_order",
    takes=OrderRequest,
    gives=Progress,
    policy=policies.QUERY_ORDER,
    says="GET the order",
    activity_id=TELECOM_ID,
)
CANCEL: Final = Step(
    name="cancel_telecom_order",
    takes=OrderRequest,
    gives=Progress,
    policy=policies.BURN_ORDER,
    says="burn the serial",
    activity_id=TELECOM_ID,
)
REFUND: Final = Step(
    name="refund_payment",
    takes=OrderRequest,
    gives=Progress,
    policy=policies.REFUND_MONEY,
    says="send the refund",
    activity_id=REFUND_ID,
)
QUERY_REFUND: Final = Step(
    name="query_refund",
    takes=OrderRequest,
    gives=Progress,
    policy=policies.QUERY_MONEY,
    says="ask for the refund",
    activity_id=REFUND_ID,
)
NOTIFY: Final = Step(
    name="notify_vehicle",
    takes=NotifyRequest,
    gives=NotifyResult,
    policy=policies.NOTIFY_FIRST,
    says="notice to all platforms",
)
NOTIFY_PLATFORM: Final = Step(
    name="notify_vehicle",
    takes=NotifyRequest,
    gives=NotifyResult,
    policy=policies.NOTIFY_PLATFORM,
    says="notice to one platform",
)
READ_ORDER: Final = Step(
    name="read_order", takes=OrderRequest, gives=Progress, policy=policies.BOOK, says="read the order book"
)
START_REFUND: Final = Step(
    name="record_refund", takes=OrderRequest, gives=Progress, policy=policies.BOOK, says="write the refund intent"
)
RECORD_ORDER: Final = Step(
    name="record_order", takes=OrderRequest, gives=Progress, policy=policies.BOOK, says="write the end"
)
CALL_PERSON: Final = Step(
    name="record_attention", takes=CallPerson, gives=Progress, policy=policies.BOOK, says="call a person"
)
RECORD_CANCEL: Final = Step(
    name="record_cancel", takes=SignedRequest, gives=Recorded, policy=policies.BOOK, says="write the cancel"
)
RECORD_RESOLUTION: Final = Step(
    name="record_resolution", takes=SignedRequest, gives=Recorded, policy=policies.BOOK, says="write the resolution"
)
RECORD_REQUEST: Final = Step(
    name="record_request", takes=SignedRequest, gives=Recorded, policy=policies.BOOK, says="write the request"
)
RECORD_GIVEN_UP: Final = Step(
    name="record_notice_given_up", takes=GivenUp, gives=Recorded, policy=policies.BOOK, says="give a notice up"
)
STEPS: Final = (
    PLACE,
    QUERY,
    CANCEL,
    REFUND,
    QUERY_REFUND,
    NOTIFY,
    READ_ORDER,
    START_REFUND,
    RECORD_ORDER,
    CALL_PERSON,
    RECORD_CANCEL,
    RECORD_RESOLUTION,
    RECORD_REQUEST,
    RECORD_GIVEN_UP,
)
"""One for each activity that the saga calls."""


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
        order, is_order = self.order, goodwill_of(self.order.order_id) is None
        reuse = (
            WorkflowIDReusePolicy.ALLOW_DUPLICATE if order.reopened else WorkflowIDReusePolicy.REJECT_DUPLICATE
        )  # a reopened order has a closed run; the book and the lock of the sweep decide, not this policy
        return {
            "workflow": TOP_UP_ORDER if is_order else GOODWILL_REFUND,
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
                (f"Serial at the carrier `{carrier_serial(order.order_id)}`, refund number " if is_order else "Refund ")
                + f"`{refund_number(order.order_id, 1)}`. Also without a worker: `topup orders show {order.order_id}`."
            ),
        }
