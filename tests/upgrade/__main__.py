"""Records the baseline: `python -m tests.upgrade`. Once for each release, from its own code; never for a later one."""

import asyncio
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from orders import carrier_rules, refund_rules
from orders.outcomes import Completed, InDoubt, Refused
from orders.state import CarrierTimes, OrderState
from tests.upgrade import BASELINE, PII_KEY, STATES, order_id
from tests.workflows.conftest import paid_order

TIMES = CarrierTimes(
    longest_latency=timedelta(seconds=60), visibility_lag=timedelta(seconds=15), completion_window=timedelta(minutes=5)
)
Rule = Callable[[OrderState, datetime], tuple[OrderState, Any]]


class Clock:
    """A clock that a recording moves."""

    at = datetime(2026, 11, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """The moment, a second later each time."""
        self.at += timedelta(seconds=1)
        return self.at


def posted(state: OrderState, now: datetime) -> tuple[OrderState, Any]:
    return carrier_rules.authorize_post(state, now, TIMES, lambda _date: b'{"externalId": "recorded"}')


def heard(answer: Completed | Refused | InDoubt) -> Rule:
    return lambda state, now: carrier_rules.record_post_response(state, now, answer, 1)


def refund_intended(state: OrderState, now: datetime) -> tuple[OrderState, Any]:
    return refund_rules.start_refund(state, now, TIMES)


def refund_sent(state: OrderState, now: datetime) -> tuple[OrderState, Any]:
    return refund_rules.authorize_refund(state, now, TIMES, 1)


def ended(outcome: str) -> Rule:
    def settle(state: OrderState, now: datetime) -> tuple[OrderState, Any]:
        return replace(state, outcome=outcome, settled_at=now), None

    return settle


def waits_for_a_person(state: OrderState, _now: datetime) -> tuple[OrderState, Any]:
    return replace(state, attention="carrier_silent"), None


REFUSED = Refused(code="SIM_SUSPENDED")
DOUBT = InDoubt(cause="unanswered", why="no answer")
WAYS: dict[str, tuple[Rule, ...]] = {
    "claimed": (),
    "in_doubt": (posted, heard(DOUBT)),
    "refused": (posted, heard(REFUSED)),
    "refund_sent": (posted, heard(REFUSED), refund_intended, refund_sent),
    "delivered": (posted, heard(Completed(carrier_order_id="C1")), ended("delivered")),
    "refunded": (posted, heard(REFUSED), refund_intended, refund_sent, ended("refunded")),
    "parked": (posted, heard(DOUBT), waits_for_a_person),
}


async def record(path: Path) -> None:
    """An order book at `path` with an order in each state."""
    clock = Clock()
    book = OrderBook.open(f"sqlite:///{path}", FieldCipher(PII_KEY), clock)
    await book.migrate()
    for state in STATES:
        await book.claim([baseline_order(state)])
        for rule in WAYS[state]:
            await book.decide(
                order_id(state),
                lambda stored, rule=rule: rule(stored.state, clock.now()),
                kind=getattr(rule, "__name__", "answer").strip("<>").replace("lambda", "answer"),
                detail=lambda _: {},
            )
    await book.write_notices(order_id("delivered"), "delivered", {"cars": ("pending", "away")})
    await book.close()


def baseline_order(state: str) -> Any:
    """The paid order of the baseline in this state."""
    name = order_id(state)
    payment = {**paid_order().payment.model_dump(mode="json"), "out_trade_no": name, "transaction_id": f"42{name}"}
    return paid_order(order_id=name, payment=payment)


def dumped(path: Path) -> str:
    """The book as SQL whose inserts name their columns, so that it can be put into a later schema too."""
    with sqlite3.connect(path) as connection:
        lines: list[str] = []
        for name, sql in connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type = 'trigger', type = 'index', rowid"
        ):
            if not name.startswith("sqlite_"):
                lines.append(f"{sql};")
        after = [line for line in lines if line.startswith("CREATE TRIGGER")]
        rows = [line for line in lines if line not in after]
        for (table,) in list(connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")):
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            quoted = " || ', ' || ".join(f"quote({column})" for column in columns)
            for (values,) in connection.execute(f"SELECT {quoted} FROM {table} ORDER BY rowid"):
                rows.append(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values});")
    return "\n".join([*rows, *after]) + "\n"


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "book.db"
        await record(path)
        BASELINE.write_text(dumped(path))
    sys.stdout.write(f"{BASELINE.name}: {len(STATES)} orders\n")


if __name__ == "__main__":
    asyncio.run(main())
