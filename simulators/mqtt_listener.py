"""One subscription at one MQTT broker, held for ever: connects again whatever happens, acknowledges when told to."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from paho.mqtt.client import Client, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

VERSIONS = {"5": MQTTv5, "3.1.1": MQTTv311}
PORTS = {"mqtt": 1883, "mqtts": 8883}
KEEPALIVE_SECONDS = 5  # a broker that hangs is noticed soon
RECONNECT_SECONDS = 1
SESSION_EXPIRY_SECONDS = 86_400
QOS = 1
FAILURE = 0x80


class BrokerUrlError(ValueError):
    """The address can't be read; the text shows a good one."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is and what it speaks."""

    name: str
    host: str
    port: int
    version: str
    tls: bool = False
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, name: str, url: str, default_version: str) -> BrokerAddress:
        """`mqtt[s]://[user[:password]@]host:port[?version=5|3.1.1]`; raises BrokerUrlError."""
        try:
            parts = urlsplit(url)
            version = parse_qs(parts.query).get("version", [default_version])[0]
            if not name or parts.scheme not in PORTS or not parts.hostname or version not in VERSIONS:
                raise BrokerUrlError  # one place that says what a good address looks like
            port = parts.port or PORTS[parts.scheme]
        except ValueError as error:
            raise BrokerUrlError(
                f"{name}={url} is no broker; write name=mqtt://host:port, with ?version=3.1.1 where it needs that"
            ) from error
        user, password = (unquote(one) if one else None for one in (parts.username, parts.password))
        return cls(name, parts.hostname, port, version, parts.scheme == "mqtts", user, password)


@dataclass(frozen=True, slots=True)
class Received:
    """A message and the way to acknowledge it."""

    broker: str
    message: MQTTMessage
    acknowledge: Callable[[], None]


class Listener:
    """Holds one subscription. Callbacks run on paho's thread; `on_received` is called on the event loop.

    With `client_id` the session outlives the process (what comes meanwhile is received later); without, it is new.
    """

    def __init__(
        self, address: BrokerAddress, topic: str, client_id: str | None, on_received: Callable[[Received], None]
    ) -> None:
        self.address = address
        self.state = "connecting"
        self._topic = topic
        self._on_received = on_received
        self._loop = asyncio.get_running_loop()
        self._session = 0
        self._client = self._new_client(client_id)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        properties = None
        options: dict[str, Any] = {}
        if self.address.version == "5":
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = SESSION_EXPIRY_SECONDS if self._is_persistent else 0
            options = {"clean_start": not self._is_persistent, "properties": properties}
        self._client.connect_async(self.address.host, self.address.port, KEEPALIVE_SECONDS, **options)
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye; paho's thread ends by itself, it is not waited for."""
        self._client.disconnect()

    def _new_client(self, client_id: str | None) -> Client:
        self._is_persistent = client_id is not None
        options: dict[str, Any] = {} if self.address.version == "5" else {"clean_session": not self._is_persistent}
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or f"simulated-vehicles-{secrets.token_hex(6)}",
            protocol=VERSIONS[self.address.version],
            manual_ack=True,
            **options,
        )
        client.reconnect_delay_set(RECONNECT_SECONDS, RECONNECT_SECONDS)
        if self.address.user is not None:
            client.username_pw_set(self.address.user, self.address.password)
        if self.address.tls:
            client.tls_set_context(ssl.create_default_context())  # pyright: ignore[reportUnknownMemberType]  # paho
        client.on_connect = self._connected
        client.on_connect_fail = self._connect_failed
        client.on_subscribe = self._subscribed
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        return client

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if reason.value >= FAILURE:
            self.state = f"refused: {reason.getName()}"
            return
        self._session += 1
        self.state = "connected"
        client.subscribe(self._topic, QOS)

    def _connect_failed(self, _client: Client, _data: Any) -> None:
        self.state = "connecting"

    def _subscribed(
        self, _client: Client, _data: Any, _message_id: int, reasons: list[ReasonCode], _properties: Any
    ) -> None:
        refused = [reason for reason in reasons if reason.value >= FAILURE]
        self.state = f"refused: {refused[0].getName()}" if refused else "subscribed"

    def _disconnected(self, _client: Client, _data: Any, _flags: Any, _reason: ReasonCode, _properties: Any) -> None:
        if not self.state.startswith("refused"):
            self.state = "connecting"

    def _received(self, client: Client, _data: Any, message: MQTTMessage) -> None:
        session = self._session

        def acknowledge() -> None:
            if session == self._session:  # a new connection knows nothing of the old one's message IDs
                client.ack(message.mid, message.qos)

        received = Received(self.address.name, message, acknowledge)
        self._loop.call_soon_threadsafe(self._on_received, received)
