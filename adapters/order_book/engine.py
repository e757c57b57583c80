"""Connections to the order book's database, with what the server itself ends when a client is frozen or gone."""

import contextlib
import os
from collections.abc import Mapping
from typing import Any, Final, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - the package has none
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from runtime.database_url import PostgresServers, SqliteFile, parse

TRANSACTION_SECONDS: Final = 5.0
"""Limit of one transaction: a frozen database is trouble within this, never a hang. Not scaled."""
LOCK_SECONDS: Final = 1.0
"""How long a statement waits for a lock: changes skip what is locked, and two bridges that meet at one record do so for
some ms. Longer is trouble with that row."""
POSTGRES_CONNECTIONS: Final = 20
SQLITE_READERS: Final = 4

SERVER_LIMITS: Final[Mapping[str, str]] = {
    # Below our own limit: what the server still answers in time is an answer, and only silence is silence.
    "statement_timeout": "4500",
    "lock_timeout": str(int(LOCK_SECONDS * 1000)),
    # A client that froze between two statements; whoever waits for its rows meanwhile still gets them in time.
    "idle_in_transaction_session_timeout": "3000",
    "tcp_user_timeout": "5000",  # a client whose machine is gone, while an answer is on its way
    "tcp_keepalives_idle": "5",  # … and while none is
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}
"""Each connection asks this of PostgreSQL: what our own limit has given up holds no lock at the server either."""

_OPTION_WRITES: Final = "topup_write"


def open_engine(database_url: str) -> AsyncEngine:
    """An engine that connects when it is first asked.

    Raises:
        ValueError: the URL can never work (`runtime.database_url.parse`).
    """
    where = parse(database_url)
    return _sqlite(where) if isinstance(where, SqliteFile) else _postgres(where)


def reading(engine: AsyncEngine) -> AsyncEngine:
    """The same connections, for statements that change nothing.

    PostgreSQL shows each statement of a transaction the newest committed rows (READ COMMITTED), so that a reader gains
    nothing from BEGIN and COMMIT but two round trips; SQLite's readers need their snapshot.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_OPTION_WRITES: False})
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _postgres(servers: PostgresServers) -> AsyncEngine:
    connect = _Connect(servers)
    return create_async_engine(
        "postgresql+asyncpg://",
        hide_parameters=True,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=TRANSACTION_SECONDS,
        pool_use_lifo=True,  # few connections do the work: their statements are prepared, the others rest
        connect_args={"async_creator_fn": connect},
    )


class _Connect:
    """Tries the servers in turn, the one that was right last time first; reads names and certificates anew."""

    def __init__(self, servers: PostgresServers) -> None:
        self._servers = servers
        self._hosts = list(servers.hosts)

    async def __call__(self) -> Any:
        last: Exception | None = None
        for host in tuple(self._hosts):
            try:
                connection = await self._connect(*host)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
                last = error
            else:
                self._hosts.sort(key=lambda one: one != host)
                return connection
        assert last is not None, "a URL names at least one host"
        raise last

    async def _connect(self, host: str, port: int) -> Any:
        connect = cast("Any", asyncpg).connect  # its types are partly unknown
        return await connect(
            self._servers.dsn,
            host=host,
            port=port,
            timeout=self._servers.connect_timeout_seconds,
            command_timeout=TRANSACTION_SECONDS,
            server_settings={"application_name": self._servers.application_name, **SERVER_LIMITS},
        )


def _sqlite(file: SqliteFile) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{file.path}",
        hide_parameters=True,
        pool_size=SQLITE_READERS + 1,
        max_overflow=0,
        connect_args={"timeout": TRANSACTION_SECONDS},
    )

    def private(*_: object) -> None:
        """Made for our eyes only; SQLite gives its `-wal` and `-shm` the same mode."""
        with contextlib.suppress(OSError):  # SQLite itself says what is wrong with the place
            os.close(os.open(file.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))

    event.listen(engine.sync_engine, "do_connect", private)
    event.listen(engine.sync_engine, "connect", _sqlite_durable)
    event.listen(engine.sync_engine, "begin", _sqlite_begin)
    return engine


def _sqlite_durable(connection: Any, _record: object) -> None:
    """WAL, durable to power loss; transactions begin where we say so (`_sqlite_begin`)."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    """A writer takes the lock at once: one that takes it late can fail with "database is locked" (measured)."""
    write = connection.get_execution_options().get(_OPTION_WRITES, True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
