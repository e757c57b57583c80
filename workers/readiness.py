"""What a worker's `/readyz` says: Temporal and the database are required; the outside world is only named."""

import asyncio
from urllib.parse import urlsplit

from temporalio.client import Client

from adapters.http import EndpointHealth
from adapters.mqtt.notifier import MqttNotifier
from configuration.processes import WorkerSettings
from orders.time_scale import scaled
from runtime.health import Check
from runtime.process import ProcessContext
from runtime.temporal import check
from workers.composition import Dependencies
from workflows import policies

_PORTS = {"http": 80, "https": 443}


def register_checks(context: ProcessContext[WorkerSettings], client: Client, dependencies: Dependencies) -> None:
    """Register the checks. A carrier, provider or broker that is away makes no worker unready (contracts §8)."""
    settings, readiness = context.settings, context.health
    readiness.require("temporal", _temporal(client))
    readiness.require("database", dependencies.book.ping)
    longest_seconds = scaled(policies.PLACE_ORDER.call_seconds, settings.time_scale)
    for name, endpoint in dependencies.endpoints.items():
        readiness.name(name, reachable(endpoint.url, endpoint.health, longest_seconds))
    for name in dependencies.notifier.platforms:
        readiness.name(f"mqtt:{name}", _platform(dependencies.notifier, name))


def _temporal(client: Client) -> Check:
    async def answers() -> None:
        await check(client)

    return answers


def reachable(url: str, health: EndpointHealth, longest_seconds: float) -> Check:
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
        silent_seconds = health.silent_seconds()
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
