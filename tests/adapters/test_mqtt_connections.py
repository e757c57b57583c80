"""A connection to a broker that is away, comes, goes, falls silent or speaks no MQTT, by one made by hand."""

import asyncio
from dataclasses import replace

import paho.mqtt.client
import pytest
from paho.mqtt.client import Client

from adapters.mqtt.managed_connection import ManagedConnection
from adapters.mqtt.notifier import Broker, MqttNotifier
from devkit.servers.process import free_port
from tests.adapters.mqtt_fakes import (
    NEVER_SECONDS,
    QUICK,
    connack,
    disconnect,
    fake_broker,
    note_limits,
    notice,
    notifier,
    puback,
    refused,
    silence,
    until,
)
from tests.limits import WAIT_SECONDS


@pytest.mark.slow
async def test_a_hung_platform_does_not_delay_another(monkeypatch: pytest.MonkeyPatch) -> None:
    connects = note_limits(monkeypatch, "timeout")
    async with (
        fake_broker(on_connect=None) as hung,
        fake_broker() as good,
        notifier(hung.platform("old"), good.platform("new")) as work,
    ):
        stuck = [asyncio.create_task(refused(work, "old", timeout_seconds=WAIT_SECONDS)) for _ in range(20)]
        for number in range(50):
            assert await work.publish("new", notice(number), timeout_seconds=WAIT_SECONDS) == ""
        assert not any(task.done() for task in stuck)
        await until(lambda: hung.client_ids)
        connects[0].reschedule(0)  # the first platform's first
        errors = await asyncio.gather(*stuck)
        assert all("did not answer" in str(error) and error.retryable for error in errors)
        assert work.is_up("new")
        assert not work.is_up("old")
        assert "did not answer" in work.state("old")


async def test_known_to_be_down_means_refused_at_once() -> None:
    limits = replace(QUICK, back_off_first_seconds=NEVER_SECONDS, back_off_longest_seconds=NEVER_SECONDS)
    async with notifier(Broker("fake", f"mqtt://127.0.0.1:{free_port()}"), limits=limits) as work:
        assert "refused" in str(await refused(work, timeout_seconds=10))
        for _ in range(200):
            await refused(work)
        assert "Next attempt in" in work.state("fake")


async def test_what_was_refused_while_down_is_not_delivered_later() -> None:
    """paho would queue it, say that it failed, and deliver it after the next connect."""
    port = free_port()
    async with notifier(Broker("fake", f"mqtt://127.0.0.1:{port}")) as work:
        for _ in range(10):
            await refused(work)
        async with fake_broker(port=port) as broker:
            await until(lambda: work.is_up("fake"))
            await work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS)
            assert [publish.payload for publish in broker.published] == [notice(2).payload]


async def test_an_idle_connection_is_kept_alive_and_a_silent_broker_shows_at_keepalive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock of the test's own: here 60 s have passed when it says so."""
    clock = [1000.0]
    monkeypatch.setattr(paho.mqtt.client, "time_func", lambda: clock[0])
    async with fake_broker() as broker, notifier(broker.platform(keepalive_seconds=1)) as work:
        await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS)
        connection = work._connections["fake"]._connection
        assert connection is not None
        for pings in (1, 2):
            clock[0] += 60
            await until(lambda: broker.pings == pings and not connection._client._ping_t)  # noqa: B023 - asked here
        assert work.is_up("fake")
        assert broker.accepted == 1
        broker.on_ping = None
        clock[0] += 60
        await until(lambda: broker.pings == 3)
        clock[0] += 60
        await until(lambda: broker.accepted == 2)


async def test_the_first_publish_waits_for_the_first_connect() -> None:
    async with fake_broker() as broker:
        work = MqttNotifier([broker.platform()], limits=QUICK)
        assert not work.is_up("fake")
        assert await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS) == ""
        assert work.is_up("fake")
        await work.close()


async def test_a_broker_that_comes_later_is_found() -> None:
    port = free_port()
    async with notifier(Broker("fake", f"mqtt://127.0.0.1:{port}")) as work:
        await refused(work)
        async with fake_broker(port=port):
            await until(lambda: work.is_up("fake"))
            assert await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS) == ""
            assert work.state("fake") == f"MQTT platform fake at 127.0.0.1:{port} is connected."


async def test_after_a_dropped_connection_that_was_good_a_publish_waits_for_the_next_and_succeeds() -> None:
    async with fake_broker() as broker, notifier(broker.platform()) as work:
        await work.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS)
        broker.drop()
        await until(lambda: not work.is_up("fake") or broker.accepted == 2)
        assert await work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS) == ""
        assert broker.accepted == 2


