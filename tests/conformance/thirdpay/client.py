"""Refunds at Thirdpay: JSON with an HMAC over the body, both ways."""

import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Self

import httpx

from adapters.http import EndpointHealth, NoResponse, always, client, json_object, origin, send
from adapters.wording import quoted, text_of
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundRequest,
    RefundUnknown,
)

WHOM = "Thirdpay"


def mac(key: str, body: bytes) -> str:
    return hmac.digest(key.encode(), body, hashlib.sha256).hex()


class Thirdpay:
    """`activities.ports.PaymentProvider` over HTTP."""

    name = "thirdpay"

    def __init__(self, http: httpx.AsyncClient, *, url: str, shop: str, key: str) -> None:
        self.merchant_id = shop
        self.health = EndpointHealth()
        self._http, self._url, self._key = http, origin(url), key

    @classmethod
    @asynccontextmanager
    async def open(cls, *, url: str, shop: str, key: str) -> AsyncGenerator[Self, None]:
        async with client() as http:
            yield cls(http, url=url, shop=shop, key=key)

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool] = always
    ) -> RefundAnswer:
        content = {"no": request.refund_number, "payment": request.transaction_id, "amount": request.amount_fen}
        return await self._ask("POST", "/refunds", content, request, timeout_seconds=timeout_seconds, in_time=in_time)

    async def query(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        return await self._ask("GET", f"/refunds/{request.refund_number}", {}, request, timeout_seconds=timeout_seconds)

    async def _ask(
        self,
        method: str,
        path: str,
        content: dict[str, object],
        request: RefundRequest,
        *,
        timeout_seconds: float,
        in_time: Callable[[], bool] = always,
    ) -> RefundAnswer:
        if request.merchant_id != self.merchant_id:
            return RefundHeld(code="OTHER_MERCHANT", why="The payment belongs to another shop: refund it by hand.")
        body = json.dumps(content).encode() if content else b""
        asked = httpx.Request(method, self._url + path, content=body, headers={"X-Mac": mac(self._key, body)})
        reply = await send(
            self._http, asked, whom=WHOM, timeout_seconds=timeout_seconds, health=self.health, in_time=in_time
        )
        if isinstance(reply, NoResponse):
            return RefundInDoubt(why=reply.why)
        if not hmac.compare_digest(reply.headers.get("x-mac", "").encode(), mac(self._key, reply.body).encode()):
            return RefundInDoubt(why=f"Thirdpay's answer (HTTP {reply.status}) is not believed.", alert=True)
        members = json_object(reply.body)
        if members is None or reply.status >= httpx.codes.INTERNAL_SERVER_ERROR.value:
            return RefundInDoubt(why=f"Thirdpay answered HTTP {reply.status}, which settles nothing.")
        queried = method == "GET"
        return _error(members, queried=queried) if "error" in members else _state(members, request, queried=queried)


def _error(members: dict[str, object], *, queried: bool) -> RefundAnswer:
    match members["error"]:
        case "NO_REFUND" if queried:
            return RefundUnknown()
        case "NO_BALANCE":
            return RefundHeld(code="NO_BALANCE", why="Thirdpay says that the balance is too low: top it up.")
        case "REFUSED" if not queried:
            return RefundDenied(code="REFUSED", why="Thirdpay refuses the refund: pay the money back another way.")
        case code:
            return RefundInDoubt(why=f"Thirdpay answered with an error{quoted(code)}.", alert=True)


def _state(members: dict[str, object], request: RefundRequest, *, queried: bool) -> RefundAnswer:
    ours = {"no": request.refund_number, "payment": request.transaction_id, "amount": str(request.amount_fen)}
    if any(text_of(members.get(member)) != value for member, value in ours.items()):
        return RefundInDoubt(why="Thirdpay answered about another refund than ours: look it up there.", alert=True)
    match members.get("state"):
        case "DONE" if queried:
            return RefundConfirmed(amount_fen=request.amount_fen)
        case "DONE" | "UNDER_WAY":
            return RefundAccepted(why="Thirdpay has taken the refund in.")
        case state:
            return RefundInDoubt(why=f"Thirdpay answered with a state that isn't known{quoted(state)}.", alert=True)
