"""Faults that a test or a demonstration orders over HTTP: what a plan is, how it is read, how it is used up.

A plan belongs to one key (an order ID at the carrier, a transaction ID or out_trade_no at a payment provider, or
`default` for all keys without a plan of their own) and is one fault or a list. Faults of different layers act on one
request together (a delay, then a refusal); of faults of one layer the first that is not used up acts, so that a list is
a sequence. The kinds of each simulator stand in `carrier_faults` and `payment_faults`. All `seconds` are unscaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

DEFAULT_KEY = "default"
ALWAYS = -1

Seconds = Annotated[float, Field(ge=0, le=30 * 86_400)]
TargetT = TypeVar("TargetT", bound=str)
FaultT = TypeVar("FaultT", bound="Fault")


class Layer(StrEnum):
    """At most one fault of each layer acts on a request."""

    DELAY_BEFORE = "delay before acting"
    DELAY_AFTER = "delay after acting"
    OUTCOME = "what becomes of it"
    LAG = "how long queries don't see it"
    ANSWER = "what the caller gets"


class FaultSpecError(ValueError):
    """A plan can't be read; the text says what to change."""


class Fault(BaseModel):
    """What all faults have: how often they act (-1 = always)."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    layer: ClassVar[Layer] = Layer.OUTCOME

    kind: Any  # each fault narrows it to its own name
    times: int = Field(default=1, ge=ALWAYS)

    @field_validator("times")
    @classmethod
    def _not_never(cls, times: int) -> int:
        if times == 0:
            raise ValueError("times is 1 or more, or -1 for always; leave the fault out instead of giving it 0")
        return times

    @property
    def used_on(self) -> Layer:
        """The layer this fault acts in."""
        return self.layer

    def aims_at(self, target: str, main_target: str) -> bool:  # noqa: ARG002  # AimedFault looks at them
        """Whether a request of this kind is hit."""
        return True


class AimedFault(Fault, Generic[TargetT]):
    """A fault of one kind of request; without `target`, of the one that moves something (post, refund)."""

    layer: ClassVar[Layer] = Layer.ANSWER
    target: TargetT | None = None

    def aims_at(self, target: str, main_target: str) -> bool:
        """Whether a request of this kind is hit."""
        return (self.target or main_target) == target


class ActingFault(AimedFault[TargetT], Generic[TargetT]):
    """A fault of the answer: `act` says whether the request takes effect all the same."""

    act: bool = True


class Delay(AimedFault[TargetT], Generic[TargetT]):
    """Wait before or after taking effect, then go on as usual."""

    kind: Literal["delay"]
    seconds: Seconds
    when: Literal["before", "after"] = "before"

    @property
    def used_on(self) -> Layer:
        """Delays before and after acting are layers of their own."""
        return Layer.DELAY_BEFORE if self.when == "before" else Layer.DELAY_AFTER


class Hang(ActingFault[TargetT], Generic[TargetT]):
    """Never answer; the connection stays open until the caller gives up."""

    kind: Literal["hang"]


class Error(ActingFault[TargetT], Generic[TargetT]):
    """Answer an HTTP error that says nothing about the effect."""

    kind: Literal["error"]
    status: int = Field(default=500, ge=400, le=599)


class Throttle(AimedFault[TargetT], Generic[TargetT]):
    """Answer 429 without acting."""

    kind: Literal["throttle"]
    retry_after_seconds: int | None = Field(default=1, ge=0, le=86_400)


class Reset(ActingFault[TargetT], Generic[TargetT]):
    """Send half of the answer, then reset the connection (RST)."""

    kind: Literal["reset"]


class Malformed(AimedFault[TargetT], Generic[TargetT]):
    """Act, then answer 2xx with a body that can't be understood."""

    kind: Literal["malformed"]
    body: Literal["not_json", "no_state", "empty", "wrong_type"] = "not_json"


class UnknownState(AimedFault[TargetT], Generic[TargetT]):
    """Act, then answer with a state nobody has heard of."""

    kind: Literal["unknown_state"]
    state: str = Field(default="teleported", min_length=1, max_length=64)


@dataclass(slots=True)
class _Plan(Generic[FaultT]):
    faults: list[FaultT]
    left_by_subject: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def left(self, subject: str) -> list[int]:
        return self.left_by_subject.setdefault(subject, [fault.times for fault in self.faults])


