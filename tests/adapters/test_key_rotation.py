"""Keys of the encrypted columns are rotated while orders run, on both databases."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from adapters.order_book import key_rotation
from adapters.order_book.book import Claim, OrderBook, StoredOrder
from adapters.order_book.field_cipher import FieldCipher, Personal, WrongKey
from adapters.order_book.key_rotation import Batch
from orders.errors import Unavailable
from orders.state import OrderState
from runtime.clock import SystemClock
from tests.adapters.book_process import ICCID, KEY, PHONE, VIN, open_book, paid_order
from tests.limits import WAIT_SECONDS

NEW = bytes(range(32, 64))
BODY = b'{"externalId": "T"}'


@pytest.fixture
async def old(url: str) -> AsyncGenerator[OrderBook]:
    """The book as a process opens it that knows the old key alone."""
    opened = open_book(url)
    await opened.migrate()
    yield opened
    await opened.close()


@contextlib.asynccontextmanager
async def opened(url: str, *keys: bytes) -> AsyncGenerator[OrderBook]:
    book = OrderBook.open(url, FieldCipher(*keys), SystemClock())
    try:
        yield book
    finally:
        await book.close()


def with_body(body: bytes) -> Any:
    def rule(record: StoredOrder) -> tuple[OrderState, None]:
        return replace(record.state, body=body, posts=record.state.posts + 1), None

    return rule


async def set_body(book: OrderBook, order_id: str, body: bytes = BODY) -> None:
    await book.decide(order_id, with_body(body), kind="test", detail=lambda _: {})


async def rotate(book: OrderBook, **options: Any) -> list[Batch]:
    """What `topup keys rotate` does."""
    batches, after = list[Batch](), ""
    while after is not None:
        batches.append(await book.key_rotation().run_once(after, **options))
        after = batches[-1].next_after
    return batches


async def use(book: OrderBook) -> dict[str, tuple[int, int]]:
    return {one.role: (one.vehicles, one.bodies) for one in await book.key_rotation().in_use()}


async def test_after_a_rotation_the_old_key_is_needed_for_nothing(url: str, old: OrderBook):
    orders = [paid_order(f"T{number:05}") for number in range(25)]
    await old.claim(orders)
    for order in orders[::3]:
        await set_body(old, order.order_id)

    async with opened(url, NEW, KEY) as book:
        assert await use(book) == {"current": (0, 0), "old": (25, 9)}
        assert sum(batch.rows for batch in await rotate(book, limit=10)) == 25
        assert await use(book) == {"current": (25, 9), "old": (0, 0)}
        assert [batch.rows for batch in await rotate(book)] == [0]

    async with opened(url, NEW) as book:
        for order in orders:
            record = await book.read(order.order_id)
            assert record.order == order
            assert record.state.body == (BODY if order in orders[::3] else None)
            assert record.vehicle_hash == FieldCipher(NEW).vehicle_hash(VIN)
        assert {one.outcome for one in await book.claim(orders)} == {Claim.UNSETTLED}
    with pytest.raises(WrongKey, match="TOPUP_PII_OLD_KEYS"):
        _ = (await old.read("T00000")).order


async def test_a_rotation_that_was_stopped_goes_on_where_it_was(url: str, old: OrderBook):
    await old.claim([paid_order(f"T{number:05}") for number in range(25)])

    async with opened(url, NEW, KEY) as book:
        first = await book.key_rotation().run_once(limit=10)
        assert (first.rows, first.next_after) == (10, "T00009")
        assert await book.key_rotation().left() == 15
        assert sum(batch.rows for batch in await rotate(book, limit=10)) == 15


async def test_a_dry_run_changes_nothing_and_counts_what_it_would(url: str, old: OrderBook):
    await old.claim([paid_order(f"T{number:05}") for number in range(25)])

    async with opened(url, NEW, KEY) as book:
        assert sum(batch.rows for batch in await rotate(book, limit=10, dry_run=True)) == 25
        assert await use(book) == {"current": (0, 0), "old": (25, 0)}


async def test_rows_that_no_key_opens_are_named_and_left_as_they_are(url: str, old: OrderBook):
    await old.claim([paid_order(f"T{number:05}") for number in range(4)])
    async with opened(url, bytes(32)) as stranger:
        await stranger.claim([paid_order("T00010")])

    async with opened(url, NEW, KEY) as book:
        batches = await rotate(book, limit=2)
        assert [name for batch in batches for name in batch.unreadable] == ["T00010"]
        assert sum(batch.rows for batch in batches) == 4
        assert await use(book) == {"current": (4, 0), "old": (0, 0), "missing": (1, 0)}
    async with opened(url, bytes(32)) as stranger:
        assert (await stranger.read("T00010")).order == paid_order("T00010")


async def test_a_row_that_changed_since_it_was_read_is_taken_again(
    url: str, old: OrderBook, monkeypatch: pytest.MonkeyPatch
):
    """An old process fixes a body between the rotation's look and its write: none of the two is lost."""
    await old.claim([paid_order(f"T{number:05}") for number in range(3)])
    write = key_rotation.KeyRotation._write
    raced: list[int] = []

    async def late(self: Any, changes: list[dict[str, Any]]) -> list[str]:
        if not raced:
            raced.append(1)
            await set_body(old, "T00001")
        return await write(self, changes)

    monkeypatch.setattr(key_rotation.KeyRotation, "_write", late)
    async with opened(url, NEW, KEY) as book:
        assert [batch.rows for batch in await rotate(book)] == [2, 1]
        assert await use(book) == {"current": (3, 1), "old": (0, 0)}
        assert (await book.read("T00001")).state.body == BODY


