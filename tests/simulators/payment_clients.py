"""Speak to the payment providers with the signatures of independent libraries, and read their books."""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

import httpx
from alipay import AliPay
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from wechatpayv3.utils import build_authorization, rsa_verify

from tests.limits import WAIT_SECONDS

REFUNDS = "/v3/refund/domestic/refunds"


def settings_of(keys: Path) -> dict[str, str]:
    return json.loads((keys / "settings.json").read_text())


def new_payment() -> tuple[str, str]:
    """A transaction ID and an out_trade_no."""
    return f"4200{secrets.randbelow(10**24):024d}", f"T{secrets.token_hex(8)}"


class ControlClient:
    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=WAIT_SECONDS, verify=False)

    async def register(self, transaction_id: str, out_trade_no: str, amount_fen: int = 9900) -> None:
        spec = {"amount_fen": amount_fen, "out_trade_no": out_trade_no}
        answer = await self.http.put(f"/payments/{transaction_id}", json=spec)
        assert answer.status_code == 200, answer.text

    async def paid(self, amount_fen: int = 9900) -> tuple[str, str]:
        transaction_id, out_trade_no = new_payment()
        await self.register(transaction_id, out_trade_no, amount_fen)
        return transaction_id, out_trade_no

    async def fault(self, key: str, *faults: dict[str, Any]) -> None:
        answer = await self.http.put(f"/faults/{key}", json=list(faults))
        assert answer.status_code == 200, answer.text

    async def summary(self, transaction_id: str) -> dict[str, Any]:
        return (await self.http.get("/book/summary")).json()[transaction_id]

    async def entries(self, transaction_id: str, kind: str) -> list[dict[str, Any]]:
        entries = (await self.http.get("/book")).json()
        return [
            entry["data"]
            for entry in entries
            if entry["kind"] == kind and entry["data"].get("transaction_id") == transaction_id
        ]


class WechatClient(ControlClient):
    def __init__(self, url: str, keys: Path) -> None:
        super().__init__(url)
        self.settings = settings_of(keys)
        self.private_key = load_pem_private_key(self.settings["TOPUP_WECHAT_PRIVATE_KEY"].encode(), None)
        self.platform_key = load_pem_public_key(self.settings["TOPUP_WECHAT_PUBLIC_KEY"].encode())

    def authorization(self, method: str, path: str, body: str = "", **other: str) -> str:
        return build_authorization(
            path,
            method,
            other.get("mchid", self.settings["TOPUP_WECHAT_MCHID"]),
            other.get("serial_no", self.settings["TOPUP_WECHAT_SERIAL_NO"]),
            self.private_key,
            data=body,
        )

    async def refund(
        self,
        refund_no: str,
        transaction_id: str,
        *,
        fen: int = 9900,
        total: int = 9900,
        timeout_seconds: float | httpx.Timeout = WAIT_SECONDS,
        **more: Any,
    ) -> httpx.Response:
        amount = {"refund": fen, "total": total, "currency": "CNY"}
        body = json.dumps({"out_refund_no": refund_no, "transaction_id": transaction_id, "amount": amount, **more})
        return await self.send("POST", REFUNDS, body, timeout_seconds=timeout_seconds)

    async def query(self, refund_no: str, *, timeout_seconds: float | httpx.Timeout = WAIT_SECONDS) -> httpx.Response:
        return await self.send("GET", f"{REFUNDS}/{refund_no}", timeout_seconds=timeout_seconds)

    async def send(
        self, method: str, path: str, body: str = "", *, timeout_seconds: float | httpx.Timeout = WAIT_SECONDS
    ) -> httpx.Response:
        headers = {"Authorization": self.authorization(method, path, body), "Content-Type": "application/json"}
        return await self.http.request(method, path, content=body, headers=headers, timeout=timeout_seconds)

    def is_signed(self, answer: httpx.Response) -> bool:
        headers = answer.headers
        return (
            headers.get("wechatpay-serial") == self.settings["TOPUP_WECHAT_PUBLIC_KEY_ID"]
            and headers.get("wechatpay-signature-type") == "WECHATPAY2-SHA256-RSA2048"
            and abs(time.time() - int(headers["wechatpay-timestamp"])) < 60
            and rsa_verify(
                headers["wechatpay-timestamp"],
                headers["wechatpay-nonce"],
                answer.text,
                headers["wechatpay-signature"],
                self.platform_key,
            )
        )


class AlipayClient(ControlClient):
    def __init__(self, url: str, keys: Path) -> None:
        super().__init__(url)
        settings = settings_of(keys)
        self.oracle = AliPay(
            appid=settings["TOPUP_ALIPAY_APP_ID"],
            app_private_key_string=settings["TOPUP_ALIPAY_PRIVATE_KEY"],
            alipay_public_key_string=settings["TOPUP_ALIPAY_PUBLIC_KEY"],
        )

    async def call(self, method: str, content: dict[str, Any], **options: Any) -> httpx.Response:
        form = self.oracle.sign_data(self.oracle.build_body(method, content))
        return await self.send(form, **options)

    async def send(self, form: str, **options: Any) -> httpx.Response:
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
        return await self.http.post("/gateway.do", content=form, headers=headers, **options)

    async def refund(self, trade_no: str, request_no: str, amount: str = "99.00", **options: Any) -> httpx.Response:
        content = {"trade_no": trade_no, "out_request_no": request_no, "refund_amount": amount}
        return await self.call("alipay.trade.refund", content, **options)

    async def query(self, trade_no: str, request_no: str, **options: Any) -> httpx.Response:
        content = {"trade_no": trade_no, "out_request_no": request_no}
        return await self.call("alipay.trade.fastpay.refund.query", content, **options)

    def verified(self, answer: httpx.Response) -> dict[str, Any]:
        """The inner object, checked by the oracle; it raises on a wrong or missing signature."""
        name = next(name for name in answer.json() if name.endswith("_response"))
        return self.oracle._verify_and_return_sync_response(answer.text, name)


def flipped(signature: str) -> str:
    """Another signature of the same length."""
    raw = bytearray(base64.b64decode(signature))
    raw[0] ^= 1
    return base64.b64encode(raw).decode()
