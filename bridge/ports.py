"""What the bridge needs of the order book; `adapters.order_book.book` has it, tests have a fake with honest state."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from adapters.order_book.book import ClaimResult, StoredOrder
from orders.arrival import Arrival
from orders.paid_order import PaidOrder
from orders.state import OrderState

T = TypeVar("T")


class ClaimBook(Protocol):
    """The order book, as far as the bridge asks it. Every method raises `orders.errors.Unavailable` when it is away."""

    async def claim(self, orders: Sequence[PaidOrder], arrivals: Sequence[Arrival] = ()) -> list[ClaimResult]:
        """Insert or compare all of them at once, in the given order: of two that conflict the first stands.

        `arrivals`, one for each, go into the orders' trails.
        """
        ...

    async def first_pass_count(self) -> int:
        """Orders in their first pass (`orders.state.OrderState.first_pass`)."""
        ...

    async def known(self, order_ids: Sequence[str]) -> set[str]:
        """Those of the orders that were claimed before."""
        ...

    async def decide(
        self,
        order_id: str,
        rule: Callable[[StoredOrder], tuple[OrderState, T]],
        *,
        kind: str,
        detail: Callable[[T], Mapping[str, Any]],
    ) -> T:
        """Run a rule of `orders` as one compare-and-set, with its line in the audit trail."""
        ...
