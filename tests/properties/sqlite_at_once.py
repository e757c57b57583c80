"""SQLite without a thread: SQLAlchemy's `aiosqlite` driver over calls that never wait.

The real order book on it is as fast as SQLite is, and the same example always runs the same way. What it can't show
(two writers, locks, durability) is shown on files and on PostgreSQL in `tests/adapters`.
"""

import sqlite3
from typing import Any, Self

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


class Cursor:
    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    async def __aenter__(self) -> Self:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    async def execute(self, statement: str, parameters: Any = ()) -> None:
        self._cursor.execute(statement, parameters)

    async def executemany(self, statement: str, parameters: Any) -> None:
        self._cursor.executemany(statement, parameters)

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    async def close(self) -> None:
        self._cursor.close()


class Connection:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection: sqlite3.Connection | None = connection

    def __await__(self) -> Any:
        yield from ()
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def cursor(self) -> Cursor:
        assert self._connection is not None
        return Cursor(self._connection.cursor())

    async def create_function(self, *arguments: Any, **named: Any) -> None:
        assert self._connection is not None
        self._connection.create_function(*arguments, **named)

    async def commit(self) -> None:
        assert self._connection is not None
        self._connection.commit()

    async def rollback(self) -> None:
        assert self._connection is not None
        self._connection.rollback()

    async def close(self) -> None:
        """Stays open: the pool may drop it, the example goes on with it."""


def engine_over(connection: sqlite3.Connection) -> AsyncEngine:
    """An engine of one connection that is never closed; transactions begin as the order book begins them."""

    def creator(*_arguments: Any, **_named: Any) -> Connection:
        return Connection(connection)

    engine = create_async_engine(
        "sqlite+aiosqlite://",
        hide_parameters=True,
        pool_reset_on_return=None,
        connect_args={"async_creator_fn": creator},
    )
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _begin(connection: Any) -> None:
    write = connection.get_execution_options().get("topup_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
