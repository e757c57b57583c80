"""What is written comes back as it was; the trail can't be changed, and no vehicle data stand there in clear."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from adapters.order_book.book import Claim, OrderBook, StoredOrder, Unreadable
from adapters.order_book.field_cipher import FieldCipher, WrongKey
from devkit.servers.postgres import Postgres
from orders.state import DERIVED, OrderState
from runtime.clock import SystemClock
from tests.adapters.book_process import ICCID, KEY, PHONE, SECRETS, VIN, connected, count_up, paid_order


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
