"""The cars: subscribes at every broker and books each notice that comes (contracts §6)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.book import Book, Entry
from simulators.control import ControlApi
from simulators.mqtt_listener import BrokerAddress, BrokerUrlError, Listener, Received
from simulators.wire import Json, Pace, json_response, parse_json, problem, read_json

GOODBYE_SECONDS = 0.05


@dataclass(slots=True)
class Heard:
    """What came about one order from one broker."""

    types: dict[str, int] = field(default_factory=dict[str, int])
    payloads_by_id: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def as_json(self) -> Json:
        """Types in the order they first came, how often, and whether repeats of an id were byte-identical."""
        identical = all(len(payloads) == 1 for payloads in self.payloads_by_id.values())
        return {"types": list(self.types), "times": self.types, "identical": identical}


class Vehicle:
    """All cars as one simulator: one listener per broker, one book."""

    name = "vehicle"

    def __init__(
        self,
        book: Book,
        pace: Pace,
        *,
        brokers: Sequence[BrokerAddress],
        topic: str,
        client_id: str | None,
        default_version: str,
    ) -> None:
        self.book = book
        self.pace = pace
        self._first_brokers = brokers
        self._topic = topic
        self._client_id = client_id
        self._default_version = default_version
        self._listeners: dict[str, Listener] = {}
        self._heard: dict[str, dict[str, Heard]] = {}
        self._waiting: asyncio.Queue[Received] = asyncio.Queue()
        self._writer: asyncio.Task[None] | None = None
        for entry in book.replay():
            self._apply(entry)

    def routes(self) -> list[Route]:
        """The control API; what is simulated comes by MQTT."""
        return [
            Route("/brokers/{name}", self._broker, methods=["PUT", "DELETE"]),
            *ControlApi(self.book, None, self._summary, self._health).routes(),
        ]

    async def start(self) -> None:
        """Begin to connect to each broker; returns at once."""
        self._writer = asyncio.create_task(self._write())
        for address in self._first_brokers:
            self._listen(address)

    async def stop(self) -> None:
        """Leave the brokers; what isn't acknowledged stays theirs."""
        for listener in self._listeners.values():
            listener.stop()
        await asyncio.sleep(GOODBYE_SECONDS)
        if self._writer is not None:
            self._writer.cancel()

    def _listen(self, address: BrokerAddress) -> None:
        earlier = self._listeners.pop(address.name, None)
        if earlier is not None:
            earlier.stop()
        client_id = f"{self._client_id}-{address.name}" if self._client_id else None
        listener = Listener(address, self._topic, client_id, self._waiting.put_nowait)
        self._listeners[address.name] = listener
        listener.start()

    async def _write(self) -> None:
        """Book what came, all that waits with one fsync, then acknowledge it in order."""
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            for received in batch:
                self._apply(_booked(self.book, received))
            await self.book.durable()
            for received in batch:
                received.acknowledge()

    def _apply(self, entry: Entry) -> None:
        if entry.kind != "notice":
            return
        data = entry.data
        heard = self._heard.setdefault(data["order_id"], {}).setdefault(data["broker"], Heard())
        heard.types[data["type"]] = heard.types.get(data["type"], 0) + 1
        heard.payloads_by_id.setdefault(data["id"], set()).add(data["payload_sha256"])

    def _summary(self) -> Json:
        return {
            order_id: {broker: heard.as_json() for broker, heard in brokers.items()}
            for order_id, brokers in self._heard.items()
        }

    def _health(self) -> Json:
        return {"brokers": {name: listener.state for name, listener in self._listeners.items()}}

    async def _broker(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        if request.method == "DELETE":
            listener = self._listeners.pop(name, None)
            if listener is not None:
                listener.stop()
            return json_response(self._health())
        try:
            spec = await read_json(request)
            url = cast("Json", spec).get("url") if isinstance(spec, dict) else None
            address = BrokerAddress.parse(name, str(url), self._default_version)
        except BrokerUrlError as error:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        except ValueError:
            return problem(HTTPStatus.UNPROCESSABLE_ENTITY, 'send {"url": "mqtt://host:port"}')
        self._listen(address)
        return json_response(self._health())


def _booked(book: Book, received: Received) -> Entry:
    """A notice as it stands in the book. The topic holds the VIN, so only its SHA-256 is kept."""
    message = received.message
    common: dict[str, Any] = {
        "broker": received.broker,
        "topic_sha256": hashlib.sha256(message.topic.encode()).hexdigest(),
        "payload_sha256": hashlib.sha256(message.payload).hexdigest(),
        "retain": message.retain,
        "qos": message.qos,
        "dup": message.dup,
        "content_type": getattr(message.properties, "ContentType", None),
        "message_expiry_seconds": getattr(message.properties, "MessageExpiryInterval", None),
    }
    try:
        content = parse_json(bytes(message.payload))
    except ValueError:
        return book.append("malformed", **common)
    event = cast("Json", content) if isinstance(content, dict) else {}
    data = event.get("data")
    details = cast("Json", data) if isinstance(data, dict) else {}
    order_id, notice_id, notice_type = details.get("order_id"), event.get("id"), event.get("type")
    if not (isinstance(order_id, str) and isinstance(notice_id, str) and isinstance(notice_type, str)):
        return book.append("malformed", **common)
    return book.append(
        "notice",
        order_id=order_id,
        id=notice_id,
        type=notice_type,
        time=event.get("time"),
        result=details.get("result"),
        reason=details.get("reason"),
        amount_fen=details.get("amount_fen"),
        **common,
    )
