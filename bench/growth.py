"""An order book that has grown: what its questions cost, and whether one of them reads a whole table.

`python -m bench.growth --orders 20000000`. The rows are made in the server by one statement for each hundred thousand.
Prints one JSON object: milliseconds (median) by question, and the plans that scan a table that grows. Exit code 1 where
there is one.
"""

import argparse
import asyncio
import base64
import contextlib
import json
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - the package has none
from sqlalchemy import event

from adapters.order_book.book import OrderBook, StoredOrder
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.rows import EVENTS, ORDERS
from bench.order_book import SystemClock, one_order, paid_order
from devkit.servers.postgres import Postgres
from orders.state import OrderState

GROWS: Final = frozenset({"orders", "order_events"})
SCANS: Final = frozenset({"Seq Scan", "Parallel Seq Scan"})
ROWS_AT_ONCE: Final = 500_000
FILL_SECONDS: Final = 3600.0  # an index of 20 million rows is one statement
UNSETTLED: Final = 500
TRIES: Final = 20
VEHICLES: Final = 200_000
START_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: how long it takes, and which of its statements read a whole table."""

    milliseconds: float
    scans: tuple[str, ...]


class Statements:
    """What the book sends, as the driver gets it."""

    def __init__(self, book: OrderBook) -> None:
        self.sent: dict[str, tuple[Any, ...]] = {}
        transactions: Any = vars(book)["_transaction"]
        event.listen(vars(transactions)["_writing"].sync_engine, "before_cursor_execute", self._note)

    def _note(self, *about: Any) -> None:
        _connection, _cursor, statement, parameters, _context, many = about
        self.sent[statement] = tuple(parameters[0] if many else parameters)


def order_id(number: str) -> str:
    """A made order's ID, as SQL of its number."""
    return f"'G' || lpad({number}::text, 12, '0')"


def others_for(number: str, orders: int, unsettled_orders: int = UNSETTLED) -> dict[str, str]:
    """The columns of a row that differ from the template's, as SQL of its number; the last rows have no end."""
    unsettled = f"{number} >= {orders - unsettled_orders}"
    old = f"(now() - make_interval(secs => 86400 + {number} % 7776000))"
    return {
        "order_id": order_id(number),
        "out_trade_no": order_id(number),
        "transaction_id": f"'42G' || lpad({number}::text, 12, '0')",
        "vehicle_hash": f"md5(({number} % {VEHICLES})::text)",
        "iccid_hash": f"md5('i' || ({number} % {VEHICLES})::text)",
        "msisdn_hash": f"md5('m' || ({number} % {VEHICLES})::text)",
        "claimed_at": old,
        "paid_at": old,
        "paid_on": f"to_char({old}, 'YYYY-MM-DD')",
        "settled_at": f"CASE WHEN {unsettled} THEN NULL ELSE {old} END",
        "outcome": f"CASE WHEN {unsettled} THEN NULL ELSE t.outcome END",
        "status": f"CASE WHEN {unsettled} THEN 'placing' ELSE t.status END",
    }


@contextlib.asynccontextmanager
async def without_indexes(connection: Any) -> AsyncGenerator[None]:
    """The growing tables have none meanwhile and their own again after it: sorted at once, not row by row."""
    constraints = await connection.fetch(
        "SELECT conrelid::regclass::text AS of, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS made "
        "FROM pg_constraint WHERE contype IN ('p', 'u') AND conrelid::regclass::text = ANY($1::text[])",
        sorted(GROWS),
    )
    for one in constraints:
        await connection.execute(f"ALTER TABLE {one['of']} DROP CONSTRAINT {one['name']} CASCADE")
    indexes = await connection.fetch(
        "SELECT quote_ident(indexname) AS name, indexdef AS made FROM pg_indexes WHERE tablename = ANY($1::text[])",
        sorted(GROWS),
    )
    for one in indexes:
        await connection.execute(f"DROP INDEX {one['name']}")
    yield
    for number, one in enumerate(indexes, 1):
        say(f"index {number} of {len(indexes)}: {one['name']}")
        await connection.execute(one["made"])
    for one in constraints:
        say(f"constraint {one['name']}")
        await connection.execute(f"ALTER TABLE {one['of']} ADD CONSTRAINT {one['name']} {one['made']}")


