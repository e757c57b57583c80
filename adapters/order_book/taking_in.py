"""Bills and statements in the order book: lines are added under a token, and count once all of them are there."""

import contextlib
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Table, delete, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import tables
from adapters.order_book.transactions import Transactions
from orders.clock import Clock
from orders.errors import Unavailable
from reconciliation.days import CARRIER, Horizon
from reconciliation.evidence import BillLine, Sale
from reconciliation.ports import NotWhole, Totals

BILLS, BILL_LINES, STATEMENT_LINES = (
    tables.SQLModel.metadata.tables[name] for name in ("bills", "bill_lines", "statement_lines")
)
DELETED_AT_ONCE: Final = 5_000
"""A transaction of some 100 ms: orders wait for no other one."""
LINES_TO_ANALYZE: Final = 1_000
"""A page of `evidence`: below it every plan is quick."""
WAIT_SECONDS: Final = 30.0
"""Of a transaction: nobody waits for reconciliation, so it need not give up before a busy machine does."""
_NEW: Final[dict[str, Any]] = {
    "why": "",
    "sha256": "",
    "size_bytes": 0,
    "lines": 0,
    "payments_fen": 0,
    "refunds_fen": 0,
    "judged": False,
}


class TakingIn:
    """Writes bills and statements. Of two processes that read one day's, the one that began later goes on."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transaction = partial(transactions, seconds=WAIT_SECONDS)
        self._clock = clock
        self._is_sqlite = transactions.sqlite
        self._insert = (sqlite if transactions.sqlite else postgresql).insert

    async def begin(self, source: str, day: str) -> str:
        """Make room for a day's lines; returns the token that `add` and `finish` need.

        Raises:
            NotWhole: it is whole already.
        """
        token = secrets.token_hex(16)
        row = {**_NEW, "source": source, "day": day, "state": "reading", "token": token, "at": self._clock.now()}
        async with self._transaction(write=True) as connection:
            statement = self._insert(BILLS).values(row)
            took = await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["source", "day"],
                    set_={"state": "reading", "token": token, "at": row["at"]},
                    where=BILLS.c.state != "whole",
                )
            )
            if not took.rowcount:
                raise NotWhole(f"The bill of {source} for {day} was taken in by another process meanwhile.")
        await self._delete_lines(source, day)
        return token

    async def _delete_lines(self, source: str, day: str) -> None:
        """Some at a time: a transaction is short."""
        while True:
            async with self._transaction(write=True) as connection:
                if source == CARRIER:
                    table, mine = STATEMENT_LINES, (STATEMENT_LINES.c.day == day,)
                    keys = (STATEMENT_LINES.c.order_id,)
                else:
                    table, mine = BILL_LINES, (BILL_LINES.c.source == source, BILL_LINES.c.day == day)
                    keys = (BILL_LINES.c.transaction_id,)
                some = select(*keys).where(*mine).limit(DELETED_AT_ONCE)
                gone = await connection.execute(delete(table).where(*mine, keys[0].in_(some)))
                if not gone.rowcount:
                    return

    async def add_bill(self, source: str, day: str, token: str, lines: Sequence[BillLine]) -> None:
        """Add lines; one that is there already is the same one.

        Raises:
            NotWhole: somebody else has begun anew.
        """
        rows = [
            {
                "source": source,
                "day": day,
                "transaction_id": line.transaction_id,
                "kind": line.kind,
                "refund_number": line.refund_number,
                "out_trade_no": line.out_trade_no,
                "amount_fen": line.amount_fen,
                "at": line.at,
                "ended": "",
            }
            for line in lines
        ]
        async with self._transaction(write=True) as connection:
            await self._hold(connection, source, day, token)
            if rows:
                await connection.execute(self._insert(BILL_LINES).on_conflict_do_nothing(), rows)

    async def add_statement(self, day: str, token: str, sales: Sequence[Sale]) -> None:
        """Likewise, of the carrier's statement."""
        rows = [
            {"day": day, "order_id": sale.order_id, "carrier_order_id": sale.carrier_order_id, "state": sale.state}
            for sale in sales
        ]
        async with self._transaction(write=True) as connection:
            await self._hold(connection, CARRIER, day, token)
            if rows:
                await connection.execute(self._insert(STATEMENT_LINES).on_conflict_do_nothing(), rows)

    async def finish(self, source: str, day: str, token: str, totals: Totals) -> None:
        """All lines are there: they count from now on."""
        async with self._transaction(write=True) as connection:
            await self._hold(connection, source, day, token)
            values = {
                "state": "whole",
                "why": "",
                "sha256": totals.sha256,
                "size_bytes": totals.size_bytes,
                "lines": totals.lines,
                "payments_fen": totals.payments_fen,
                "refunds_fen": totals.refunds_fen,
                "at": self._clock.now(),
            }
            await connection.execute(update(BILLS).where(BILLS.c.source == source, BILLS.c.day == day).values(values))
        if not self._is_sqlite and totals.lines >= LINES_TO_ANALYZE:
            await self._analyze(STATEMENT_LINES if source == CARRIER else BILL_LINES)

    async def _analyze(self, table: Table) -> None:
        """Let PostgreSQL know what was just taken in: it is judged at once, and autovacuum looks once a minute.

        Without statistics it compares every line with every key of a page (measured: 1.5 s a page of 20 000 lines).
        Only the table's owner may; of a process with a role of its own PostgreSQL takes it as a word without effect.
        """
        with contextlib.suppress(Unavailable):
            async with self._transaction(write=True) as connection:
                await connection.execute(text(f"SET LOCAL statement_timeout = {int(WAIT_SECONDS * 1000)}"))
                await connection.execute(text(f"ANALYZE {table.name}"))

    async def note_not_whole(self, source: str, day: str, why: str) -> None:
        """Why it can't be had, unless it is whole."""
        row = {**_NEW, "source": source, "day": day, "state": "missing", "token": "", "why": why}
        row["at"] = self._clock.now()
        async with self._transaction(write=True) as connection:
            await connection.execute(
                self._insert(BILLS)
                .values(row)
                .on_conflict_do_update(
                    index_elements=["source", "day"],
                    set_={"state": "missing", "token": "", "why": why, "at": row["at"]},
                    where=(BILLS.c.state != "whole") & (BILLS.c.why != why),
                )
            )

    async def horizon(self) -> Horizon:
        """Which are whole."""
        query = select(BILLS.c.source, BILLS.c.day).where(BILLS.c.state == "whole")
        whole: dict[str, set[str]] = {}
        async with self._transaction(write=False) as connection:
            for source, day in await connection.execute(query):
                whole.setdefault(source, set()).add(day)
        return Horizon(whole)

    async def not_whole(self, day: str) -> dict[str, str]:
        """Those of a day that were asked for and are not: source → why."""
        query = select(BILLS.c.source, BILLS.c.why).where(BILLS.c.day == day, BILLS.c.state != "whole")
        async with self._transaction(write=False) as connection:
            return {row.source: row.why for row in await connection.execute(query.order_by(BILLS.c.source))}

    async def note_judged(self, source: str, day: str, *, whole: bool) -> None:
        """Whether nothing that is lacking can still come."""
        mine = (BILLS.c.source == source, BILLS.c.day == day, BILLS.c.judged != whole)
        async with self._transaction(write=True) as connection:
            await connection.execute(update(BILLS).where(*mine).values(judged=whole))

    async def is_judged(self, day: str) -> bool:
        """Whether all of a day's bills and statements are judged, and nothing that is lacking can still come."""
        return (await self.judged()).get(day, False)

    async def judged(self) -> dict[str, bool]:
        """Each day that was ever asked for, and whether all its bills and statements are judged."""
        query = select(BILLS.c.day, func.min(BILLS.c.judged.cast(tables.Integer))).group_by(BILLS.c.day)
        async with self._transaction(write=False) as connection:
            return {day: bool(judged) for day, judged in await connection.execute(query)}

    async def _hold(self, connection: AsyncConnection, source: str, day: str, token: str) -> None:
        mine = (BILLS.c.source == source, BILLS.c.day == day, BILLS.c.token == token, BILLS.c.state == "reading")
        if not (await connection.execute(update(BILLS).where(*mine).values(at=self._clock.now()))).rowcount:
            raise NotWhole(
                f"Another process is just taking in the bill of {source} for {day}: let it, or run it again."
            )
