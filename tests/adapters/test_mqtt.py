"""Notices on real brokers: mosquitto and amqtt."""

import asyncio
import base64
import hashlib
import json
import ssl
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from activities.ports import Notifier
from adapters.mqtt.notifier import Broker, MqttNotifier
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import free_port
from orders.errors import NotAcknowledged
from tests.adapters.mqtt_fakes import QUICK, VIN, connack, disconnect, fake_broker, miss_soon, notice, notifier, until
from tests.adapters.mqtt_head_unit import HeadUnit
from tests.certificates import Certificates, make_certificates
from tests.limits import WAIT_SECONDS

pytestmark = pytest.mark.real

VERSIONS: Sequence[Literal["5", "3.1.1"]] = ("5", "3.1.1")


@contextmanager
def own_broker(shared: Mosquitto, *config: str) -> Generator[Mosquitto]:
    """A broker that a test may configure, kill and freeze; `shared` shows that mosquitto can be had at all."""
    with Mosquitto(config=config) as broker:
        yield broker


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic of the test's own on the shared broker."""
    return f"t{abs(hash(request.node.nodeid))}/{{vin}}/topup"


def test_it_is_a_notifier() -> None:
    work: Notifier = MqttNotifier([Broker("new", "mqtt://h:1"), Broker("old", "mqtt://h:2")])
    assert work.platforms == ("new", "old")


# --- delivery ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_head_unit_gets_the_notice_byte_for_byte(
    mosquitto: Mosquitto, topic: str, version: Literal["5", "3.1.1"]
) -> None:
    platform = Broker("new", mosquitto.url, version=version, topic=topic)
    async with notifier(platform) as work, HeadUnit(mosquitto.port, topic.format(vin=VIN)) as car:
        assert await work.publish("new", notice(), timeout_seconds=WAIT_SECONDS) == ""
        (message,) = await car.take(1)
    assert message.payload == notice().payload
    assert json.loads(message.payload)["id"] == "T000000000001:delivered"
    assert (message.qos, message.retain) == (1, False)
    properties: Any = message.properties
    if version == "5":
        assert properties.ContentType == "application/cloudevents+json"
        assert 604_790 <= properties.MessageExpiryInterval <= 604_800
    else:
        assert not hasattr(properties, "ContentType")


async def test_a_car_that_is_away_gets_it_when_it_comes_back(mosquitto: Mosquitto, topic: str) -> None:
    async with HeadUnit(mosquitto.port, topic.format(vin=VIN), client_id=topic.replace("/", "-"), persistent=True):
        pass
    async with notifier(Broker("new", mosquitto.url, topic=topic)) as work:
        assert [await work.publish("new", notice(n), timeout_seconds=WAIT_SECONDS) for n in range(3)] == [""] * 3
    async with HeadUnit(
        mosquitto.port, topic.format(vin=VIN), client_id=topic.replace("/", "-"), persistent=True
    ) as car:
        messages = await car.take(3)
    assert [message.payload for message in messages] == [notice(n).payload for n in range(3)]


async def test_nobody_there_is_a_remark(mosquitto: Mosquitto, topic: str) -> None:
    async with notifier(Broker("new", mosquitto.url, topic=topic)) as work:
        assert await work.publish("new", notice(), timeout_seconds=WAIT_SECONDS) == "no subscriber"


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
async def test_500_at_once_are_all_acknowledged_and_each_comes_once(
    mosquitto: Mosquitto, topic: str, version: Literal["5", "3.1.1"]
) -> None:
    platform = Broker("new", mosquitto.url, version=version, topic=topic)
    async with notifier(platform) as work, HeadUnit(mosquitto.port, topic.format(vin=VIN)) as car:
        outcomes = await asyncio.gather(
            *(work.publish("new", notice(n), timeout_seconds=WAIT_SECONDS) for n in range(500))
        )
        messages = await car.take(500)
        await work.publish("new", notice(999), timeout_seconds=WAIT_SECONDS)
        (last,) = await car.take(1)  # so nothing more was before it
    assert outcomes == [""] * 500
    assert sorted(message.payload for message in messages) == sorted(notice(n).payload for n in range(500))
    assert last.payload == notice(999).payload


async def test_amqtt_takes_notices_as_mqtt_3() -> None:
    port = free_port()
    async with (
        amqtt_broker(port),
        notifier(Broker("old", f"mqtt://127.0.0.1:{port}", version="3.1.1", topic="a/{vin}")) as work,
        HeadUnit(port, f"a/{VIN}", version="3.1.1") as car,
    ):
        for number in range(20):
            assert await work.publish("old", notice(number), timeout_seconds=WAIT_SECONDS) == ""
        messages = await car.take(20)
    assert [message.payload for message in messages] == [notice(n).payload for n in range(20)]


