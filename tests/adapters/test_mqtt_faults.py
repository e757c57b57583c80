"""What brokers can do to us, played by a broker made by hand: every trap of docs/facts/mqtt.md, and some more."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client
import pytest
from paho.mqtt.client import Client

from adapters.mqtt import managed_connection
from adapters.mqtt.managed_connection import ManagedConnection
from adapters.mqtt.notifier import Broker, Login, MqttLimits, MqttNotifier
from devkit.servers.process import free_port
from orders.errors import NotAcknowledged
from tests.adapters.mqtt_fakes import (
    NEVER_SECONDS,
    QUICK,
    VIN,
    FakeBroker,
    Publish,
    connack,
    disconnect,
    fake_broker,
    miss_soon,
    notice,
    puback,
    silence,
    until,
)
from tests.limits import WAIT_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Timeout]:
    """The limits of all connects, in order: one passes when a test says so."""
    limits: list[asyncio.Timeout] = []
    _note(monkeypatch, "timeout", limits)
    return limits


@pytest.fixture
def callers(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Timeout]:
    """The limits that callers gave, one until it is sent and another until it is acknowledged."""
    limits: list[asyncio.Timeout] = []
    _note(monkeypatch, "timeout_at", limits)
    return limits


def _note(monkeypatch: pytest.MonkeyPatch, name: str, limits: list[asyncio.Timeout]) -> None:
    make = getattr(asyncio, name)

    def noted(seconds: float) -> asyncio.Timeout:
        limits.append(make(seconds))
        return limits[-1]

    monkeypatch.setattr(managed_connection, "asyncio", SimpleNamespace(**{**vars(asyncio), name: noted}))


@asynccontextmanager
async def notifier(*platforms: Broker, limits: MqttLimits = QUICK) -> AsyncGenerator[MqttNotifier]:
    """Started, and closed at the end."""
    async with MqttNotifier(platforms, limits=limits) as started:
        yield started


async def refused(
    work: MqttNotifier, platform: str = "fake", *, timeout_seconds: float = NEVER_SECONDS
) -> NotAcknowledged:
    """The error of a publish that must fail; each one names the platform and nobody's data."""
    with pytest.raises(NotAcknowledged) as raised:
        async with asyncio.timeout(WAIT_SECONDS):
            await work.publish(platform, notice(), timeout_seconds=timeout_seconds)
    sentence = str(raised.value)
    assert platform in sentence
    assert VIN not in sentence
    assert sentence.endswith(".")
    return raised.value


# --- acknowledgements -------------------------------------------------------------------------------------------------


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
        pace = work._links["fake"]._rate_limiter
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


async def test_an_impatient_caller_gives_up_alone_and_the_connection_stays(callers: list[asyncio.Timeout]) -> None:
    """A first short try must not tear down what patient ones wait on, or a slow broker would never get anything."""
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


# --- connecting -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_hung_platform_does_not_delay_another(connects: list[asyncio.Timeout]) -> None:
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
        connection = work._links["fake"]._connection
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
    ("code", "words"),
    [
        (0x84, "version"),
        (0x86, "user name or password"),
        (0x87, "authorize"),
        (0x88, "unavailable"),
        (0x97, "quota"),
        (0xFE, "check"),
    ],
)
async def test_a_refused_connect_says_what_to_check(code: int, words: str) -> None:
    async with fake_broker(on_connect=connack(code)) as broker, notifier(broker.platform()) as work:
        assert words in str(await refused(work))


@pytest.mark.parametrize(("code", "words"), [(1, "version"), (4, "user name or password"), (5, "authorize")])
async def test_a_refused_connect_of_mqtt_3_says_what_to_check(code: int, words: str) -> None:
    """With code 1, paho would by itself connect again as MQTT 3.1, blocking the loop."""
    async with (
        fake_broker(on_connect=connack(code, version="3.1.1")) as broker,
        notifier(broker.platform(version="3.1.1")) as work,
    ):
        assert words in str(await refused(work))


async def test_a_server_without_qos_1_is_not_used() -> None:
    async with fake_broker(on_connect=connack(0, b"\x24\x00")) as broker, notifier(broker.platform()) as work:
        assert "QoS 1" in str(await refused(work))


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
        link = work._links["fake"]
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


async def test_credentials_are_asked_for_at_each_connect_off_the_loop() -> None:
    numbers = iter(range(10))
    threads: list[str] = []

    def by_time(platform: Broker) -> Login:
        threads.append(threading.current_thread().name)
        return Login(f"{platform.username}-{next(numbers)}", "word")

    async with fake_broker() as broker:
        platform = Broker("fake", f"mqtt://me@127.0.0.1:{broker.port}")
        async with MqttNotifier([platform], limits=QUICK, credentials=by_time) as work:
            await work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS)
            broker.drop()
            await until(lambda: len(broker.logins) == 2)
        assert broker.logins == [("me-0", "word"), ("me-1", "word")]
        assert set(threads) == {"mqtt-connect-fake"}


