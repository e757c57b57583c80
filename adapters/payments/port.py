"""A provider's client as the composition root holds it."""

from collections.abc import Callable
from typing import Protocol

from adapters.http import EndpointHealth
from orders.outcomes import RefundAnswer, RefundRequest


class RefundClient(Protocol):
    """`activities.ports.PaymentProvider`, and whether its endpoint answers."""

    name: str
    merchant_id: str
    health: EndpointHealth

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> RefundAnswer:
        """Send the refund, if it may still leave."""
        ...

    async def query(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """Ask for the refund of this number."""
        ...
