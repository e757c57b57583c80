"""Changes of orders, many in one transaction: rules as compare-and-set on locked rows, with their audit trail.

The trail is a chain per order (`adapters.order_book.audit_trail`), so what is only noted takes its order's row too.

Each order's decisions go one after the other, the next seeing what the one before has made of it, and no answer is
given before all of a transaction is committed. A row that somebody else has locked holds up nobody: its decision comes
again in a later transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ARRAY, JSON, Table, Text, any_, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import audit_trail
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.rows import EVENTS, NOTICES, ORDERS, StoredOrder, UnknownOrder, check_texts
from adapters.order_book.together import Together, Waiter
from adapters.order_book.transactions import RowRefused, Transactions
from orders import lifecycle
from orders.clock import Clock
from orders.identities import NoticeResult
from orders.state import OrderState

MOST: Final = 200
"""Changes in one transaction: some 20 ms of the event loop."""
WRITERS: Final = 1
FIRST_PAUSE_SECONDS: Final = 0.004
LONGEST_PAUSE_SECONDS: Final = 0.1
"""How soon a locked row is tried again."""

# Built once: a statement built for each call costs SQLAlchemy more than running it. `inline`: an event's number isn't
# fetched back. All columns of the state are written whatever has changed: one statement, which every connection has
# prepared, and PostgreSQL itself sees which indexes need nothing.
EVENT = insert(EVENTS).inline()
_CHANGE = update(ORDERS).where(ORDERS.c.order_id == bindparam("of_order"))
HEAD = _CHANGE.values(trail=bindparam("head"))


@dataclass(frozen=True, slots=True)
class Decision:
    """A rule's wish. `detail` makes the audit trail's line from the rule's answer."""

    order_id: str
    rule: Callable[[StoredOrder], tuple[OrderState, Any]]
    kind: str
    detail: Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Line:
    """One line in the audit trail, and what became of notices."""

    order_id: str
    kind: str
    detail: Mapping[str, Any]
    notices: Sequence[Mapping[str, Any]] = ()


Change = Decision | Line


class _Kept:
    """What one transaction is going to write, and whom it answers then."""

    def __init__(self, orders: dict[str, StoredOrder]) -> None:
        self.orders = orders
        self.heads = {order_id: stored.trail for order_id, stored in orders.items()}
        self.noted: set[str] = set()
        self.changed: dict[str, dict[str, Any]] = {}
        self.notices: list[Mapping[str, Any]] = []
        self.lines: list[Mapping[str, Any]] = []
        self.answers: list[tuple[Waiter[Change], object]] = []
        self.locked: list[Waiter[Change]] = []

    def note(self, order_id: str, now: datetime, kind: str, detail: Mapping[str, Any]) -> None:
        """One more line of the order's trail."""
        line = audit_trail.line(self.heads[order_id], order_id, now, kind, detail)
        self.lines.append(line)
        self.heads[order_id] = line["hash"]
        self.noted.add(order_id)

    def changes(self) -> list[dict[str, Any]]:
        """The rows whose state has changed, with the head of their trail."""
        return [{**values, "trail": self.heads[order_id]} for order_id, values in self.changed.items()]

    def new_heads(self) -> list[dict[str, Any]]:
        """The heads of the others' trails."""
        return [{"of_order": one, "head": self.heads[one]} for one in sorted(self.noted - self.changed.keys())]