async def test_credentials_that_cannot_be_had_are_a_sentence_not_an_end() -> None:
    faults: list[Exception] = [OSError("secret"), KeyError("secret")]

    def flaky(_: Broker) -> Login:
        if faults:
            raise faults.pop()
        return Login()

    async with fake_broker() as broker, MqttNotifier([broker.platform()], limits=QUICK, credentials=flaky) as work:
        error = await refused(work)
        assert "credentials" in str(error)
        assert "secret" not in str(error)
        await until(lambda: work.is_up("fake"))


async def test_an_unknown_platform_is_refused_and_may_be_retried_elsewhere() -> None:
    async with notifier() as work:
        assert not work.is_up("gone")
        assert "not configured" in work.state("gone")
        assert (await refused(work, "gone")).retryable


# --- what hangs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hung_look_up(monkeypatch: pytest.MonkeyPatch) -> Generator[threading.Event]:
    """Names that end in `.hung` are looked up for ever, until the event is set."""
    release = threading.Event()
    look_up = socket.getaddrinfo

    def hang(host: str, *rest: object, **more: object) -> object:
        if str(host).endswith(".hung"):
            release.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "released")
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    yield release
    release.set()


async def test_a_hung_name_look_up_delays_neither_the_loop_nor_another_platform(hung_look_up: threading.Event) -> None:
    async with fake_broker() as good, notifier(Broker("old", "mqtt://broker.hung:1883"), good.platform("new")) as work:
        work._links["old"]._limits = replace(QUICK, connect_seconds=0.5, acknowledge_seconds=0.5)
        for number in range(100):  # a loop that waited for the look-up would wait for ever
            assert await work.publish("new", notice(number), timeout_seconds=WAIT_SECONDS) == ""
            await asyncio.sleep(0.01)
        assert "no connection was made" in str(await refused(work, "old"))


async def test_hung_connects_do_not_pile_up_and_the_platform_comes_back(
    hung_look_up: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = MqttLimits(0.2, 0.1, 0.02, 0.02)

    def threads() -> int:
        return sum(thread.name == "mqtt-connect-old" for thread in threading.enumerate())

    async with notifier(Broker("old", "mqtt://broker.hung:1883"), limits=limits) as work:
        await until(lambda: "connects hang" in work.state("old"))
        assert threads() == 4
        await asyncio.sleep(0.3)
        assert threads() == 4
        hung_look_up.set()
        await until(lambda: "name" in work.state("old") and "connects hang" not in work.state("old"))


EXIT_SCRIPT = """
import asyncio, socket, sys, time
from adapters.mqtt.notifier import Broker, MqttNotifier
from orders.errors import NotAcknowledged
from tests.adapters.mqtt_fakes import QUICK, notice

socket.getaddrinfo = lambda *_, **__: time.sleep(600)

async def main():
    work = MqttNotifier([Broker("old", "mqtt://broker.example:1883")], limits=QUICK)
    try:
        await work.publish("old", notice(), timeout_seconds=0.5)
    except NotAcknowledged as error:
        print(error)
    {close}

asyncio.run(main())
"""


@pytest.mark.parametrize("close", ["await work.close()", "pass"], ids=["closed", "not closed"])
async def test_a_hung_connect_does_not_delay_the_process_exit(close: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-W", "error", "-c", EXIT_SCRIPT.format(close=close)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "not connected within 0.5 s" in done.stdout
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


async def test_close_waits_for_acknowledgements_on_their_way_and_says_disconnect() -> None:
    async with fake_broker(on_publish=silence) as broker:
        work = MqttNotifier([broker.platform()], limits=QUICK)
        publishing = asyncio.create_task(work.publish("fake", notice(), timeout_seconds=WAIT_SECONDS))
        await until(lambda: broker.published)
        closing = asyncio.create_task(work.close(30))
        await asyncio.sleep(0.05)
        assert "about to end" in str(await refused(work))
        assert not closing.done()
        broker.send(puback(0)(broker.published[0]) or b"")
        await closing
        assert await publishing == ""
        await until(lambda: broker.ends == ["DISCONNECT"])
        assert not work.is_up("fake")


async def test_close_is_bounded_whatever_the_brokers_do() -> None:
    async with fake_broker(on_connect=None) as hung, fake_broker(on_publish=silence) as silent:
        work = MqttNotifier([hung.platform("hung"), silent.platform("silent")], limits=QUICK)
        tasks = [asyncio.create_task(refused(work, name)) for name in ("hung", "silent")]
        await until(lambda: silent.published and hung.client_ids)
        async with asyncio.timeout(WAIT_SECONDS):
            await work.close(0.3)
        errors = await asyncio.gather(*tasks)
        assert all(error.retryable and "about to end" in str(error) for error in errors)


async def test_closing_twice_and_without_a_start_does_no_harm() -> None:
    async with fake_broker() as broker:
        work = MqttNotifier([broker.platform()])
        await work.close()
        await work.close()
        assert "about to end" in str(await refused(work))
        assert broker.accepted == 0


# --- the rate ---------------------------------------------------------------------------------------------------------


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