async def test_a_broker_that_speaks_only_mqtt_3_asks_for_the_setting() -> None:
    port = free_port()
    async with amqtt_broker(port), notifier(Broker("old", f"mqtt://127.0.0.1:{port}"), limits=QUICK) as work:
        with pytest.raises(NotAcknowledged, match="version"):
            await work.publish("old", notice(), timeout_seconds=WAIT_SECONDS)


@asynccontextmanager
async def amqtt_broker(port: int) -> AsyncGenerator[None]:
    # Imported here: it is slow to import, and two tests need it.
    from amqtt.broker import Broker  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs] - has none

    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}})
    await broker.start()
    try:
        yield
    finally:
        await broker.shutdown()


# --- brokers that break -----------------------------------------------------------------------------------------------


async def test_a_killed_broker_is_found_again(mosquitto: Mosquitto) -> None:
    with own_broker(mosquitto) as broker:
        async with notifier(Broker("new", broker.url), limits=QUICK) as work:
            await work.publish("new", notice(1), timeout_seconds=WAIT_SECONDS)
            await asyncio.to_thread(broker.kill)
            await until(lambda: not work.is_up("new"))
            with pytest.raises(NotAcknowledged, match="MQTT platform new"):
                await work.publish("new", notice(2), timeout_seconds=1)
            await asyncio.to_thread(broker.start)
            await until(lambda: work.is_up("new"))
            await work.publish("new", notice(3), timeout_seconds=WAIT_SECONDS)


async def test_a_broker_killed_in_mid_flight_ends_every_publish_and_each_that_was_acknowledged_since_arrives(
    mosquitto: Mosquitto,
) -> None:
    """What raised is sent again, the same bytes, as the activity does. (kill -9 loses what mosquitto had in memory.)"""
    with own_broker(mosquitto) as broker:
        async with HeadUnit(broker.port, f"k/{VIN}", client_id="car", persistent=True):
            pass
        platform = Broker("new", broker.url, topic="k/{vin}", publishes_per_second=400)
        async with notifier(platform, limits=QUICK) as work:
            done: list[int] = []

            async def insist(number: int) -> int:
                failures = 0
                while True:
                    try:
                        await work.publish("new", notice(number), timeout_seconds=WAIT_SECONDS)
                    except NotAcknowledged:
                        failures += 1
                        await asyncio.sleep(0.1)
                    else:
                        done.append(number)
                        return failures

            tasks = [asyncio.create_task(insist(number)) for number in range(400)]
            await until(lambda: len(done) > 100)
            await asyncio.to_thread(broker.kill)
            await until(lambda: not work.is_up("new"))
            await asyncio.sleep(0.1)  # what was acknowledged before has been counted, and nothing else can be
            before = set(done)
            await asyncio.to_thread(broker.start)
            assert sum(await asyncio.gather(*tasks)) > 0
        since = {notice(number).payload for number in set(range(400)) - before}
        async with HeadUnit(broker.port, f"k/{VIN}", client_id="car", persistent=True) as car:
            seen = await car.take_until(since)
        assert seen <= {notice(number).payload for number in range(400)}


async def test_a_broker_frozen_in_mid_flight_delays_nobody_else_gets_nothing_twice_and_recovers(
    mosquitto: Mosquitto, topic: str
) -> None:
    """What the broker's own kernel had taken before may be delivered after the thaw, once; we send nothing again."""
    with own_broker(mosquitto) as frozen:
        old = Broker("old", frozen.url, topic="f/{vin}")
        new = Broker("new", mosquitto.url, topic=topic)
        async with HeadUnit(frozen.port, f"f/{VIN}") as car, notifier(old, new, limits=QUICK) as work:
            await work.publish("old", notice(0), timeout_seconds=WAIT_SECONDS)
            miss_soon(work, "old")
            frozen.freeze()
            stuck = [
                asyncio.create_task(work.publish("old", notice(n), timeout_seconds=WAIT_SECONDS)) for n in range(1, 51)
            ]
            for number in range(50):
                await work.publish("new", notice(number), timeout_seconds=WAIT_SECONDS)
            errors = await asyncio.gather(*stuck, return_exceptions=True)
            assert all(isinstance(error, NotAcknowledged) and error.retryable for error in errors)
            assert not work.is_up("old")
            assert work.is_up("new")
            frozen.thaw()
            await until(lambda: work.is_up("old"))
            await work.publish("old", notice(99), timeout_seconds=WAIT_SECONDS)
            payloads = [(await car.take(1))[0].payload]
            while payloads[-1] != notice(99).payload:
                payloads += [message.payload for message in await car.take(1)]
            assert payloads[0] == notice(0).payload
            assert len(payloads) == len(set(payloads))


