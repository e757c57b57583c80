"""What a worker's `/readyz` says: Temporal and the database are required; the outside world is only named."""

import asyncio
from urllib.parse import urlsplit

from temporalio.client import Client

from adapters.http import Contact
from adapters.mqtt import MqttNotifier
from runtime.health import Check
from runtime.process import ProcessContext
from runtime.temporal import check
from workers.composition import House
from workflows import policies
from workflows.policies import scaled

_PORTS = {"http": 80, "https": 443}


def watch(context: ProcessContext, client: Client, house: House) -> None:
    """Register the checks. A carrier, provider or broker that is away makes no worker unready (contracts §8)."""
    settings, health = context.settings, context.health
    health.require("temporal", _temporal(client))
    health.require("database", house.book.ping)
    urls = {"carrier": settings.carrier_url, "wechat": settings.wechat_url, "alipay": settings.alipay_url}
    longest_seconds = scaled(policies.PLACE_ORDER.call_seconds, settings.time_scale)
    for name, contact in house.contacts.items():
        health.name(name, reachable(urls[name], contact, longest_seconds))
    for name in house.notifier.platforms:
        health.name(f"mqtt:{name}", _platform(house.notifier, name))


def _temporal(client: Client) -> Check:
    async def answers() -> None:
        await check(client)

    return answers


def reachable(url: str, contact: Contact, longest_seconds: float) -> Check:
    """By its connections and by what became of the product's calls.

    No request of its own: that would be one more that the other side has to explain.
    """
    parts = urlsplit(url)
    port = parts.port or _PORTS[parts.scheme]

    async def answers() -> None:
        try:
            _reader, writer = await asyncio.open_connection(parts.hostname, port)
        except OSError as error:
            raise ConnectionError(f"{parts.hostname}:{port} accepts no connection; orders wait for it.") from error
        writer.close()
        silent_seconds = contact.silent_seconds()
        if silent_seconds >= longest_seconds:
            raise ConnectionError(
                f"{parts.hostname}:{port} accepts connections and has answered no call for {silent_seconds:.0f} s; "
                "orders wait for it."
            )

    return answers


def _platform(notifier: MqttNotifier, name: str) -> Check:
    async def is_up() -> str:
        sentence = notifier.state(name)
        if not notifier.is_up(name):
            raise ConnectionError(sentence)
        return sentence

    return is_up
