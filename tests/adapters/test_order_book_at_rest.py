"""What the book's file gives to whoever has it: no fleet, no change of the trail unseen, and no person once erased."""

import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from adapters.order_book.book import Claim, OrderBook, StoredOrder
from adapters.order_book.engine import open_engine
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.rows import PersonErased
from devkit.servers.postgres import Postgres
from orders.state import OrderState
from runtime.clock import SystemClock
from tests.adapters.book_process import KEY, VIN, open_book, paid_order

NEW = bytes(range(32, 64))


async def ask(url: str, statement: str) -> list[Any]:
    engine = open_engine(url)
    async with engine.begin() as connection:
        result = await connection.execute(text(statement))
        rows = list(result) if result.returns_rows else []
    await engine.dispose()
    return rows


def settled(stored: StoredOrder) -> tuple[OrderState, None]:
    state = replace(stored.state, body=b"iccid", carrier_outcome="completed", outcome="delivered")
    return replace(state, settled_at=stored.claimed_at), None


async def settle(book: OrderBook, order_id: str) -> None:
    await book.decide(order_id, settled, kind="settle", detail=lambda _: {})


# --- the content's digest --------------------------------------------------------------------------------------------


async def test_a_fleets_list_can_not_be_matched_with_the_book(url: str, book: OrderBook):
    """Whoever knows all but the vehicle, and guesses that, gets no yes from any column."""
    order = paid_order("T00001")
    await book.claim([order])

    [row] = await ask(url, "SELECT * FROM orders")

    columns = b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in row)
    digest = order.content_digest()
    assert digest.encode() not in columns
    assert bytes.fromhex(digest) not in columns
    assert VIN.encode() not in columns


async def test_rotation_turns_no_duplicate_into_a_conflict_and_the_old_key_may_go(url: str, book: OrderBook):
    order, other = paid_order("T00001"), paid_order("T00001").model_copy(update={"amount_fen": 1})
    await book.claim([order])

    for keys in ((NEW, KEY), (NEW,)):
        again = OrderBook.open(url, FieldCipher(*keys), SystemClock())
        assert [one.outcome for one in await again.claim([order, other])] == [Claim.UNSETTLED, Claim.CONFLICT]
        if len(keys) > 1:
            assert (await again.key_rotation().run_once()).rows == 1
            assert [(one.role, one.digests) for one in await again.key_rotation().in_use()] == [
                ("current", 1),
                ("old", 0),
            ]
        await again.close()


async def test_what_no_configured_key_opens_is_no_duplicate_and_starts_nothing(url: str, book: OrderBook):
    await book.claim([paid_order("T00001")])
    stranger = OrderBook.open(url, FieldCipher(NEW), SystemClock())

    [claim] = await stranger.claim([paid_order("T00001")])

    assert claim.outcome is Claim.CONFLICT
    assert "TOPUP_PII_OLD_KEYS" in claim.conflict
    await stranger.close()


# --- the trail -------------------------------------------------------------------------------------------------------


async def filled(book: OrderBook) -> None:
    await book.claim([paid_order(f"T0000{number}") for number in range(1, 4)])
    for order_id in ("T00001", "T00002"):
        await settle(book, order_id)
        await book.append(order_id, "note", {"word": "ü \u0000", "number": 1.5, "deep": {"b": [1, None], "a": True}})
        await book.write_notices(order_id, "delivered", {"cars": ("acknowledged", "")})


async def test_a_trail_that_nobody_touched_is_whole(book: OrderBook):
    await filled(book)

    read = await book.verify_trails()

    assert (read.lines, dict(read.flaws)) == (9, {})
    assert list(read.heads) == ["T00001", "T00002", "T00003"]
    assert (await book.verify_trails(only="T00002")).heads == {"T00002": read.heads["T00002"]}
    assert not await book.orphaned_lines()


