"""A real cause as an on-call engineer sees it: an order parks, is on `/metrics`, in the lines, pushed; and is freed."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from devkit.servers.mosquitto import Mosquitto
from devkit.servers.temporal import Temporal
from tests.reliability.deployments import Deployment, NotShown, until
from tests.reliability.environment import Environment

pytestmark = pytest.mark.real
PARTIAL = {"kind": "async", "then": "partial", "after_seconds": 0.1}
PERSONAL = ("vin", "iccid", "msisdn")


class Webhook:
    """A chat's webhook on a free port; answers what it is told to."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.status = 200
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook?key=secret"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = json.loads(await reader.readexactly(size))
        if self.status == 200:
            self.heard.append(body)
        writer.write(f"HTTP/1.1 {self.status} .\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()


@pytest.fixture(scope="module")
async def env(temporal_server: Temporal, mosquitto: Mosquitto) -> AsyncIterator[Environment]:
    env = Environment(temporal_server, mosquitto, None)
    await env.start()
    yield env
    await env.close()


def lines_of(log: str, order_id: str) -> list[str]:
    """The events of an order's lines, in their order."""
    lines = [json.loads(line) for line in log.splitlines() if order_id in line and line.startswith("{")]
    return [line["event"] for line in lines if line.get("order_id") == order_id and not line.get("alert")]


@pytest.mark.slow
async def test_an_order_that_parks_is_seen_said_and_pushed_and_so_is_its_end(env: Environment) -> None:
    hook = Webhook()
    deployed = Deployment(env, await env.temporal.connect(), scale=0.05, TOPUP_PUSH_URL=await hook.start())
    try:
        worker = await deployed.process("worker")

        async def listens() -> bool:
            return '"listening"' in worker.log_path.read_text(errors="replace")

        await until(listens, "the worker listens")
        order = await env.new_order("wechat")
        await env.order_faults("carrier", order.order_id, [PARTIAL])
        await deployed.start(order)

        async def parked() -> bool:
            waiting = await deployed.metrics(worker, "topup_orders_need_person")
            return waiting.get("partial") == 1 and bool(hook.heard)

        await until(parked, "the gauge and the push say that it needs a person")
        assert (await deployed.metrics(worker, "topup_orders_unsettled"))["parked"] == 1
        assert [one["order_id"] for one in hook.heard[0]["need_person"]] == [order.order_id]
        slots = await deployed.metrics(worker, "temporal_worker_task_slots_available")
        assert {key.partition(",")[0] for key in slots} >= {deployed.queue}

        hook.status = 503  # the endpoint dies: the order goes on
        said = {"operator": "li", "note": "ticket 4711", "outcome": "delivered"}
        await deployed.handle(order).execute_update("resolve", said)
        assert (await deployed.result(order)).outcome == "delivered"
        hook.status = 200

        async def freed() -> bool:
            waiting = await deployed.metrics(worker, "topup_orders_need_person")
            return waiting.get("partial") == 0 and len(hook.heard) > 1

        await until(freed, "the gauge and the push say that it is freed")
        assert [one["order_id"] for one in hook.heard[1]["freed"]] == [order.order_id]
        took = await deployed.metrics(worker, "topup_paid_to_settled_seconds_count")
        assert took == {"delivered": 1}

        log = worker.log_path.read_text()
        events = lines_of(log, order.order_id)
        assert events.count("sent") - events.count("not_sent") == 1  # a right may run out on a slow machine
        others = [event for event in events if event not in {"sent", "not_sent"}]
        assert others == ["needs_person", "placed", "freed", "settled", "told"]
        outside = json.dumps(hook.heard) + await deployed.scrape(worker)
        assert [kind for kind in PERSONAL if getattr(order.vehicle, kind) in outside] == []
    except (NotShown, TimeoutError) as error:
        raise AssertionError(f"{error}\n{deployed.logs()}") from error
    finally:
        await deployed.close()
        await hook.close()
