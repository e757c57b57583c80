"""No platform gets more publishes per second than it takes, and who can have no turn in time is told at once."""

import asyncio
import contextlib
from collections.abc import Callable

from orders.errors import NotAcknowledged
from tests.adapters.mqtt_fakes import FakeBroker, fake_broker, notice, notifier, refused
from tests.limits import WAIT_SECONDS


def in_any_second(broker: FakeBroker, at_most: Callable[[int], bool]) -> bool:
    times = [publish.at for publish in broker.published]
    return all(at_most(sum(since <= time < since + 1 for time in times)) for since in times)


async def test_a_platform_gets_no_more_per_second_than_it_takes() -> None:
    async with fake_broker() as broker, notifier(broker.platform(publishes_per_second=20)) as work:
        await asyncio.gather(*(work.publish("fake", notice(n), timeout_seconds=WAIT_SECONDS) for n in range(40)))
        assert len(broker.published) == 40
        assert in_any_second(broker, lambda count: count <= 25)


async def test_one_platforms_rate_does_not_slow_another() -> None:
    async with (
        fake_broker() as slow,
        fake_broker() as fast,
        notifier(slow.platform("slow", publishes_per_second=0.01), fast.platform("fast")) as work,
    ):
        waiting = [asyncio.create_task(work.publish("slow", notice(n), timeout_seconds=1e6)) for n in range(30)]
        await asyncio.gather(*(work.publish("fast", notice(n), timeout_seconds=WAIT_SECONDS) for n in range(200)))
        assert len(slow.published) < 30
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_a_turn_that_comes_too_late_is_refused_at_once_and_never_sent() -> None:
    async with fake_broker() as broker, notifier(broker.platform(publishes_per_second=2)) as work:
        await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS)
        patience = [WAIT_SECONDS] * 5 + [0.5] * 20  # the sixth turn is 2 s away at the least
        waiting = [work.publish("fake", notice(n), timeout_seconds=seconds) for n, seconds in enumerate(patience)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        errors = [outcome for outcome in outcomes if isinstance(outcome, NotAcknowledged)]
        assert outcomes[:5] == [""] * 5
        assert len(errors) == 20
        assert all(error.retryable and "takes 2 publishes per second" in str(error) for error in errors)
        assert len(broker.published) == 6


async def test_a_turn_that_cannot_come_in_time_is_not_waited_for() -> None:
    async with fake_broker() as broker, notifier(broker.platform(publishes_per_second=0.001)) as work:
        await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS)
        assert "no turn came" in str(await refused(work, timeout_seconds=600))


async def test_who_waits_for_a_turn_is_told_when_the_platform_goes_down() -> None:
    async with contextlib.AsyncExitStack() as away:
        broker = await away.enter_async_context(fake_broker())
        async with notifier(broker.platform(publishes_per_second=0.01)) as work:
            await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS)
            waiting = asyncio.create_task(refused(work, timeout_seconds=600))
            await asyncio.sleep(0.05)
            await away.aclose()
            assert "the connection was refused" in str(await waiting)
