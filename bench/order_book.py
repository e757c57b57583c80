"""The order book alone: what an order's questions and changes cost on PostgreSQL with fsync, many orders in flight.

`python -m bench.order_book --orders 2000 --in-flight 50`. Prints one line of JSON. It uses what callers use, so that a
copy of this file measures another checkout.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg.connection  # pyright: ignore[reportMissingTypeStubs] - the package has none
import asyncpg.prepared_stmt  # pyright: ignore[reportMissingTypeStubs] - the package has none

from adapters.order_book.book import OrderBook, StoredOrder
from adapters.order_book.field_cipher import FieldCipher
from devkit.servers.postgres import Postgres
from orders.paid_order import PaidOrder
from orders.state import OrderState

BODY = b'{"externalId":"%s","productOrderItem":[{"id":"1"}]}' + b" " * 600
CLAIMED_TOGETHER = 25
TICKS = os.sysconf("SC_CLK_TCK")


class SystemClock:
    """UTC of this machine."""

    def now(self) -> datetime:
        """Aware."""
        return datetime.now(UTC)


def paid_order(number: int, run: str) -> PaidOrder:
    """One order of many."""
    name = f"B{run}{number:08d}"
    return PaidOrder.model_validate(
        {
            "schema": "topup.paid-order/1",
            "order_id": name,
            "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015", "msisdn": "14400000001"},
            "package_id": "CT-DATA-10GB-30D",
            "amount_fen": 9900,
            "currency": "CNY",
            "payment": {
                "provider": "wechat",
                "merchant_id": "1900000109",
                "out_trade_no": name,
                "transaction_id": f"42{name}",
                "paid_at": "2023-08-21T18:33:55+08:00",
            },
        }
    )


def count_round_trips(counted: Counter[str]) -> None:
    """Count what the driver sends and waits for."""
    connection: Any = asyncpg.connection.Connection
    prepared: Any = asyncpg.prepared_stmt.PreparedStatement
    for owner, names in (
        (connection, ("execute", "executemany", "prepare", "fetch", "fetchrow")),
        (prepared, ("fetch",)),
    ):
        for name in names:
            setattr(owner, name, _counting(getattr(owner, name), f"{owner.__name__}.{name}", counted))


def _counting(call: Callable[..., Any], name: str, counted: Counter[str]) -> Callable[..., Any]:
    async def counting(*arguments: Any, **named: Any) -> Any:
        counted[name] += 1
        return await call(*arguments, **named)

    return counting


async def one_order(book: OrderBook, order_id: str, think_seconds: float) -> None:
    """The good way: intent, answer, end, with the reads and the notices between."""

    async def decide(kind: str, **change: Any) -> None:
        def rule(stored: StoredOrder) -> tuple[OrderState, None]:
            return replace(stored.state, **change), None

        await book.decide(order_id, rule, kind=kind, detail=lambda _: {"number": 1})

    now = datetime.now(UTC)
    await book.read(order_id)
    await decide("post_intent", posts=1, body=BODY, completion_date=now, last_post_at=now)
    await asyncio.sleep(think_seconds)
    await decide(
        "carrier_answer", carrier_code="C", carrier_outcome_at=now, last_post_answered_at=now, carrier_order_id="C-1"
    )
    await decide("settle", carrier_outcome="completed", outcome="delivered", settled_at=now)
    await book.read_with_notices(order_id)
    await asyncio.sleep(think_seconds)
    await book.write_notices(order_id, "delivered", {"old": ("acknowledged", ""), "new": ("acknowledged", "")})


async def run(book: OrderBook, orders: list[PaidOrder], in_flight: int, think_seconds: float) -> list[float]:
    """All of them; seconds of each from its claim to its end."""
    places, took = asyncio.Semaphore(in_flight), list[float]()

    async def work(order: PaidOrder) -> None:
        began = time.perf_counter()
        try:
            await one_order(book, order.order_id, think_seconds)
        finally:
            places.release()
        took.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as tasks:
        together = min(CLAIMED_TOGETHER, in_flight)
        for start in range(0, len(orders), together):
            some = orders[start : start + together]
            for _ in some:
                await places.acquire()
            await book.claim(some)
            for order in some:
                tasks.create_task(work(order))
    return sorted(took)


def server_cpu_seconds(data: Path) -> float:
    """What the server's processes have used so far."""
    pid = int((data / "postmaster.pid").read_text().split()[0])
    return sum(_cpu(one) for one in (pid, *_children(pid)))


def _children(pid: int) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _stat(int(folder.name))[1:2] == [str(pid)]:
            yield int(folder.name)


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu(pid: int) -> float:
    stat = _stat(pid)
    return (int(stat[11]) + int(stat[12])) / TICKS if stat else 0.0


async def measure(postgres: Postgres, count: int, in_flight: int, think_seconds: float) -> dict[str, float]:
    """One round on an empty book."""
    url = postgres.create_database()
    book = OrderBook.open(url, FieldCipher(bytes(32)), SystemClock())
    await book.migrate()
    counted: Counter[str] = Counter()
    count_round_trips(counted)
    await run(book, [paid_order(number, "W") for number in range(100)], in_flight, 0.0)
    orders = [paid_order(number, "X") for number in range(count)]
    data = postgres.folder / "data"
    counted.clear()
    before = transactions(postgres, url)
    server, cpu, began = server_cpu_seconds(data), time.process_time(), time.perf_counter()
    took = await run(book, orders, in_flight, think_seconds)
    seconds, cpu, server = time.perf_counter() - began, time.process_time() - cpu, server_cpu_seconds(data) - server
    after = transactions(postgres, url)
    settled = await book.counts()
    events = len(await book.events(orders[-1].order_id))
    await book.close()
    assert sum(settled.values()) == count + 100, settled
    assert events == 1 + 3 + 1, events
    return {
        "orders_per_second": round(count / seconds, 1),
        "decisions_per_second": round(3 * count / seconds, 1),
        "p50_ms": round(took[len(took) // 2] * 1000, 2),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1000, 2),
        "client_cpu_ms_per_order": round(cpu * 1000 / count, 3),
        "server_cpu_ms_per_order": round(server * 1000 / count, 3),
        "round_trips_per_order": round(sum(counted.values()) / count, 2),
        "transactions_per_order": round((after - before) / count, 2),
    }


def transactions(postgres: Postgres, url: str) -> int:
    """How many the server has committed in that database; backends report with a delay."""
    time.sleep(1.5)
    name = url.rpartition("/")[2]
    return int(postgres.execute(f"SELECT xact_commit FROM pg_stat_database WHERE datname = '{name}'")[0][0])  # noqa: S608 - our own name


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=50)
    parser.add_argument("--think-ms", type=float, default=0.0)
    asked = parser.parse_args()
    postgres = Postgres().start()
    try:
        for setting in ("fsync", "full_page_writes"):
            postgres.execute(f"ALTER SYSTEM SET {setting} = on")
        postgres.execute("SELECT pg_reload_conf()")
        figures = asyncio.run(measure(postgres, asked.orders, asked.in_flight, asked.think_ms / 1000))
    finally:
        postgres.close()
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
