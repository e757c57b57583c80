"""Speaks to the carrier as the product does, and reads its book."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.limits import WAIT_SECONDS

BASE = "/tmf-api/productOrderingManagement/v4"
TOKEN = "carrier-token"


def new_order_id() -> str:
    return f"T{secrets.token_hex(8)}"


def body_of(order_id: str, *, in_seconds: float = 300, package: str = "CT-DATA-10GB-30D") -> dict[str, Any]:
    return {
        "externalId": order_id,
        "category": "vehicle-data-topup",
        "requestedCompletionDate": (datetime.now(UTC) + timedelta(seconds=in_seconds)).isoformat(),
        "productOrderItem": [
            {
                "id": "1",
                "action": "add",
                "quantity": 1,
                "productOffering": {"id": package},
                "product": {"productCharacteristic": [{"name": "iccid", "value": "89860321247550000015"}]},
            }
        ],
    }


class CarrierClient:
    def __init__(self, url: str, token: str = TOKEN) -> None:
        self.http = httpx.AsyncClient(
            base_url=url, timeout=WAIT_SECONDS, verify=False, headers={"Authorization": f"Bearer {token}"}
        )

    async def post(self, body: dict[str, Any] | bytes, **options: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return await self.http.post(f"{BASE}/productOrder", content=content, headers=headers, **options)

    async def get(self, order_id: str, **options: Any) -> httpx.Response:
        return await self.http.get(f"{BASE}/productOrder", params={"externalId": order_id}, **options)

    async def cancel(self, order_id: str, **options: Any) -> httpx.Response:
        return await self.http.post(f"{BASE}/cancelProductOrder", json={"externalId": order_id}, **options)

    async def states(self, order_id: str) -> list[str]:
        return [order["state"] for order in (await self.get(order_id)).json()]

    async def fault(self, order_id: str, *faults: dict[str, Any]) -> None:
        answer = await self.http.put(f"/faults/{order_id}", json=list(faults))
        assert answer.status_code == 200, answer.text

    async def kinds(self, order_id: str) -> list[str]:
        """The kinds of the book's entries about one order."""
        entries = (await self.http.get("/book")).json()
        return [entry["kind"] for entry in entries if entry["data"].get("external_id") == order_id]

    async def summary(self, order_id: str) -> dict[str, Any]:
        return (await self.http.get("/book/summary")).json()[order_id]
