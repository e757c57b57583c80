"""The order book on both databases: what it promises, with other processes beside it and the database in trouble."""

import asyncio
import contextlib
import json
import random
import sqlite3
import sys
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import migrations, tables
from adapters.order_book.book import Claim, OrderBook, StoredOrder, UnknownOrder, Unreadable
from adapters.order_book.engine import open_engine
from adapters.order_book.field_cipher import FieldCipher, WrongKey
from devkit.servers.postgres import Postgres
from orders import carrier_rules, lifecycle
from orders.carrier_rules import PostAuthorized
from orders.errors import Unavailable
from orders.state import DERIVED, CarrierTimes, OrderState
from runtime.clock import SystemClock
from tests.adapters.book_process import ICCID, KEY, PHONE, VIN, count_up, open_book, paid_order
from tests.limits import WAIT_SECONDS

TIMES = CarrierTimes(timedelta(seconds=60), timedelta(seconds=15), timedelta(minutes=5))
SECRETS = [text.encode() for text in (VIN, ICCID, PHONE, VIN[3:], ICCID[4:], PHONE[3:])]
LIMIT_SECONDS = 60.0
"""Far above the 5 s of a transaction, so that a busy machine keeps it; without a limit it would be for ever."""


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncGenerator[AsyncConnection]:
    """A transaction beside the book."""
    engine = open_engine(url)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


def unchanged(record: StoredOrder) -> tuple[OrderState, None]:
    return record.state, None


async def look(book: OrderBook, order_id: str) -> None:
    await book.decide(order_id, unchanged, kind="test", detail=lambda _: {})


# --- claims ------------------------------------------------------------------------------------------------------


async def test_a_claim_is_new_once_then_unsettled_then_settled(book: OrderBook):
    order = paid_order("T00001")

    assert (await book.claim([order]))[0].outcome is Claim.NEW
    assert (await book.claim([order]))[0].outcome is Claim.UNSETTLED
    await book.decide(
        "T00001",
        lambda record: (replace(record.state, outcome="delivered"), None),
        kind="settle",
        detail=lambda _: {},
    )
    assert (await book.claim([order]))[0].outcome is Claim.SETTLED


@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 9901},
        {"package_id": "CT-DATA-1GB-1D"},
        {"vehicle": {"vin": VIN, "iccid": ICCID}},
        {"payment": {**paid_order("T00001").payment.model_dump(), "paid_at": "2023-08-21T18:33:56+08:00"}},
    ],
    ids=["amount", "package", "phone left out", "another instant"],
)
async def test_other_content_under_an_order_id_is_a_conflict_and_the_first_stands(
    book: OrderBook, change: dict[str, Any]
):
    first = paid_order("T00001")
    await book.claim([first])

    claimed = (await book.claim([paid_order("T00001", **change)]))[0]

    assert claimed.outcome is Claim.CONFLICT
    assert (await book.read("T00001")).order == first
    assert not any(secret.decode() in claimed.conflict for secret in SECRETS)


async def test_the_same_instant_written_otherwise_is_a_duplicate(book: OrderBook):
    await book.claim([paid_order("T00001")])
    payment = paid_order("T00001").payment.model_copy(update={"paid_at": "2023-08-21T10:33:55.000Z"})

    claimed = await book.claim([paid_order("T00001").model_copy(update={"payment": payment})])

    assert claimed[0].outcome is Claim.UNSETTLED


async def test_a_second_order_with_an_accepted_payment_is_a_conflict_that_names_the_first(book: OrderBook):
    await book.claim([paid_order("T00001", transaction="4200X")])

    claimed = (await book.claim([paid_order("T00002", transaction="4200X")]))[0]

    assert claimed.outcome is Claim.CONFLICT
    assert "T00001" in claimed.conflict
    with pytest.raises(UnknownOrder, match="T00002"):
        await book.read("T00002")


async def test_of_two_that_conflict_in_one_batch_the_lower_one_stands(book: OrderBook):
    batch = [
        paid_order("T00009", transaction="4200X"),
        paid_order("T00001", transaction="4200X"),  # sorts before, comes after
        paid_order("T00009", transaction="4200X", amount_fen=1),
        paid_order("T00009", transaction="4200X"),
        paid_order("T00002"),
    ]

    claims = await book.claim(batch)

    assert [claim.outcome for claim in claims] == [
        Claim.NEW,
        Claim.CONFLICT,
        Claim.CONFLICT,
        Claim.UNSETTLED,
        Claim.NEW,
    ]
    assert (await book.read("T00009")).order == batch[0]


