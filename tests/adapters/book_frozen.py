"""A process that freezes in the middle of a transaction: `python -m tests.adapters.book_frozen URL WHERE`.

WHERE: the statement before which it freezes as it changes four orders together (`UPDATE orders`, `INSERT INTO
order_events`, `COMMIT`), or `claim NAME`: before the commit of that order's claim. Prints `frozen` before it does, and
once it was thawed what the book said: an error's name, or `done`.
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace

from sqlalchemy import event

from adapters.order_book import engine
from adapters.order_book.book import OrderBook, StoredOrder
from orders.errors import Unavailable
from orders.state import OrderState
from tests.adapters.book_process import open_book, paid_order


def freeze(*_: object) -> None:
    print("frozen", flush=True)  # noqa: T201 - what the test reads
    os.kill(os.getpid(), signal.SIGSTOP)


def freeze_before(book: OrderBook, statement: str) -> None:
    writing = book._transaction._writing.sync_engine
    if statement == "COMMIT":
        event.listen(writing, "commit", freeze)
        return

    def look(_connection: object, _cursor: object, sent: str, *_: object) -> None:
        if sent.startswith(statement):
            freeze()

    event.listen(writing, "before_cursor_execute", look)


async def change(book: OrderBook, order_id: str) -> None:
    def rule(stored: StoredOrder) -> tuple[OrderState, None]:
        return replace(stored.state, reason="frozen"), None

    await book.decide(order_id, rule, kind="frozen", detail=lambda _: {})


async def main(url: str, where: str) -> None:
    if where.startswith("claim "):  # a claim beside it must meet it on a busy machine too
        engine.SERVER_LIMITS = {**engine.SERVER_LIMITS, "idle_in_transaction_session_timeout": "10000"}
    book = open_book(url)
    await book.ping()
    try:
        if where.startswith("claim "):
            freeze_before(book, "COMMIT")
            await book.claim([paid_order(where.removeprefix("claim "))])
        else:
            freeze_before(book, where)
            await asyncio.gather(*(change(book, f"T{number:05}") for number in range(1, 5)))
    except Unavailable as error:
        print(type(error).__name__, flush=True)  # noqa: T201 - what the test reads
    else:
        print("done", flush=True)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
