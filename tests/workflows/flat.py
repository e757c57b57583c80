"""A carrier that can't be asked, with honest state: each POST that acts sells, and nobody can be asked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from orders.outcomes import Completed, InDoubt, NotFound, Refused
from orders.paid_order import PaidOrder
from tests.workflows.fakes import AWAY


@dataclass
class FlatPost:
    """What one POST meets: whether the carrier sells, what comes back (None: that it did), and after what."""

    acts: bool = True
    answer: InDoubt | Refused | None = None
    after: asyncio.Event | None = None


@dataclass
class FakeFlatCarrier:
    """In memory; a second POST would sell again."""

    name: str = "flat"
    plan: list[FlatPost] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    sold: int = 0

    def order_body(self, order: PaidOrder, completion_date: datetime) -> bytes:
        return b"iccid=" + order.vehicle.iccid.encode()

    async def submit(
        self, body: bytes, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> Completed | Refused | InDoubt:
        meets = self.plan.pop(0) if self.plan else FlatPost()
        if meets.answer is AWAY or not in_time():
            self.calls.append("away")
            return AWAY
        self.calls.append("POST")
        self.sold += meets.acts and not isinstance(meets.answer, Refused)
        if meets.after is not None:
            await meets.after.wait()
        return meets.answer or Completed(carrier_order_id="M2M1")

    async def query(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt | NotFound:
        self.calls.append("GET")
        return NotFound()

    async def cancel(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt:
        self.calls.append("CANCEL")
        return Refused(code="CANCELLED", burnt=True)
