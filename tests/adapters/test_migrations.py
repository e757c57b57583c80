"""A filled order book of each older version becomes one of the newest, while processes of before go on."""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import MetaData, Table, insert, select
from sqlalchemy.engine import Connection

from adapters.order_book import migrations
from adapters.order_book.book import Claim, OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.rows import EVENTS, ORDERS
from devkit.servers.postgres import Postgres
from orders.state import OrderState
from runtime.clock import SystemClock
from tests.adapters.book_process import KEY, open_book, paid_order

SINCE_V0002 = {"proposal", "proposed_by", "proposed_at", "proposed_note", "confirmed_by", "confirmed_note"} | {
    "restored_at"
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/book.db"
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        yield postgres.create_database()


def to_v0001(connection: Connection) -> None:
    config = migrations._config()
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


def insert_as_v0001(connection: Connection, values: dict[str, Any]) -> None:
    """As a process of that version does: it knows the columns of v0001 alone."""
    row = {name: value for name, value in values.items() if name not in SINCE_V0002}
    connection.execute(insert(ORDERS).values(row))


async def filled_v0001(url: str) -> OrderBook:
    """A book of v0001 with an order in doubt, its body and its trail."""
    book = open_book(url)
    sealed = FieldCipher(KEY).encrypt(b"{}", bound_to=("T00001", "body"))
    now = SystemClock().now()
    values = {**book._claims.values(paid_order("T00001"), now), "posts": 1, "body": sealed, "status": "in_doubt"}
    async with book._transaction(write=True) as connection:
        await connection.run_sync(to_v0001)
        await connection.run_sync(insert_as_v0001, values)
        line = {"order_id": "T00001", "at": now, "kind": "claimed", "detail": {}}
        await connection.execute(insert(EVENTS), line)
    return book


async def test_a_filled_book_of_v0001_keeps_every_order_and_its_trail(url: str):
    book = await filled_v0001(url)

    await book.migrate()

    record = await book.read("T00001")
    assert record.order == paid_order("T00001")
    assert (record.state.posts, record.state.status, record.state.body) == (1, "in_doubt", b"{}")
    new = {name: getattr(record.state, name) for name in SINCE_V0002}
    assert new == {field.name: field.default for field in fields(OrderState) if field.name in SINCE_V0002}
    assert [event.kind for event in await book.events("T00001")] == ["claimed"]
    assert (await book.claim([paid_order("T00001")]))[0].outcome is Claim.UNSETTLED
    assert (await book.look()).version == "0003"
    await book.close()


async def test_a_process_of_v0001_goes_on_after_the_upgrade(url: str):
    book = await filled_v0001(url)
    await book.migrate()
    values = book._claims.values(paid_order("T00002"), SystemClock().now())

    async with book._transaction(write=True) as connection:
        await connection.run_sync(insert_as_v0001, values)

    assert (await book.read("T00002")).order == paid_order("T00002")
    await book.close()


async def test_the_test_knows_every_column_since_v0001(url: str):
    book = await filled_v0001(url)
    async with book._transaction(write=False) as connection:
        old: Table = await connection.run_sync(lambda sync: Table("orders", MetaData(), autoload_with=sync))
        assert {column.name for column in ORDERS.c} - {column.name for column in old.c} == SINCE_V0002
        assert (await connection.execute(select(old.c.order_id))).scalar_one() == "T00001"
    await book.close()