class Decisions:
    """The order book's changes."""

    def __init__(self, transactions: Transactions, cipher: FieldCipher, clock: Clock) -> None:
        self._transaction = transactions
        self._cipher = cipher
        self._clock = clock
        self._together = Together(self._run, most=MOST, at_once=1 if transactions.sqlite else WRITERS)
        ids = of_ids(ORDERS, sqlite=transactions.sqlite)
        self._locking = select(ORDERS).where(ids).order_by(ORDERS.c.order_id).with_for_update(skip_locked=True)
        self._there = select(ORDERS.c.order_id).where(ids)
        notice = (sqlite if transactions.sqlite else postgresql).insert(NOTICES).inline()
        self._notice = notice.on_conflict_do_update(
            index_elements=["order_id", "result", "platform"],
            set_={name: notice.excluded[name] for name in ("state", "remark", "at")},
            where=NOTICES.c.state != "acknowledged",
        )

    async def decide(self, decision: Decision) -> Any:
        """The rule's answer, once it is committed."""
        return await self._together.ask(decision)

    async def append(self, order_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """One line in the audit trail."""
        check_texts({"kind": kind})
        await self._together.ask(Line(order_id, kind, dict(detail)))

    async def write_notices(self, order_id: str, result: NoticeResult, states: Mapping[str, tuple[str, str]]) -> None:
        """What became of an order's notices, and its line in the audit trail."""
        now = self._clock.now()
        rows = [
            {"order_id": order_id, "result": result, "platform": name, "state": state, "remark": remark, "at": now}
            for name, (state, remark) in states.items()
        ]
        for row in rows:
            check_texts(row)
        detail = {name: state for name, (state, _) in states.items()}
        await self._together.ask(Line(order_id, f"notice_{result}", detail, rows))

    async def close(self) -> None:
        """Let end what is under way."""
        await self._together.close()

    # --- one transaction ---------------------------------------------------------------------------------------------

    async def _run(self, batch: Sequence[Waiter[Change]]) -> None:
        try:
            await self._run_at_once(batch)
        except RowRefused:
            if len(batch) == 1:
                raise
            for waiter in batch:  # nothing was kept, and it is one row's fault: it fails alone
                await self._run_alone(waiter)

    async def _run_alone(self, waiter: Waiter[Change]) -> None:
        if waiter.done:
            return
        try:
            await self._run_at_once((waiter,))
        except RowRefused as error:
            waiter.fail(error)

    async def _run_at_once(self, batch: Sequence[Waiter[Change]]) -> None:
        order_ids = sorted({waiter.asks.order_id for waiter in batch})
        async with self._transaction(write=True) as connection:
            orders = await self._lock(connection, order_ids)
            skipped = [order_id for order_id in order_ids if order_id not in orders]
            held = await self._held(connection, skipped) if skipped else set[str]()
            kept = self._decide_all(batch, orders, held)
            if changes := kept.changes():
                await connection.execute(_CHANGE, changes)
            if heads := kept.new_heads():
                await connection.execute(HEAD, heads)
            if kept.notices:
                await connection.execute(self._notice, kept.notices)
            if kept.lines:
                await connection.execute(EVENT, kept.lines)
        for waiter, answer in kept.answers:
            waiter.give(answer)
        for waiter in kept.locked:
            pause = min(FIRST_PAUSE_SECONDS * 2**waiter.tries, LONGEST_PAUSE_SECONDS)
            self._together.put_back(waiter, after_seconds=pause)

    async def _lock(self, connection: AsyncConnection, order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        if not order_ids:
            return {}
        rows = await connection.execute(self._locking, {"ids": order_ids})
        return {row.order_id: StoredOrder(row, self._cipher) for row in rows}

    async def _held(self, connection: AsyncConnection, skipped: Sequence[str]) -> set[str]:
        """Of the rows that weren't given, those that are there: somebody else has locked them."""
        if self._transaction.sqlite:
            return set()
        return set((await connection.execute(self._there, {"ids": skipped})).scalars())

    def _decide_all(self, batch: Sequence[Waiter[Change]], orders: dict[str, StoredOrder], held: set[str]) -> _Kept:
        """Run each one's rule in the order in which they came; a rule that raises hurts its own caller only."""
        kept, now = _Kept(orders), self._clock.now()
        for waiter in batch:
            if waiter.done:  # it has given up: nothing is done for it any more
                continue
            asks = waiter.asks
            try:
                if asks.order_id in held:
                    kept.locked.append(waiter)
                elif asks.order_id not in orders:
                    waiter.fail(UnknownOrder(asks.order_id))
                elif isinstance(asks, Line):
                    kept.note(asks.order_id, now, asks.kind, asks.detail)
                    kept.notices += asks.notices
                    kept.answers.append((waiter, None))
                else:
                    kept.answers.append((waiter, waiter.run(_apply, kept, asks, now)))
            except Exception as error:  # noqa: BLE001 - its caller hears of it
                waiter.fail(error)
        return kept


def _apply(kept: _Kept, decision: Decision, now: datetime) -> object:
    """All of it or nothing: what is kept is touched once nothing can raise any more."""
    before = kept.orders[decision.order_id]
    state, answer = decision.rule(before)
    lifecycle.move(before.state.status, state.status)
    detail, after, values = dict(decision.detail(answer)), before, None
    if state != before.state:
        after = before.after(state)
        values = {"of_order": decision.order_id, **after.values()}
        check_texts(values)
        del values["order_id"]
    if state.status != before.state.status:
        detail["status"] = state.status
    kept.note(decision.order_id, now, decision.kind, detail)  # the last that could raise: a detail that is no JSON
    if values is not None:
        kept.orders[decision.order_id] = after
        kept.changed[decision.order_id] = values
    return answer


def of_ids(table: Table, *, sqlite: bool) -> Any:
    """`order_id` is one of the bound `ids`: one statement, however many they are."""
    if sqlite:
        each = func.json_each(bindparam("ids", type_=JSON)).table_valued("value")
        return table.c.order_id.in_(select(each.c.value))
    return table.c.order_id == any_(bindparam("ids", type_=ARRAY(Text)))
