"""A day of many lines, reconciled: how long it takes, and how much memory (contracts §10 promises no number; we do).

`python -m bench.reconciliation --lines 1000000`. Bill lines and orders are made first, by another process; measured is
one run: a WeChat bill read from its packed file, taken in, a statement of as many orders, judged against the book.
Prints one line of JSON. `--database` takes a PostgreSQL URL; SQLite in a temporary folder is the default.
"""

import argparse
import asyncio
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert, text

from adapters.order_book.book import OrderBook
from adapters.order_book.claims import order_values
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.rows import ORDERS
from adapters.payments.bills import in_batches, text_lines
from adapters.payments.wechat.bills import read_trade_bill
from orders.outcomes import RefundAnswer, RefundConfirmed, RefundRequest
from orders.paid_order import PaidOrder
from orders.state import OrderState
from reconciliation.evidence import Sale
from reconciliation.ports import OpenBill, PaymentNow
from reconciliation.run import Reconciliation
from runtime.clock import SystemClock
from simulators.bills import Line
from simulators.wechat_bills import TOTALS, trade_bill

DAY: Final = "2026-03-01"
MERCHANT: Final = "1900000109"
PRICE_FEN: Final = 9900
REFUNDED_EACH: Final = 50
"""One order of so many is refunded, so that its refund is a line too."""
CHUNK: Final = 1_000


def paid_order() -> PaidOrder:
    """One of many."""
    return PaidOrder.model_validate(
        {
            "schema": "topup.paid-order/1",
            "order_id": "TEMPLATE",
            "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015"},
            "package_id": "CT-DATA-10GB-30D",
            "amount_fen": PRICE_FEN,
            "currency": "CNY",
            "payment": {
                "provider": "wechat",
                "merchant_id": MERCHANT,
                "out_trade_no": "TEMPLATE",
                "transaction_id": "42TEMPLATE",
                "paid_at": f"{DAY}T12:00:00+08:00",
            },
        }
    )


async def prepare(database: str, bill: Path, orders: int) -> None:
    """Fill the book, and write the bill."""
    clock = SystemClock()
    book = OrderBook.open(database, FieldCipher(bytes(32)), clock)
    await book.migrate()
    transactions: Any = vars(book)["_transaction"]
    order = paid_order()
    template = order_values(order, OrderState(order.order_id, clock.now()), FieldCipher(bytes(32)), {})
    at = datetime(2026, 3, 1, 5, tzinfo=UTC)
    for start in range(0, orders, CHUNK):
        rows = [_row(template, number, at) for number in range(start, min(start + CHUNK, orders))]
        async with transactions(write=True, seconds=60) as connection:
            await connection.execute(insert(ORDERS), rows)
    if database.startswith("postgresql"):  # as a book that has grown is known to its planner
        async with transactions(write=True, seconds=60) as connection:
            await connection.execute(text("SET LOCAL statement_timeout = 60000"))
            await connection.execute(text(f"ANALYZE {ORDERS.name}"))
    await book.close()
    _write_bill(bill, orders)


def _row(template: dict[str, Any], number: int, at: datetime) -> dict[str, Any]:
    name = _name(number)
    refunded = number % REFUNDED_EACH == 0
    end = "refunded" if refunded else "delivered"
    row = template | {
        "order_id": name,
        "out_trade_no": name,
        "transaction_id": f"42{name}",
        "claimed_at": at,
        "carrier_outcome": "rejected" if refunded else "completed",
        "carrier_outcome_at": at,
        "outcome": end,
        "status": end,
        "first_pass": False,
        "settled_at": at + timedelta(microseconds=number),
    }
    if refunded:
        row |= {"refund_sequence": 1, "refund_at": at, "refund_sent_at": at, "refund_confirmed_at": at}
    return row


def _name(number: int) -> str:
    return f"T{number:012d}"


