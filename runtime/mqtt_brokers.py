"""`TOPUP_MQTT_BROKERS`: the platforms that take notices to vehicles (contracts §6, §9)."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast
from urllib.parse import unquote, urlsplit

DEFAULT_TOPIC: Final = "vehicles/{vin}/topup"
PLACEHOLDERS: Final = ("vin", "vin_sha256", "order_id")
DEFAULT_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
LONGEST_KEEPALIVE_SECONDS: Final = 65_535
LONGEST_TOPIC_BYTES: Final = 512
"""Leaves room for what the placeholders become; MQTT itself allows 65 535."""


@dataclass(frozen=True, slots=True)
class MqttBroker:
    """One platform. `url` holds credentials, hence out of `repr`."""

    name: str
    url: str = field(repr=False)
    version: Literal["5", "3.1.1"] = "5"
    topic: str = DEFAULT_TOPIC
    keepalive_seconds: int = 60
    publishes_per_second: float | None = None
    """None = as fast as the platform takes them."""
    cafile: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

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


def mqtt_brokers(text: str) -> tuple[MqttBroker, ...]:
    """The JSON array as brokers, in order.

    Raises:
        ValueError: a clause that names the broker by position and what is wrong with it, never a value.
    """
    try:
        parsed: object = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise ValueError("must be a JSON array of objects, each with its keys once") from None
    if not isinstance(parsed, list):
        raise ValueError("must be a JSON array of objects")  # noqa: TRY004 - all parsers raise one type
    brokers = tuple(_broker(item, position) for position, item in enumerate(cast("list[object]", parsed), start=1))
    names = [broker.name for broker in brokers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"must give each broker a name of its own, and {name} comes twice")
    return brokers


def _broker(item: object, position: int) -> MqttBroker:
    if not isinstance(item, dict):
        raise ValueError(f"must be an array of objects, and item {position} is none")  # noqa: TRY004 - as above
    members = {key: value for key, value in cast("dict[str, Any]", item).items() if value is not None}
    for unknown in members.keys() - _RULES.keys():
        raise ValueError(f"has a member in broker {position} that is none of {', '.join(_RULES)}: {unknown[:40]!r}")
    for needed in ("name", "url"):
        if needed not in members:
            raise ValueError(f"needs `{needed}` in broker {position}")
    for key, value in members.items():
        valid, rule = _RULES[key]
        if not valid(value):
            raise ValueError(f"has a wrong `{key}` in broker {position}, which must be {rule}")
    broker = MqttBroker(**members)
    if not broker.tls and (broker.cafile or broker.certfile or broker.keyfile):
        raise ValueError(f"has certificate files in broker {position}, whose url must then start with mqtts://")
    if (broker.certfile is None) != (broker.keyfile is None):
        raise ValueError(f"must give broker {position} both `certfile` and `keyfile`, or neither")
    return broker


def _is_name(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9A-Za-z_-]{1,64}", value, re.ASCII) is not None


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
    literal = re.sub(r"\{(?:" + "|".join(PLACEHOLDERS) + r")\}", "", value)
    return re.search(r"[+#{}\x00-\x1f\ud800-\udfff]", literal) is None and value[0] != "$"


def _is_keepalive(value: object) -> bool:
    return type(value) is int and 1 <= value <= LONGEST_KEEPALIVE_SECONDS


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


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key twice in one object")
    return members
