"""The simulators' control API over HTTP: faults, payments, an operator's hand, and their books."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import httpx

from console.exits import CommandFailed

CALL_SECONDS: Final = 20.0
Entry = Mapping[str, Any]
"""One line of a simulator's book: `seq`, `at` (RFC 3339 UTC), `kind`, `data`."""
BOOKS: Final = ("carrier", "wechat", "alipay", "vehicle")


class World:
    """All simulators of one stack. An async context manager.

    Args:
        urls: control addresses by simulator name.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = urls
        self._client = httpx.AsyncClient(timeout=CALL_SECONDS, trust_env=False)
        self._read = dict.fromkeys(BOOKS, 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def order_faults(self, simulator: str, faults: Mapping[str, Any]) -> None:
        """Order faults by key (order ID at the carrier, transaction ID at a provider)."""
        if faults:
            await self._call("PUT", simulator, "/faults", dict(faults))

    async def lift_faults(self, simulator: str, key: str) -> None:
        """Drop what was ordered for one key."""
        await self._call("DELETE", simulator, f"/faults/{key}")

    async def register_payments(self, provider: str, payments: Mapping[str, Any]) -> None:
        """Let a provider know payments that customers made."""
        if payments:
            await self._call("PUT", provider, "/payments", dict(payments))

    async def settle_refund(self, provider: str, refund_number: str) -> None:
        """End an ABNORMAL refund as paid, as a person does it in the merchant platform."""
        await self._call("POST", provider, f"/refunds/{refund_number}/settle")

    async def brokers_without_cars(self) -> list[str]:
        """The MQTT platforms at which the vehicles are not listening yet."""
        brokers: Mapping[str, str] = (await self._call("GET", "vehicle", "/healthz"))["brokers"]
        return [name for name, state in brokers.items() if state != "subscribed"]

    async def new_entries(self) -> dict[str, Sequence[Entry]]:
        """What each book has that was not read yet."""
        news: dict[str, Sequence[Entry]] = {}
        for name in BOOKS:
            entries: Sequence[Entry] = await self._call("GET", name, f"/book?after={self._read[name]}")
            if entries:
                self._read[name] = int(entries[-1]["seq"])
            news[name] = entries
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
