"""Faults of the carrier, per order ID (contracts §4: what a slow, forgetful or contradictory carrier does)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, TypeAdapter

from simulators.faults import (
    ActingFault,
    Delay,
    Error,
    Fault,
    FaultPlans,
    Hang,
    Layer,
    Malformed,
    Reset,
    Seconds,
    Throttle,
    UnknownState,
)

Target = Literal["post", "get", "cancel"]
Code = Annotated[str, Field(min_length=1, max_length=128)]


class Refuse(Fault):
    """The order is `rejected` for ever."""

    kind: Literal["refuse"]
    code: Code = "SIM_SUSPENDED"
    text: str = "refused by the simulated carrier"


class Failed(Fault):
    """The order ends `failed`, for ever."""

    kind: Literal["failed"]
    text: str = "failed at the simulated carrier"


class Async(Fault):
    """The order is taken, and ends later, or never."""

    kind: Literal["async"]
    state: Literal["acknowledged", "inProgress", "pending", "held"] = "acknowledged"
    then: Literal["completed", "failed", "rejected", "partial", "never"] = "completed"
    after_seconds: Seconds = 5.0
    code: Code = "SIM_SUSPENDED"


class LateSuccess(Fault):
    """The order ends `failed`, and is sold all the same later: the carrier breaks its word."""

    kind: Literal["late_success"]
    after_seconds: Seconds = 5.0


class QueryLag(Fault):
    """GET doesn't see the order for so long after it was taken; with `cancel_blind`, neither does a cancel.

    A blind cancel confirms a burn that did not happen: the order is sold and stays sold.
    """

    layer: ClassVar[Layer] = Layer.LAG
    kind: Literal["query_lag"]
    seconds: Seconds
    cancel_blind: bool = False


class Receipt(ActingFault[Target]):
    """Flat dialect: answer this receipt code, which says nothing about the effect."""

    kind: Literal["receipt"]
    code: str = Field(default="11001", pattern=r"^[0-9]{5}$")


CarrierFault = Annotated[
    Delay[Target]
    | Hang[Target]
    | Error[Target]
    | Throttle[Target]
    | Reset[Target]
    | Malformed[Target]
    | UnknownState[Target]
    | Receipt
    | QueryLag
    | Refuse
    | Failed
    | Async
    | LateSuccess,
    Field(discriminator="kind"),
]


def carrier_fault_plans() -> FaultPlans[Fault]:
    """No plans yet; reads the carrier's faults."""
    return FaultPlans[Fault](TypeAdapter[Fault](CarrierFault), main_target="post")
