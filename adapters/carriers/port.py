"""A dialect's client as the composition root holds it."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Protocol

from adapters.http import EndpointHealth
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from orders.paid_order import PaidOrder
from reconciliation.evidence import Sale


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


class StatementClient(Protocol):
    """What can be asked for the carrier's statement (`reconciliation.ports.Statements`)."""

    def read(self, day: str) -> AsyncIterator[Sequence[Sale]]:
        """The final states of a day, some at a time."""
        ...