async def test_one_record_that_comes_twice_in_a_batch_starts_one_order(book: OrderBook):
    order = paid_order("T00001")

    claims = await book.claim([order, order, paid_order("T00001")])

    assert [claim.outcome for claim in claims] == [Claim.NEW, Claim.UNSETTLED, Claim.UNSETTLED]


async def test_a_conflict_by_payment_with_a_record_that_itself_is_a_conflict_is_none(book: OrderBook):
    """Only accepted orders count: what was refused takes no payment with it."""
    await book.claim([paid_order("T00001")])

    claims = await book.claim([paid_order("T00001", transaction="4200X"), paid_order("T00002", transaction="4200X")])

    assert [claim.outcome for claim in claims] == [Claim.CONFLICT, Claim.NEW]


async def test_an_empty_batch_asks_nothing_of_the_database():
    assert await open_book("postgresql://nobody:x@127.0.0.1:1/none").claim([]) == []


async def test_two_bridges_at_once_give_each_order_to_exactly_one(url: str, book: OrderBook):
    chance = random.Random(1)
    orders = [paid_order(f"T{number:05}") for number in range(60)]
    bridges = [open_book(url) for _ in range(3)]

    async def bridge(one: OrderBook) -> list[str]:
        mine: list[str] = []
        for _ in range(6):
            batch = chance.sample(orders, len(orders))
            mine += [claim.order_id for claim in await one.claim(batch) if claim.outcome is Claim.NEW]
        return mine

    new = [name for mine in await asyncio.gather(*map(bridge, bridges)) for name in mine]

    assert sorted(new) == [order.order_id for order in orders]
    for one in bridges:
        await one.close()


async def test_two_bridges_at_once_give_each_payment_to_exactly_one(url: str, book: OrderBook):
    """Crosswise, so that they can meet as a deadlock: that is trouble for a moment, and the same batch comes again."""
    other = open_book(url)
    for number in range(10):
        first = [
            paid_order(f"A{number:05}", transaction=f"P{number}"),
            paid_order(f"B{number:05}", transaction=f"Q{number}"),
        ]
        second = [
            paid_order(f"C{number:05}", transaction=f"Q{number}"),
            paid_order(f"D{number:05}", transaction=f"P{number}"),
        ]
        claims = await asyncio.gather(_insist(book, first), _insist(other, second))
        names = {name for claimed in claims for name, outcome in claimed.items() if outcome in ("new", "unsettled")}
        assert len(names) == 2
        assert len(names & {f"A{number:05}", f"D{number:05}"}) == 1
    await other.close()


async def _insist(book: OrderBook, batch: list[Any]) -> dict[str, str]:
    while True:
        with contextlib.suppress(Unavailable):
            return {claim.order_id: claim.outcome for claim in await book.claim(batch)}


# --- rules as transactions ---------------------------------------------------------------------------------------


