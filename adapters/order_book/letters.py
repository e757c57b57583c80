"""Dead letters in the order book: kept once per record, ended once by a person. Their bytes stay in Kafka."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book.rows import ENDING, LETTERS, NOT_ENDED, check_texts
from adapters.order_book.transactions import Transactions
from orders import dead_letter
from orders.clock import Clock
from orders.dead_letter import Ending, KeptLetter, Names, Source
from orders.paid_order import day_in_china

T = TypeVar("T")

_LAST_SECOND: Final = 253_402_214_400  # in the year 9999
IS_OPEN: Final = LETTERS.c.ending == ""


class Letters:
    """Made by `OrderBook.letters`. Every method raises `Unavailable` where the database is away."""

    def __init__(self, transaction: Transactions, clock: Clock) -> None:
        self._transaction = transaction
        self._clock = clock
        self._keep = (sqlite if transaction.sqlite else postgresql).insert(LETTERS).on_conflict_do_nothing()

    async def keep(self, connection: AsyncConnection, letters: Sequence[KeptLetter]) -> None:
        """Keep them in this transaction; one that was sent twice is one, one that has another's source is its own."""
        for letter in letters:
            await self._keep_one(connection, letter)

    async def _keep_one(self, connection: AsyncConnection, letter: KeptLetter) -> Source:
        """Under which source it is kept."""
        kept = await connection.execute(self._keep.returning(LETTERS.c.topic), self._values(letter))
        if kept.first() is not None:
            return letter.source
        there = _letter((await connection.execute(select(LETTERS).where(_is(letter.source)))).one())
        if there.may_repeat(letter):
            return letter.source
        await connection.execute(self._keep, self._values(replace(letter, source=letter.alone)))
        return letter.alone

    async def listed(self, *, open_only: bool = False, limit: int = 1_000_000) -> list[KeptLetter]:
        """The oldest first."""
        query = select(LETTERS).order_by(LETTERS.c.kept_at, LETTERS.c.topic, LETTERS.c.partition, LETTERS.c.offset)
        async with self._transaction(write=False) as connection:
            rows = await connection.execute((query.where(IS_OPEN) if open_only else query).limit(limit))
            return [_letter(row) for row in rows]

    async def of(self, reference: str) -> list[KeptLetter]:
        """Those that name this transaction or order."""
        query = select(LETTERS).where(or_(LETTERS.c.transaction_id == reference, LETTERS.c.order_id == reference))
        async with self._transaction(write=False) as connection:
            return [_letter(row) for row in await connection.execute(query)]

    async def end(self, letter: KeptLetter, ending: Ending, operator: str, note: str) -> KeptLetter:
        """Note how it was ended, once. Returns how it stands then."""
        after, _ = await self.decide(letter, lambda one, now: dead_letter.end(one, now, ending, operator, note))
        return after

    async def decide(
        self, letter: KeptLetter, rule: Callable[[KeptLetter, datetime], tuple[KeptLetter, T]]
    ) -> tuple[KeptLetter, T]:
        """Run a rule as one compare-and-set; kept first, where the bridge hasn't read it yet.

        Raises:
            Unstorable: an operator's text holds what no database keeps.
        """
        async with self._transaction(write=True) as connection:
            mine = _is(await self._keep_one(connection, letter))
            before = _letter((await connection.execute(select(LETTERS).where(mine).with_for_update())).one())
            after, answer = rule(before, self._clock.now())
            if after != before:
                values = {name: getattr(after, name) for name in ENDING}
                check_texts(values)
                await connection.execute(update(LETTERS).where(mine).values(**values))
        return after, answer

    def _values(self, letter: KeptLetter) -> dict[str, Any]:
        source, names = letter.source, letter.names
        return {
            "topic": source.topic,
            "partition": source.partition,
            "offset": source.offset,
            "timestamp_ms": source.timestamp_ms,
            "place": letter.place,
            "reason": _storable(letter.reason),
            "error": _storable(letter.error),
            "dead_at": _storable(letter.dead_at),
            "kept_at": self._clock.now(),
            "order_id": names.order_id,
            "provider": names.provider,
            "transaction_id": names.transaction_id,
            "amount_fen": names.amount_fen,
            "paid_on": names.paid_on or _day_it_came(source.timestamp_ms),
            **NOT_ENDED,
        }


def count_open() -> Any:
    """How many are open."""
    return select(func.count()).select_from(LETTERS).where(IS_OPEN)


def _is(source: Source) -> ColumnElement[bool]:
    return and_(
        LETTERS.c.topic == source.topic,
        LETTERS.c.partition == source.partition,
        LETTERS.c.offset == source.offset,
        LETTERS.c.timestamp_ms == source.timestamp_ms,
    )


def _letter(row: Row[Any]) -> KeptLetter:
    return KeptLetter(
        source=Source(row.topic, row.partition, row.offset, row.timestamp_ms),
        place=row.place,
        reason=row.reason,
        error=row.error,
        dead_at=row.dead_at,
        names=Names(row.order_id, row.provider, row.transaction_id, row.amount_fen, row.paid_on),
        **{name: getattr(row, name) for name in ENDING},
    )


def _day_it_came(timestamp_ms: int) -> str:
    """The day in China of a record's timestamp; the first day there is where it has none."""
    seconds = min(max(timestamp_ms, 0) // 1000, _LAST_SECOND)
    return day_in_china(datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


def _storable(text: str) -> str:
    """A header of a letter that somebody else may have written, without what no database keeps."""
    return text.replace("\x00", "")[:1024]
