"""A database that is away, locked, frozen or killed is unavailable within the limit, and the same book goes on."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - the package has none
import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from adapters.order_book.book import OrderBook, StoredOrder
from devkit.servers.postgres import Postgres
from orders.errors import Unavailable
from orders.state import OrderState
from tests.adapters.book_process import count_up, open_book, paid_order
from tests.limits import WAIT_SECONDS

LIMIT_SECONDS = 60.0
"""Far above the 5 s of a transaction, so that a busy machine keeps it; without a limit it would be for ever."""


def unchanged(record: StoredOrder) -> tuple[OrderState, None]:
    return record.state, None


async def look(book: OrderBook, order_id: str) -> None:
    await book.decide(order_id, unchanged, kind="test", detail=lambda _: {})


async def test_a_database_that_is_away_is_unavailable():
    book = open_book("postgresql://nobody:secret@127.0.0.1:1/none")

    with pytest.raises(Unavailable) as said:
        await book.ping()

    assert "secret" not in str(said.value)
    await book.close()


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ConnectionRefusedError(111, "refused"), "can't be reached .*: start it, or correct TOPUP_DATABASE_URL"),
        (TimeoutError(), "does not answer within 5 s: look at its load, its locks"),
        (PoolTimeoutError("QueuePool limit"), "All connections of this process .* were in use for 5 s"),
        (asyncpg.InvalidPasswordError("for user"), "refuses the password: correct it in TOPUP_DATABASE_URL"),
        (asyncpg.InvalidAuthorizationSpecificationError("no entry"), "does not let this user in from here"),
        (asyncpg.InvalidCatalogNameError("none"), "is not there, though its server is: create it"),
        (asyncpg.TooManyConnectionsError("sorry"), "takes no more connections"),
        (asyncpg.CannotConnectNowError("starting up"), "is starting or stopping: wait"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
async def test_each_way_of_being_away_has_a_sentence_of_its_own(
    error: Exception, says: str, monkeypatch: pytest.MonkeyPatch
):
    async def connect(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(asyncpg, "connect", connect)
    book = open_book("postgresql://nobody:secret@127.0.0.1:1/none")

    with pytest.raises(Unavailable, match=says) as said:
        await book.ping()

    assert "secret" not in str(said.value)
    await book.close()


@pytest.mark.real
async def test_a_server_without_the_database_says_so_and_a_statement_that_it_ends_is_slow(postgres: Postgres):
    with postgres.database() as url:
        book = open_book(url)
        await book.migrate()

        async def too_long() -> None:
            async with book._transaction(write=True) as connection:
                await connection.exec_driver_sql("SET LOCAL statement_timeout = 1")
                await connection.exec_driver_sql("SELECT pg_sleep(60)")

        with pytest.raises(Unavailable, match="does not answer within 5 s"):
            await too_long()
        await book.close()
    gone = open_book(urlsplit(url)._replace(path="/nobody_has_made_it").geturl())
    with pytest.raises(Unavailable, match="is not there, though its server is"):
        await gone.ping()
    await gone.close()


async def test_a_sqlite_file_in_a_folder_that_is_not_there_says_so(tmp_path: Path):
    book = open_book(f"sqlite:///{tmp_path}/missing/book.db")

    with pytest.raises(Unavailable, match=r"make its folder.* or correct TOPUP_DATABASE_URL"):
        await book.migrate()

    await book.close()


@pytest.mark.slow
async def test_a_sqlite_file_that_another_holds_is_unavailable_within_the_limit_and_comes_back(tmp_path: Path):
    book = open_book(f"sqlite:///{tmp_path}/book.db")
    await book.migrate()
    await book.claim([paid_order("T00001")])
    other = sqlite3.connect(tmp_path / "book.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    await _unavailable(lambda: count_up(book, "T00001"))
    assert (await book.read("T00001")).state.posts == 0  # readers don't wait for writers
    other.execute("ROLLBACK")

    await _comes_back(lambda: count_up(book, "T00001"))
    other.close()
    await book.close()


@pytest.fixture
async def served(postgres: Postgres) -> AsyncGenerator[OrderBook]:
    """On a PostgreSQL that the test may freeze or kill; thawed and running again at the end."""
    opened = open_book(postgres.create_database())
    await opened.migrate()
    await opened.claim([paid_order("T00001")])
    yield opened
    if postgres.ours and postgres.running:
        postgres.thaw()
    elif postgres.ours:
        postgres.start()
    await opened.close()


@pytest.mark.slow
@pytest.mark.real
async def test_a_frozen_database_is_unavailable_within_the_limit_and_comes_back_with_the_thaw(
    postgres: Postgres, served: OrderBook
):
    await asyncio.gather(*(look(served, "T00001") for _ in range(10)))  # connections in the pool
    postgres.freeze()

    await asyncio.gather(*(_unavailable(lambda: look(served, "T00001")) for _ in range(30)), _unavailable(served.ping))
    postgres.thaw()

    await _comes_back(lambda: count_up(served, "T00001"))
    assert (await served.read("T00001")).state.posts >= 1


@pytest.mark.real
async def test_a_killed_database_is_unavailable_and_the_same_book_goes_on_when_it_is_back(
    postgres: Postgres, served: OrderBook
):
    await asyncio.gather(*(look(served, "T00001") for _ in range(20)))
    postgres.kill()

    await asyncio.gather(*(_unavailable(lambda: count_up(served, "T00001")) for _ in range(30)))
    postgres.start()

    await _comes_back(lambda: count_up(served, "T00001"))
    assert (await served.read("T00001")).order == paid_order("T00001")
    await asyncio.gather(*(look(served, "T00001") for _ in range(40)))


async def _unavailable(ask: Callable[[], Any]) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await ask()
    assert time.monotonic() - began < LIMIT_SECONDS


async def _comes_back(ask: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(Unavailable):
                await ask()
                return
            await asyncio.sleep(0.1)
