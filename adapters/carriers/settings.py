"""What the settings of every carrier dialect have in common, and what a dialect says of itself."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from runtime import values
from runtime.settings import Group, parsed, setting

if TYPE_CHECKING:  # whoever only reads settings loads no HTTP client
    from adapters.carriers.port import CarrierClient, StatementClient


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierPace:
    """How slow a carrier of a dialect may be where no setting says otherwise (contracts §4), in seconds, unscaled."""

    longest_latency_seconds: float = 60.0
    """From a POST's arrival to its effect."""
    visibility_lag_seconds: float = 15.0
    """From an effect to its being seen by `GET`."""
    completion_seconds: float = 300.0
    """From the first call to the date by which the order must be done."""

    def __post_init__(self) -> None:
        assert self.completion_seconds > self.longest_latency_seconds + self.visibility_lag_seconds


class CarrierAccess(Group):
    """Where the carrier is and how it is entered. A dialect that needs more adds its own variables.

    Attributes:
        can_be_asked: Whether the dialect has a serial of ours, a query and a cancel. If not: one POST per order, ever.
        pace: The defaults of the carrier's times.
    """

    prefix: ClassVar[str] = "CARRIER_"
    can_be_asked: ClassVar[bool] = True
    pace: ClassVar[CarrierPace] = CarrierPace()

    url: Annotated[str, parsed(values.carrier_url)] = setting(
        meaning="carrier's origin, before `/tmf-api/…`", example="https://carrier.example"
    )
    token: Annotated[str, parsed(values.token)] = setting(
        meaning="bearer token at the carrier", example="'the token the carrier gave you'", secret=True
    )
    cafile: values.CaFile | None = setting(
        None,
        meaning="file with the CA of the carrier, or of a proxy before it (PEM), in place of the public ones",
        example="/run/secrets/carrier-ca.pem",
    )

    def open(self) -> "AbstractAsyncContextManager[CarrierClient]":
        """Its client, closed at the end; connects when it is asked.

        Raises:
            ValueError: the address or the token can't be one.
        """
        raise NotImplementedError(f"{type(self).__name__} opens no client")

    def open_statements(self) -> "AbstractAsyncContextManager[StatementClient] | None":
        """Who reads its statement, closed at the end; None where the dialect has none that can be matched by order.

        Raises:
            ValueError: the address or the token can't be one.
        """
        return None
