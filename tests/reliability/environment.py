"""The outside world and the servers, real and native; orders of its own for each case."""

import asyncio
import base64
import itertools
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from devkit.audit.books import Books
from devkit.product import product_settings
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.postgres import Postgres
from devkit.servers.process import Program, temporary_folder
from devkit.servers.temporal import Temporal
from devkit.simulation.control import SimulatorControl
from devkit.simulation.processes import Simulators
from orders.paid_order import PaidOrder
from runtime.clock import SystemClock

ROOT: Final = Path(__file__).resolve().parents[2]
PLATFORM: Final = "cars"
PII_KEY: Final = bytes(range(32))
PACKAGE: Final = "CT-DATA-10GB-30D"


class Environment:
    """Simulators on the given servers. `start`, then use, then `close`.

    Args:
        temporal: shared by all deployments, each with a task queue of its own.
        mosquitto: the cars' MQTT platform.
        postgres: for the order books of some deployments; without it they are all SQLite files.
    """

    def __init__(self, temporal: Temporal, mosquitto: Mosquitto, postgres: Postgres | None) -> None:
        self.temporal = temporal
        self.mosquitto = mosquitto
        self.postgres = postgres
        self.folder = temporary_folder("reliability")
        self.simulators = Simulators(self.folder)
        self.control = SimulatorControl(self.simulators.urls)
        self._numbers = itertools.count(1)
        self._name = secrets.token_hex(3)
        self._postgres_url = ""
        self._processes: Program | None = None

    # --- life ---

    async def start(self) -> None:
        """Start the simulators, and prepare order books."""
        await asyncio.to_thread(self.simulators.make_keys)
        # Cars that are away for a while get what came meanwhile, as real ones do.
        options = ("--no-fsync", "--settle-seconds", "0.3", "--client-id", f"cars-{self._name}")
        self._processes = self.simulators.all_in_one({PLATFORM: self.mosquitto.url}, *options)
        await asyncio.to_thread(self._processes.start)
        await self.control.until_cars_listen(30, PLATFORM)
        await _migrate(f"sqlite:///{self.folder / 'template.db'}")
        if self.postgres is not None:
            self._postgres_url = await asyncio.to_thread(self.postgres.create_database)
            await _migrate(self._postgres_url)

    async def close(self) -> None:
        """End the simulators; their books go with their folder."""
        await self.control.close()
        if self._processes is not None:
            self._processes.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def books(self) -> Books:
        """What was read of the books so far."""
        return self.control.books

    # --- what cases ask for ---

    def url(self, simulator: str) -> str:
        """Control address, and for the carrier and the providers the product's too."""
        return self.simulators.urls[simulator]

    def unique(self, stem: str) -> str:
        """A name that no other case has, nor another session on the same servers."""
        return f"{stem}{self._name}N{next(self._numbers):05}"

    def database(self, *, on_postgres: bool = False) -> str:
        """The URL of a migrated order book: an SQLite file of its own, or the shared PostgreSQL one."""
        if on_postgres and self._postgres_url:
            return self._postgres_url
        path = self.folder / f"{self.unique('book')}.db"
        shutil.copyfile(self.folder / "template.db", path)
        return f"sqlite:///{path}"

    def settings(self, *, queue: str, database_url: str, scale: float, **changes: str) -> dict[str, str]:
        """Settings of the product (contracts §9)."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        return kept | product_settings(
            self.simulators,
            folder=self.folder,
            temporal_address=self.temporal.address,
            database_url=database_url,
            pii_key=base64.b64encode(PII_KEY).decode(),
            brokers=[{"name": PLATFORM, "url": self.mosquitto.url}],
            TOPUP_TASK_QUEUE=queue,
            TOPUP_TIME_SCALE=str(scale),
            **{"TOPUP_HTTP_PORT": "0", **changes},
        )

    async def new_order(self, provider: str) -> PaidOrder:
        """A paid order that its provider knows."""
        order = self._make_order(provider)
        await self.control.register_payments(provider, {order.payment.transaction_id: _payment(order)})
        return order

    def _make_order(self, provider: str) -> PaidOrder:
        order_id = self.unique("C")
        number = next(self._numbers)
        merchant = self.simulators.settings["TOPUP_WECHAT_MCHID" if provider == "wechat" else "TOPUP_ALIPAY_SELLER_ID"]
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
        """Many at once."""
        orders = [self._make_order(provider) for _ in range(count)]
        await self.control.register_payments(provider, {one.payment.transaction_id: _payment(one) for one in orders})
        return orders

    async def order_faults(self, simulator: str, key: str, faults: Sequence[Mapping[str, Any]]) -> None:
        """Order faults for one order (carrier) or payment (provider)."""
        await self.control.order_faults(simulator, {key: faults})

    async def refresh(self, *, at_most_every_seconds: float = 0.0) -> Books:
        """The books with what is new."""
        return await self.control.refresh(at_most_every_seconds=at_most_every_seconds)


def _payment(order: PaidOrder) -> dict[str, Any]:
    return {"amount_fen": order.amount_fen, "out_trade_no": order.payment.out_trade_no}


def open_book(database_url: str) -> OrderBook:
    """The product's order book, as the product opens it."""
    return OrderBook.open(database_url, FieldCipher(PII_KEY), SystemClock())


async def _migrate(database_url: str) -> None:
    book = open_book(database_url)
    await book.migrate()
    await book.close()
