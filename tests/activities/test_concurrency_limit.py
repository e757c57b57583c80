"""How many attempts may wait at one platform at once: the others neither hold a slot nor come back in vain."""

import asyncio
import itertools

import pytest

from activities.concurrency_limit import ConcurrencyLimit, Full
from tests.limits import WAIT_SECONDS
from tests.properties.virtual_loop import in_virtual_time


async def hold(limits: ConcurrencyLimit, until: asyncio.Event) -> None:
    async with limits.one():
        await until.wait()


async def turned_away(limits: ConcurrencyLimit) -> float:
    with pytest.raises(Full) as full:
        async with limits.one():
            pass
    return full.value.come_back_seconds


@in_virtual_time
async def test_no_more_than_the_most_wait_at_a_platform_that_hangs_and_the_others_leave_at_once() -> None:
    limits, over = ConcurrencyLimit(3, longest_seconds=35), asyncio.Event()
    holding = [asyncio.create_task(hold(limits, over)) for _ in range(3)]
    await asyncio.sleep(0.6)

    loop = asyncio.get_running_loop()
    since = loop.time()
    for _ in range(100):
        await turned_away(limits)
    assert loop.time() - since < 5  # half a second each would be 50 s

    over.set()
    await asyncio.gather(*holding)
    async with limits.one():
        pass


@in_virtual_time
async def test_a_burst_at_a_healthy_platform_turns_nobody_away() -> None:
    limits = ConcurrencyLimit(5, longest_seconds=35)

    async def publish() -> None:
        async with limits.one():
            await asyncio.sleep(0)

    await asyncio.gather(*(publish() for _ in range(100)))


@in_virtual_time
async def test_who_is_turned_away_comes_back_at_the_pace_at_which_places_come_free() -> None:
    limits, over = ConcurrencyLimit(4, longest_seconds=35), asyncio.Event()
    holding = [asyncio.create_task(hold(limits, over)) for _ in range(4)]
    await asyncio.sleep(1.2)

    waits = [await turned_away(limits) for _ in range(10)]
    apart = [later - sooner for sooner, later in itertools.pairwise(waits)]

    assert min(apart) > 0.25  # 4 limits, none of which came free in 1.2 s
    over.set()
    await asyncio.gather(*holding)


@in_virtual_time
async def test_nobody_comes_back_later_than_the_policy_would_have_it() -> None:
    limits, over = ConcurrencyLimit(1, longest_seconds=2), asyncio.Event()
    holding = asyncio.create_task(hold(limits, over))
    await asyncio.sleep(0.6)

    assert max([await turned_away(limits) for _ in range(50)]) <= 2
    over.set()
    await holding


@in_virtual_time
async def test_one_that_fails_or_is_cancelled_leaves_its_place() -> None:
    limits = ConcurrencyLimit(1, longest_seconds=35)
    with pytest.raises(ValueError, match="failed"):
        async with limits.one():
            raise ValueError("failed")
    cancelled = asyncio.create_task(hold(limits, asyncio.Event()))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait({cancelled})

    async with limits.one():
        pass


@in_virtual_time
async def test_a_slow_platform_is_kept_busy_until_all_are_through() -> None:
    """40 notices at a platform that takes one after the other, 20 ms each: who is turned away returns in time."""
    limits, one_by_one = ConcurrencyLimit(4, longest_seconds=35), asyncio.Lock()
    done: list[float] = []
    loop = asyncio.get_running_loop()

    async def insist() -> None:
        while True:
            try:
                async with limits.one(), one_by_one:
                    await asyncio.sleep(0.02)
                    done.append(loop.time())
                    return
            except Full as full:
                await asyncio.sleep(full.come_back_seconds)

    since = loop.time()
    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.gather(*(insist() for _ in range(40)))
    assert len(done) == 40
    assert done[-1] - since < 10  # 0.8 s of work; the policy's own pace alone would take 15 s
