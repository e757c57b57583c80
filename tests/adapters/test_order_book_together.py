"""Changes and reads that share transactions: nobody's fault, lock, freeze or end is another order's trouble."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import decisions, reads, together
from adapters.order_book.book import Claim, ClaimsHeld, OrderBook, StoredOrder, UnknownOrder, Unstorable
from adapters.order_book.engine import TRANSACTION_SECONDS, open_engine
from devkit.servers.postgres import Postgres
from orders.errors import Unavailable
from orders.state import OrderState
from tests.adapters.book_process import count_up, open_book, paid_order

MANY = 40
ROOT = Path(__file__).parent.parent.parent
FREED_WITHIN_SECONDS = 4 * TRANSACTION_SECONDS
"""Far above the server's limit for a frozen client's transaction, so that a busy machine keeps it; a hang is longer."""


@pytest.fixture
async def book(url: str) -> AsyncGenerator[OrderBook]:
    async with filled(url) as opened:
        yield opened


@pytest.fixture
async def on_postgres(postgres: Postgres) -> AsyncGenerator[tuple[str, OrderBook]]:
    url = postgres.create_database()
    async with filled(url) as opened:
        yield url, opened


@contextlib.asynccontextmanager
async def filled(url: str) -> AsyncGenerator[OrderBook]:
    book = open_book(url)
    await book.migrate()
    await book.claim([paid_order(name(number)) for number in range(MANY)])
    yield book
    await book.close()


def name(number: int) -> str:
    return f"T{number:05}"


@contextlib.contextmanager
def transactions_seen(book: OrderBook) -> Iterator[list[str]]:
    """The statements of the book, as they are sent, and `COMMIT`."""
    seen: list[str] = []
    engine = book._transaction._writing.sync_engine
    listeners: Mapping[str, Callable[..., None]] = {
        "commit": lambda _connection: seen.append("COMMIT"),
        "before_cursor_execute": lambda _c, _cursor, statement, *_: seen.append(statement.split()[0]),
    }
    for moment, listener in listeners.items():
        event.listen(engine, moment, listener)
    try:
        yield seen
    finally:
        for moment, listener in listeners.items():
            event.remove(engine, moment, listener)


@contextlib.contextmanager
def held_before(book: OrderBook, start: str) -> Iterator[tuple[asyncio.Event, asyncio.Event]]:
    """The book stops before each statement that begins so: an event when it does, and one that lets it go on."""
    reached, go_on = asyncio.Event(), asyncio.Event()
    execute = AsyncConnection.execute

    async def held(self: AsyncConnection, statement: Any, *arguments: Any, **named: Any) -> Any:
        if str(statement).lstrip().startswith(start):
            reached.set()
            await go_on.wait()
        return await execute(self, statement, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AsyncConnection, "execute", held)
        yield reached, go_on


async def under_way(book: OrderBook) -> asyncio.Task[int]:
    """A change that is taken up, so that whatever comes after it waits."""
    task = asyncio.create_task(count_up(book, name(0)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def counts_of(book: OrderBook, number: int) -> list[int]:
    """The order's audit trail of `count_up`."""
    return [line.detail["posts"] for line in await book.events(name(number)) if line.kind == "test"]


# --- together ----------------------------------------------------------------------------------------------------


async def test_whatever_waits_goes_together_and_each_gets_its_own_answer(book: OrderBook):
    with transactions_seen(book) as seen:
        first = await under_way(book)
        answers = await asyncio.gather(
            *(count_up(book, name(number)) for number in range(1, MANY)),
            book.append(name(1), "note", {"word": 1}),
            book.write_notices(name(2), "delivered", {"new": ("acknowledged", "")}),
        )
    await first

    assert answers == [0] * (MANY - 1) + [None, None]
    assert seen.count("COMMIT") == 2
    assert len([one for one in seen if one == "SELECT"]) == 2
    for number in range(MANY):
        assert (await book.read(name(number))).state.posts == 1
        assert await counts_of(book, number) == [0]
    assert [line.kind for line in await book.events(name(1))] == ["claimed", "test", "note"]
    assert [line.kind for line in await book.events(name(2))] == ["claimed", "test", "notice_delivered"]


