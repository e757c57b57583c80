"""A rule and what it writes are one transaction, with other callers, processes and cancels in its middle."""

import asyncio
import json
import random
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.order_book.book import OrderBook, StoredOrder
from orders import carrier_rules, lifecycle
from orders.carrier_rules import PostAuthorized
from orders.state import CarrierTimes, OrderState
from tests.adapters.book_process import count_up, open_book, paid_order
from tests.limits import WAIT_SECONDS

TIMES = CarrierTimes(timedelta(seconds=60), timedelta(seconds=15), timedelta(minutes=5))


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
