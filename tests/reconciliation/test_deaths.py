"""A process that dies in the middle of a day's run: the run after it ends as if nothing had happened."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from reconciliation.days import after, day_of
from reconciliation.differences import ALERTED
from reconciliation.evidence import BillLine
from reconciliation.ports import OpenBill
from tests.reconciliation import stories
from tests.reconciliation.world import HandClock, World, opened

MORNINGS = 9
"""Until nothing is `timing` any more."""
DEATHS = 3
"""One after the other: who takes over dies too."""
PLAYED = (
    stories.delivered,
    stories.refunded,
    stories.never_came_and_is_proven,
    stories.never_came_and_proves_nothing,
    stories.sold_after_refusal,
    stories.refunded_twice,
)


class Died(Exception):
    """The process."""


class Mortal:
    """The order book of a process that dies right before this call, or right after it is committed."""

    def __init__(self, books: Any, call: str, *, after: bool) -> None:
        self._books = books
        self._call = call
        self._after = after
        self.deaths = 0

    def __getattr__(self, name: str) -> Any:
        found: Callable[..., Any] = getattr(self._books, name)
        if name != self._call or self.deaths == DEATHS:
            return found

        async def die(*arguments: Any, **named: Any) -> None:
            self.deaths += 1
            if self._after:
                await found(*arguments, **named)
            raise Died

        return die


CALLS = ("begin", "add_bill", "finish", "note_ends", "write", "note_put", "note_judged")
AT_LENGTH = [
    pytest.param(call, after, marks=[] if after and call in ("write", "note_put") else pytest.mark.long)
    for call in CALLS
    for after in (False, True)
]


@pytest.mark.parametrize(("call", "after"), AT_LENGTH)
async def test_a_run_that_dies_is_taken_up_and_finds_calls_and_puts_the_same(tmp_path: Path, call: str, *, after: bool):
    clock = HandClock()
    async with opened(f"sqlite:///{tmp_path}/book.db", clock) as book:
        world = World(book, clock, seed=7)
        for story in PLAYED:
            story(world, 0, "wechat")
        mortal: Any = Mortal(world.books, call, after=after)
        world.books = mortal

        for day in range(1, MORNINGS + 1):
            while True:
                try:
                    await world.morning(day)
                except Died:
                    continue
                break

        found = await world.books.differences()
    assert mortal.deaths
    assert {one.id: one.kind for one in found if one.state in ("open", "resolved")} == world.expected
    called_for = {one["difference"]: one["differs"] for one in world.alerts}
    assert called_for == {name: kind for name, kind in world.expected.items() if kind in ALERTED}
    assert len(set(world.put)) == len({transaction for transaction, _ in world.put}) == 2, "the same, however often"


async def test_a_bill_that_comes_to_more_than_a_day_can_is_refused_and_ends_no_run(tmp_path: Path):
    """No line of it is too much, and no total speaks of the prices: their sum was one that no database holds."""
    clock = HandClock()
    day = after(day_of(clock.now()), -2)
    lines = [BillLine("payment", f"2023{number}", "", 10**14 - 1, f"{day} 12:00:00") for number in range(11)]

    class Hostile:
        merchant_id = "2088102146225135"

        @asynccontextmanager
        async def open(self, _day: str) -> AsyncGenerator[OpenBill, None]:
            yield OpenBill(iter([lines]), "", 1)

    async with opened(f"sqlite:///{tmp_path}/book.db", clock) as book:
        reconciliation = World(book, clock, seed=1).reconciliation()
        reconciliation._bills = {"alipay": cast("Any", Hostile())}
        report = await reconciliation.run(day, "alipay")
        assert "more than a day's payments" in report.not_whole["alipay"]
        assert not (await book.reconciliation().horizon()).has("alipay", day)
