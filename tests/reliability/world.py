"""The outside world and the servers, real and native; orders of its own for each cell."""

import asyncio
import base64
import itertools
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from devkit.audit.books import Books, Entry
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.postgres import Postgres
from devkit.servers.process import Program, free_port, temporary_folder
from devkit.servers.temporal import Temporal
from orders.paid_order import PaidOrder
from runtime.clock import SystemClock

ROOT: Final = Path(__file__).resolve().parents[2]
SIMULATORS: Final = ("carrier", "wechat", "alipay", "vehicle")
PLATFORM: Final = "cars"
TOKEN: Final = "carrier-token"
PII_KEY: Final = bytes(range(32))
PACKAGE: Final = "CT-DATA-10GB-30D"


class World:
    """Simulators on the given servers. `start`, then use, then `close`.

    Args:
        temporal: shared by all lanes, each with a task queue of its own.
        mosquitto: the cars' MQTT platform.
        postgres: for the order books of some lanes; without it they are all SQLite files.
    """

    def __init__(self, temporal: Temporal, mosquitto: Mosquitto, postgres: Postgres | None) -> None:
        self.temporal = temporal
        self.mosquitto = mosquitto
        self.postgres = postgres
        self.folder = temporary_folder("reliability")
        self.books = Books()
        self._ports = {name: free_port() for name in SIMULATORS}
        self._read: dict[str, int] = dict.fromkeys(SIMULATORS, 0)
        self._reading = asyncio.Lock()
        self._read_at = 0.0
        self._http = httpx.AsyncClient(timeout=20, trust_env=False)
        self._keys: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._name = secrets.token_hex(3)
        self._postgres_url = ""
        self._simulators: Program | None = None

    # --- life ---

    async def start(self) -> None:
        """Start the simulators, and prepare order books."""
        make_keys = [sys.executable, "-m", "simulators", "keys", "--out", str(self.folder / "keys")]
        await asyncio.to_thread(subprocess.run, make_keys, cwd=ROOT, check=True, capture_output=True, timeout=60)
        self._keys = json.loads((self.folder / "keys" / "settings.json").read_text())
        ports = [word for name, port in self._ports.items() for word in (f"--{name}-port", str(port))]
        options = ["--keys", str(self.folder / "keys"), "--book", str(self.folder), "--no-fsync", "--token", TOKEN]
        # Cars that are away for a while get what came meanwhile, as real ones do.
        brokers = ["--client-id", f"cars-{self._name}", "--broker", f"{PLATFORM}={self.mosquitto.url}"]
        command = [
            sys.executable,
            "-m",
            "simulators",
            "all",
            *options,
            "--settle-seconds",
            "0.3",
            "--client-id",
            "cars",
            *brokers,
            *ports,
        ]
        self._simulators = Program("simulators", command, listens_on=self._ports["vehicle"])
        await asyncio.to_thread(self._simulators.start)
        await self.until_subscribed(PLATFORM)
        await _migrate(f"sqlite:///{self.folder / 'template.db'}")
        if self.postgres is not None:
            self._postgres_url = await asyncio.to_thread(self.postgres.create_database)
            await _migrate(self._postgres_url)

    async def close(self) -> None:
        """End the simulators; their books go with their folder."""
        await self._http.aclose()
        if self._simulators is not None:
            self._simulators.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def until_subscribed(self, *platforms: str) -> None:
        """Wait until the cars listen there."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                states = (await self._http.get(f"{self.url('vehicle')}/healthz")).json()["brokers"]
                if all(states.get(name) == "subscribed" for name in platforms):
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
        raise TimeoutError(f"the cars did not subscribe at {platforms}")

    # --- what cells ask for ---

    def url(self, simulator: str) -> str:
        """Control address, and for the carrier and the providers the product's too."""
        return f"http://127.0.0.1:{self._ports[simulator]}"

    def unique(self, stem: str) -> str:
        """A name that no other cell has, nor another session on the same servers."""
        return f"{stem}{self._name}N{next(self._numbers):05}"

    def database(self, *, on_postgres: bool = False) -> str:
        """The URL of a migrated order book: an SQLite file of its own, or the shared PostgreSQL one."""
        if on_postgres and self._postgres_url:
            return self._postgres_url
        path = self.folder / f"{self.unique('book')}.db"
        shutil.copyfile(self.folder / "template.db", path)
        return f"sqlite:///{path}"

    def environment(self, *, queue: str, database_url: str, scale: float, **changes: str) -> dict[str, str]:
        """Settings of the product (contracts §9)."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        return {
            **kept,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TEMPORAL_NAMESPACE": self.temporal.namespace,
            "TOPUP_TASK_QUEUE": queue,
            "TOPUP_DATABASE_URL": database_url,
            "TOPUP_PII_KEY": base64.b64encode(PII_KEY).decode(),
            "TOPUP_CARRIER_URL": self.url("carrier"),
            "TOPUP_CARRIER_TOKEN": TOKEN,
            "TOPUP_WECHAT_URL": self.url("wechat"),
            "TOPUP_ALIPAY_URL": f"{self.url('alipay')}/gateway.do",
            "TOPUP_MQTT_BROKERS": json.dumps([{"name": PLATFORM, "url": self.mosquitto.url}]),
            "TOPUP_TIME_SCALE": str(scale),
            "TOPUP_HTTP_PORT": "0",
            **self._keys,
            **changes,
        }

    async def new_order(self, provider: str) -> PaidOrder:
        """A paid order that its provider knows."""
        order = self._make_order(provider)
        await self._put(provider, f"/payments/{order.payment.transaction_id}", _payment(order))
        return order

    def _make_order(self, provider: str) -> PaidOrder:
        order_id = self.unique("C")
        number = next(self._numbers)
        merchant = self._keys["TOPUP_WECHAT_MCHID" if provider == "wechat" else "TOPUP_ALIPAY_SELLER_ID"]
        return PaidOrder.model_validate(
            {
                "schema": "topup.paid-order/1",
                "order_id": order_id,
                "vehicle": {
                    "vin": f"LSGBC{number:012}",
                    "iccid": f"{898603 * 10**14 + number:020}",
                    "msisdn": f"144{number:010}",
                },
                "package_id": PACKAGE,
                "amount_fen": 9900 + number % 100,
                "currency": "CNY",
                "payment": {
                    "provider": provider,
                    "merchant_id": merchant,
                    "out_trade_no": order_id,
                    "transaction_id": f"42{order_id}",
                    "paid_at": "2023-08-21T18:33:55+08:00",
                },
            }
        )

    async def new_orders(self, provider: str, count: int) -> list[PaidOrder]:
        """Many at once: `new_order`, with one call to the provider for each hundred."""
        orders = [self._make_order(provider) for _ in range(count)]
        for start in range(0, count, 100):
            some = orders[start : start + 100]
            payments = {one.payment.transaction_id: _payment(one) for one in some}
            await self._put(provider, "/payments", payments)
        return orders

    async def faults_of_many(self, simulator: str, faults: Mapping[str, Any]) -> None:
        """Order faults by key."""
        if faults:
            await self._put(simulator, "/faults", dict(faults))

    async def order_faults(self, simulator: str, key: str, faults: Sequence[Mapping[str, Any]]) -> None:
        """Order faults for one order (carrier) or payment (provider)."""
        if faults:
            await self._put(simulator, f"/faults/{key}", [dict(fault) for fault in faults])

    async def end_faults(self, simulator: str, key: str) -> None:
        """Let nothing go wrong with this order or payment any more."""
        await self._put(simulator, f"/faults/{key}", [])

    async def add_broker(self, name: str, url: str) -> None:
        """Let the cars listen at another MQTT platform too."""
        await self._put("vehicle", f"/brokers/{name}", {"url": url})

    async def refresh(self, *, at_most_every_seconds: float = 0.0) -> Books:
        """Read what is new in the books."""
        async with self._reading:
            if time.monotonic() - self._read_at < at_most_every_seconds:
                return self.books
            into: dict[str, list[Entry]] = {
                "carrier": self.books.carrier,
                "wechat": self.books.money,
                "alipay": self.books.money,
                "vehicle": self.books.vehicle,
            }
            for name, entries in into.items():
                answer = await self._http.get(f"{self.url(name)}/book", params={"after": self._read[name]})
                answer.raise_for_status()
                news: list[dict[str, Any]] = answer.json()
                entries += [_entry(line) for line in news]
                self._read[name] += len(news)
            self._read_at = time.monotonic()
            return self.books

    async def _put(self, simulator: str, path: str, body: Any) -> None:
        answer = await self._http.put(self.url(simulator) + path, json=body)
        if answer.is_error:
            raise RuntimeError(f"the {simulator} simulator refused {path}: {answer.text}")


def _payment(order: PaidOrder) -> dict[str, Any]:
    return {"amount_fen": order.amount_fen, "out_trade_no": order.payment.out_trade_no}


def open_book(database_url: str) -> OrderBook:
    """The product's order book, as the product opens it."""
    return OrderBook.open(database_url, FieldCipher(PII_KEY), SystemClock())


async def _migrate(database_url: str) -> None:
    book = open_book(database_url)
    await book.migrate()
    await book.close()


def _entry(line: Mapping[str, Any]) -> Entry:
    return Entry(line["seq"], datetime.fromisoformat(line["at"]), line["kind"], line["data"])
