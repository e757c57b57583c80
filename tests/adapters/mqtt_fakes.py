"""A broker by hand: speaks just enough MQTT to misbehave in the ways that real ones do."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Literal

import pytest

from adapters.mqtt import managed_connection
from adapters.mqtt.notifier import Broker, MqttLimits, MqttNotifier
from orders.errors import NotAcknowledged
from orders.notices import Notice, compose
from tests.limits import WAIT_SECONDS

DISCONNECT = 14
End = Literal["DISCONNECT", "closed", "reset"]
VIN = "LSGBC5342AG000001"
NEVER_SECONDS = 10 * WAIT_SECONDS
QUICK = MqttLimits(
    connect_seconds=NEVER_SECONDS,
    acknowledge_seconds=NEVER_SECONDS,
    back_off_first_seconds=0.1,
    back_off_longest_seconds=0.2,
)
"""Tries again soon, and calls no broker of a machine that stands still for a while dead."""


@dataclass(frozen=True)
class Publish:
    """A PUBLISH as it came in."""

    message_id: int
    topic: str
    payload: bytes
    qos: int
    retained: bool
    repeated: bool
    at: float


Answer = Callable[[Publish], bytes | None]


def puback(code: int | None) -> Answer:
    """Acknowledge each publish; None: with MQTT 3.1.1's packet, which has no reason code."""

    def answer(publish: Publish) -> bytes:
        body = publish.message_id.to_bytes(2, "big") + (b"" if code is None else bytes([code]))
        return bytes([0x40, len(body)]) + body

    return answer


def silence(_: Publish) -> None:
    """Never acknowledge."""


def disconnect(code: int) -> bytes:
    """MQTT 5's DISCONNECT from the server."""
    return bytes([0xE0, 1, code])


def connack(code: int = 0, properties: bytes = b"", *, version: Literal["5", "3.1.1"] = "5") -> bytes:
    """CONNACK; `properties` of MQTT 5 without their length."""
    body = bytes([0, code]) + (bytes([len(properties)]) + properties if version == "5" else b"")
    return bytes([0x20, len(body)]) + body


@dataclass
class FakeBroker:
    """What it does may be changed while it runs.

    Attributes:
        on_connect: the answer to CONNECT; None: never one.
        on_publish: gives the answer to PUBLISH; None from it: never one.
        on_ping: the answer to PINGREQ; None: never one.
    """

    on_connect: bytes | None = field(default_factory=connack)
    on_publish: Answer = field(default_factory=lambda: puback(0))
    on_ping: bytes | None = b"\xd0\x00"
    pings: int = 0
    client_ids: list[str] = field(default_factory=list[str])
    logins: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    published: list[Publish] = field(default_factory=list[Publish])
    accepted: int = 0
    ends: list[End] = field(default_factory=list[End])
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list[asyncio.StreamWriter])

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def platform(self, name: str = "fake", **members: object) -> Broker:
        return Broker(name, self.url, **members)  # pyright: ignore[reportArgumentType] - tests only

    def send(self, packet: bytes) -> None:
        """To whoever is connected."""
        for writer in self.writers:
            writer.write(packet)

    def drop(self) -> None:
        """Close every connection without a word."""
        for writer in self.writers:
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.writers.append(writer)
        end: End = "closed"
        try:
            while packet := await _packet(reader):
                head, body = packet
                if head >> 4 == DISCONNECT:
                    end = "DISCONNECT"
                if (answer := self._answer(head, body)) is not None:
                    writer.write(answer)
        except ConnectionResetError:
            end = "reset"
        finally:
            self.ends.append(end)
            self.writers.remove(writer)
            writer.close()

    def _answer(self, head: int, body: bytes) -> bytes | None:
        match head >> 4:
            case 1:
                self._note_client(body)
                return self.on_connect
            case 3:
                publish = _publish(head, body, self._version)
                self.published.append(publish)
                return self.on_publish(publish)
            case 12:
                self.pings += 1
                return self.on_ping
            case _:
                return None

    def _note_client(self, body: bytes) -> None:
        self._version = body[6]
        fields = _strings(body, 10 + (1 + body[10] if self._version == 5 else 0))
        self.client_ids.append(next(fields))
        self.logins.append((next(fields, ""), next(fields, "")))


@asynccontextmanager
async def fake_broker(
    port: int = 0, *, tls: ssl.SSLContext | None = None, **members: object
) -> AsyncGenerator[FakeBroker]:
    """A fake that listens on loopback."""
    broker = FakeBroker(**members)  # pyright: ignore[reportArgumentType] - tests only
    server = await asyncio.start_server(broker.serve, "127.0.0.1", port, ssl=tls)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        broker.drop()
        while broker.writers:
            await asyncio.sleep(0.01)


def miss_soon(work: MqttNotifier, platform: str = "fake") -> None:
    """What the connection of now does not acknowledge is missed soon; the next connection has its time again."""
    connection = work._connections[platform]._connection
    assert connection is not None
    connection._limits = replace(QUICK, acknowledge_seconds=0.5)
    if connection._overdue_timer is not None:  # of an earlier publish, by the limit of then
        connection._overdue_timer.cancel()
        connection._overdue_timer = None


def notice(number: int = 1) -> Notice:
    """A notice of an order of its own."""
    return compose(
        order_id=f"T{number:012d}",
        vin=VIN,
        package_id="CT-DATA-10GB-30D",
        amount_fen=9900,
        result="delivered",
        at=datetime(2023, 8, 21, 10, 34, 36, tzinfo=UTC),
    )


async def until(condition: Callable[[], object], *, within_seconds: float = WAIT_SECONDS) -> None:
    """Wait for the condition; fails the test when it does not come."""
    async with asyncio.timeout(within_seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes] | None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        head = (await reader.readexactly(1))[0]
        length, shift = 0, 0
        while True:
            digit = (await reader.readexactly(1))[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                break
        return head, await reader.readexactly(length)
    return None


def _publish(head: int, body: bytes, version: int) -> Publish:
    topic_end = 2 + int.from_bytes(body[:2], "big")
    payload_at = topic_end + 2 + (1 + body[topic_end + 2] if version == 5 else 0)
    return Publish(
        message_id=int.from_bytes(body[topic_end : topic_end + 2], "big"),
        topic=body[2:topic_end].decode(),
        payload=body[payload_at:],
        qos=head >> 1 & 3,
        retained=bool(head & 1),
        repeated=bool(head & 8),
        at=asyncio.get_running_loop().time(),
    )


def _strings(body: bytes, at: int) -> Iterator[str]:
    while at < len(body):
        end = at + 2 + int.from_bytes(body[at : at + 2], "big")
        yield body[at + 2 : end].decode()
        at = end


def note_limits(monkeypatch: pytest.MonkeyPatch, name: Literal["timeout", "timeout_at"]) -> list[asyncio.Timeout]:
    """The limits that connections give themselves from here on, in order: one passes when a test says so.

    `timeout`: of a connect; `timeout_at`: of a caller, one until it is sent and another until it is acknowledged.
    """
    limits: list[asyncio.Timeout] = []
    make = getattr(asyncio, name)

    def noted(seconds: float) -> asyncio.Timeout:
        limits.append(make(seconds))
        return limits[-1]

    monkeypatch.setattr(managed_connection, "asyncio", SimpleNamespace(**{**vars(asyncio), name: noted}))
    return limits


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
