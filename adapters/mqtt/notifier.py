"""Notices to vehicles over MQTT: any number of platforms side by side, none of which can delay another.

What paho-mqtt 2.2 and brokers do to those who trust them is in docs/facts/mqtt.md; each trap has a test.
"""

import asyncio
import os
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from adapters.mqtt.broker import Broker, Credentials, Login, MqttLimits, static_credentials
from adapters.mqtt.managed_connection import ManagedConnection
from orders.errors import NotAcknowledged
from orders.notices import Notice

__all__ = ["Broker", "Credentials", "Login", "MqttLimits", "MqttNotifier"]

_CLOSE_SECONDS: Final = 5.0


class MqttNotifier:
    """`activities.ports.Notifier`: one long-lived connection for each platform.

    Built anywhere, used on one event loop. Nothing in it blocks that loop: name look-up, TCP and TLS run on a daemon
    thread of the platform concerned, so that neither a hung one nor the process's exit waits for another.
    """

    def __init__(
        self,
        brokers: Sequence[Broker],
        *,
        service: str = "topup",
        limits: MqttLimits | None = None,
        credentials: Credentials = static_credentials,
    ) -> None:
        """Describe it; connects nothing.

        Args:
            brokers: with names of their own.
            service: first part of the client IDs.
            limits: already scaled by `TOPUP_TIME_SCALE`.
            credentials: asked at each connect; by default those of the settings.

        Raises:
            ValueError: two brokers have one name.
        """
        self._connections = {
            broker.name: ManagedConnection(
                broker, limits or MqttLimits(), credentials, service=service, process_id=os.getpid()
            )
            for broker in brokers
        }
        if len(self._connections) != len(brokers):
            raise ValueError("Two MQTT platforms have one name: give each its own in TOPUP_MQTT_BROKERS.")

    async def start(self) -> None:
        """Begin to connect to all platforms in the background; waits for none and never fails."""
        for connection in self._connections.values():
            connection.start()

    async def close(self, timeout_seconds: float = _CLOSE_SECONDS) -> None:
        """Refuse new publishes, wait for the acknowledgements on their way, and hang up.

        Takes at most `timeout_seconds` whatever the brokers do; what was not acknowledged raises for its caller.
        """
        await asyncio.gather(
            *(connection.close(timeout_seconds=timeout_seconds) for connection in self._connections.values())
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def platforms(self) -> tuple[str, ...]:
        """The configured platforms' names, in order."""
        return tuple(self._connections)

    def is_up(self, platform: str) -> bool:
        """Whether a publish would find a live connection now, one that owes nobody an acknowledgement."""
        connection = self._connections.get(platform)
        return connection is not None and connection.is_up

    def state(self, platform: str) -> str:
        """Where the platform stands: one sentence for `/readyz`, without credentials or personal data."""
        connection = self._connections.get(platform)
        return _unknown(platform) if connection is None else connection.state

    async def publish(self, platform: str, notice: Notice, *, timeout_seconds: float) -> str:
        """Publish with QoS 1, not retained; returns once acknowledged: `""` or "no subscriber".

        Acknowledged means that the broker has it, not the car. Where the platform is known to be down it fails at
        once; where it is being connected for the first time, or again after a good connection, it waits for that.
        Whoever gives up may still have been heard: retries send the same bytes, and the head unit drops repeats.

        Args:
            platform: its configured name.
            notice: its topic comes from the platform's template.
            timeout_seconds: for all of it: connect, CONNACK, the turn that the platform's rate allows, PUBACK.

        Raises:
            NotAcknowledged: with a sentence that says what to check.
        """
        connection = self._connections.get(platform)
        if connection is None:  # may be retried: during a roll-out another worker knows it
            raise NotAcknowledged(_unknown(platform))
        return await connection.publish(notice, timeout_seconds=timeout_seconds)


def _unknown(platform: str) -> str:
    return f"MQTT platform {platform} is not configured in this process: add it to TOPUP_MQTT_BROKERS."
