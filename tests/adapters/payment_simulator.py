"""A simulated payment provider as its own process, for round trips over the wire."""

import json
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from orders.outcomes import RefundRequest
from tests.limits import WAIT_SECONDS
from tests.simulators.processes import ROOT, SimulatorProcess, start

AMOUNT_FEN = 9901
SETTLE_SECONDS = 4
"""How long a refund is under way, scaled by TIME_SCALE."""
TIME_SCALE = 0.05


@dataclass(frozen=True)
class PaymentSimulator:
    process: SimulatorProcess
    url: str
    settings: dict[str, str]


def start_provider(name: str, folder: Path, *arguments: str) -> PaymentSimulator:
    """Start it with fresh keys; its settings are the product's variables."""
    keys = folder / "keys"
    subprocess.run(
        [sys.executable, "-m", "simulators", "keys", "--out", keys], cwd=ROOT, check=True, timeout=WAIT_SECONDS
    )
    scale = str(TIME_SCALE)
    process = start(name, "--keys", keys, "--book", folder / "book.jsonl", "--time-scale", scale, *arguments)
    settings = json.loads((keys / "settings.json").read_text())
    return PaymentSimulator(process, process.url(name), settings)


class Desk:
    """Makes a payment, orders faults on it and reads the provider's own account of it."""

    def __init__(self, http: httpx.AsyncClient, merchant_id: str) -> None:
        self._http = http
        self.transaction_id = f"42{secrets.randbelow(10**26):026d}"
        order_id = f"T{secrets.token_hex(8)}"
        self.request = RefundRequest(
            refund_number=f"R{order_id}",
            transaction_id=self.transaction_id,
            out_trade_no=order_id,
            merchant_id=merchant_id,
            amount_fen=AMOUNT_FEN,
            total_fen=AMOUNT_FEN,
            currency="CNY",
            reason="the data package could not be delivered",
        )

    async def pay(self) -> None:
        payment = {"amount_fen": AMOUNT_FEN, "out_trade_no": self.request.out_trade_no}
        (await self._http.put(f"/payments/{self.transaction_id}", json=payment)).raise_for_status()

    async def fault(self, *faults: dict[str, object]) -> None:
        (await self._http.put(f"/faults/{self.transaction_id}", json=list(faults))).raise_for_status()

    async def settle(self) -> None:
        (await self._http.post(f"/refunds/{self.request.refund_number}/settle")).raise_for_status()

    async def account(self) -> dict[str, Any]:
        return (await self._http.get("/book/summary")).json()[self.transaction_id]
