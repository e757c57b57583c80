"""`topup orders reopen`: a second run for an order that nobody works on (contracts §3)."""

from typing import Final

from activities.reopening import Reopened, Reopening
from adapters.order_book import OrderBook, UnknownOrder
from adapters.vault import Vault
from console.connecting import temporal_client
from console.exits import CommandFailed
from orders.errors import TopUpError
from runtime.clock import SystemClock
from runtime.settings import Settings

_REFUSALS: Final = {
    Reopened.RUNNING: "Order {order} has an open run already: see `topup orders show {order}`; nothing was done.",
    Reopened.SETTLED: "Order {order} is settled: see `topup orders show {order}`; nothing was done.",
}


async def reopen(settings: Settings, order_id: str) -> str:
    """Start the run; what was done.

    Raises:
        CommandFailed: the book has no such order, it is settled, a run is open, or a part is away.
    """
    client = await temporal_client(settings)
    clock = SystemClock()
    book = OrderBook.open(settings.database_url, Vault(settings.pii_key), clock)
    reopening = Reopening(
        lambda: client, book, clock, _quiet, task_queue=settings.task_queue, scale=settings.time_scale
    )
    try:
        became = await reopening.reopen(order_id)
    except UnknownOrder:
        raise CommandFailed(
            f"The order book has no order {order_id}: its record never came through Kafka, or it is a dead letter "
            "(`topup dlq list`)."
        ) from None
    except TopUpError as error:
        raise CommandFailed(str(error)) from error
    finally:
        await book.close()
    if became in _REFUSALS:
        raise CommandFailed(_REFUSALS[became].format(order=order_id))
    return (
        f"Order {order_id} is taken up again: its new run asks the carrier before it sends anything. "
        f"Follow it with `topup orders show {order_id}`."
    )


def _quiet(kind: str, **fields: str) -> None:
    """No alert: the person whom it would call gave this command."""
    del kind, fields
