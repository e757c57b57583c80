"""An MQTT platform as the settings describe it, and the limits that hold for all of them (contracts §6, §9)."""

import re
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Self
from urllib.parse import unquote, urlsplit

DEFAULT_TOPIC: Final = "vehicles/{vin}/topup"
DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
LONGEST_CLIENT_ID: Final = 128
"""Characters, of `[0-9a-zA-Z-_]`: what Baidu IoT Core takes (facts: paho-mqtt)."""

_LONGEST_KEEPALIVE_SECONDS: Final = 65_535
_LONGEST_EXPIRY_SECONDS: Final = 2**32 - 1
_PLACEHOLDER: Final = re.compile(r"\{(?:vin|vin_sha256|order_id)\}")
_NOT_IN_A_TOPIC: Final = re.compile(r"[+#{}\x00-\x1f\ud800-\udfff]")
_NOT_IN_A_CLIENT_ID: Final = re.compile(r"[^0-9a-zA-Z_-]+")
_NAME: Final = re.compile(r"[0-9a-zA-Z_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Platform:
    """One broker and how it wants to be spoken to. Credentials stay out of `repr`.

    Attributes:
        name: as in `TOPUP_MQTT_BROKERS`; stands in activity IDs, errors and logs.
        version: the protocol, 5 or 3.1.1; there is no falling back from one to the other.
        topic: template; `{vin}`, `{vin_sha256}` and `{order_id}` are known.
        keepalive_seconds: of MQTT; a server's own value wins (MQTT 5 §3.2.2.3.14).
        publishes_per_second: what the platform takes from one connection; None: as fast as it acknowledges.
        cafile: PEM file of the authorities to trust instead of the system's.
        certfile: PEM file of our certificate, with `keyfile`, for platforms that ask for one.
    """

    name: str
    host: str
    port: int
    tls: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    version: Literal["5", "3.1.1"] = "5"
    topic: str = DEFAULT_TOPIC
    keepalive_seconds: int = 60
    publishes_per_second: float | None = None
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    def __post_init__(self) -> None:
        faults = {
            "a name of 1 to 64 letters, digits, `_` and `-`": not _NAME.fullmatch(self.name),
            "a host": not self.host,
            "a port from 1 to 65535": not 1 <= self.port <= 65_535,  # noqa: PLR2004 - TCP's own limit
            'version "5" or "3.1.1"': self.version not in ("5", "3.1.1"),
            "a topic with no braces but {vin}, {vin_sha256}, {order_id}, and no `+`, `#`": not _is_topic(self.topic),
            "a keepalive of 1 to 65535 seconds": not 1 <= self.keepalive_seconds <= _LONGEST_KEEPALIVE_SECONDS,
            "publishes per second above 0": self.publishes_per_second is not None and not self.publishes_per_second > 0,
            "both certfile and keyfile, or neither": (self.certfile is None) != (self.keyfile is None),
        }
        for needed, broken in faults.items():
            if broken:
                raise ValueError(f"An MQTT platform needs {needed}: correct it in TOPUP_MQTT_BROKERS.")

    @classmethod
    def from_url(
        cls,
        name: str,
        url: str,
        *,
        version: Literal["5", "3.1.1"] = "5",
        topic: str = DEFAULT_TOPIC,
        keepalive_seconds: int = 60,
        publishes_per_second: float | None = None,
        cafile: str | None = None,
        certfile: str | None = None,
        keyfile: str | None = None,
    ) -> Self:
        """The platform at `mqtt[s]://[user[:password]@]host[:port]`; user and password percent-decoded.

        Raises:
            ValueError: a sentence that names the member, never a value of it.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"MQTT platform {name} needs a url such as mqtts://user:password@broker.example:8883.")
        return cls(
            name=name,
            host=parts.hostname,
            port=DEFAULT_PORTS[parts.scheme] if port is None else port,
            tls=parts.scheme == "mqtts",
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            version=version,
            topic=topic,
            keepalive_seconds=keepalive_seconds,
            publishes_per_second=publishes_per_second,
            cafile=cafile,
            certfile=certfile,
            keyfile=keyfile,
        )

    @property
    def whom(self) -> str:
        """The platform in an operator's words: its name and where it is looked for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"MQTT platform {self.name} at {host}:{self.port}"


@dataclass(frozen=True, slots=True)
class MqttLimits:
    """Limits of every platform, in seconds. All but the message expiry are scaled by `TOPUP_TIME_SCALE`.

    Attributes:
        connect_seconds: name look-up, TCP, TLS and CONNACK together.
        acknowledge_seconds: from the send to the PUBACK; past it the connection counts as dead.
        back_off_first_seconds: the wait after the first failed connect; doubles, with jitter.
        back_off_longest_seconds: the most that wait grows to.
        message_expiry_seconds: how long a broker keeps a notice for a car that is offline; MQTT 5 only.
        unacknowledged_most: publishes sent and not yet acknowledged, per platform; a server's Receive Maximum below
            it wins. Small enough that all of them fit into the kernel's buffers, so that no queue of ours holds one.
    """

    connect_seconds: float = 10
    acknowledge_seconds: float = 5
    back_off_first_seconds: float = 1
    back_off_longest_seconds: float = 10
    message_expiry_seconds: int = 604_800
    unacknowledged_most: int = 100

    def __post_init__(self) -> None:
        assert 0 < self.acknowledge_seconds <= self.connect_seconds, "a connect takes at least one more round trip"
        assert 0 < self.back_off_first_seconds <= self.back_off_longest_seconds
        assert 0 < self.message_expiry_seconds <= _LONGEST_EXPIRY_SECONDS, "MQTT 5 §3.3.2.3.3: four bytes"
        assert 0 < self.unacknowledged_most < 2**16, "packet identifiers have two bytes"

    def scaled(self, scaled: Callable[[float], float]) -> Self:
        """The same limits with `scaled` applied to what waits for the outside world (contracts §9)."""
        return replace(
            self,
            connect_seconds=scaled(self.connect_seconds),
            acknowledge_seconds=scaled(self.acknowledge_seconds),
            back_off_first_seconds=scaled(self.back_off_first_seconds),
            back_off_longest_seconds=scaled(self.back_off_longest_seconds),
        )


@dataclass(frozen=True, slots=True)
class Login:
    """What is shown to a broker at CONNECT."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)


Credentials = Callable[[Platform], Login]
"""Asked before each connect, on that platform's own connect thread, so it may block: the place where passwords that
are recomputed from the time or fetched from a cipher come in."""


def static_credentials(platform: Platform) -> Login:
    """The user and password of the settings."""
    return Login(platform.username, platform.password)


def client_id(service: str, process_id: int) -> str:
    """A client ID that no other connection has: `{service}-{host}-{pid}-{random}`.

    Two connections with one ID throw each other off for ever (facts: paho-mqtt), hence the random part, new for each
    connection.
    """
    tail = f"-{process_id}-{secrets.token_hex(4)}"
    words = _NOT_IN_A_CLIENT_ID.sub("-", f"{service}-{socket.gethostname()}")
    return words[: LONGEST_CLIENT_ID - len(tail)] + tail


def _is_topic(template: str) -> bool:
    return bool(template) and template[0] != "$" and not _NOT_IN_A_TOPIC.search(_PLACEHOLDER.sub("", template))
