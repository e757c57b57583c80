"""What the bridge needs of the order book; `adapters.order_book.book` has it, tests have a fake with honest state."""

from collections.abc import Sequence
from typing import Protocol

from adapters.order_book.book import ClaimResult
from orders.arrival import Arrival
from orders.paid_order import PaidOrder


class ClaimBook(Protocol):
    """The order book, as far as the bridge asks it. Every method raises `orders.errors.Unavailable` when it is away."""

    async def claim(self, orders: Sequence[PaidOrder], arrivals: Sequence[Arrival] = ()) -> list[ClaimResult]:
        """Insert or compare all of them at once, in the given order: of two that conflict the first stands.

        `arrivals`, one for each, go into the orders' trails.
        """
        ...

    async def first_pass_count(self) -> int:
        """Orders in their first pass: claimed, and not yet settled, parked, in doubt or refunding."""
        ...

    async def known(self, order_ids: Sequence[str]) -> set[str]:
        """Those of the orders that were claimed before."""
        ...
