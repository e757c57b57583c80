"""`TOPUP_MQTT_BROKERS`: the platforms that take notices to vehicles (contracts §6, §9)."""

import json
from dataclasses import fields
from typing import Annotated, Any, Final, cast

from pydantic import field_validator

from adapters.mqtt.broker import DEFAULT_TOPIC, Broker
from runtime import values
from runtime.settings import Group, parsed, setting

MEMBERS: Final = tuple(member.name for member in fields(Broker))
_YEAR_SECONDS: Final = 365 * 86_400


def parse_brokers(text: str) -> tuple[Broker, ...]:
    """The JSON array as brokers, in order.

    Raises:
        ValueError: a clause that names the broker by position and what is wrong with it, never a value.
    """
    try:
        listed: object = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise ValueError("must be a JSON array of objects, each with its keys once") from None
    if not isinstance(listed, list):
        raise ValueError("must be a JSON array of objects")  # noqa: TRY004 - all parsers raise one type
    if not listed:
        raise ValueError("names no broker and needs at least one")
    brokers = tuple(_broker(item, position) for position, item in enumerate(cast("list[object]", listed), start=1))
    names = [broker.name for broker in brokers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"must give each broker a name of its own, and {name} comes twice")
    return brokers


def _broker(item: object, position: int) -> Broker:
    if not isinstance(item, dict):
        raise ValueError(f"must be an array of objects, and item {position} is none")  # noqa: TRY004 - as above
    members = {key: value for key, value in cast("dict[str, Any]", item).items() if value is not None}
    for unknown in members.keys() - set(MEMBERS):
        raise ValueError(f"has a member in broker {position} that is none of {', '.join(MEMBERS)}: {unknown[:40]!r}")
    for needed in ("name", "url"):
        if needed not in members:
            raise ValueError(f"needs `{needed}` in broker {position}")
    try:
        return Broker(**members)
    except ValueError as error:
        raise ValueError(f"has in broker {position} {error}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key twice in one object")
    return members


class Vehicles(Group):
    """Where notices to vehicles go, and for how long they are worth something."""

    mqtt_brokers: Annotated[tuple[Broker, ...], parsed(parse_brokers)] = setting(
        meaning="JSON array of platforms: `name`, `url` (`mqtt[s]://[user[:password]@]host:port`), and where wanted "
        f'`version` (`"5"` or `"3.1.1"`), `topic` (`{DEFAULT_TOPIC}`), `keepalive_seconds` (60), '
        "`publishes_per_second`, `cafile`, `certfile`, `keyfile`",
        example='\'[{"name": "cars", "url": "mqtt://127.0.0.1:1883"}]\'',
        secret=True,
        unset=(),
    )
    mqtt_message_expiry_seconds: Annotated[int, parsed(values.whole(1, _YEAR_SECONDS))] = setting(
        604_800, meaning="expiry of a notice (MQTT 5); never scaled", example="604800"
    )

    @field_validator("mqtt_brokers", mode="after")
    @classmethod
    def _usable_files_of_brokers(cls, brokers: tuple[Broker, ...]) -> tuple[Broker, ...]:
        """Files that TLS needs: a client that can't read them says no more than that the other side is away."""
        for broker in brokers:
            files = (broker.cafile, broker.certfile, broker.keyfile)
            if any(files) and (wrong := values.unusable(*files)):
                raise ValueError(f"names a file as `{wrong[0]}` of {broker.name} that {wrong[1]}")
        return brokers
