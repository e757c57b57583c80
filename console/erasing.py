"""`topup orders erase-person`: the vehicle data of settled orders go, the money's trail stays (docs/security.md)."""

from adapters.order_book.book import OrderBook, StoredOrder
from console import acting, choosing
from console.choosing import Choice
from console.connecting import order_book
from console.exits import CommandFailed, Exit
from console.runs import Listed
from orders.errors import TopUpError
from runtime.settings.groups import OrdersAccess


async def erase_vehicle(
    settings: OrdersAccess, vin: str, *, operator: str, note: str, dry_run: bool, yes: int | None, as_json: bool
) -> Exit:
    """Erase the person of each of a vehicle's orders, once their count is confirmed; say which can't be yet.

    Raises:
        CommandFailed: the book is away, or the count was not confirmed.
    """
    async with order_book(settings) as book:
        assert book is not None, "OrdersSettings has checked it"
        order_ids = await _orders_of(book, vin)
        if not order_ids:
            raise CommandFailed("This vehicle has no order in the order book, or its person was erased already.")
        choice = Choice(names=order_ids, by_search=True, dry_run=dry_run, confirmed=yes)
        found = [_listed(await book.read(order_id)) for order_id in order_ids]
        if not choosing.confirm(choice, found, len(order_ids), "an erasure of their person", as_json=as_json):
            return Exit.OK
        return await acting.act(
            order_ids, lambda order_id: _erase(book, order_id, operator, note), one=False, as_json=as_json
        )


async def _orders_of(book: OrderBook, vin: str) -> list[str]:
    try:
        return await book.filed_under("vehicle", vin)
    except TopUpError as error:
        raise CommandFailed(str(error)) from error


def _listed(stored: StoredOrder) -> Listed:
    order, state = stored.order, stored.state
    return Listed(
        order_id=stored.order_id,
        status=state.status,
        needs_operator=state.needs_operator,
        run="",
        package=order.package_id,
        provider=order.payment.provider,
        started_at=stored.claimed_at,
    )


async def _erase(book: OrderBook, order_id: str, operator: str, note: str) -> str:
    try:
        why_not = await book.erasure().erase(order_id, operator=operator, note=note)
    except TopUpError as error:
        raise CommandFailed(str(error)) from error
    if why_not:
        raise CommandFailed(f"Order {order_id} {why_not}")
    return f"The person of order {order_id} is erased; its money's trail stays."
