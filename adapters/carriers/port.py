"""A dialect's client as the composition root holds it."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from adapters.http import EndpointHealth
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from orders.paid_order import PaidOrder


class CarrierClient(Protocol):
    """`activities.ports.Carrier`, and whether its endpoint answers."""

    name: str
    health: EndpointHealth

    def order_body(self, order: PaidOrder, completion_date: datetime) -> bytes:
        """The body of the POST, the same bytes for the same arguments."""
        ...

    async def submit(
        self, body: bytes, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> Completed | Refused | InDoubt:
        """POST the body, if it may still leave."""
        ...

    async def query(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt | NotFound:
        """Ask for the order of this serial."""
        ...

    async def cancel(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt:
        """Burn the serial."""
        ...
