"""What the order book holds that is gone: connections to a primary that became a standby, or that fell silent."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from adapters.order_book.book import OrderBook
from adapters.order_book.engine import POSTGRES_CONNECTIONS, TRANSACTION_SECONDS
from devkit.servers.postgres import Postgres
from orders.errors import Unavailable
from tests.adapters.book_process import count_up, open_book, paid_order

pytestmark = pytest.mark.real
BACK_WITHIN_SECONDS = 10 * TRANSACTION_SECONDS
"""Far below pool size x limit (100 s), far above one limit: a busy machine keeps it."""
assert BACK_WITHIN_SECONDS <= POSTGRES_CONNECTIONS * TRANSACTION_SECONDS / 2


@pytest.fixture
def another_server() -> Iterator[Postgres]:
    server = Postgres().start()
    yield server
    server.close()


async def prepared(url: str) -> None:
    """A book with one order."""
    book = open_book(url)
    await book.migrate()
    await book.claim([paid_order("T00001")])
    await book.close()


async def fill_pool(book: OrderBook) -> None:
    """Every connection of the pool is open, and rests."""
    pool: Any = book._transaction._writing.pool
    async with contextlib.AsyncExitStack() as held:
        for _ in range(POSTGRES_CONNECTIONS):
            await held.enter_async_context(book._transaction(write=False))
    assert pool.checkedin() == POSTGRES_CONNECTIONS


async def back(book: OrderBook) -> int:
    """Ask until there is an answer, in every way there is; how often there was none."""
    failed = 0
    async with asyncio.timeout(BACK_WITHIN_SECONDS):
        for ask in (book.ping, lambda: count_up(book, "T00001"), lambda: book.read("T00001"), book.first_pass_count):
            while True:
                try:
                    await ask()
                    break
                except Unavailable:
                    failed += 1
    await asyncio.gather(*(book.first_pass_count() for _ in range(2 * POSTGRES_CONNECTIONS)))
    return failed


async def test_after_a_switchover_the_work_goes_on_at_the_new_primary(postgres: Postgres, another_server: Postgres):
    """The old one still answers, read-only: a server of its own whose sessions may change nothing any more."""
    old, new = another_server, postgres.create_database()
    name = new.rpartition("/")[2]
    old.execute(f'CREATE DATABASE "{name}"')
    both = f"postgresql://topup:topup@127.0.0.1:{old.port},127.0.0.1:{urlsplit(new).port}/{name}"
    await prepared(new)
    await prepared(old.url.rpartition("/")[0] + f"/{name}")
    book = open_book(both)
    await fill_pool(book)
    assert await count_up(book, "T00001") == 0

    old.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    old.execute("SELECT pg_reload_conf()")
    while True:  # its backends read that when they get to it
        with contextlib.suppress(Unavailable):
            await book.ping()
            await asyncio.sleep(0.05)
            continue
        break

    assert await back(book) <= 1
    assert (await book.read("T00001")).state.posts == 1  # the new primary's own
    trail = [line.kind for line in await book.events("T00001")]
    assert trail == ["claimed", "test"]
    await book.close()


async def test_a_server_that_takes_no_changes_is_not_ready_and_says_so(postgres: Postgres):
    url = postgres.create_database()
    await prepared(url)
    postgres.execute(f'ALTER DATABASE "{url.rpartition("/")[2]}" SET default_transaction_read_only = on')
    book = open_book(url)

    for ask in (book.ping, lambda: count_up(book, "T00001"), lambda: book.claim([paid_order("T00002")])):
        with pytest.raises(Unavailable, match="takes no changes"):
            await ask()
    assert (await book.read("T00001")).state.posts == 0

    postgres.execute(f'ALTER DATABASE "{url.rpartition("/")[2]}" SET default_transaction_read_only = off')
    await back(book)
    await book.close()


@contextlib.asynccontextmanager
async def forwarding(host: str, port: int, target_port: int) -> AsyncGenerator["Way"]:
    path = Way(target_port)
    server = await asyncio.start_server(path.serve, host, port)
    path.port = server.sockets[0].getsockname()[1]
    path.server = server
    try:
        yield path
    finally:
        server.close()
        path.end()


class Way:
    """The way to a server. `swallow`: what is open now takes everything and gives nothing, without an end."""

    server: asyncio.Server
    port: int

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._open: set[asyncio.Task[None]] = set()
        self._silent: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        for source, sink in ((reader, server_writer), (server_reader, writer)):
            task = asyncio.create_task(self._forward(source, sink))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

    async def _forward(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        this = asyncio.current_task()
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if this in self._silent:
                    await asyncio.sleep(3600)
                sink.write(data)
                await sink.drain()
        sink.close()

    def swallow(self) -> None:
        self._silent |= self._open

    def end(self) -> None:
        for task in self._open:
            task.cancel()


@pytest.mark.slow
async def test_after_a_silent_drop_one_limit_passes_and_not_one_for_each_connection(postgres: Postgres):
    url = postgres.create_database()
    await prepared(url)
    port = urlsplit(url).port
    assert port is not None
    async with forwarding("127.0.0.1", 0, port) as path:
        book = open_book(url.replace(f":{port}/", f":{path.port}/"))
        await fill_pool(book)
        path.swallow()
        began = time.monotonic()

        assert await back(book) >= 1

        assert time.monotonic() - began < BACK_WITHIN_SECONDS
        await book.close()


@pytest.mark.slow
async def test_after_every_address_has_changed_the_name_is_looked_up_anew(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
):
    url = postgres.create_database()
    await prepared(url)
    port, look_up, address = urlsplit(url).port, socket.getaddrinfo, ["127.0.0.2"]
    assert port is not None

    def resolved(host: str | bytes | None, *arguments: Any, **named: Any) -> Any:
        return look_up(address[0] if host == "book.test" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    async with forwarding("127.0.0.2", 0, port) as before:
        book = open_book(url.replace(f"127.0.0.1:{port}/", f"book.test:{before.port}/"))
        await fill_pool(book)
        before.swallow()
        before.server.close()
        async with forwarding("127.0.0.3", before.port, port):
            address[0] = "127.0.0.3"
            await back(book)
            await book.close()


async def test_a_host_that_swallows_everything_leaves_time_for_the_next(postgres: Postgres):
    url = postgres.create_database()
    await prepared(url)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections in and never answers
        book = open_book(url.replace("@", f"@127.0.0.1:{silent.getsockname()[1]},"))
        assert await count_up(book, "T00001") == 0
        await book.close()
