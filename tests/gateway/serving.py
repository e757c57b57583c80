"""The gateway's callback port in this process, with a topic that a test can read, stop and slow."""

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from adapters.payments.notifications import NotificationReader
from gateway.callbacks import Callbacks
from gateway.intake import Intake, Lookup
from gateway.records import Records
from gateway.server import CallbackServer
from orders.errors import Unavailable
from orders.paid_order import Provider
from runtime.metrics import Metrics
from runtime.telemetry import configure_logging
from tests.gateway.providers import ATTACH_KEY, NOW, Callback
from tests.gateway.readers import ALIPAY_READER, WECHAT_READER
from tests.limits import WAIT_SECONDS

TOPIC, UNMATCHED = "topup.paid-orders", "topup.payments.unmatched"
Sent = tuple[str, bytes | None, bytes | None, list[tuple[str, bytes]]]


@dataclass
class FakeTopic:
    """`gateway.records.Producer`: keeps what is acknowledged."""

    sent: list[Sent] = field(default_factory=list)
    away: bool = False
    hold: asyncio.Event | None = None

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.away:
            raise Unavailable("Kafka is away: start it.")
        self.sent.append((topic, key, value, list(headers)))


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes = b""


@dataclass
class Gateway:
    topic: FakeTopic
    metrics: Metrics
    prompts: list[tuple[str, ...]]
    port: int
    logs: io.StringIO
    server: CallbackServer
    open: bool = True
    now: datetime = NOW

    async def raw(self, data: bytes, *, eof: bool = False) -> bytes:
        """All that comes back until the other side closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            if eof:
                writer.write_eof()
            async with asyncio.timeout(WAIT_SECONDS):
                return await reader.read()
        finally:
            writer.close()

    async def post(self, provider: str, callback: Callback, **changes: Any) -> Answer:
        headers, body = callback
        return await self.request("POST", f"/callbacks/{provider}", list(headers.items()), body, **changes)

    async def request(
        self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> Answer:
        lines = [f"{method} {target} HTTP/1.1", "Host: pay.example", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}"]
        return parsed(await self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body))

    def count(self, provider: str, result: str) -> float:
        return self._sample("topup_callbacks_total", provider=provider, result=result)

    def alerts(self) -> dict[tuple[str, str], float]:
        """Those that were raised."""
        found = self.metrics._registry.collect()
        samples = [sample for metric in found for sample in metric.samples]
        return {
            (sample.labels["provider"], sample.labels["reason"]): sample.value
            for sample in samples
            if sample.name == "topup_callback_alerts_total" and sample.value
        }

    def orders(self) -> list[dict[str, Any]]:
        return [json.loads(value or b"") for topic, _, value, _ in self.topic.sent if topic == TOPIC]

    def unmatched(self) -> list[dict[str, Any]]:
        return [json.loads(value or b"") for topic, _, value, _ in self.topic.sent if topic == UNMATCHED]

    def _sample(self, name: str, **labels: str) -> float:
        return self.metrics._registry.get_sample_value(name, labels) or 0


def parsed(raw: bytes) -> Answer:
    if not raw:
        return Answer(0, [], b"")
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    pairs = [line.partition(": ") for line in lines]
    return Answer(int(status.split()[1]), [(name, value) for name, _, value in pairs], body, raw)


@contextlib.asynccontextmanager
async def gateway(
    *,
    lookup: Lookup | None = None,
    key: bytes | None = None,
    max_connections: int = 1000,
    attach: bool = True,
    readers: Mapping[Provider, NotificationReader] | None = None,
    now: Callable[[], datetime] | None = None,
) -> AsyncIterator[Gateway]:
    topic, metrics, logs = FakeTopic(), Metrics(), io.StringIO()
    prompts: list[tuple[str, ...]] = []
    configure_logging(stream=logs)
    found: list[Gateway] = []
    callbacks = Callbacks(
        readers=readers or {"wechat": WECHAT_READER, "alipay": ALIPAY_READER},
        record_of=Intake((ATTACH_KEY,) if attach else (), lookup).record_of,
        store=Records(topic, topic=TOPIC, unmatched_topic=UNMATCHED, key=key).store,
        prompt=lambda order_ids: prompts.append(tuple(order_ids)),
        is_open=lambda: found[0].open,
        now=now or (lambda: found[0].now),
        metrics=metrics,
    )
    server = CallbackServer(callbacks.answer, max_connections=max_connections)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    await server.start(listener)
    found.append(Gateway(topic, metrics, prompts, listener.getsockname()[1], logs, server))
    try:
        yield found[0]
    finally:
        await server.stop()
        configure_logging()
