"""Migrations make the tables once, exactly those of the models, and say so where there are none."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from adapters.order_book import migrations, tables
from adapters.order_book.book import OrderBook
from orders.errors import Unavailable
from tests.adapters.book_process import connected, open_book, paid_order


async def test_migrations_make_exactly_the_tables_and_can_be_repeated(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    await book.migrate()
    await asyncio.gather(book.migrate(), book.migrate())

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, tables.SQLModel.metadata)

    async with connected(url) as connection:
        assert await connection.run_sync(differences) == []
    assert (await book.read("T00001")).order == paid_order("T00001")


def test_the_newest_revision_is_the_one_that_alembic_finds():
    folder = Path(migrations.__file__).parent
    assert ScriptDirectory(str(folder)).get_current_head() == migrations.NEWEST


async def test_two_set_ups_at_once_make_the_schema_once(url: str):
    books = [open_book(url) for _ in range(2)]
    for one in books:
        await one.migrate()

    await asyncio.gather(*(one.ping() for one in books))
    for one in books:
        await one.close()


async def test_missing_tables_name_the_command_that_makes_them(url: str):
    book = open_book(url)

    for ask in (book.ping, book.first_pass_count, lambda: book.claim([paid_order("T00001")])):
        with pytest.raises(Unavailable, match="topup setup"):
            await ask()
    await book.close()