async def test_who_waited_for_a_slot_of_a_lost_connection_goes_on_with_the_next() -> None:
    limits = replace(QUICK, unacknowledged_most=1)
    async with fake_broker() as broker, notifier(broker.platform(), limits=limits) as work:
        await work.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS)
        broker.on_publish = silence
        first = asyncio.create_task(refused(work, timeout_seconds=WAIT_SECONDS))
        await until(lambda: len(broker.published) == 2)
        second = asyncio.create_task(work.publish("fake", notice(3), timeout_seconds=WAIT_SECONDS))
        await asyncio.sleep(0.05)
        broker.on_publish = puback(0)
        broker.drop()
        assert "lost the connection" in str(await first)
        assert await second == ""
        assert len(broker.published) == 3


async def test_each_connection_has_a_client_id_of_its_own() -> None:
    async with fake_broker() as broker:
        async with notifier(broker.platform()) as one, notifier(broker.platform()) as other:
            await one.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS)
            await other.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS)
            broker.drop()
            await until(lambda: len(broker.client_ids) == 4)
        assert len(set(broker.client_ids)) == 4


async def test_a_connection_that_never_proves_itself_is_not_hammered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let in, then thrown off at once, as by a client with the same ID: the pause between attempts grows."""
    limits = replace(QUICK, back_off_first_seconds=1, back_off_longest_seconds=30)
    back_off_seconds, pauses = ManagedConnection._back_off_seconds, list[float]()

    def pause(link: ManagedConnection, failures: int) -> float:
        pauses.append(back_off_seconds(link, failures))
        return 0.01

    monkeypatch.setattr(ManagedConnection, "_back_off_seconds", pause)
    async with (
        fake_broker(on_connect=connack() + disconnect(0x8E)) as broker,
        notifier(broker.platform(), limits=limits) as work,
    ):
        assert "same ID" in str(await refused(work))
        await until(lambda: len(pauses) >= 7)
    for failures, seconds in enumerate(pauses[:5]):
        assert 0.5 * 2**failures <= seconds <= 2**failures
    assert all(15 <= seconds <= 30 for seconds in pauses[5:])


@pytest.mark.parametrize(
    "noise",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4,
        b"\x40\x03\x00\x01\x42",  # PUBACK with a reason that does not exist
        b"\x20\xff\xff\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
    ],
)
async def test_what_is_no_mqtt_ends_the_connection_and_nothing_else(noise: bytes) -> None:
    async with fake_broker() as broker, notifier(broker.platform()) as work:
        await work.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS)
        broker.send(noise)
        await until(lambda: broker.ends)
        await until(lambda: work.is_up("fake"))
        assert await work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS) == ""


async def test_whatever_paho_raises_ends_the_connection_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """In its own network thread it would end that thread, and nobody would hear of it."""

    def fail(_: Client) -> None:
        raise ZeroDivisionError

    async with fake_broker() as broker, notifier(broker.platform()) as work:
        await work.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS)
        with monkeypatch.context() as patch:
            patch.setattr(Client, "loop_read", fail)
            error = await refused(work)
            assert error.retryable
            assert "ZeroDivisionError" in str(error)
        await until(lambda: work.is_up("fake"))
        assert await work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS) == ""


async def test_how_long_a_platform_has_been_away_is_said_until_it_acknowledges_again() -> None:
    async with fake_broker() as broker, notifier(broker.platform()) as work:
        await work.publish("fake", notice(1), timeout_seconds=WAIT_SECONDS)
        broker.on_connect = connack(0x88)
        broker.drop()
        await until(lambda: "unavailable" in work.state("fake"))
        first, second = await refused(work), await refused(work)
        assert first.away_seconds is not None
        assert second.away_seconds is not None
        assert 0 <= first.away_seconds <= second.away_seconds
        link = work._connections["fake"]
        assert link._away_since is not None
        link._away_since -= NEVER_SECONDS
        third = await refused(work)
        assert third.away_seconds is not None
        assert third.away_seconds >= first.away_seconds + NEVER_SECONDS

        broker.on_connect = connack()
        await until(lambda: work.is_up("fake"))
        await work.publish("fake", notice(2), timeout_seconds=WAIT_SECONDS)
        broker.on_connect = connack(0x88)
        broker.drop()
        await until(lambda: "unavailable" in work.state("fake"))
        again = await refused(work)
        assert again.away_seconds is not None
        assert again.away_seconds < third.away_seconds


async def test_an_unknown_platform_is_refused_and_may_be_retried_elsewhere() -> None:
    async with notifier() as work:
        assert not work.is_up("gone")
        assert "not configured" in work.state("gone")
        assert (await refused(work, "gone")).retryable