@dataclass(frozen=True, slots=True)
class Taken(Generic[FaultT]):
    """The faults that act on one request."""

    delay_before_seconds: float
    delay_after_seconds: float
    answer: FaultT | None

    @property
    def acts(self) -> bool:
        """Whether the request takes effect."""
        if isinstance(self.answer, Throttle):
            return False
        return bool(getattr(self.answer, "act", True))

    @property
    def kinds(self) -> list[str]:
        """The kinds of these faults, for the book."""
        delays = [name for name in ("delay_before", "delay_after") if getattr(self, f"{name}_seconds")]
        return delays + ([self.answer.kind] if self.answer else [])


class FaultPlans(Generic[FaultT]):
    """The plans of one simulator, and how much of them is left. Plans live in memory only."""

    def __init__(self, fault_adapter: TypeAdapter[FaultT], main_target: str) -> None:
        self._adapter = fault_adapter
        self._main_target = main_target
        self._plans: dict[str, _Plan[FaultT]] = {}

    def put(self, key: str, spec: object) -> None:
        """Replace the plan of one key.

        Raises:
            FaultSpecError: says which field of which fault to change; the old plan stands.
        """
        self._plans[key] = _Plan(self._read(key, spec))

    def put_many(self, specs: Mapping[str, object]) -> None:
        """Replace the plans of these keys, all or none; other plans stay.

        Raises:
            FaultSpecError: as `put`.
        """
        plans = {key: _Plan(self._read(key, spec)) for key, spec in specs.items()}
        self._plans.update(plans)

    def clear(self, key: str | None = None) -> None:
        """Drop the plan of one key, or all plans."""
        if key is None:
            self._plans.clear()
        else:
            self._plans.pop(key, None)

    def as_dict(self) -> dict[str, Any]:
        """All plans as they were ordered; `left` tells what is left of each fault (not for `default`)."""
        return {
            key: [
                fault.model_dump(exclude_none=True) | ({} if key == DEFAULT_KEY else {"left": left})
                for fault, left in zip(plan.faults, plan.left(key), strict=True)
            ]
            for key, plan in self._plans.items()
        }

    def take(self, keys: Sequence[str], target: str) -> Taken[FaultT]:
        """Use up what acts on one request for these keys (names of one and the same order)."""
        before, after, answer = (
            self._take_layer(keys, target, layer) for layer in (Layer.DELAY_BEFORE, Layer.DELAY_AFTER, Layer.ANSWER)
        )
        return Taken(
            delay_before_seconds=getattr(before, "seconds", 0.0),
            delay_after_seconds=getattr(after, "seconds", 0.0),
            answer=answer,
        )

    def take_outcome(self, keys: Sequence[str]) -> FaultT | None:
        """Use up what becomes of an effect that happens now."""
        return self._take_layer(keys, self._main_target, Layer.OUTCOME)

    def take_lag(self, keys: Sequence[str]) -> FaultT | None:
        """Use up how long queries are blind to an effect that happens now."""
        return self._take_layer(keys, self._main_target, Layer.LAG)

    def _take_layer(self, keys: Sequence[str], target: str, layer: Layer) -> FaultT | None:
        own_key = next((key for key in keys if key in self._plans and key != DEFAULT_KEY), None)
        plan = self._plans.get(own_key or DEFAULT_KEY)
        if plan is None:
            return None
        left = plan.left(own_key or keys[0])
        for index, fault in enumerate(plan.faults):
            if left[index] and fault.used_on is layer and fault.aims_at(target, self._main_target):
                left[index] -= left[index] > 0
                return fault
        return None

    def _read(self, key: str, spec: object) -> list[FaultT]:
        if not isinstance(spec, list):
            return [self._read_one(key, spec)]
        specs: list[object] = spec  # pyright: ignore[reportUnknownVariableType]  # JSON: any list
        return [self._read_one(f"{key}, fault {number}", one) for number, one in enumerate(specs, start=1)]

    def _read_one(self, name: str, spec: object) -> FaultT:
        try:
            return self._adapter.validate_python(spec)
        except ValidationError as error:
            sentences = [_sentence(details["loc"], details["type"], details["msg"]) for details in error.errors()]
            raise FaultSpecError(f"{name}: " + "; ".join(sentences)) from error


def _sentence(location: tuple[int | str, ...], error_type: str, message: str) -> str:
    """One readable clause of a validation error; a location is (kind, field)."""
    if error_type == "extra_forbidden" and len(location) > 1:
        return f"the fault `{location[0]}` has no field `{location[-1]}`; remove it or correct its name"
    if len(location) == 0:
        return message
    where = f"`{location[-1]}` of the fault `{location[0]}`" if len(location) > 1 else f"the fault `{location[0]}`"
    return f"{where}: {message}"
