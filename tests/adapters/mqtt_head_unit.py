"""The car's head unit, as far as MQTT goes: a subscriber that keeps what it got."""

import asyncio
import queue
import threading
from typing import Any, Literal, Self

from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.limits import WAIT_SECONDS


class HeadUnit:
    """Subscribed with QoS 1 once it is entered; `persistent`: with a session that outlives the connection."""

    def __init__(
        self,
        port: int,
        topic: str,
        *,
        client_id: str = "",
        persistent: bool = False,
        version: Literal["5", "3.1.1"] = "5",
    ) -> None:
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self._port = port
        self._topic = topic
        self._persistent = persistent
        self._subscribed = threading.Event()
        self._five = version == "5"
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if self._five else MQTTProtocolVersion.MQTTv311,
        )
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._connect)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def take(self, count: int) -> list[MQTTMessage]:
        """The next `count` messages; fails the test when they don't come."""
        return await asyncio.to_thread(lambda: [self.messages.get(timeout=WAIT_SECONDS) for _ in range(count)])

    async def take_until(self, payloads: set[bytes]) -> set[bytes]:
        """All payloads up to when `payloads` are among them; fails the test when they don't come."""
        seen: set[bytes] = set()
        while not payloads <= seen:
            seen.update(bytes(message.payload) for message in await self.take(1))
        return seen

    def _connect(self) -> None:
        properties = None
        if self._persistent:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 600
        clean = not self._persistent if self._five else MQTT_CLEAN_START_FIRST_ONLY
        self._client.connect("127.0.0.1", self._port, clean_start=clean, properties=properties)
        self._client.loop_start()
        assert self._subscribed.wait(10)

    def _on_connect(self, client: Client, *_: Any) -> None:
        client.subscribe(self._topic, qos=1)

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed.set()

    def _on_message(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.messages.put(message)
