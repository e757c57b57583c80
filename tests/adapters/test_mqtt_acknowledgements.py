"""What a broker says to a publish, or keeps silent about: acknowledged, refused, missed, lost, too slow."""

import asyncio
from dataclasses import replace

import pytest

from orders.errors import NotAcknowledged
from tests.adapters.mqtt_fakes import (
    NEVER_SECONDS,
    QUICK,
    VIN,
    Publish,
    connack,
    disconnect,
    fake_broker,
    miss_soon,
    note_limits,
    notice,
    notifier,
    puback,
    refused,
    silence,
    until,
)
from tests.limits import WAIT_SECONDS


async def test_a_publish_is_qos_1_not_retained_and_sent_once() -> None:
    async with fake_broker() as broker, notifier(broker.platform(topic="v/{vin}/{order_id}")) as work:
        assert await work.publish("fake", notice(7), timeout_seconds=WAIT_SECONDS) == ""
        (publish,) = broker.published
        assert (publish.qos, publish.retained, publish.repeated) == (1, False, False)
        assert publish.topic == f"v/{VIN}/T000000000007"
        assert publish.payload == notice(7).payload


@pytest.mark.parametrize(("code", "remark"), [(0x00, ""), (None, ""), (0x10, "no subscriber")])
async def test_reasons_below_0x80_are_an_acknowledgement(code: int | None, remark: str) -> None:
    async with fake_broker(on_publish=puback(code)) as broker, notifier(broker.platform()) as work:
        assert await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS) == remark


@pytest.mark.parametrize("code", [0x87, 0x90, 0x95, 0x99])
async def test_a_refusal_for_good_is_not_retryable_and_costs_no_connection(code: int) -> None:
    async with fake_broker(on_publish=puback(code)) as broker, notifier(broker.platform()) as work:
        assert not (await refused(work)).retryable
        broker.on_publish = puback(0)
        await work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS)
        assert broker.accepted == 1


@pytest.mark.parametrize("code", [0x80, 0x83, 0x91, 0x97])
async def test_other_refusals_are_retryable(code: int) -> None:
    async with fake_broker(on_publish=puback(code)) as broker, notifier(broker.platform()) as work:
        assert (await refused(work)).retryable


async def test_an_exceeded_quota_makes_publishing_pause() -> None:
    limits = replace(QUICK, back_off_first_seconds=NEVER_SECONDS, back_off_longest_seconds=NEVER_SECONDS)
    async with fake_broker(on_publish=puback(0x97)) as broker, notifier(broker.platform(), limits=limits) as work:
        assert "quota" in str(await refused(work))
        broker.on_publish = puback(0)
        early = await refused(work, timeout_seconds=0.3)
        assert early.retryable
        assert "pauses" in str(early)
        pace = work._connections["fake"]._rate_limiter
        assert pace.seconds_to_wait() > 0.4 * NEVER_SECONDS  # jitter halves the pause at most
        pace._next_at = 0.0
        assert await work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS) == ""


async def test_a_missed_acknowledgement_ends_the_connection_and_nothing_is_sent_again() -> None:
    async with fake_broker(on_publish=silence) as broker, notifier(broker.platform()) as work:
        await until(lambda: work.is_up("fake"))
        miss_soon(work)
        error = await refused(work)
        assert error.retryable
        assert "did not acknowledge" in str(error)
        assert not work.is_up("fake")
        await until(lambda: work.is_up("fake"))
        assert broker.accepted == 2
        broker.on_publish = puback(0)
        await work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS)
        assert [publish.payload for publish in broker.published] == [notice(1).payload, notice(2).payload]
        assert broker.ends == ["reset"]


async def test_after_a_missed_acknowledgement_publishes_fail_at_once_until_a_fresh_connack() -> None:
    async with fake_broker(on_publish=silence) as broker, notifier(broker.platform()) as work:
        await work.start()
        await until(lambda: work.is_up("fake"))
        broker.on_connect = None
        miss_soon(work)
        await refused(work)
        await until(lambda: "attempt" in work.state("fake") or "tried" in work.state("fake"))
        await refused(work)
        assert len(broker.published) == 1
        broker.on_connect, broker.on_publish = connack(), puback(0)
        broker.drop()
        await until(lambda: work.is_up("fake"))
        await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS)


