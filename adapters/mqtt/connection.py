"""One connection to an MQTT platform, from CONNECT to its end; it never reconnects and is never used again.

So nothing can be delivered later out of a queue of ours: what an ended connection had not sent ends with it.
"""

import asyncio
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, cast

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from adapters.mqtt.broker import Broker, MqttLimits
from adapters.mqtt.connecting import NotConnected
from adapters.mqtt.errors import FIRST_ERROR, QOS_NOT_SUPPORTED, TOO_LARGE, not_let_in, thrown_off
from adapters.mqtt.socket_driver import SocketDriver
from orders.notices import CONTENT_TYPE

_PUBLISH_OVERHEAD_BYTES: Final = 64
"""Fixed header, lengths, message ID, content type and expiry of a PUBLISH, rounded up."""

# paho 2.2 knows "packet too large" at CONNACK and DISCONNECT alone, as MQTT 5 lists it, and treats a PUBACK with it
# as a broken packet: the connection would drop, the notice come again, and the connection drop again, for ever.
_TOO_LARGE_TOO: Final = {"Packet too large": [PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.DISCONNECT]}
ReasonCode.names = MappingProxyType(cast("dict[int, Any]", {**ReasonCode.names, TOO_LARGE: _TOO_LARGE_TOO}))  # pyright: ignore[reportUnknownMemberType] - untyped in paho


class ConnectionEnded(Exception):
    """The connection ended before the acknowledgement; the text is a sentence for the operator.

    Attributes:
        too_large: the broker said so, and this was the only message on its way.
    """

    def __init__(self, sentence: str, *, too_large: bool = False) -> None:
        super().__init__(sentence)
        self.too_large = too_large


class TooLarge(Exception):
    """The message is larger than the broker takes, and was not sent."""


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    """A publish that was sent and not yet acknowledged. Its caller may have given up: then `answer` is cancelled."""

    answer: asyncio.Future[int]
    overdue_at: float


