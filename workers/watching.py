"""What a worker's `/readyz` says: Temporal and the database are required; the outside world is only named."""

import asyncio
from urllib.parse import urlsplit

from temporalio.client import Client

from adapters.mqtt import MqttNotifier
from runtime.health import Check
from runtime.process import ProcessContext
from runtime.temporal import check
from workers.composition import House

_PORTS = {"http": 80, "https": 443}


def watch(context: ProcessContext, client: Client, house: House) -> None:
    """Register the checks. A carrier, provider or broker that is away makes no worker unready (contracts §8)."""
    settings, health = context.settings, context.health
    health.require("temporal", _temporal(client))
    health.require("database", house.book.ping)
    health.name("carrier", _accepts_connections(settings.carrier_url))
    if settings.wechat_configured:
        health.name("wechat", _accepts_connections(settings.wechat_url))
    if settings.alipay_configured:
        health.name("alipay", _accepts_connections(settings.alipay_url))
    for name in house.notifier.platforms:
        health.name(f"mqtt:{name}", _platform(house.notifier, name))


def _temporal(client: Client) -> Check:
    async def answers() -> None:
        await check(client)

    return answers


def _accepts_connections(url: str) -> Check:
    """No request: it would be one more that the other side has to explain."""
    parts = urlsplit(url)
    port = parts.port or _PORTS[parts.scheme]

    async def accepts() -> None:
        try:
            _reader, writer = await asyncio.open_connection(parts.hostname, port)
        except OSError as error:
            raise ConnectionError(f"{parts.hostname}:{port} accepts no connection; orders wait for it.") from error
        writer.close()

    return accepts


def _platform(notifier: MqttNotifier, name: str) -> Check:
    async def is_up() -> str:
        sentence = notifier.state(name)
        if not notifier.is_up(name):
            raise ConnectionError(sentence)
        return sentence

    return is_up
