"""The TMF622 dialect's variables and capabilities, and the client that they open."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar

from adapters.carriers.settings import CarrierAccess, CarrierPace

if TYPE_CHECKING:  # whoever only reads settings loads no HTTP client
    from adapters.carriers.tmf622.client import Tmf622Carrier
    from adapters.carriers.tmf622.statement import Tmf622Statements


class Tmf622Access(CarrierAccess):
    """A carrier that speaks the profile of contracts §4."""

    can_be_asked: ClassVar[bool] = True
    pace: ClassVar[CarrierPace] = CarrierPace(
        longest_latency_seconds=60, visibility_lag_seconds=15, completion_seconds=300
    )

    def open(self) -> "AbstractAsyncContextManager[Tmf622Carrier]":
        """Its client."""
        from adapters.carriers.tmf622.client import Tmf622Carrier  # noqa: PLC0415 - heavy

        return Tmf622Carrier.open(url=self.url, token=self.token, cafile=self.cafile)

    @asynccontextmanager
    async def open_statements(self) -> "AsyncGenerator[Tmf622Statements, None]":
        """Who reads its statement."""
        from adapters.carriers.tmf622.statement import Tmf622Statements  # noqa: PLC0415 - heavy

        async with self.open() as carrier:
            yield Tmf622Statements(carrier)
