"""The simulators' control API over HTTP: faults, payments, an operator's hand, and their books."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import httpx

from console.exits import CommandFailed
from devkit.audit.books import BOOKS, Books, Entry

CALL_SECONDS: Final = 20.0
PAYMENTS_AT_ONCE: Final = 100
POLL_SECONDS: Final = 0.1


class SimulatorControl:
    """All simulators of one outside world. An async context manager.

    Args:
        urls: control addresses by simulator name.

    Raises:
        CommandFailed: by every call, where a simulator does not answer or refuses.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.books = Books()
        """All that was read of the books so far."""
        self._urls = urls
        self._client = httpx.AsyncClient(timeout=CALL_SECONDS, trust_env=False)
        self._read = dict.fromkeys(BOOKS, 0)
        self._reading = asyncio.Lock()
        self._read_at = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    # --- what goes wrong, what was paid ---

    async def order_faults(self, simulator: str, faults: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Order faults by key (order ID at the carrier, transaction ID at a provider)."""
        ordered = {key: [dict(fault) for fault in some] for key, some in faults.items() if some}
        if ordered:
            await self._call("PUT", simulator, "/faults", ordered)

    async def lift_faults(self, simulator: str, key: str) -> None:
        """Drop what was ordered for one key."""
        await self._call("DELETE", simulator, f"/faults/{key}")

    async def register_payments(self, provider: str, payments: Mapping[str, Any]) -> None:
        """Let a provider know payments that customers made, by transaction ID."""
        names = list(payments)
        for start in range(0, len(names), PAYMENTS_AT_ONCE):
            some = {name: payments[name] for name in names[start : start + PAYMENTS_AT_ONCE]}
            await self._call("PUT", provider, "/payments", some)

    async def place_orders(self, orders: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
        """Let customers order at the backend; what their payments are to carry, by order number."""
        return await self._call("PUT", "backend", "/orders", {name: dict(order) for name, order in orders.items()})

    async def pay(self, provider: str, payment: Mapping[str, Any]) -> None:
        """Let a customer pay now (`POST /pay`): the provider tells the merchant."""
        await self._call("POST", provider, "/pay", dict(payment))

    async def settle_refund(self, provider: str, refund_number: str) -> None:
        """End an ABNORMAL refund as paid, as a person does it in the merchant platform."""
        await self._call("POST", provider, f"/refunds/{refund_number}/settle")

    # --- the cars ---

    async def add_broker(self, name: str, url: str) -> None:
        """Let the cars listen at another MQTT platform too."""
        await self._call("PUT", "vehicle", f"/brokers/{name}", {"url": url})

    async def until_cars_listen(self, limit_seconds: float, *platforms: str) -> None:
        """Wait until the cars listen at these platforms (at all, where none is named).

        Raises:
            CommandFailed: not in time; names the platforms.
        """
        deadline = time.monotonic() + limit_seconds
        while without := await self._without_cars(platforms):
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"The simulated cars could not connect to the MQTT platforms {', '.join(without)} within "
                    f"{limit_seconds:g} s: see the log of the simulators."
                )
            await asyncio.sleep(POLL_SECONDS)

    async def _without_cars(self, platforms: Sequence[str]) -> list[str]:
        states: Mapping[str, str] = (await self._call("GET", "vehicle", "/healthz"))["brokers"]
        return [name for name in platforms or states if states.get(name) != "subscribed"]

    # --- the books ---

    async def read_news(self) -> dict[str, Sequence[Entry]]:
        """What each book has that was not read yet; from then on it is in `books`."""
        async with self._reading:
            return await self._read_news()

    async def refresh(self, *, at_most_every_seconds: float = 0.0) -> Books:
        """The books with what is new; as they were read last, where that is less than so long ago."""
        async with self._reading:
            if time.monotonic() - self._read_at >= at_most_every_seconds:
                await self._read_news()
            return self.books

    async def _read_news(self) -> dict[str, Sequence[Entry]]:
        news: dict[str, Sequence[Entry]] = {}
        for name in BOOKS:
            lines: Sequence[Mapping[str, Any]] = await self._call("GET", name, f"/book?after={self._read[name]}")
            news[name] = self.books.read(name, lines)
            if lines:
                self._read[name] = int(lines[-1]["seq"])
        self._read_at = time.monotonic()
        return news

    async def _call(self, method: str, simulator: str, path: str, body: Any = None) -> Any:
        try:
            answer = await self._client.request(method, self._urls[simulator] + path, json=body)
        except httpx.HTTPError as error:
            raise CommandFailed(
                f"The {simulator} simulator does not answer ({error or type(error).__name__})."
            ) from error
        if answer.is_error:
            raise CommandFailed(f"The {simulator} simulator refused {method} {path}: {answer.text[:300]}")
        return answer.json() if answer.content else None
