"""Payments made at the simulated providers come to the gateway over the wire, whatever happens to their notices."""

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from configuration.processes import GatewaySettings
from orders.attachment import Purchase, make_attachment
from orders.paid_order import Vehicle
from runtime.settings import load
from tests.gateway.providers import ATTACH_KEY
from tests.gateway.serving import Gateway
from tests.gateway.serving import gateway as gateway_process
from tests.limits import WAIT_SECONDS
from tests.simulators.processes import ROOT, SimulatorProcess, start

TIME_SCALE = 0.002
"""The first three resends of WeChat Pay come within 0.1 s, Alipay's first after 0.5 s."""
STORED = {"wechat": [204], "alipay": [200]}


@dataclass
class World:
    gate: Gateway
    http: httpx.AsyncClient
    providers: dict[str, str]

    async def pay(self, provider: str, *faults: dict[str, Any], amount_fen: int = 9900) -> str:
        """A payment with faults on its way; its order ID."""
        order_id = f"T{secrets.token_hex(8)}"
        car = Purchase(Vehicle(vin="LSGBC5342AG000001", iccid="89860321247550000015"), "CT-DATA-10GB-30D")
        attach = make_attachment(ATTACH_KEY, car, out_trade_no=order_id, amount_fen=amount_fen)
        url = self.providers[provider]
        (await self.http.put(f"{url}/faults/{order_id}", json=list(faults))).raise_for_status()
        asked = {
            "out_trade_no": order_id,
            "amount_fen": amount_fen,
            "attach": attach,
            "notify_url": f"http://127.0.0.1:{self.gate.port}/callbacks/{provider}",
        }
        (await self.http.post(f"{url}/pay", json=asked)).raise_for_status()
        return order_id

    async def notices(self, provider: str, order_id: str) -> list[dict[str, Any]]:
        book = (await self.http.get(f"{self.providers[provider]}/book")).json()
        [transaction_id] = [
            entry["data"]["transaction_id"]
            for entry in book
            if entry["kind"] == "paid" and entry["data"]["out_trade_no"] == order_id
        ]
        return [
            entry["data"]
            for entry in book
            if entry["kind"] == "notice" and entry["data"]["transaction_id"] == transaction_id
        ]

    async def until_stored(self, provider: str, order_id: str) -> list[dict[str, Any]]:
        """The attempts, the last of which was stored."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            notices = await self.notices(provider, order_id)
            if notices and notices[-1]["stored"]:
                return notices
            await asyncio.sleep(0.05)
        pytest.fail(f"not stored within {WAIT_SECONDS:.0f} s: {await self.notices(provider, order_id)}")

    def orders(self, order_id: str) -> list[dict[str, Any]]:
        return [order for order in self.gate.orders() if order["order_id"] == order_id]


@pytest.fixture(scope="module")
def simulators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, str], dict[str, str]]]:
    folder: Path = tmp_path_factory.mktemp("providers")
    keys = folder / "keys"
    subprocess.run(
        [sys.executable, "-m", "simulators", "keys", "--out", keys], cwd=ROOT, check=True, timeout=WAIT_SECONDS
    )
    running: list[SimulatorProcess] = []
    urls: dict[str, str] = {}
    try:
        for name in ("wechat", "alipay"):
            options = ("--keys", keys, "--time-scale", str(TIME_SCALE), "--no-fsync", "--settle-seconds", "0")
            running.append(start(name, *options))
            urls[name] = running[-1].url(name)
        yield urls, json.loads((keys / "settings.json").read_text())
    finally:
        for process in running:
            process.stop()


@pytest.fixture
async def world(simulators: tuple[dict[str, str], dict[str, str]]) -> AsyncIterator[World]:
    urls, environ = simulators
    settings = load(
        environ | {"TOPUP_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "TOPUP_ORDER_LOOKUP_URL": "http://127.0.0.1:1"},
        GatewaySettings,
    )
    readers = cast("Any", {name: group.open() for name, group in settings.notifications.items()})
    async with contextlib.AsyncExitStack() as stack:
        gate = await stack.enter_async_context(gateway_process(readers=readers, now=lambda: datetime.now(UTC)))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=WAIT_SECONDS))
        yield World(gate, http, urls)


@pytest.mark.slow
@pytest.mark.parametrize("provider", ["wechat", "alipay"])
async def test_a_payment_becomes_one_order(world: World, provider: str):
    order_id = await world.pay(provider, amount_fen=12_345)
    notices = await world.until_stored(provider, order_id)

    assert [notice["statuses"] for notice in notices] == [STORED[provider]]
    [order] = world.orders(order_id)
    assert (order["amount_fen"], order["payment"]["provider"]) == (12_345, provider)


@pytest.mark.parametrize("provider", ["wechat", "alipay"])
@pytest.mark.parametrize("count", [2, 10])
async def test_a_notice_that_comes_many_times_at_once_is_the_same_record(world: World, provider: str, count: int):
    order_id = await world.pay(provider, {"kind": "repeat", "count": count})
    notices = await world.until_stored(provider, order_id)

    assert [notice["statuses"] for notice in notices] == [STORED[provider] * count]
    orders = world.orders(order_id)
    assert len(orders) == count
    assert all(order == orders[0] for order in orders)


@pytest.mark.parametrize(
    ("provider", "fault"),
    [
        ("wechat", {"kind": "wrong_signature", "target": "notice", "times": 2}),
        ("wechat", {"kind": "unsigned", "target": "notice"}),
        ("wechat", {"kind": "probe"}),
        ("wechat", {"kind": "old_key"}),
        ("wechat", {"kind": "tampered_amount", "amount_fen": 1}),
        ("alipay", {"kind": "wrong_signature", "target": "notice"}),
        ("alipay", {"kind": "unsigned", "target": "notice"}),
        ("alipay", {"kind": "old_key"}),
        ("alipay", {"kind": "tampered_amount", "amount_fen": 1}),
    ],
)
async def test_a_notice_that_proves_nothing_is_refused_and_the_right_one_taken(
    world: World, provider: str, fault: dict[str, Any]
):
    order_id = await world.pay(provider, fault)
    notices = await world.until_stored(provider, order_id)

    times = fault.get("times", 1)
    assert [notice["stored"] for notice in notices] == [False] * times + [True]
    assert [notice["faults"] for notice in notices] == [[fault["kind"]]] * times + [[]]
    [order] = world.orders(order_id)
    assert order["amount_fen"] == 9900


async def test_notices_that_come_late_come_out_of_order(world: World):
    late = await world.pay("wechat", {"kind": "delay", "target": "notice", "seconds": 500})
    early = await world.pay("wechat")
    await world.until_stored("wechat", early)
    assert world.orders(late) == []
    await world.until_stored("wechat", late)

    assert [order["order_id"] for order in world.gate.orders()] == [early, late]


@pytest.mark.parametrize("provider", ["wechat", "alipay"])
async def test_a_notice_comes_again_until_kafka_has_it(world: World, provider: str):
    world.gate.topic.away = True
    order_id = await world.pay(provider)
    async with asyncio.timeout(WAIT_SECONDS):
        while not await world.notices(provider, order_id):
            await asyncio.sleep(0.02)
    world.gate.topic.away = False
    notices = await world.until_stored(provider, order_id)

    assert len(notices) >= 2
    assert len(world.orders(order_id)) == 1