def say(text: str) -> None:
    """Progress, on stderr."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


async def fill(url: str, template: str, orders: int, *, first: int = 0, unsettled: int = UNSETTLED) -> None:
    """Orders after the template, from the first number up to so many, each with its line of the trail.

    All are settled but for the last ones: a book that a product works on has none of these, for it would ask for them.
    """
    connection = await cast("Any", asyncpg).connect(url, command_timeout=FILL_SECONDS)
    try:
        await connection.execute("SET maintenance_work_mem = '1GB'")
        async with without_indexes(connection):
            await rows(connection, template, range(first, orders), unsettled)
        say("vacuum")
        await connection.execute("VACUUM ANALYZE orders, order_events")
    finally:
        await connection.close()


async def rows(connection: Any, template: str, numbers: range, unsettled: int) -> None:
    """Make them, in the server."""
    kinds = dict(
        await connection.fetch(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'orders'"
        )
    )
    others = {name: sql for name, sql in others_for("g", numbers.stop, unsettled).items() if name in kinds}
    if kinds.get("paid_on") == "date":
        others["paid_on"] = f"({others['paid_at']})::date"
    columns = [column.name for column in ORDERS.c]
    made = ", ".join(others.get(name, f"t.{name}") for name in columns)
    lines = [column.name for column in EVENTS.c if column.name != "id"]
    told = ", ".join(order_id("g") if name == "order_id" else f"t.{name}" for name in lines)
    await connection.execute(
        f"CREATE TEMP TABLE a_row AS SELECT * FROM orders WHERE order_id = '{template}'"  # noqa: S608 - our own name
    )
    await connection.execute(
        f"CREATE TEMP TABLE a_line AS SELECT * FROM order_events WHERE order_id = '{template}' LIMIT 1"  # noqa: S608 - the template's own ID
    )
    for start in numbers[::ROWS_AT_ONCE]:
        end = min(start + ROWS_AT_ONCE, numbers.stop)
        series = f"generate_series({start}, {end - 1}) g"
        await connection.execute(
            f"INSERT INTO orders ({', '.join(columns)}) SELECT {made} FROM a_row t, {series}"  # noqa: S608 - likewise
        )
        await connection.execute(
            f"INSERT INTO order_events ({', '.join(lines)}) SELECT {told} FROM a_line t, {series}"  # noqa: S608 - our own columns
        )
        say(f"{end} orders")


def scans(plan: Mapping[str, Any], *, limited: bool = False) -> Iterator[str]:
    """Names of the growing tables that a plan reads whole; one that takes whatever row comes first does not."""
    if plan["Node Type"] in SCANS and plan.get("Relation Name") in GROWS and not (limited and "Filter" not in plan):
        yield str(plan["Relation Name"])
    for below in plan.get("Plans", ()):
        yield from scans(below, limited=limited or plan["Node Type"] == "Limit")


async def asked(
    url: str, statements: Statements, question: Callable[[int], Awaitable[object]], tries: int = TRIES
) -> Asked:
    """Ask it some times, then look at the plans of what it sent."""
    await question(0)  # connects and prepares
    statements.sent.clear()
    took: list[float] = []
    for number in range(1, tries + 1):
        began = time.perf_counter()
        await question(number)
        took.append((time.perf_counter() - began) * 1000)
    found: list[str] = []
    connection = await cast("Any", asyncpg).connect(url)
    try:
        for statement, parameters in statements.sent.items():
            if statement.lstrip().upper().startswith(("SELECT", "UPDATE")):
                rows = await connection.fetch(f"EXPLAIN (FORMAT JSON) {statement}", *parameters)
                tables = set(scans(json.loads(rows[0][0])[0]["Plan"]))
                found += [f"{table}: {' '.join(statement.split())[:300]}" for table in sorted(tables)]
    finally:
        await connection.close()
    return Asked(round(statistics.median(took), 2), tuple(found))


def questions(book: OrderBook, orders: int) -> dict[str, Callable[[int], Awaitable[object]]]:
    """What is asked while orders come in, and by operators and the sweep."""

    def name(number: int) -> str:
        return f"G{number * 7919 % orders:012d}"

    def rule(stored: StoredOrder) -> tuple[OrderState, None]:
        return replace(stored.state, posts=stored.state.posts + 1), None

    async def claim(number: int) -> None:
        await book.claim([paid_order(number * 100 + one, "N") for one in range(25)])

    async def claim_again(_number: int) -> None:
        await book.claim([paid_order(100 + one, "N") for one in range(25)])

    async def a_change(number: int) -> None:
        claimed = paid_order(number * 100, "N").order_id  # a made row's encrypted values are bound to another
        await book.decide(claimed, rule, kind="post_intent", detail=lambda _: {})

    async def a_whole_order(number: int) -> None:
        order = paid_order(number, "W")
        await book.claim([order])
        await one_order(book, order.order_id, 0.0)

    def swept(_number: int) -> Awaitable[object]:
        return book.unsettled(claimed_before=datetime.now(UTC) - timedelta(minutes=10), after="", limit=200)

    return {
        "claim of 25": claim,
        "claim of 25 that are there": claim_again,
        "admission count": lambda _: book.first_pass_count(),
        "an order's row": lambda number: book.read(name(number)),
        "a change of an order": a_change,
        "a whole order": a_whole_order,
        "sweep and orders list, a page": swept,
        "a vehicle's orders": lambda number: book.filed_under("vehicle", f"LSGBC5342AG{number:06d}"),
        "an order by its payment": lambda number: book.referred_to(f"42{name(number)}"),
        "an order's trail": lambda number: book.events(name(number)),
        "readiness": lambda _: book.ping(),
    }


async def a_settled_order(book: OrderBook, number: int = 0) -> str:
    """The ID of one, after which all others are made."""
    template = paid_order(number, "T")
    await book.claim([template])
    await one_order(book, template.order_id, 0.0)
    return template.order_id


async def grow(url: str, pii_key: str, *, first: int, orders: int) -> None:
    """Settled orders into a book that a product works on, from the first number up to so many."""
    book = OrderBook.open(url, FieldCipher(base64.b64decode(pii_key)), SystemClock())
    template = await a_settled_order(book, first)
    await book.close()
    await fill(url, template, orders, first=first, unsettled=0)


async def measure(postgres: Postgres, orders: int) -> dict[str, Any]:
    """Fill a book and ask it."""
    url = postgres.create_database()
    book = OrderBook.open(url, FieldCipher(bytes(32)), SystemClock())
    await book.migrate()
    template = await a_settled_order(book)
    began = time.perf_counter()
    await fill(url, template, orders)
    filled = time.perf_counter() - began
    statements = Statements(book)
    found = {what: await asked(url, statements, ask) for what, ask in questions(book, orders).items()}
    await book.close()
    size = postgres.execute("SELECT pg_total_relation_size('orders'), pg_total_relation_size('order_events')", url=url)
    return {
        "orders": orders,
        "filled_in_seconds": round(filled, 1),
        "orders_mib": round(size[0][0] / 1024**2),
        "order_events_mib": round(size[0][1] / 1024**2),
        "median_ms": {what: one.milliseconds for what, one in found.items()},
        "scans": {what: one.scans for what, one in found.items() if one.scans},
    }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000, metavar="N", help="rows of the book (100000)")
    options = parser.parse_args()
    postgres = Postgres()
    postgres.ready_timeout_seconds = START_SECONDS
    with postgres:
        figures = asyncio.run(measure(postgres, options.orders))
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    sys.exit(1 if figures["scans"] else 0)


if __name__ == "__main__":
    main()