def _write_bill(path: Path, orders: int) -> None:
    paid = refunded = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for start in range(0, orders, CHUNK):
            lines = [line for number in range(start, min(start + CHUNK, orders)) for line in _lines(number)]
            paid += sum(line.kind == "payment" for line in lines)
            refunded += sum(line.kind == "refund" for line in lines)
            rows = trade_bill(lines, MERCHANT).decode().split("\r\n")
            file.write(("\r\n".join(rows[0 if start == 0 else 1 : -3]) + "\r\n").encode())
        sums = [f"{count * PRICE_FEN // 100}.00" for count in (paid, refunded)]
        totals = [str(paid + refunded), sums[0], sums[1], "0.00", "0.00000", *sums]
        file.write((TOTALS + "\r\n" + ",".join(f"`{one}" for one in totals) + "\r\n").encode())


def _lines(number: int) -> list[Line]:
    name, at = _name(number), f"{DAY} 12:00:00"
    payment = Line("payment", f"42{name}", name, PRICE_FEN, at)
    if number % REFUNDED_EACH:
        return [payment]
    return [payment, Line("refund", f"42{name}", name, PRICE_FEN, at, f"R{name}")]


class PackedBill:
    """`reconciliation.ports.Bills`, out of a file."""

    merchant_id = MERCHANT

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def open(self, day: str) -> AsyncGenerator[OpenBill | None, None]:
        """The one bill."""
        if day != DAY:
            yield None
            return
        with gzip.open(self._path, "rb") as file:
            lines = text_lines(file, "utf-8", "WeChat Pay")  # pyright: ignore[reportArgumentType] - gzip's type is its own
            yield OpenBill(in_batches(read_trade_bill(lines, MERCHANT)), "", 0)

    async def payment(self, transaction_id: str) -> PaymentNow | None:
        """Nothing is asked."""
        del transaction_id
        return None

    async def refund(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """Every refund has ended well, and is told at once."""
        del request, timeout_seconds
        return RefundConfirmed()


class Statement:
    """`reconciliation.ports.Statements`: what the book says was delivered."""

    def __init__(self, orders: int) -> None:
        self._orders = orders

    async def read(self, day: str) -> AsyncIterator[Sequence[Sale]]:
        """In pages, as a carrier's."""
        for start in range(0, self._orders if day == DAY else 0, 500):
            numbers = range(start, min(start + 500, self._orders))
            names = [_name(number) for number in numbers if number % REFUNDED_EACH]
            yield [Sale(name, f"PO{name}", "completed", day) for name in names]


async def measure(database: str, bill: Path, orders: int) -> dict[str, Any]:
    """One run."""
    clock = SystemClock()
    book = OrderBook.open(database, FieldCipher(bytes(32)), clock)
    began, cpu = time.monotonic(), time.process_time()
    reconciliation = Reconciliation(
        books=book.reconciliation(),
        bills={"wechat": PackedBill(bill)},
        statements=Statement(orders),
        intake=None,
        clock=clock,
        alert=lambda *_, **__: None,
    )
    report = await reconciliation.run(DAY)
    await book.close()
    return {
        "orders": orders,
        "lines": orders + (orders + REFUNDED_EACH - 1) // REFUNDED_EACH,
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "looked_at": report.looked_at,
        "open": len(report.open),
        "not_whole": report.not_whole,
    }


def main() -> None:
    """Prepare in a process of its own, then measure in this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--database", default="")
    parser.add_argument("--prepare", type=Path)
    options = parser.parse_args()
    orders = options.lines * REFUNDED_EACH // (REFUNDED_EACH + 1)
    if options.prepare:
        asyncio.run(prepare(options.database, options.prepare, orders))
        return
    with tempfile.TemporaryDirectory(prefix="topup-bench-") as folder:
        bill = Path(folder) / "bill.gz"
        database = options.database or f"sqlite:///{folder}/book.db"
        words = ["--lines", str(options.lines), "--database", database, "--prepare", str(bill)]
        subprocess.run([sys.executable, "-m", "bench.reconciliation", *words], check=True)  # noqa: S603 - ourselves
        print(json.dumps(asyncio.run(measure(database, bill, orders))))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