async def test_fifty_callers_over_two_engines_get_one_right_to_post(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    other = open_book(url)

    def rule(record: StoredOrder) -> tuple[OrderState, object]:
        return carrier_rules.authorize_post(
            record.state, datetime.now(UTC), TIMES, lambda date: date.isoformat().encode()
        )

    async def ask(one: OrderBook) -> object:
        return await one.decide("T00001", rule, kind="post_intent", detail=lambda _: {})

    answers = await asyncio.gather(*(ask(one) for _ in range(25) for one in (book, other)))

    assert sum(isinstance(answer, PostAuthorized) for answer in answers) == 1
    assert (await book.read("T00001")).state.posts == 1
    assert len(await book.events("T00001")) == 1 + 50
    await other.close()


@pytest.mark.slow
async def test_two_processes_beside_us_lose_no_change_and_meet_no_lock_error(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    count, claim = 20, 15
    tasks = [
        asyncio.create_task(_process(url, "count", "T00001", count)),
        asyncio.create_task(_process(url, "count", "T00001", count)),
        asyncio.create_task(_process(url, "claim", "TNEW", claim)),
        asyncio.create_task(_process(url, "claim", "TNEW", claim)),
    ]
    ours: list[int] = []
    while not all(task.done() for task in tasks):
        ours.append(await count_up(book, "T00001"))
        await asyncio.sleep(0.01)

    first, second, one, two = [await task for task in tasks]

    assert sorted([*first, *second, *ours]) == list(range(2 * count + len(ours)))
    assert all({a, b} == {"new", "unsettled"} for a, b in zip(one, two, strict=True))


async def _process(url: str, what: str, prefix: str, times: int) -> list[Any]:
    command = [sys.executable, "-m", "tests.adapters.book_process", url, what, prefix, str(times)]
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=Path(__file__).parent.parent.parent,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 0, err.decode()
    return json.loads(out)


async def test_callers_that_are_cancelled_in_mid_transaction_leave_pool_and_row_whole(book: OrderBook):
    """As an activity's time-out does it: many times, at any point of the transaction."""
    await book.claim([paid_order("T00001")])
    chance = random.Random(2)
    done = 0
    for _ in range(80):
        caller = asyncio.create_task(count_up(book, "T00001"))
        await asyncio.sleep(chance.uniform(0, 0.006))
        caller.cancel()
        try:
            await caller
        except asyncio.CancelledError:
            continue
        done += 1

    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.gather(*(count_up(book, "T00001") for _ in range(30)))
    posts = (await book.read("T00001")).state.posts
    changes = [event for event in await book.events("T00001") if event.kind == "test"]
    assert posts >= done + 30  # a cancelled one may have been committed
    assert [event.detail["posts"] for event in changes] == list(range(posts))


async def test_a_rule_that_raises_changes_nothing(book: OrderBook):
    await book.claim([paid_order("T00001")])

    def rule(record: StoredOrder) -> tuple[OrderState, None]:
        raise lifecycle.IllegalTransition("no")

    with pytest.raises(lifecycle.IllegalTransition):
        await book.decide("T00001", rule, kind="test", detail=lambda _: {})

    assert [event.kind for event in await book.events("T00001")] == ["claimed"]


async def test_a_rule_that_moves_an_order_where_none_may_go_changes_nothing(book: OrderBook):
    await book.claim([paid_order("T00001")])
    await book.decide(
        "T00001", lambda record: (replace(record.state, outcome="delivered"), None), kind="settle", detail=lambda _: {}
    )

    with pytest.raises(lifecycle.IllegalTransition):
        await book.decide(
            "T00001", lambda record: (replace(record.state, outcome=None), None), kind="test", detail=lambda _: {}
        )

    assert (await book.read("T00001")).state.outcome == "delivered"
    assert [event.kind for event in await book.events("T00001")] == ["claimed", "settle"]


# --- what is stored ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["UPDATE order_events SET kind = 'x'", "DELETE FROM order_events"])
async def test_the_database_itself_refuses_to_change_the_audit_trail(url: str, book: OrderBook, verb: str):
    await book.claim([paid_order("T00001")])

    with pytest.raises(DBAPIError, match="append-only"):
        async with connected(url) as connection:
            await connection.execute(text(verb))

    assert [event.kind for event in await book.events("T00001")] == ["claimed"]


async def test_no_way_around_the_triggers_loses_a_line_of_the_audit_trail(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    replaced = "INSERT OR REPLACE INTO order_events SELECT id, order_id, at, 'x', detail, hash FROM order_events"
    around = replaced if url.startswith("sqlite") else "TRUNCATE order_events"

    with pytest.raises(DBAPIError, match="append-only"):
        async with connected(url) as connection:
            await connection.execute(text(around))

    assert [event.kind for event in await book.events("T00001")] == ["claimed"]


async def test_moments_come_back_aware_in_utc_to_the_microsecond(book: OrderBook):
    await book.claim([paid_order("T00001")])
    moment = datetime(2023, 8, 21, 18, 34, 6, 123457, tzinfo=timezone(timedelta(hours=8)))

    def rule(record: StoredOrder) -> tuple[OrderState, None]:
        return replace(record.state, completion_date=moment, last_post_at=moment), None

    await book.decide("T00001", rule, kind="test", detail=lambda _: {})

    entry = (await book.read("T00001")).state
    assert entry.completion_date == entry.last_post_at == moment
    assert entry.completion_date is not None
    assert entry.completion_date.tzinfo is UTC
    for event in await book.events("T00001"):
        assert event.at.utcoffset() == timedelta(0)


def _plain(hint: Any) -> type:
    """`datetime` of `datetime | None`."""
    inside = [one for one in get_args(hint) if one is not NoneType]
    return inside[0] if inside and isinstance(inside[0], type) else hint


async def test_every_field_of_a_state_comes_back_as_it_was_written(book: OrderBook):
    await book.claim([paid_order("T00001")])
    at = datetime(2023, 8, 21, 10, 34, 6, 1, tzinfo=UTC)
    given: dict[type, Any] = {str: "why 为何", bytes: b"\x00body", datetime: at, int: 2, bool: True}
    choices = {"attention": "refund_denied", "carrier_outcome": "rejected", "refund_answered": "held"}
    choices["outcome"] = "delivered"
    kinds = {name: _plain(hint) for name, hint in get_type_hints(OrderState).items()}
    full = OrderState(
        **{
            name: choices[name] if name in choices else given[kinds[name]] if name != "order_id" else "T00001"
            for name in kinds
        }
    )

    await book.decide("T00001", lambda _: (full, None), kind="test", detail=lambda _: {})

    assert (await book.read("T00001")).state == full


async def test_where_an_order_stands_is_in_its_row_too_and_follows_every_change(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    derived = text(f"SELECT {', '.join(DERIVED)} FROM orders")
    at = datetime(2023, 8, 21, 10, 34, 6, 1, tzinfo=UTC)
    changes: list[dict[str, Any]] = [
        {},
        {"in_doubt_since": at},
        {"attention": "partial"},
        {"attention": "", "carrier_outcome": "rejected"},
        {"attention": "refund_denied"},
        {"attention": "", "outcome": "refunded"},
    ]
    seen: list[tuple[Any, ...]] = []

    for change in changes:
        await book.decide(
            "T00001",
            lambda record, change=change: (replace(record.state, **change), None),
            kind="test",
            detail=lambda _: {},
        )
        state = (await book.read("T00001")).state
        async with connected(url) as connection:
            seen.append(tuple((await connection.execute(derived)).one()))
        assert seen[-1] == tuple(getattr(state, name) for name in DERIVED)

    assert [status for status, *_ in seen] == ["placing", "in_doubt", "parked", "refunding", "parked", "refunded"]
    assert [bool(first_pass) for _, first_pass, _ in seen] == [True, *[False] * 5]


async def test_no_vehicle_data_stand_in_the_database_in_clear(
    url: str, book: OrderBook, request: pytest.FixtureRequest
):
    order = paid_order("T00001")
    await book.claim([order])
    body = json.dumps({"iccid": ICCID, "msisdn": PHONE, "vin": VIN}).encode()
    await book.decide(
        "T00001", lambda record: (replace(record.state, body=body), None), kind="test", detail=lambda _: {}
    )
    await book.write_notices("T00001", "delivered", {"new": ("acknowledged", "")})
    record = await book.read("T00001")
    assert (record.order, record.state.body) == (order, body)

    stored = b"".join([repr(row).encode() async for row in _every_row(url)])
    assert b"T00001" in stored
    if url.startswith("sqlite:"):
        folder = Path(url.removeprefix("sqlite:///")).parent
        stored += b"".join(path.read_bytes() for path in folder.iterdir())
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        postgres.execute("CHECKPOINT")
        stored += b"".join(path.read_bytes() for path in postgres.folder.rglob("*") if path.is_file())
    assert b"CT-DATA-10GB-30D" in stored
    assert [secret for secret in SECRETS if secret in stored] == []
    assert record.vehicle_hash == FieldCipher(KEY).vehicle_hash(VIN)


async def _every_row(url: str) -> AsyncGenerator[Any]:
    async with connected(url) as connection:
        for table in ("orders", "order_events", "notices"):
            for row in await connection.execute(text(f"SELECT * FROM {table}")):
                yield row


async def test_another_key_is_named_as_the_fault(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    stranger = OrderBook.open(url, FieldCipher(bytes(32)), SystemClock())

    record = await stranger.read("T00001")
    with pytest.raises(WrongKey, match="TOPUP_PII_KEY"):
        _ = record.order

    claim = (await stranger.claim([paid_order("T00001")]))[0]
    assert (claim.outcome, "TOPUP_PII_OLD_KEYS" in claim.conflict) == (Claim.CONFLICT, True)
    await stranger.close()


async def test_one_order_that_no_key_opens_is_named_among_the_others_and_stops_none(url: str, book: OrderBook):
    stranger = OrderBook.open(url, FieldCipher(bytes(32)), SystemClock())
    await book.claim([paid_order(f"T{number:05}") for number in (1, 2, 3, 5)])
    await stranger.claim([paid_order("T00004")])
    await count_up(book, "T00004")  # its state needs no key as long as it has no body
    body = (await stranger.read("T00004")).state
    await stranger.decide("T00004", lambda _: (replace(body, body=b"{}"), None), kind="test", detail=lambda _: {})

    page = await book.unsettled(claimed_before=datetime.now(UTC) + timedelta(hours=1), limit=4)

    assert [one.order_id for one in page] == ["T00001", "T00002", "T00003", "T00004"]
    assert [one.order_id for one in page if one.unreadable is None] == ["T00001", "T00002", "T00003"]
    for ask in (lambda: page[3].order, lambda: page[3].state):
        with pytest.raises(Unreadable, match=r"T00004.*TOPUP_PII_KEY") as why:
            ask()
        assert why.value.order_id == "T00004"
    answers = await asyncio.gather(*(count_up(book, f"T{number:05}") for number in range(1, 6)), return_exceptions=True)
    assert [type(one) for one in answers] == [int, int, int, Unreadable, int]
    await stranger.close()


async def test_a_new_key_reads_what_the_old_one_wrote(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    rotated = OrderBook.open(url, FieldCipher(bytes(32), KEY), SystemClock())

    assert (await rotated.read("T00001")).order == paid_order("T00001")
    await rotated.close()


# --- the schema --------------------------------------------------------------------------------------------------


async def test_migrations_make_exactly_the_tables_and_can_be_repeated(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    await book.migrate()
    await asyncio.gather(book.migrate(), book.migrate())

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, tables.SQLModel.metadata)

    async with connected(url) as connection:
        assert await connection.run_sync(differences) == []
    assert (await book.read("T00001")).order == paid_order("T00001")


def test_the_newest_revision_is_the_one_that_alembic_finds():
    folder = Path(migrations.__file__).parent
    assert ScriptDirectory(str(folder)).get_current_head() == migrations.NEWEST


async def test_two_set_ups_at_once_make_the_schema_once(url: str):
    books = [open_book(url) for _ in range(2)]
    for one in books:
        await one.migrate()

    await asyncio.gather(*(one.ping() for one in books))
    for one in books:
        await one.close()


async def test_missing_tables_name_the_command_that_makes_them(url: str):
    book = open_book(url)

    for ask in (book.ping, book.first_pass_count, lambda: book.claim([paid_order("T00001")])):
        with pytest.raises(Unavailable, match="topup setup"):
            await ask()
    await book.close()


# --- the database in trouble -------------------------------------------------------------------------------------


async def test_a_database_that_is_away_is_unavailable():
    book = open_book("postgresql://nobody:secret@127.0.0.1:1/none")

    with pytest.raises(Unavailable) as said:
        await book.ping()

    assert "secret" not in str(said.value)
    await book.close()


@pytest.mark.slow
async def test_a_sqlite_file_that_another_holds_is_unavailable_within_the_limit_and_comes_back(tmp_path: Path):
    book = open_book(f"sqlite:///{tmp_path}/book.db")
    await book.migrate()
    await book.claim([paid_order("T00001")])
    other = sqlite3.connect(tmp_path / "book.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    await _unavailable(lambda: count_up(book, "T00001"))
    assert (await book.read("T00001")).state.posts == 0  # readers don't wait for writers
    other.execute("ROLLBACK")

    await _comes_back(lambda: count_up(book, "T00001"))
    other.close()
    await book.close()


@pytest.fixture
async def served(postgres: Postgres) -> AsyncGenerator[OrderBook]:
    """On a PostgreSQL that the test may freeze or kill; thawed and running again at the end."""
    opened = open_book(postgres.create_database())
    await opened.migrate()
    await opened.claim([paid_order("T00001")])
    yield opened
    if postgres.ours and postgres.running:
        postgres.thaw()
    elif postgres.ours:
        postgres.start()
    await opened.close()


@pytest.mark.slow
@pytest.mark.real
async def test_a_frozen_database_is_unavailable_within_the_limit_and_comes_back_with_the_thaw(
    postgres: Postgres, served: OrderBook
):
    await asyncio.gather(*(look(served, "T00001") for _ in range(10)))  # connections in the pool
    postgres.freeze()

    await asyncio.gather(*(_unavailable(lambda: look(served, "T00001")) for _ in range(30)), _unavailable(served.ping))
    postgres.thaw()

    await _comes_back(lambda: count_up(served, "T00001"))
    assert (await served.read("T00001")).state.posts >= 1


@pytest.mark.real
async def test_a_killed_database_is_unavailable_and_the_same_book_goes_on_when_it_is_back(
    postgres: Postgres, served: OrderBook
):
    await asyncio.gather(*(look(served, "T00001") for _ in range(20)))
    postgres.kill()

    await asyncio.gather(*(_unavailable(lambda: count_up(served, "T00001")) for _ in range(30)))
    postgres.start()

    await _comes_back(lambda: count_up(served, "T00001"))
    assert (await served.read("T00001")).order == paid_order("T00001")
    await asyncio.gather(*(look(served, "T00001") for _ in range(40)))


async def _unavailable(ask: Callable[[], Any]) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await ask()
    assert time.monotonic() - began < LIMIT_SECONDS


async def _comes_back(ask: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with contextlib.suppress(Unavailable):
                await ask()
                return
            await asyncio.sleep(0.1)