async def test_a_lone_change_waits_for_nothing_and_takes_one_transaction(book: OrderBook):
    with transactions_seen(book) as seen:
        await count_up(book, name(1))

    assert [one for one in seen if one != "BEGIN"] == ["SELECT", "UPDATE", "INSERT", "COMMIT"]


async def test_decisions_on_one_order_in_one_batch_go_one_after_the_other(book: OrderBook):
    first = await under_way(book)
    answers = await asyncio.gather(*(count_up(book, name(1)) for _ in range(20)))
    await first

    assert answers == list(range(20))
    assert await counts_of(book, 1) == list(range(20))
    assert (await book.read(name(1))).state.posts == 20


async def test_a_batch_is_no_larger_than_its_limit(url: str, book: OrderBook, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(book._decisions._together, "_most", 10)
    with transactions_seen(book) as seen:
        await asyncio.gather(*(count_up(book, name(number)) for number in range(MANY)))

    assert seen.count("COMMIT") == MANY / 10


async def test_reads_that_wait_share_a_statement_and_see_what_was_committed_before_them(book: OrderBook):
    await asyncio.gather(*(count_up(book, name(number)) for number in range(MANY)))
    await book.write_notices(name(3), "delivered", {"new": ("acknowledged", "")})
    with transactions_seen(book) as seen:
        found = await asyncio.gather(
            *(book.read(name(number)) for number in range(MANY)), book.read(name(1)), book.read_with_notices(name(3))
        )

    assert [one.state.posts for one in found[:MANY]] == [1] * MANY
    assert [one.order_id for one in found[:MANY]] == [name(number) for number in range(MANY)]
    stored, notices = found[-1]
    assert (stored.order_id, [notice.platform for notice in notices]) == (name(3), ["new"])
    assert seen.count("SELECT") <= 2 * reads.READERS


async def test_an_order_that_the_book_has_not_is_unknown_to_its_own_caller_only(book: OrderBook):
    first = await under_way(book)
    told = await asyncio.gather(
        count_up(book, "TNONE"), count_up(book, name(1)), book.read("TNONE"), book.read(name(1)), return_exceptions=True
    )
    await first

    assert isinstance(told[0], UnknownOrder)
    assert told[1] == 0
    assert isinstance(told[2], UnknownOrder)
    assert not isinstance(told[3], BaseException)
    assert await book.notices("TNONE") == []


# --- one caller's trouble ----------------------------------------------------------------------------------------


async def test_a_rule_that_raises_hurts_its_own_caller_only(book: OrderBook):
    def bad(_: StoredOrder) -> tuple[OrderState, int]:
        raise RuntimeError("no")

    first = await under_way(book)
    told = await asyncio.gather(
        count_up(book, name(1)),
        book.decide(name(1), bad, kind="bad", detail=lambda _: {}),
        count_up(book, name(1)),
        book.decide(name(2), bad, kind="bad", detail=lambda _: {}),
        count_up(book, name(3)),
        return_exceptions=True,
    )
    await first

    assert [str(one) for one in told] == ["0", "no", "1", "no", "0"]
    assert [line.kind for line in await book.events(name(2))] == ["claimed"]
    assert await counts_of(book, 1) == [0, 1]


@pytest.mark.parametrize("reason", ["\x00", "half \ud800"], ids=["NUL", "surrogate"])
async def test_a_text_that_no_database_holds_is_refused_to_its_own_caller_and_changes_nothing(
    book: OrderBook, reason: str
):
    def bad(stored: StoredOrder) -> tuple[OrderState, None]:
        return replace(stored.state, reason=reason), None

    first = await under_way(book)
    told = await asyncio.gather(
        book.decide(name(1), bad, kind="bad", detail=lambda _: {}), count_up(book, name(2)), return_exceptions=True
    )
    with pytest.raises(Unstorable, match="remark"):
        await book.write_notices(name(1), "delivered", {"new": ("refused", reason)})
    await first

    assert isinstance(told[0], Unstorable)
    assert told[1] == 0
    assert [line.kind for line in await book.events(name(1))] == ["claimed"]


@pytest.mark.real
async def test_a_value_that_the_database_refuses_hurts_its_own_caller_only(on_postgres: tuple[str, OrderBook]):
    """What no check of ours foresees, here a text that is too long: the batch comes again, each alone."""
    _, book = on_postgres
    first = await under_way(book)
    told = await asyncio.gather(
        *(count_up(book, name(number)) for number in range(1, 10)),
        book.append(name(1), "x" * 33, {}),
        *(count_up(book, name(number)) for number in range(10, 20)),
        return_exceptions=True,
    )
    await first

    assert isinstance(told[9], Unavailable)
    assert told[:9] + told[10:] == [0] * 19
    for number in range(1, 20):
        assert await counts_of(book, number) == [0]


async def test_a_caller_that_is_cancelled_while_it_waits_leaves_the_others_whole_and_changes_nothing(book: OrderBook):
    with held_before(book, "UPDATE") as (reached, go_on):
        first = asyncio.create_task(count_up(book, name(0)))
        await reached.wait()
        gone = asyncio.create_task(count_up(book, name(1)))
        stays = asyncio.create_task(count_up(book, name(2)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        go_on.set()
        assert [await first, await stays] == [0, 0]

    assert await counts_of(book, 1) == []


async def test_a_caller_that_is_cancelled_while_its_change_is_written_takes_nobody_with_it(book: OrderBook):
    with held_before(book, "UPDATE") as (reached, go_on):
        callers = [asyncio.create_task(count_up(book, name(number))) for number in (0, 1)]
        await reached.wait()
        callers[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await callers[0]
        others = [asyncio.create_task(count_up(book, name(number))) for number in (0, 2)]
        go_on.set()
        assert [await others[1], await callers[1]] == [0, 0]
        assert await others[0] in (0, 1)  # that of the one who has gone may be kept

    trail = await counts_of(book, 0)
    assert trail == list(range(len(trail)))


async def test_the_limit_of_time_holds_for_each_caller(book: OrderBook, monkeypatch: pytest.MonkeyPatch):
    limits: list[asyncio.Timeout] = []

    def timeout(seconds: float) -> asyncio.Timeout:
        limits.append(asyncio.timeout(seconds))
        return limits[-1]

    monkeypatch.setattr(together, "asyncio", SimpleNamespace(**{**vars(asyncio), "timeout": timeout}))
    passed = asyncio.get_running_loop().time()
    with held_before(book, "UPDATE") as (reached, go_on):
        first = asyncio.create_task(count_up(book, name(0)))
        await reached.wait()
        second = asyncio.create_task(count_up(book, name(1)))
        while len(limits) < 2:
            await asyncio.sleep(0)
        limits[1].reschedule(passed)
        with pytest.raises(Unavailable):
            await second
        assert not first.done()
        limits[0].reschedule(passed)
        with pytest.raises(Unavailable):
            await first
        go_on.set()

    assert await count_up(book, name(2)) == 0
    assert await counts_of(book, 1) == []  # it had given up before its turn came


# --- what somebody else has locked -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def locked(url: str, number: int) -> AsyncGenerator[AsyncConnection]:
    engine = open_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("SELECT 1 FROM orders WHERE order_id = :name FOR UPDATE"), {"name": name(number)}
            )
            yield connection
    finally:
        await engine.dispose()


@pytest.mark.real
async def test_a_locked_order_holds_up_no_other_and_goes_on_when_it_is_let_go(on_postgres: tuple[str, OrderBook]):
    url, book = on_postgres
    async with locked(url, 1):
        waiting = asyncio.create_task(count_up(book, name(1)))
        others = await asyncio.gather(*(count_up(book, name(number)) for number in range(2, MANY)))
        assert others == [0] * (MANY - 2)
        assert not waiting.done()
        assert (await book.read(name(1))).state.posts == 0
    assert await waiting == 0


@pytest.mark.slow
@pytest.mark.real
async def test_an_order_that_stays_locked_is_unavailable_within_the_limit(on_postgres: tuple[str, OrderBook]):
    url, book = on_postgres
    async with locked(url, 1) as connection:
        await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await count_up(book, name(1))
        assert time.monotonic() - began < FREED_WITHIN_SECONDS
    assert await count_up(book, name(1)) == 0
    assert await counts_of(book, 1) == [0]


# --- processes that die or freeze in the middle ------------------------------------------------------------------


@contextlib.asynccontextmanager
async def stopped_in_the_middle(url: str, what: str) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Another process that has frozen right before a statement; thawed and ended at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.adapters.book_frozen", url, what, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"frozen\n"
        yield process
    finally:
        if process.returncode is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
            await process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("before", ["UPDATE orders", "INSERT INTO order_events", "COMMIT"])
async def test_a_process_that_is_killed_between_two_statements_leaves_nothing_behind(
    url: str, book: OrderBook, before: str
):
    async with stopped_in_the_middle(url, before) as process:
        process.kill()
        await process.wait()

    async with asyncio.timeout(FREED_WITHIN_SECONDS):
        assert await asyncio.gather(*(count_up(book, name(number)) for number in range(1, 5))) == [0] * 4
    for number in range(1, 5):
        assert await counts_of(book, number) == [0]


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("before", ["UPDATE orders", "COMMIT"])
async def test_what_a_frozen_process_has_locked_is_freed_by_the_server_and_its_change_is_never_made(
    on_postgres: tuple[str, OrderBook], before: str
):
    url, book = on_postgres
    async with stopped_in_the_middle(url, before) as process:
        locked_by_it = [asyncio.create_task(_until_available(book, number)) for number in range(1, 5)]
        others = await asyncio.gather(*(count_up(book, name(number)) for number in range(5, MANY)))
        assert others == [0] * (MANY - 5)
        async with asyncio.timeout(FREED_WITHIN_SECONDS):
            await asyncio.gather(*locked_by_it)

        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"Unavailable\n"
    for number in range(1, 5):
        assert not [line for line in await book.events(name(number)) if line.kind == "frozen"]


async def _until_available(book: OrderBook, number: int) -> int:
    while True:
        with contextlib.suppress(Unavailable):
            return await count_up(book, name(number))


@pytest.mark.slow
@pytest.mark.real
async def test_a_claim_that_a_frozen_process_is_in_the_middle_of_holds_up_no_other(on_postgres: tuple[str, OrderBook]):
    url, book = on_postgres
    batch = [paid_order(one) for one in ("TFRESH1", "TFRESH0", "TFRESH2", "TFRESH0")]
    async with stopped_in_the_middle(url, "claim TFRESH0"):
        with pytest.raises(ClaimsHeld) as held:
            await book.claim(batch)
        outcomes = [result and result.outcome for result in held.value.results]
        assert outcomes == [Claim.NEW, None, Claim.NEW, None]
        async with asyncio.timeout(FREED_WITHIN_SECONDS):
            while True:
                with contextlib.suppress(Unavailable):
                    claims = await book.claim(batch)
                    break
    assert [one.outcome for one in claims] == [Claim.UNSETTLED, Claim.NEW, Claim.UNSETTLED, Claim.UNSETTLED]


# --- the database goes away --------------------------------------------------------------------------------------


@pytest.mark.real
async def test_a_server_that_ends_in_the_middle_fails_the_whole_batch_and_the_next_goes_on(
    on_postgres: tuple[str, OrderBook], postgres: Postgres
):
    url, book = on_postgres
    with held_before(book, "INSERT INTO order_events") as (reached, go_on):
        callers = [asyncio.create_task(count_up(book, name(number))) for number in range(10)]
        await reached.wait()
        database = url.rpartition("/")[2]
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
        go_on.set()
        told = await asyncio.gather(*callers, return_exceptions=True)

    answered = [one for one in told if not isinstance(one, BaseException)]
    assert all(isinstance(one, Unavailable) or one == 0 for one in told)
    assert len(answered) < len(told)
    async with asyncio.timeout(FREED_WITHIN_SECONDS):
        await asyncio.gather(*(_until_available(book, number) for number in range(10)))
    for number, one in enumerate(told):
        assert await counts_of(book, number) == ([0] if isinstance(one, Unavailable) else [0, 1])


def test_pauses_before_a_locked_row_are_short_and_have_an_end():
    assert decisions.FIRST_PAUSE_SECONDS < decisions.LONGEST_PAUSE_SECONDS < TRANSACTION_SECONDS / 10
