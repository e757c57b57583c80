"""`topup orders reopen`: a second run for an order that nobody works on (contracts §3)."""

from typing import Final

from temporalio.service import RPCError

from activities.reopening import Reopened, Reopening
from adapters.order_book.book import UnknownOrder
from console import acting, choosing, listing, runs
from console.by_hand import reopening_by_hand
from console.choosing import Choice
from console.connecting import order_book, temporal_client
from console.exits import CommandFailed, Exit
from orders.errors import TopUpError
from orders.foreign_runs import foreign_run_sentence
from runtime.settings.groups import OrdersAccess

_REFUSALS: Final = {
    Reopened.RUNNING: "Order {order} has an open run already: see `topup orders show {order}`; nothing was done.",
    Reopened.SETTLED: "Order {order} is settled: see `topup orders show {order}`; nothing was done.",
}


async def reopen(settings: OrdersAccess, choice: Choice, *, as_json: bool) -> Exit:
    """Start a run for each of the chosen orders, and print what became of each.

    Raises:
        CommandFailed: a part is away, or the count was not confirmed.
    """
    client = await temporal_client(settings)
    async with order_book(settings) as book:
        assert book is not None, "OrdersSettings has checked it"
        reopening = reopening_by_hand(client, book, settings)
        if choice.by_search:
            found = await listing.stranded(client, book, settings)
        else:
            found = await listing.named(client, settings.task_queue, choice.names) if choice.dry_run else []
        names = [one.order_id for one in found] if choice.by_search else choice.names
        if not choosing.confirm(choice, found, len(names), "a new run", as_json=as_json):
            return Exit.OK
        one = not choice.by_search and len(names) == 1
        return await acting.act(names, lambda order_id: _one(reopening, order_id), one=one, as_json=as_json)


async def _one(reopening: Reopening, order_id: str) -> str:
    try:
        became = await reopening.reopen(order_id)
    except UnknownOrder:
        raise CommandFailed(
            f"The order book has no order {order_id}: its record never came through Kafka, or it is a dead letter "
            "(`topup dlq list`)."
        ) from None
    except TopUpError as error:
        raise CommandFailed(str(error)) from error
    except RPCError as error:
        raise runs.failed(error, order_id) from error
    if became is Reopened.FOREIGN:
        raise CommandFailed(foreign_run_sentence(order_id, so="Nothing was done"))
    if became in _REFUSALS:
        raise CommandFailed(_REFUSALS[became].format(order=order_id))
    return (
        f"Order {order_id} is taken up again: its new run asks the carrier before it sends anything. "
        f"Follow it with `topup orders show {order_id}`."
    )