async def test_an_impatient_caller_gives_up_alone_and_the_connection_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first short try must not tear down what patient ones wait on, or a slow broker would never get anything."""
    callers = note_limits(monkeypatch, "timeout_at")
    async with fake_broker(on_publish=silence) as broker, notifier(broker.platform()) as work:
        patient = asyncio.create_task(work.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS))
        await until(lambda: broker.published)
        hasty = asyncio.create_task(refused(work))
        await until(lambda: len(broker.published) == 2)
        callers[-1].reschedule(0)
        await hasty
        assert not work.is_up("fake")
        assert "owes" in work.state("fake")
        for publish in broker.published:
            broker.send(puback(0)(publish) or b"")
        assert await patient == ""
        assert work.is_up("fake")
        assert broker.accepted == 1


async def test_a_cancelled_publish_takes_no_slot_for_ever() -> None:
    limits = replace(QUICK, unacknowledged_most=1)
    async with fake_broker(on_publish=silence) as broker, notifier(broker.platform(), limits=limits) as work:
        first = asyncio.create_task(work.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS))
        await until(lambda: broker.published)
        first.cancel()
        await asyncio.wait([first])
        second = asyncio.create_task(work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS))
        broker.on_publish = puback(0)
        broker.send(puback(0)(broker.published[0]) or b"")
        assert await second == ""


async def test_the_servers_receive_maximum_bounds_what_is_on_its_way() -> None:
    async with (
        fake_broker(on_connect=connack(0, b"\x21\x00\x03"), on_publish=silence) as broker,
        notifier(broker.platform()) as work,
    ):
        tasks = [asyncio.create_task(work.publish("fake", notice(n), timeout_seconds=WAIT_SECONDS)) for n in range(10)]
        acknowledged = 0
        while acknowledged < 10:
            expected = min(10, acknowledged + 3)
            await until(lambda: len(broker.published) == expected)  # noqa: B023 - asked within this round
            await asyncio.sleep(0.02)
            assert len(broker.published) - acknowledged <= 3
            broker.send(puback(0)(broker.published[acknowledged]) or b"")
            acknowledged += 1
        assert await asyncio.gather(*tasks) == [""] * 10


async def test_a_full_window_says_so_and_sends_nothing() -> None:
    limits = replace(QUICK, unacknowledged_most=1)
    async with fake_broker(on_publish=silence) as broker, notifier(broker.platform(), limits=limits) as work:
        first = asyncio.create_task(work.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS))
        await until(lambda: broker.published)
        assert "too slowly" in str(await refused(work, timeout_seconds=0.3))
        assert len(broker.published) == 1
        broker.send(puback(0)(broker.published[0]) or b"")
        await first


async def test_what_is_larger_than_the_server_takes_is_refused_unsent_and_takes_no_slot_for_ever() -> None:
    async with (
        fake_broker(on_connect=connack(0, b"\x27\x00\x00\x00\x80")) as broker,
        notifier(broker.platform(), limits=replace(QUICK, unacknowledged_most=1)) as work,
    ):
        for _ in range(3):
            error = await refused(work)
            assert not error.retryable
            assert "size" in str(error)
        assert broker.published == []


async def test_a_server_that_throws_us_off_for_the_size_of_the_only_message_refuses_it_for_good() -> None:
    def throw_off(_: Publish) -> bytes:
        return disconnect(0x95)

    async with fake_broker(on_publish=throw_off) as broker, notifier(broker.platform()) as work:
        assert not (await refused(work)).retryable


async def test_many_lost_acknowledgements_fail_together_and_all_slots_come_back() -> None:
    limits = replace(QUICK, unacknowledged_most=10)
    async with fake_broker(on_publish=silence) as broker, notifier(broker.platform(), limits=limits) as work:
        await until(lambda: work.is_up("fake"))
        miss_soon(work)
        async with asyncio.timeout(WAIT_SECONDS):  # those that wait for a slot don't wait for their own limit
            outcomes = await asyncio.gather(
                *(work.publish("fake", notice(n), timeout_seconds=NEVER_SECONDS) for n in range(100)),
                return_exceptions=True,
            )
        assert all(isinstance(outcome, NotAcknowledged) and outcome.retryable for outcome in outcomes)
        assert len(broker.published) == 10
        broker.on_publish = puback(0)
        await until(lambda: work.is_up("fake"))
        again = await asyncio.gather(
            *(work.publish("fake", notice(n), timeout_seconds=WAIT_SECONDS) for n in range(100))
        )
        assert again == [""] * 100
