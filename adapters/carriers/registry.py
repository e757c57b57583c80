"""The carrier dialects that there are. A new one is its folder and its line here."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import InstanceOf, ValidationInfo, field_validator

from adapters.carriers.flat.settings import FlatAccess
from adapters.carriers.settings import CarrierAccess
from adapters.carriers.tmf622.settings import Tmf622Access
from orders.time_scale import SHORTEST_SECONDS, scaled
from runtime import values
from runtime.settings import Environment, Group, TimeScaled, fault_of, parsed, setting

DIALECTS: Final[dict[str, type[CarrierAccess]]] = {
    "tmf622": Tmf622Access,
    "flat": FlatAccess,
}
"""By the word that `TOPUP_CARRIER_DIALECT` has for it."""

DEFAULT_DIALECT: Final = "tmf622"
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0


def _of_the_dialect(pace: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda found: float(getattr(DIALECTS[found["carrier_dialect"]].pace, pace))


def _in_the_readme(pace: str) -> str:
    by_dialect = {dialect: f"{getattr(access.pace, pace):g}" for dialect, access in DIALECTS.items()}
    if len(set(by_dialect.values())) == 1:
        return by_dialect[DEFAULT_DIALECT]
    return ", ".join(f"{seconds} {dialect}" for dialect, seconds in by_dialect.items())


class Carrier(TimeScaled):
    """The carrier: its dialect, how it is entered, and how slow it may be."""

    carrier_dialect: Annotated[str, parsed(values.one_of(DIALECTS))] = setting(
        DEFAULT_DIALECT,
        meaning="how the carrier is spoken to: `tmf622`, or `flat`, which can't be asked (docs/carrier-flat.md)",
        example="tmf622",
    )
    carrier_longest_latency_seconds: Annotated[float, parsed(values.seconds(1, _HOUR))] = setting(
        default_factory=_of_the_dialect("longest_latency_seconds"),
        default_text=_in_the_readme("longest_latency_seconds"),
        meaning="longest time the carrier takes to act on an order it was sent; scaled",
        example="60",
    )
    carrier_visibility_lag_seconds: Annotated[float, parsed(values.seconds(1, _HOUR))] = setting(
        default_factory=_of_the_dialect("visibility_lag_seconds"),
        default_text=_in_the_readme("visibility_lag_seconds"),
        meaning="how long the carrier's `GET` may lag its `POST`; scaled",
        example="15",
    )
    carrier_completion_seconds: Annotated[float, parsed(values.seconds(2, _DAY))] = setting(
        default_factory=_of_the_dialect("completion_seconds"),
        default_text=_in_the_readme("completion_seconds"),
        meaning="`requestedCompletionDate` = first call + this; above latency + lag; scaled",
        example="300",
    )
    carrier: InstanceOf[CarrierAccess]
    """As the dialect wants it."""

    @field_validator("carrier_completion_seconds", mode="after")
    @classmethod
    def _leaves_time_for_a_post(cls, completion: float, info: ValidationInfo) -> float:
        """A POST needs time to leave and to act before its date, unscaled and where no wait is scaled any further."""
        names = ("carrier_longest_latency_seconds", "carrier_visibility_lag_seconds")
        pace = [float(info.data[name]) for name in names if name in info.data]
        if len(pace) < len(names):
            return completion  # one of them has a fault of its own
        needed = sum(pace)
        if completion <= needed:
            raise ValueError(f"must be above the carrier's longest latency plus its visibility lag ({needed:g} s)")
        scale = info.data.get("time_scale", 1.0)
        needed, left = sum(scaled(seconds, scale) for seconds in pace), scaled(completion, scale)
        if left <= needed:
            clause = (
                f"is too small: no wait is scaled below {SHORTEST_SECONDS:g} s, which leaves an order at the carrier "
                f"{left:g} s for its longest latency plus its visibility lag ({needed:g} s)"
            )
            raise fault_of("time_scale", clause)
        return completion

    @field_validator("carrier", mode="before")
    @classmethod
    def _in_the_dialect(cls, environment: Environment, info: ValidationInfo) -> CarrierAccess:
        return environment.load(DIALECTS[info.data.get("carrier_dialect", DEFAULT_DIALECT)])


def dialect_groups() -> tuple[type[Group], ...]:
    """What a process with `Carrier` reads."""
    return tuple(DIALECTS.values())
