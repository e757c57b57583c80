"""The broker's configuration, run by a real mosquitto."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from adapters.mqtt.settings import parse_brokers
from devkit.servers.mosquitto import Mosquitto
from tests.deploy.files import ROOT

pytestmark = pytest.mark.real
REFUSED = 0x87
TOPIC = "vehicles/LSGBC5342AG000001/topup"


class Deployed(Mosquitto):
    """mosquitto with the configuration of `deploy/`, its paths and port replaced."""

    def __init__(self, secrets: Path) -> None:
        super().__init__()
        self._secrets = secrets

    def prepare(self) -> None:
        text = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text()
        for theirs, ours in (
            ("listener 1883", f"listener {self.port} 127.0.0.1"),
            ("/run/secrets", str(self._secrets)),
            ("/mosquitto/config", str(ROOT / "deploy/mosquitto")),
            ("/mosquitto/data", str(self.folder)),
        ):
            assert theirs in text
            text = text.replace(theirs, ours)
        as_root = "" if os.geteuid() else "user root\n"
        (self.folder / "mosquitto.conf").write_text(as_root + text)


@pytest.fixture(scope="module")
def broker(mosquitto: Mosquitto, made_secrets: Path) -> Iterator[Deployed]:
    """`mosquitto` is asked for, because it says what is missing where there is none."""
    deployed = Deployed(made_secrets)
    try:
        deployed.start()
        yield deployed
    finally:
        deployed.close()


class Client:
    """A client that has connected, or was refused, with what it received."""

    def __init__(self, broker: Deployed, user: str | None = None, password: str = "") -> None:
        self._loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[int] = self._loop.create_future()
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.published: asyncio.Queue[int] = asyncio.Queue()
        self.subscribed: asyncio.Queue[int] = asyncio.Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        if user is not None:
            self.client.username_pw_set(user, password)
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self._say(self._connect, reason.value)
        self.client.on_message = lambda _c, _u, message: self._say(self.received.put_nowait, message.payload)
        self.client.on_publish = lambda _c, _u, _m, reason, _p: self._say(self.published.put_nowait, reason.value)
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self._say(self.subscribed.put_nowait, codes[0].value)
        self.client.connect(broker.host, broker.port)
        self.client.loop_start()

    def _say(self, call, value) -> None:
        self._loop.call_soon_threadsafe(call, value)

    def _connect(self, reason: int) -> None:
        if not self.connected.done():
            self.connected.set_result(reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, 20)


async def test_nobody_gets_in_without_the_password(broker):
    for user, password in ((None, ""), ("topup", "wrong"), ("vehicles", "")):
        async with Client(broker, user, password) as stranger:
            assert await soon(stranger.connected) in (0x86, 0x87)


async def test_a_notice_of_the_product_reaches_the_vehicles_and_nobody_else_can_write_or_read(broker, made_secrets):
    (product_settings,) = parse_brokers((made_secrets / "topup_mqtt_brokers").read_text())
    vehicles_password = (made_secrets / "mosquitto_vehicles_password").read_text().strip()
    async with (
        Client(broker, product_settings.username, product_settings.password or "") as product,
        Client(broker, "vehicles", vehicles_password) as vehicles,
    ):
        assert await soon(product.connected) == 0
        assert await soon(vehicles.connected) == 0
        vehicles.client.subscribe("vehicles/+/topup", qos=1)
        assert await soon(vehicles.subscribed.get()) == 1
        product.client.publish(TOPIC, b"notice", qos=1)
        assert await soon(vehicles.received.get()) == b"notice"
        assert await soon(product.published.get()) == 0
        product.client.publish("elsewhere", b"x", qos=1)
        assert await soon(product.published.get()) == REFUSED
        vehicles.client.publish(TOPIC, b"forged", qos=1)
        assert await soon(vehicles.published.get()) == REFUSED
        assert vehicles.received.empty()


def test_the_broker_of_the_settings_is_the_one_of_the_compose_file(made_secrets):
    (settings,) = parse_brokers((made_secrets / "topup_mqtt_brokers").read_text())
    assert (settings.host, settings.port, settings.tls) == ("mosquitto", 1883, False)