class Connection:
    """A connection that the broker has let in, or is about to. Bound to one event loop.

    Attributes:
        slots: one for each publish that may be on its way; the caller of `publish` holds one, this frees it.
        ended: None, or the sentence that says why it ended.
        proved: it has acknowledged something.
        missed: it ended for want of an acknowledgement.
        doubted: a caller has given up waiting, and nothing was acknowledged since.
    """

    def __init__(self, client: Client, broker: Broker, limits: MqttLimits) -> None:
        self.ended: str | None = None
        self.proved = False
        self.missed = False
        self.doubted = False
        self.slots = asyncio.Semaphore(limits.unacknowledged_most)
        self._client = client
        self._broker = broker
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._let_in: asyncio.Future[None] = self._loop.create_future()
        self._over = asyncio.Event()
        self._on_their_way: dict[int, _OnItsWay] = {}
        self._largest_packet_bytes: int | None = None
        self._overdue_timer: asyncio.TimerHandle | None = None
        self._properties = _publish_properties(broker, limits)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        self._serving = SocketDriver(client, broken=self._on_broken)

    async def let_in(self) -> None:
        """Wait for the CONNACK, which the caller limits.

        Raises:
            NotConnected: the broker refused, or hung up.
        """
        await self._let_in

    async def wait_ended(self) -> str:
        """Wait for the end; why it came, as a sentence."""
        await self._over.wait()
        return self.ended or ""

    async def drained(self) -> None:
        """Wait until nobody waits for an acknowledgement any more."""
        waiting = [sent.answer for sent in self._on_their_way.values() if not sent.answer.done()]
        if waiting:
            await asyncio.wait(waiting)

    def publish(self, topic: str, payload: bytes) -> "asyncio.Future[int]":
        """Send with QoS 1, not retained; the future holds the PUBACK's reason code, or raises `ConnectionEnded`.

        Frees the caller's slot once it is acknowledged or the connection has ended, whether somebody waits or not.

        Raises:
            TooLarge: nothing was sent.
            ConnectionEnded: nothing was sent, or it is unknown.
            ValueError: no such topic can be; nothing was sent.
        """
        try:
            message_id = self._send(topic, payload)
        except BaseException:
            self.slots.release()
            raise
        sent = _OnItsWay(self._loop.create_future(), self._loop.time() + self._limits.acknowledge_seconds)
        self._on_their_way[message_id] = sent
        if self._overdue_timer is None:
            self._overdue_timer = self._loop.call_at(sent.overdue_at, self._look_for_overdue)
        return sent.answer

    def end(self, sentence: str, *, reset: bool, too_large: bool = False) -> None:
        """End it now, with everything that is on its way and every queue; does nothing the second time.

        Args:
            sentence: why, for the operator.
            reset: throw away what the kernel has not sent yet; else say DISCONNECT and let the kernel finish.
            too_large: the broker closed because of a message's size.
        """
        if self.ended is not None:
            return
        self.ended = sentence
        if self._overdue_timer is not None:
            self._overdue_timer.cancel()
        self._serving.stop(reset=reset)
        if not self._let_in.done():
            self._let_in.set_exception(NotConnected(sentence))
            self._let_in.exception()  # nobody may be waiting any more: no warning about that
        sole = len(self._on_their_way) == 1
        for sent in self._on_their_way.values():
            self.slots.release()
            if not sent.answer.done():
                sent.answer.set_exception(ConnectionEnded(sentence, too_large=too_large and sole))
        self._on_their_way.clear()
        self._over.set()

    def _send(self, topic: str, payload: bytes) -> int:
        if self.ended is not None:
            raise ConnectionEnded(self.ended)
        largest_bytes = self._largest_packet_bytes
        if largest_bytes is not None and len(topic.encode()) + len(payload) + _PUBLISH_OVERHEAD_BYTES > largest_bytes:
            raise TooLarge
        info = self._client.publish(topic, payload, qos=1, retain=False, properties=self._properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            # It now sits in a queue of paho's, which goes with the client.
            sentence = f"{self._broker.whom} lost the connection: look whether the broker runs."
            self.end(sentence, reset=True)
            raise ConnectionEnded(sentence)
        return info.mid

    def _look_for_overdue(self) -> None:
        """The oldest on its way is the first of the dict: sends are in order, and none is put in twice."""
        self._overdue_timer = None
        oldest = next(iter(self._on_their_way.values()), None)
        if oldest is None:
            return
        if self._loop.time() < oldest.overdue_at:
            self._overdue_timer = self._loop.call_at(oldest.overdue_at, self._look_for_overdue)
            return
        self.missed = True
        self.end(
            f"{self._broker.whom} did not acknowledge within {self._limits.acknowledge_seconds:g} s:"
            " look whether the broker hangs.",
            reset=True,
        )

    # --- callbacks, all on the loop's thread -------------------------------------------------------------------------

    def _on_connect(
        self, _client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.value >= FIRST_ERROR:
            self.end(not_let_in(self._broker, reason.value), reset=False)
            return
        if getattr(properties, "MaximumQoS", 1) == 0:
            self.end(thrown_off(self._broker, QOS_NOT_SUPPORTED), reset=False)
            return
        self._largest_packet_bytes = getattr(properties, "MaximumPacketSize", None)
        receive_maximum = getattr(properties, "ReceiveMaximum", self._limits.unacknowledged_most)
        if receive_maximum < self._limits.unacknowledged_most:
            self.slots = asyncio.Semaphore(receive_maximum)
        if not self._let_in.done():
            self._let_in.set_result(None)

    def _on_disconnect(
        self, _client: Client, _data: Any, flags: DisconnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        code = reason.value
        if flags.is_disconnect_packet_from_server:
            self.end(thrown_off(self._broker, code), reset=False, too_large=code == TOO_LARGE)
        elif not self._let_in.done():
            self.end(
                f"{self._broker.whom} closed the connection instead of letting us in:"
                " check `version`, user and password in TOPUP_MQTT_BROKERS.",
                reset=False,
            )
        else:
            self.end(f"{self._broker.whom} lost the connection: look whether the broker runs.", reset=False)

    def _on_publish(
        self, _client: Client, _data: Any, message_id: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        sent = self._on_their_way.pop(message_id, None)
        if sent is None:
            return
        self.proved = True
        self.doubted = False
        self.slots.release()
        if not sent.answer.done():
            sent.answer.set_result(reason.value)

    def _on_broken(self, error: Exception) -> None:
        self.end(
            f"{self._broker.whom} sent what is no MQTT {self._broker.version} ({type(error).__name__}):"
            " check `url` and `version` in TOPUP_MQTT_BROKERS.",
            reset=True,
        )


def _publish_properties(broker: Broker, limits: MqttLimits) -> Properties | None:
    if broker.version != "5":
        return None
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = CONTENT_TYPE
    properties.MessageExpiryInterval = limits.message_expiry_seconds
    return properties
