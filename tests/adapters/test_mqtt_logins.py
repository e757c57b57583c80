"""A broker that lets nobody in: what to check is said, and credentials are asked for at each connect."""

import threading

import pytest

from adapters.mqtt.notifier import Broker, Login, MqttNotifier
from tests.adapters.mqtt_fakes import QUICK, connack, fake_broker, notice, notifier, refused, until
from tests.limits import WAIT_SECONDS


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
