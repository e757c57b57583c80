"""The flat dialect's variables and capabilities, and the client that they open."""

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, ClassVar

from adapters.carriers.settings import CarrierAccess, CarrierPace

if TYPE_CHECKING:  # whoever only reads settings loads no HTTP client
    from adapters.carriers.flat.client import FlatCarrier


class FlatAccess(CarrierAccess):
    """A carrier of the flat, old kind, which can't be asked (docs/carrier-flat.md)."""

    can_be_asked: ClassVar[bool] = False
    pace: ClassVar[CarrierPace] = CarrierPace(
        longest_latency_seconds=60, visibility_lag_seconds=15, completion_seconds=300
    )

    def open(self) -> "AbstractAsyncContextManager[FlatCarrier]":
        """Its client."""
        from adapters.carriers.flat.client import FlatCarrier  # noqa: PLC0415 - heavy

        return FlatCarrier.open(url=self.url, token=self.token, cafile=self.cafile)