SECOND = "order_id = 'T00001' AND kind = 'settle'"
TAMPERED = {
    "changed": f'UPDATE order_events SET detail = \'{{"status": "refunded"}}\' WHERE {SECOND}',
    "another time": f"UPDATE order_events SET at = '2020-01-01 00:00:00' WHERE {SECOND}",
    "taken out": f"DELETE FROM order_events WHERE {SECOND}",
    "the end cut off": "DELETE FROM order_events WHERE order_id = 'T00001' AND kind = 'notice_delivered'",
    "all taken out": "DELETE FROM order_events WHERE order_id = 'T00001'",
    "another order's": "UPDATE order_events SET order_id = 'T00001' WHERE order_id = 'T00003'",
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_a_trail_that_was_changed_past_us_is_found(url: str, book: OrderBook, how: str):
    await filled(book)
    for trigger in ("order_events_append_only", "order_events_no_update", "order_events_no_delete"):
        if url.startswith("sqlite"):
            await ask(url, f"DROP TRIGGER IF EXISTS {trigger}")
        else:
            await ask(url, f"DROP TRIGGER IF EXISTS {trigger} ON order_events")
    await ask(url, TAMPERED[how])

    flaws = (await book.verify_trails()).flaws

    assert "T00001" in flaws
    assert flaws.keys() <= {"T00001", "T00003"}


async def test_a_row_that_is_gone_leaves_its_trail_behind(url: str, book: OrderBook):
    await filled(book)
    await ask(url, "DELETE FROM orders WHERE order_id = 'T00002'")

    assert await book.orphaned_lines() == ["T00002"]


# --- a person is erased ----------------------------------------------------------------------------------------------


async def test_a_person_is_erased_and_the_moneys_trail_and_the_duplicates_stay(url: str, book: OrderBook):
    order = paid_order("T00001")
    await filled(book)

    assert await book.erasure().erase("T00001", operator="li", note="request 4711") == ""
    assert await book.erasure().erase("T00001", operator="li", note="once more") == ""

    [row] = await ask(
        url, "SELECT vehicle, vehicle_hash, body, amount_fen, transaction_id FROM orders WHERE order_id = 'T00001'"
    )
    assert tuple(row) == (b"", "", None, order.amount_fen, order.payment.transaction_id)
    assert [line.kind for line in await book.events("T00001")][-1] == "person_erased"
    assert "T00001" not in await book.filed_under("vehicle", VIN)
    stored = await book.read("T00001")
    assert stored.state.outcome == "delivered"
    with pytest.raises(PersonErased):
        _ = stored.order
    assert [one.outcome for one in await book.claim([order])] == [Claim.SETTLED]
    other = order.model_copy(update={"amount_fen": 1})
    assert [one.outcome for one in await book.claim([other])] == [Claim.CONFLICT]
    assert not (await book.verify_trails()).flaws


async def test_rotation_leaves_an_erased_person_erased(url: str, book: OrderBook):
    await filled(book)
    await book.erasure().erase("T00001", operator="li", note="request 4711")
    rotated = OrderBook.open(url, FieldCipher(NEW, KEY), SystemClock())

    assert (await rotated.key_rotation().run_once()).rows == 3
    assert await rotated.key_rotation().left() == 0

    [row] = await ask(url, "SELECT vehicle, vehicle_hash FROM orders WHERE order_id = 'T00001'")
    assert tuple(row) == (b"", "")
    assert [one.outcome for one in await rotated.claim([paid_order("T00001")])] == [Claim.SETTLED]
    await rotated.close()


async def test_an_order_that_still_needs_its_vehicle_is_not_erased(book: OrderBook):
    await filled(book)
    await book.write_notices("T00002", "delivered", {"legacy": ("pending", "away")})

    await book.claim([paid_order("T00004")])
    await settle(book, "T00004")  # and dies before it tells the car

    assert "has a notice" in await book.erasure().erase("T00004", operator="li", note="x")
    assert "is not settled" in await book.erasure().erase("T00003", operator="li", note="x")
    assert "has a notice" in await book.erasure().erase("T00002", operator="li", note="x")
    assert "is not in" in await book.erasure().erase("T99999", operator="li", note="x")

    assert (await book.read("T00003")).order.vehicle.vin == VIN
    assert (await book.read("T00002")).order.vehicle.vin == VIN


# --- PostgreSQL's roles ----------------------------------------------------------------------------------------------

DENIED = {
    "change a line": "UPDATE order_events SET kind = 'x'",
    "take one out": "DELETE FROM order_events",
    "empty the trail": "TRUNCATE order_events",
    "drop the trigger": "DROP TRIGGER order_events_append_only ON order_events",
    "switch it off": "ALTER TABLE order_events DISABLE TRIGGER ALL",
    "take an order out": "DELETE FROM orders",
    "make a table": "CREATE TABLE x (y int)",
    "another version": "UPDATE alembic_version SET version_num = 'x'",
}


@pytest.mark.real
async def test_a_process_works_with_the_book_and_only_adds_to_its_trail(postgres: Postgres):
    """All that a process does goes by its role; what it must never do is refused by the database."""
    owners = postgres.create_database()
    role = f"process_{secrets.token_hex(4)}"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'p'")
    address = owners.partition("@")[2]
    owner, process = open_book(owners), open_book(f"postgresql://{role}:p@{address}")
    await owner.migrate()
    for _ in range(2):
        await owner.grant_to(role)

    await filled(process)
    await process.ping()
    looked = await process.look()
    assert (bool(looked.version), looked.rights_missing, looked.rewrites_trail) == (True, (), False)
    assert (await owner.look()).rewrites_trail
    await ask(owners, f"REVOKE UPDATE ON orders FROM {role}")
    assert (await process.look()).rights_missing == ("UPDATE on orders",)
    await owner.grant_to(role)
    assert await process.erasure().erase("T00001", operator="li", note="x") == ""
    assert (await process.key_rotation().run_once()).rows == 0
    assert not (await process.verify_trails()).flaws

    for statement in DENIED.values():
        with pytest.raises(ProgrammingError) as refused:
            await ask(f"postgresql://{role}:p@{address}", statement)
        assert getattr(refused.value.orig, "sqlstate", "") == "42501", statement
    with pytest.raises(ValueError, match="lower-case"):
        await owner.grant_to('x"; DROP TABLE orders; --')
    await process.close()
    await owner.close()


# --- the file --------------------------------------------------------------------------------------------------------


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_a_sqlite_book_is_its_owners_alone(tmp_path: Path):
    before = os.umask(0)
    try:
        book = open_book(f"sqlite:///{tmp_path}/book.db")
        await book.migrate()
        modes = modes_in(tmp_path)
        await book.close()
    finally:
        os.umask(before)

    assert set(modes.values()) == {0o600}
    assert "book.db" in modes
