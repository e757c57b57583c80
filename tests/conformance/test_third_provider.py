"""A third provider is its folder, its word and its line: an order paid there is refunded like any other."""

import asyncio
import os
import secrets
import sys
from pathlib import Path

import httpx
import pytest

from devkit.servers.temporal import Temporal
from tests.conformance.kits import PROVIDER_KITS, start_carrier
from tests.limits import WAIT_SECONDS
from tests.runtime import environments
from tests.simulators.processes import ROOT

TOKEN = "carrier-token"
LIMIT_SECONDS = WAIT_SECONDS


@pytest.mark.slow
async def test_an_order_paid_at_a_third_provider_is_refunded_by_the_workers_composition(
    tmp_path: Path, temporal_server: Temporal
) -> None:
    carrier, kit = start_carrier(tmp_path, TOKEN), PROVIDER_KITS["thirdpay"]
    provider = kit.start(tmp_path)
    transaction_id = f"42{secrets.randbelow(10**12):012d}"
    worker = {
        name: text for name, text in environments.worker().items() if "WECHAT" not in name and "ALIPAY" not in name
    }
    environ = worker | dict(provider.environ)
    environ |= {
        "PATH": os.environ["PATH"],
        "TEMPORAL_ADDRESS": temporal_server.address,
        "TEMPORAL_NAMESPACE": temporal_server.namespace,
        "TOPUP_DATABASE_URL": f"sqlite:///{tmp_path}/book.db",
        "TOPUP_CARRIER_URL": carrier.url("carrier"),
        "TOPUP_CARRIER_TOKEN": TOKEN,
        "TOPUP_TASK_QUEUE": f"third-{secrets.token_hex(4)}",
        "TOPUP_TIME_SCALE": "0.05",
    }
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            payment = {"amount_fen": 9901, "out_trade_no": f"T{transaction_id}"}
            (await http.put(f"{provider.url}/payments/{transaction_id}", json=payment)).raise_for_status()
            refusal = {"kind": "refuse", "code": "SIM_SUSPENDED"}
            url = f"{carrier.url('carrier')}/faults/T{transaction_id}"
            (await http.put(url, json=[refusal])).raise_for_status()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.conformance.thirdpay.whole_order"),
                *(environ[kit.merchant_variable], transaction_id),
                cwd=ROOT,
                env=environ,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                told, errors = await asyncio.wait_for(process.communicate(), LIMIT_SECONDS)
            finally:
                if process.returncode is None:
                    process.kill()
            assert told.decode().split()[-1:] == ["refunded"], errors.decode()[-2000:]
            account = (await http.get(f"{provider.url}/book/summary")).json()[transaction_id]
            assert (account["refunded_fen"], len(account["refunds"])) == (9901, 1)
    finally:
        carrier.stop()
        provider.process.stop()
