"""What an MQTT broker is (one entry of `TOPUP_MQTT_BROKERS`), and the limits that hold for all (contracts §6, §9)."""

import math
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal, Self, cast
from urllib.parse import unquote, urlsplit

DEFAULT_TOPIC: Final = "vehicles/{vin}/topup"
DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
LONGEST_CLIENT_ID: Final = 128
"""Characters, of `[0-9a-zA-Z-_]`: what Baidu IoT Core takes (docs/facts/mqtt.md)."""
LONGEST_TOPIC_BYTES: Final = 512
"""Leaves room for what the placeholders become; MQTT itself allows 65 535."""

_LONGEST_KEEPALIVE_SECONDS: Final = 65_535
_LONGEST_EXPIRY_SECONDS: Final = 2**32 - 1
_PLACEHOLDER: Final = re.compile(r"\{(?:vin|vin_sha256|order_id)\}")
_NOT_IN_A_TOPIC: Final = re.compile(r"[+#{}\x00-\x1f\ud800-\udfff]")
_NOT_IN_A_CLIENT_ID: Final = re.compile(r"[^0-9a-zA-Z_-]+")
_NAME: Final = re.compile(r"[0-9a-zA-Z_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker and how it wants to be spoken to. Its address may hold credentials and stays out of `repr`.

    Attributes:
        name: stands in activity IDs, errors and logs.
        url: `mqtt[s]://[user[:password]@]host[:port]`, user and password percent-encoded.
        version: the protocol, 5 or 3.1.1; there is no falling back from one to the other.
        topic: template; `{vin}`, `{vin_sha256}` and `{order_id}` are known.
        keepalive_seconds: of MQTT; a server's own value wins (MQTT 5 §3.2.2.3.14).
        publishes_per_second: what the broker takes from one connection; None: as fast as it acknowledges.
        cafile: PEM file of the authorities to trust instead of the system's.
        certfile: PEM file of our certificate, with `keyfile`, for brokers that ask for one.

    Raises:
        ValueError: a clause that names the member and what it must be, never a value.
    """

    name: str
    url: str = field(repr=False)
    version: Literal["5", "3.1.1"] = "5"
    topic: str = DEFAULT_TOPIC
    keepalive_seconds: int = 60
    publishes_per_second: float | None = None
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    def __post_init__(self) -> None:
        for member in fields(self):
            value: object = getattr(self, member.name)
            valid, rule = _RULES[member.name]
            if not (valid(value) or (value is None and member.default is None)):
                raise ValueError(f"a wrong `{member.name}`, which must be {rule}")
        if not self.tls and (self.cafile or self.certfile or self.keyfile):
            raise ValueError("certificate files, and a url that must then start with mqtts://")
        if (self.certfile is None) != (self.keyfile is None):
            raise ValueError("one of `certfile` and `keyfile`, which must be both or neither")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted (`mqtts`)."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def host(self) -> str:
        """Host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """TCP port; 1883 or 8883 where the address names none."""
        parts = urlsplit(self.url)
        return parts.port or DEFAULT_PORTS[parts.scheme]

    @property
    def username(self) -> str | None:
        """User, percent-decoded."""
        user = urlsplit(self.url).username
        return None if user is None else unquote(user)

    @property
    def password(self) -> str | None:
        """Password, percent-decoded."""
        password = urlsplit(self.url).password
        return None if password is None else unquote(password)

    @property
    def whom(self) -> str:
        """The broker in an operator's words: its name and where it is looked for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"MQTT platform {self.name} at {host}:{self.port}"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_url(value: object) -> bool:
    if not isinstance(value, str) or re.search(r"[\s\x00-\x20]", value):
        return False
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in DEFAULT_PORTS
        and bool(parts.hostname)
        and port != 0
        and parts.path in ("", "/")
        and not (parts.query or parts.fragment)
    )


def _is_topic(value: object) -> bool:
    if not isinstance(value, str) or not 0 < len(value.encode(errors="replace")) <= LONGEST_TOPIC_BYTES:
        return False
    return value[0] != "$" and not _NOT_IN_A_TOPIC.search(_PLACEHOLDER.sub("", value))


def _is_keepalive(value: object) -> bool:
    return type(value) is int and 1 <= value <= _LONGEST_KEEPALIVE_SECONDS


def _is_rate(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(cast("float", value)) and cast("float", value) > 0


def _is_file_name(value: object) -> bool:
    return isinstance(value, str) and value != "" and "\x00" not in value


_RULES: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "name": (_is_name, "1 to 64 characters of letters, digits, `_` and `-`"),
    "url": (_is_url, "mqtt[s]://[user[:password]@]host:port"),
    "version": (lambda value: value in ("5", "3.1.1"), 'the string "5" or "3.1.1"'),
    "topic": (
        _is_topic,
        "a topic with no braces but {vin}, {vin_sha256} and {order_id}, and without `+`, `#` or a leading `$`",
    ),
    "keepalive_seconds": (_is_keepalive, "a whole number from 1 to 65535"),
    "publishes_per_second": (_is_rate, "a number above 0"),
    "cafile": (_is_file_name, "a file name"),
    "certfile": (_is_file_name, "a file name"),
    "keyfile": (_is_file_name, "a file name"),
}


@dataclass(frozen=True, slots=True)
class MqttLimits:
    """Limits of every broker, in seconds. All but the message expiry are scaled by `TOPUP_TIME_SCALE`.

    Attributes:
        connect_seconds: name look-up, TCP, TLS and CONNACK together.
        acknowledge_seconds: from the send to the PUBACK; past it the connection counts as dead.
        back_off_first_seconds: the wait after the first failed connect; doubles, with jitter.
        back_off_longest_seconds: the most that wait grows to.
        message_expiry_seconds: how long a broker keeps a notice for a car that is offline; MQTT 5 only.
        unacknowledged_most: publishes sent and not yet acknowledged, per broker; a server's Receive Maximum below
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


Credentials = Callable[[Broker], Login]
"""Asked before each connect, on that broker's own connect thread, so it may block: the place where passwords that
are recomputed from the time or fetched from a cipher come in."""


def static_credentials(broker: Broker) -> Login:
    """The user and password of the settings."""
    return Login(broker.username, broker.password)


def client_id(service: str, process_id: int) -> str:
    """A client ID that no other connection has: `{service}-{host}-{pid}-{random}`.

    Two connections with one ID throw each other off for ever (docs/facts/mqtt.md), hence the random part, new for each
    connection.
    """
    tail = f"-{process_id}-{secrets.token_hex(4)}"
    words = _NOT_IN_A_CLIENT_ID.sub("-", f"{service}-{socket.gethostname()}")
    return words[: LONGEST_CLIENT_ID - len(tail)] + tail
