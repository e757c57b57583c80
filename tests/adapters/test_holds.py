"""Holds in the book of each database: seen while they are on, kept for ever; what they and the limit let through."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from adapters.order_book.book import OrderBook, Unstorable
from console import health, holding
from console.display import Step
from console.exits import CommandFailed
from orders.holds import PARTS
from runtime.metrics import Metrics
from tests.adapters.book_process import open_book, paid_order
from workers.holding import ShowingHolds

LI = {"operator": "li", "note": "ticket 4711"}
WANG = {"operator": "wang", "note": "over"}


def shown(metrics: Metrics, name: str) -> set[str]:
    """The parts for which a gauge is 1."""
    samples = [sample for one in metrics.gauge(name).collect() for sample in one.samples]
    assert {sample.labels["part"] for sample in samples} == set(PARTS)
    return {sample.labels["part"] for sample in samples if sample.value}


async def test_a_hold_is_seen_until_it_is_released_and_who_and_why_is_kept(book: OrderBook) -> None:
    await book.holds.hold("carrier", **LI, until=None)
    await book.holds.hold("carrier", **WANG, until=datetime.now(UTC) + timedelta(hours=1))
    await book.holds.hold("wechat", **LI, until=datetime.now(UTC) - timedelta(seconds=1))

    assert [(one.part, one.held_by) for one in await book.holds.not_released()] == [
        ("carrier", "li"),
        ("carrier", "wang"),
    ]
    assert (await book.holds.in_force())["carrier"].held_by == "li"
    assert await book.holds.release("alipay", **WANG) == []

    ended = await book.holds.release("carrier", **WANG)

    assert {one.held_by for one in ended} == {"li", "wang"}
    assert await book.holds.not_released() == []
    kept = await book.holds.newest(limit=10)
    assert [(one.part, one.held_by, one.released_by) for one in kept] == [
        ("wechat", "li", ""),
        ("carrier", "wang", "wang"),
        ("carrier", "li", "wang"),
    ]
    with pytest.raises(Unstorable):
        await book.holds.hold("carrier", operator="li", note="\x00", until=None)


async def test_orders_that_wait_for_a_held_carrier_keep_no_others_from_being_claimed(book: OrderBook) -> None:
    await book.claim([paid_order("T00001"), paid_order("T00002")])
    await book.holds.hold("wechat", **LI, until=None)
    assert await book.first_pass_count() == 2

    await book.holds.hold("carrier", **LI, until=None)
    assert await book.first_pass_count() == 0

    await book.holds.release("carrier", **WANG)
    assert await book.first_pass_count() == 2


async def test_the_moments_of_a_limit_are_given_out_once_over_all_workers(url: str, book: OrderBook) -> None:
    other = open_book(url)
    limit = {"per_second": 10.0, "at_most_seconds": 3600.0}
    began = asyncio.get_running_loop().time()

    taken = [await one.call_slots.take("carrier", 5, **limit) for one in (book, other) * 2]

    took_seconds = asyncio.get_running_loop().time() - began
    assert [count for count, _ in taken] == [5, 5, 5, 5]
    for number, (_, begins) in enumerate(taken):
        if number * 0.5 < 60:
            assert number * 0.5 - took_seconds <= begins <= number * 0.5
    count, begins = await other.call_slots.take("carrier", 5, per_second=10.0, at_most_seconds=0.5)
    assert count == 0
    assert begins > 0.5
    assert (await other.call_slots.take("wechat", 1, **limit))[0] == 1, "another part has its own"
    await other.close()


async def test_a_row_from_a_clock_that_was_put_back_holds_nobody_up(book: OrderBook) -> None:
    await book.call_slots.take("carrier", 1, per_second=1 / 86_400, at_most_seconds=1.0)

    assert (await book.call_slots.take("carrier", 1, per_second=10.0, at_most_seconds=1.0)) == (1, 0.0)


async def test_metrics_say_what_is_held_and_what_for_too_long(book: OrderBook) -> None:
    class Later:
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(hours=2)

    metrics = Metrics()
    await book.holds.hold("carrier", **LI, until=None)
    for clock, long in ((Later(), {"carrier"}), (None, set[str]())):
        if clock is None:
            await book.holds.release("carrier", **WANG)
        showing = ShowingHolds(book.holds, clock or Later(), metrics, long_seconds=3600)
        await showing.run_once()
        assert shown(metrics, "topup_held") == long
        assert shown(metrics, "topup_held_long") == long


async def test_the_command_says_what_it_did_and_doctor_what_is_held(
    book: OrderBook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @asynccontextmanager
    async def opened(_: object) -> AsyncGenerator[object]:
        yield book.holds

    monkeypatch.setattr(holding, "_holds", opened)
    settings = holding.HoldSettings.model_construct()
    held = vars(health)["_held"]
    assert await held(book) == "Neither carrier nor provider is held."
    with pytest.raises(CommandFailed, match="carrier is not held"):
        await holding.release(settings, "carrier", **WANG, as_json=False)

    await holding.hold(settings, "carrier", **LI, until=None, as_json=False)
    assert "carrier is held until it is released, by li since" in capsys.readouterr().out
    await holding.show(settings, every=False, as_json=True)
    [one] = json.loads(capsys.readouterr().out)
    assert (one["part"], one["is_on"], one["held_by"], one["released_at"]) == ("carrier", True, "li", None)
    said = await held(book)
    assert isinstance(said, Step)
    assert not said.ok
    assert "ticket 4711" in said.says
    await holding.release(settings, "carrier", **WANG, as_json=False)
    await holding.show(settings, every=True, as_json=False)
    assert "wang" in capsys.readouterr().out
