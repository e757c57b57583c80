"""Days and a month of them: every seeded difference of every kind is found, and no other; a rerun changes nothing."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciliation.days import day_of
from reconciliation.differences import ALERTED, KINDS
from reconciliation.summary import Summary
from tests.reconciliation.stories import QUIET, SEEDED
from tests.reconciliation.world import FIRST, PROVIDERS, HandClock, World, opened

DAYS = 30
TO_THE_END = 8
"""Mornings after the last story, so that nothing is `timing` any more."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    clock = HandClock()
    async with opened(f"sqlite:///{tmp_path}/book.db", clock) as book:
        yield World(book, clock, seed=7)


def seed(world: World, days: int, stories_a_day: int) -> None:
    """Each story at least once at each provider; bills that are late, cut short or restless."""
    wanted = [(story, provider) for story in (*QUIET, *SEEDED) for provider in PROVIDERS]
    while len(wanted) < days * stories_a_day:
        wanted.append((world.random.choice(QUIET), world.random.choice(PROVIDERS)))
    world.random.shuffle(wanted)
    for number, (story, provider) in enumerate(wanted):
        story(world, number % days, provider)

    def day(number: int) -> str:
        return day_of(FIRST + timedelta(days=number))

    world.providers["alipay"].comes_on[day(5)] = day(8)
    world.providers["wechat"].comes_on[day(12)] = day(19)
    world.providers["wechat"].cut_until[day(9)] = day(11)
    world.providers["alipay"].cut_until[day(20)] = day(22)
    world.carrier.comes_on[day(15)] = day(18)
    world.carrier.restless |= {day(3), day(4)}
    world.kafka_is_away_until = FIRST + timedelta(days=14)


async def assert_exactly_the_seeded(world: World) -> None:
    found = await world.books.differences()
    there = {one.id: one.kind for one in found if one.state in ("open", "resolved")}
    closed = {one.id: one.kind for one in found if one.state == "closed_itself"}

    assert there == world.expected
    assert [one for one in found if one.state == "open"] == [], "somebody has looked at each, and none came back"
    worth_a_look = {name: kind for name, kind in closed.items() if kind != "timing"}
    assert worth_a_look == {name: kind for name, kind in world.closed.items() if kind != "timing"}
    # Where a bill was late, its day was not judged meanwhile: then nothing had to wait.
    assert any(closed.get(name) == "timing" for name, kind in world.closed.items() if kind == "timing")


@pytest.mark.long
async def test_every_seeded_difference_of_a_month_is_found_and_no_other(world: World):
    seed(world, DAYS, 4)
    assert set(world.expected.values()) | {"payment_without_order", "timing"} == set(KINDS)

    await world.play(DAYS + TO_THE_END)

    await assert_exactly_the_seeded(world)
    # Each payment that was in none of the books was put once; the one that its provider denies, never.
    assert len(world.put) == len({transaction for transaction, _ in world.put})
    assert {put_as for _, put_as in world.put} == {"order", "unmatched"}
    called_for = {one["difference"]: one["differs"] for one in world.alerts}
    assert called_for == {name: kind for name, kind in world.expected.items() if kind in ALERTED}
    assert len(world.alerts) == len(called_for), "each was called for once"


@pytest.mark.slow
async def test_some_days_of_every_story_are_judged_right_a_rerun_changes_nothing_and_the_pages_add_up(world: World):
    seed(world, 5, 12)
    world.kafka_is_away_until = FIRST + timedelta(days=5)
    days = [day_of(FIRST + timedelta(days=number)) for number in range(5 + TO_THE_END)]
    await world.play(len(days))
    await assert_exactly_the_seeded(world)
    before = await world.books.differences()
    put, alerts = list(world.put), list(world.alerts)
    fetched = {name: dict(one.fetched) for name, one in world.providers.items()}

    for day in days:
        report = await world.reconciliation().run(day)
        assert (report.opened, report.closed, report.put) == (0, 0, 0)

    assert await world.books.differences() == before
    assert (world.put, world.alerts) == (put, alerts)
    assert {name: dict(one.fetched) for name, one in world.providers.items()} == fetched

    paid = 0
    for day in days:
        page = Summary(day)
        for provider in PROVIDERS:
            async for payments in world.books.payments_paid_on(provider, day):
                for payment in payments:
                    page.add(payment)
        page.add_differences(await world.books.differences(day=day))
        assert page.left_over_fen == 0
        paid += page.paid.count
    billed = {
        (name, line.transaction_id)
        for name, provider in world.providers.items()
        for lines in provider.lines.values()
        for line in lines
        if line.kind == "payment"
    }
    without_a_bill = [name for name, kind in world.expected.items() if kind == "order_without_payment"]
    assert paid == len(billed) + len(without_a_bill)