@pytest.mark.slow
async def test_while_orders_run_and_records_are_repeated_no_duplicate_becomes_a_conflict(url: str, old: OrderBook):
    """Both kinds of process of a rolling deployment at work, the rotation beside them again and again."""
    orders = [paid_order(f"T{number:05}") for number in range(40)]
    await old.claim(orders)
    async with opened(url, KEY, NEW) as first, opened(url, NEW, KEY) as second, opened(url, NEW, KEY) as rotating:
        stop = asyncio.Event()
        seen: list[Claim] = []
        posts: dict[str, int] = dict.fromkeys((order.order_id for order in orders), 0)

        async def repeat(book: OrderBook) -> None:
            while not stop.is_set():
                seen.extend(one.outcome for one in await book.claim(orders[:20]))
                await asyncio.sleep(0)

        async def work(book: OrderBook, number: int) -> None:
            drawn = random.Random(number)  # in turn, the two get into step, and leave the rotation nothing to do
            for turn in itertools.count():
                if stop.is_set():
                    return
                name = drawn.choice(orders).order_id
                await set_body(book, name, f"body {turn}".encode())
                posts[name] += 1

        rounds: list[int] = []

        async def rotate_for_ever() -> None:
            while not stop.is_set():
                rounds.append(sum(batch.rows for batch in await rotate(rotating, limit=7)))

        at_work = [
            asyncio.create_task(one)
            for one in (repeat(first), repeat(second), work(first, 1), work(second, 2), rotate_for_ever())
        ]
        async with asyncio.timeout(WAIT_SECONDS):
            while len([rows for rows in rounds if rows]) < 3 or len(seen) < 100 or sum(posts.values()) < 100:
                done, _ = await asyncio.wait(at_work, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
                assert [task.result() for task in done] == []
        stop.set()
        await asyncio.gather(*at_work)

        assert set(seen) == {Claim.UNSETTLED}
        await rotate(rotating)
        assert set(await use(rotating)) == {"current", "old"}
        assert (await use(rotating))["old"] == (0, 0)
    async with opened(url, NEW) as book:
        for order in orders:
            record = await book.read(order.order_id)
            assert (record.order, record.state.posts) == (order, posts[order.order_id])
            assert record.state.body is None or record.state.body.startswith(b"body ")


STEPS = [(KEY,), (KEY, NEW), (NEW, KEY), (NEW,)]
"""docs/keys.md: each step is deployed everywhere before the next begins; the rotation runs before the last."""


async def test_in_each_step_of_a_rolling_deployment_every_process_reads_what_any_other_writes(url: str, old: OrderBook):
    await old.claim([paid_order("T00000")])
    for step, (before, after) in enumerate(itertools.pairwise(STEPS)):
        async with opened(url, *before) as one, opened(url, *after) as other:
            if after == (NEW,):
                await rotate(one)
            for writer, reader in ((one, other), (other, one)):
                name = f"T{step}{0 if writer is one else 1}000"
                await writer.claim([paid_order(name)])
                await set_body(writer, name)
                assert (await reader.read(name)).order == paid_order(name)
                assert (await reader.read(name)).state.body == BODY
                assert (await reader.claim([paid_order(name)]))[0].outcome is Claim.UNSETTLED
            assert (await other.read("T00000")).order == paid_order("T00000")


async def test_without_the_first_step_an_old_process_cannot_read_what_a_new_one_writes(url: str, old: OrderBook):
    async with opened(url, NEW, KEY) as new:
        await new.claim([paid_order("T00001")])

    with pytest.raises(WrongKey):
        _ = (await old.read("T00001")).order


@pytest.mark.parametrize(
    ("kind", "value", "other"), [("vehicle", VIN, ICCID), ("iccid", ICCID, VIN), ("msisdn", PHONE, ICCID)]
)
async def test_orders_are_found_by_what_a_person_knows_before_during_and_after(
    url: str, old: OrderBook, kind: Personal, value: str, other: str
):
    await old.claim([paid_order("T00001")])
    async with opened(url, NEW, KEY) as book:
        await book.claim([paid_order("T00002")])
        assert await book.filed_under(kind, value) == ["T00002", "T00001"]
        await rotate(book)
        assert await book.filed_under(kind, value) == ["T00002", "T00001"]
        assert await book.filed_under(kind, other) == []
    async with opened(url, NEW) as book:
        assert await book.filed_under(kind, "", value) == ["T00002", "T00001"]


async def test_a_book_of_an_older_version_names_the_command_that_upgrades_it(url: str, old: OrderBook):
    async with old._transaction(write=True) as connection:
        await connection.execute(text("ALTER TABLE orders DROP COLUMN confirmed_note"))

    with pytest.raises(Unavailable, match="older version: run `topup setup`"):
        await old.ping()
