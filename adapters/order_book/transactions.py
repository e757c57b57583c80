"""One transaction of the order book: its limit, its errors as the operator reads them, and the connection under it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - the package has none
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.order_book.engine import TRANSACTION_SECONDS, reading
from orders.errors import Unavailable
from runtime.redaction import in_one_line

_READ_ONLY: Final = "25006"
"""SQLSTATE of a server that is not, or no longer, the primary."""
_LOCKED: Final = "55P03"
_TOO_SLOW: Final = "57014"
"""SQLSTATE of a statement that the server has ended at its `statement_timeout`, or that a person has."""
_REFUSES_US: Final = {
    "28P01": "refuses the password: correct it in TOPUP_DATABASE_URL",
    "28000": "does not let this user in from here: see the user in TOPUP_DATABASE_URL, and the server's pg_hba.conf",
    "3D000": "is not there, though its server is: create it, or correct its name in TOPUP_DATABASE_URL",
    "53300": "takes no more connections: see who has them (pg_stat_activity), or raise its max_connections",
    "57P03": "is starting or stopping: wait, or see its log",
}
"""What a server says instead of a connection, by SQLSTATE."""
_CANT_OPEN: Final = "file can't be opened: make its folder, let this user write there, or correct TOPUP_DATABASE_URL"
"""SQLite, where the folder is missing or may not be written."""
_CONNECT_ERRORS: Final[tuple[type[Exception], ...]] = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""As asyncpg raises them while it connects; SQLAlchemy makes its own only of what a connection says."""
_DATA_ERRORS: Final = ("22", "23")
"""SQLSTATE classes "data exception" and "integrity constraint violation": a row's fault, not the database's."""


class RowRefused(Unavailable):
    """The database took the statement and refused what is in it; nothing of the transaction was kept."""


class RowLocked(Unavailable):
    """Somebody else holds a row for longer than the wait; nothing of the transaction was kept."""


def no_answer(seconds: float = TRANSACTION_SECONDS) -> Unavailable:
    """The database was silent for so long: slow, frozen, or behind a network that swallows what is sent."""
    return Unavailable(
        f"The order book's database does not answer within {seconds:g} s: look at its load, its locks and this host's "
        "(pg_stat_activity, CPU, disk), and whether its network lets us through; nothing is lost."
    )


class Transactions:
    """Begins transactions on one engine. One connection found dead takes the pool's others of its age with it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._writing = engine
        self._reading = reading(engine)
        self.sqlite = engine.dialect.name == "sqlite"
        self._one_writer = asyncio.Lock()
        self._age = 0
        if not self.sqlite:
            event.listen(engine.sync_engine, "connect", self._connected)
            event.listen(engine.sync_engine, "checkout", self._checked_out)
            event.listen(engine.sync_engine, "handle_error", self._failed)

    async def close(self) -> None:
        """Close the pool's connections."""
        await self._writing.dispose()

    @contextlib.asynccontextmanager
    async def __call__(
        self, *, write: bool, seconds: float = TRANSACTION_SECONDS
    ) -> AsyncGenerator[AsyncConnection, None]:
        """Begin one; it is committed at the end of the block.

        Raises:
            RowRefused, RowLocked: nothing was kept.
            Unavailable: nothing is known of a change, which may have been committed.
        """
        one_writer = self._one_writer if write and self.sqlite else contextlib.nullcontext()
        age = self._age
        try:
            async with asyncio.timeout(seconds), one_writer, self._connection(write=write) as connection:
                yield connection
        except PoolTimeoutError as error:
            self._distrust(age)
            raise _pool_exhausted() from error
        except TimeoutError as error:
            self._distrust(age)
            raise no_answer(seconds) from error
        except OSError as error:
            self._distrust(age)
            raise Unavailable(
                f"The order book's database can't be reached ({in_one_line(error)}): start it, or correct "
                "TOPUP_DATABASE_URL; nothing is lost."
            ) from error
        except _CONNECT_ERRORS as error:
            raise _refused(error) from error
        except DBAPIError as error:
            raise _said(error) from error
        except SQLAlchemyError as error:
            raise Unavailable(f"The order book's database failed: {type(error).__name__}; see its log.") from error

    @contextlib.asynccontextmanager
    async def _connection(self, *, write: bool) -> AsyncGenerator[AsyncConnection, None]:
        async with (self._writing if write else self._reading).connect() as connection:
            transaction = await connection.begin()
            try:
                yield connection
                await transaction.commit()
            except asyncio.CancelledError:
                if self.sqlite:
                    await transaction.rollback()
                else:
                    await self._drop(connection)
                raise
            except BaseException:
                await transaction.rollback()
                raise

    async def _drop(self, connection: AsyncConnection) -> None:
        """Let go of a connection in the middle of something, without a word: it may hang, or be of no use any more."""
        if not connection.invalidated:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            raw.terminate()
            await connection.invalidate()

    # --- which connections are trusted -------------------------------------------------------------------------------

    def _distrust(self, age: int) -> None:
        if age == self._age:
            self._age += 1

    def _connected(self, _connection: object, record: Any) -> None:
        record.info["age"] = self._age

    def _checked_out(self, connection: Any, record: Any, _proxy: object) -> None:
        if record.info["age"] != self._age:
            connection.driver_connection.terminate()  # a polite end waits for an answer
            raise DisconnectionError

    def _failed(self, context: ExceptionContext) -> None:
        """A primary that has become a standby still answers: its connections are as good as closed."""
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True
        if context.is_disconnect:
            context.invalidate_pool_on_disconnect = False  # it would end each politely, 2 s for one that is silent
            self._age += 1


def _pool_exhausted() -> Unavailable:
    return Unavailable(
        f"All connections of this process to the order book's database were in use for {TRANSACTION_SECONDS:g} s: look "
        "at the database's load and locks (pg_stat_activity), and start one more process if it has neither."
    )


def _refused(error: Exception) -> Unavailable:
    state: str = getattr(error, "sqlstate", None) or ""
    what = _REFUSES_US.get(state, f"refuses a connection ({type(error).__name__}): see its log")
    return Unavailable(f"The order book's database {what}; nothing is lost.")


def _said(error: DBAPIError) -> Unavailable:
    state = getattr(error.orig, "sqlstate", None) or ""
    text = str(error.orig).lower()
    if "no such table" in text or ("relation" in text and "does not exist" in text):
        return Unavailable("The order book has no tables yet: run `topup setup`.")
    if "no such column" in text or "has no column" in text or ("column" in text and "does not exist" in text):
        return Unavailable("The order book's tables are of an older version: run `topup setup`.")
    if state == _READ_ONLY or "readonly database" in text:
        return Unavailable(
            "The order book's database takes no changes (a standby, or read-only): see which server is the primary, and"
            " TOPUP_DATABASE_URL; nothing is lost."
        )
    if state == _TOO_SLOW or "database is locked" in text:
        return no_answer()
    if refuses := _REFUSES_US.get(state) or ("unable to open database file" in text and _CANT_OPEN):
        return Unavailable(f"The order book's database {refuses}; nothing is lost.")
    if state == _LOCKED:
        return RowLocked("A row of the order book is held by another process: it is let go within seconds, or see it.")
    name = type(error.orig.__cause__ or error.orig).__name__ if error.orig else type(error).__name__
    if state.startswith(_DATA_ERRORS) or name in ("IntegrityError", "DataError"):
        return RowRefused(f"The order book's database refused a value: {name}; see its log.")
    return Unavailable(f"The order book's database refused: {name}; see its log.")