async def test_closing_is_bounded_with_a_frozen_broker(mosquitto: Mosquitto) -> None:
    with own_broker(mosquitto) as frozen:
        work = MqttNotifier([Broker("old", frozen.url)], limits=QUICK)
        await work.publish("old", notice(), timeout_seconds=WAIT_SECONDS)
        frozen.freeze()
        stuck = asyncio.create_task(work.publish("old", notice(), timeout_seconds=WAIT_SECONDS))
        await asyncio.sleep(0.05)
        await asyncio.wait_for(work.close(0.3), WAIT_SECONDS)
        with pytest.raises(NotAcknowledged, match="about to end"):
            await stuck
        frozen.thaw()


# --- what brokers refuse ----------------------------------------------------------------------------------------------


async def test_a_topic_that_the_brokers_rules_forbid_is_refused_for_good(mosquitto: Mosquitto, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read #\n")
    with own_broker(mosquitto, f"acl_file {rules}") as broker:
        async with notifier(Broker("new", broker.url)) as work:
            with pytest.raises(NotAcknowledged, match="access rules") as refused:
                await work.publish("new", notice(), timeout_seconds=WAIT_SECONDS)
    assert not refused.value.retryable


async def test_a_wrong_password_is_a_sentence_and_the_right_one_gets_in(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with own_broker(mosquitto, *password_file(tmp_path, "car", "right%/word")) as broker:
        good = Broker("good", f"mqtt://car:right%25%2Fword@127.0.0.1:{broker.port}")
        bad = [
            Broker(f"bad{version[0]}", f"mqtt://car:wrongword@127.0.0.1:{broker.port}", version=version)
            for version in VERSIONS
        ]
        async with notifier(good, *bad, limits=QUICK) as work:
            assert await work.publish("good", notice(), timeout_seconds=WAIT_SECONDS) == "no subscriber"
            for platform in bad:
                with pytest.raises(NotAcknowledged, match="check user, password") as refused:
                    await work.publish(platform.name, notice(), timeout_seconds=WAIT_SECONDS)
                assert "wrongword" not in str(refused.value)
                assert refused.value.retryable


async def test_a_broker_with_a_size_limit_refuses_for_good_before_it_hangs_up(mosquitto: Mosquitto) -> None:
    with own_broker(mosquitto, "max_packet_size 200") as broker:
        async with notifier(Broker("new", broker.url)) as work:
            with pytest.raises(NotAcknowledged, match="size") as refused:
                await work.publish("new", notice(), timeout_seconds=WAIT_SECONDS)
            assert not refused.value.retryable
            assert work.is_up("new")


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


async def test_tls_with_an_authority_of_our_own(mosquitto: Mosquitto, certificates: Certificates) -> None:
    with tls_broker(mosquitto, certificates) as (broker, url):
        platform = Broker("new", url, cafile=certificates.authority, topic="s/{vin}")
        async with notifier(platform) as work, HeadUnit(broker.port, f"s/{VIN}") as car:
            outcomes = await asyncio.gather(
                *(work.publish("new", notice(n), timeout_seconds=WAIT_SECONDS) for n in range(500))
            )
            messages = await car.take(500)
    assert outcomes == [""] * 500
    assert sorted(message.payload for message in messages) == sorted(notice(n).payload for n in range(500))


async def test_a_certificate_of_somebody_else_is_not_trusted(mosquitto: Mosquitto, certificates: Certificates) -> None:
    with tls_broker(mosquitto, certificates) as (_, url):
        stranger = Broker("stranger", url, cafile=certificates.other_authority)
        system = Broker("system", url)
        other_name = Broker("othername", url.replace("127.0.0.1", "localhost"), cafile=certificates.authority)
        async with notifier(stranger, system, other_name, limits=QUICK) as work:
            for platform in (stranger, system, other_name):
                with pytest.raises(NotAcknowledged, match=r"not trusted .* check `cafile`"):
                    await work.publish(platform.name, notice(), timeout_seconds=WAIT_SECONDS)


async def test_a_broker_that_wants_our_certificate_gets_it(mosquitto: Mosquitto, certificates: Certificates) -> None:
    with tls_broker(mosquitto, certificates, "require_certificate true") as (_, url):
        certfile, keyfile = certificates.client
        with_it = Broker("with", url, cafile=certificates.authority, certfile=certfile, keyfile=keyfile)
        without = Broker("without", url, cafile=certificates.authority)
        async with notifier(with_it, without, limits=QUICK) as work:
            await work.publish("with", notice(), timeout_seconds=WAIT_SECONDS)
            with pytest.raises(NotAcknowledged, match="MQTT platform without"):
                await work.publish("without", notice(), timeout_seconds=WAIT_SECONDS)


async def test_certificate_files_that_cannot_be_used_are_named(mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    absent = Broker("absent", f"mqtts://127.0.0.1:{mosquitto.port}", cafile=str(tmp_path / "none.pem"))
    empty = Broker("empty", f"mqtts://127.0.0.1:{mosquitto.port}", cafile=str(tmp_path / "empty.pem"))
    async with notifier(absent, empty, limits=QUICK) as work:
        for platform in (absent, empty):
            with pytest.raises(NotAcknowledged, match="`cafile`, `certfile` or `keyfile` can't be used"):
                await work.publish(platform.name, notice(), timeout_seconds=WAIT_SECONDS)


async def test_tls_to_a_port_without_it_and_the_other_way_round_say_so(
    mosquitto: Mosquitto, certificates: Certificates
) -> None:
    with tls_broker(mosquitto, certificates) as (broker, url):
        tls_to_plain = Broker("a", f"mqtts://127.0.0.1:{broker.port}", cafile=certificates.authority)
        plain_to_tls = Broker("b", url.replace("mqtts", "mqtt"))
        async with notifier(tls_to_plain, plain_to_tls, limits=QUICK) as work:
            with pytest.raises(NotAcknowledged, match=r"TLS|closed"):
                await work.publish("a", notice(), timeout_seconds=WAIT_SECONDS)
            with pytest.raises(NotAcknowledged, match="check"):
                await work.publish("b", notice(), timeout_seconds=WAIT_SECONDS)


async def test_a_hung_tls_handshake_is_bounded_and_delays_nobody_else(mosquitto: Mosquitto, topic: str) -> None:
    async with fake_broker(on_connect=None) as hung:
        old = Broker("old", f"mqtts://127.0.0.1:{hung.port}")
        new = Broker("new", mosquitto.url, topic=topic)
        async with notifier(old, new, limits=QUICK) as work:
            stuck = asyncio.create_task(work.publish("old", notice(), timeout_seconds=2))
            for number in range(20):
                await work.publish("new", notice(number), timeout_seconds=WAIT_SECONDS)
            with pytest.raises(NotAcknowledged, match="MQTT platform old"):
                await stuck


async def test_packets_that_come_in_one_tls_record_are_all_read(certificates: Certificates) -> None:
    """What TLS has decrypted already doesn't make the socket readable again."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*certificates.server)
    async with fake_broker(tls=server, on_connect=connack() + disconnect(0x98)) as broker:
        platform = Broker("new", f"mqtts://127.0.0.1:{broker.port}", cafile=certificates.authority)
        async with notifier(platform, limits=QUICK) as work:
            with pytest.raises(NotAcknowledged, match="administrator"):
                await work.publish("new", notice(), timeout_seconds=WAIT_SECONDS)
        assert broker.published == []


@contextmanager
def tls_broker(shared: Mosquitto, certificates: Certificates, *config: str) -> Generator[tuple[Mosquitto, str]]:
    """A broker with a plain listener for the head unit, and the url of its TLS one."""
    port = free_port()
    certfile, keyfile = certificates.server
    listener = [
        f"listener {port} 127.0.0.1",
        f"cafile {certificates.authority}",
        f"certfile {certfile}",
        f"keyfile {keyfile}",
    ]
    with own_broker(shared, *listener, *config) as broker:
        yield broker, f"mqtts://127.0.0.1:{port}"


def password_file(folder: Path, user: str, password: str) -> Sequence[str]:
    """mosquitto's lines for one user and nobody else; PBKDF2 with SHA-512 as `mosquitto_passwd` writes it."""
    salt = b"twelve bytes"
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    parts = (base64.b64encode(part).decode() for part in (salt, digest))
    (folder / "passwords").write_text(f"{user}:$7$101${'$'.join(parts)}\n")
    return f"password_file {folder / 'passwords'}", "allow_anonymous false"
