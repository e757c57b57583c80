"""Asking the order backend what a payment bought, where the payment itself doesn't prove it (contracts §7)."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.http import trusted, unpacked
from orders.attachment import Purchase
from orders.errors import Unavailable
from orders.paid_order import AmountFen, PackageId, Vehicle
from orders.strict_json import NotStrictJson, decode_object

LOOKUP_SECONDS: Final = 2.0
"""Of the 5 s that a provider waits for its answer."""
MAX_ANSWER_BYTES: Final = 64 * 1024
CONNECTIONS: Final = 50


@dataclass(frozen=True, slots=True)
class BackendOrder:
    """An order as the backend priced it."""

    purchase: Purchase
    amount_fen: int


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    vehicle: Vehicle
    package_id: PackageId
    amount_fen: AmountFen


class OrderLookup:
    """The order backend.

    Args:
        url: before `/{out_trade_no}`.
        token: bearer token; "" for none.
        cafile: whom it trusts, in place of the public authorities.
        transport: tests pass their own.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        cafile: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        self._url = url.rstrip("/")
        self._trouble: str | None = None
        self._http = httpx.AsyncClient(
            headers=headers,
            timeout=LOOKUP_SECONDS,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
            follow_redirects=False,  # what is asked for is answered here, or not at all
            trust_env=False,
            verify=trusted(cafile),
            transport=transport,
        )

    async def find(self, out_trade_no: str) -> BackendOrder | None:
        """The order; None where the backend says that there is none (404).

        Raises:
            Unavailable: it doesn't say within 2 s, or not in a way to build on: ask again, later.
        """
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                status, body = await self._get(out_trade_no)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise self._away(f"doesn't answer ({type(error).__name__})") from error
        if status == HTTPStatus.NOT_FOUND:
            self._trouble = None
            return None
        if status != HTTPStatus.OK:
            raise self._away(f"answers {status}")
        try:
            answer = _Answer.model_validate(decode_object(body))
        except (NotStrictJson, ValidationError):
            raise self._away("answers what is no order of contracts §7") from None
        self._trouble = None
        return BackendOrder(Purchase(answer.vehicle, answer.package_id), answer.amount_fen)

    async def check(self) -> None:
        """Return if the last lookup was answered; for `/readyz`.

        Raises:
            Unavailable: it was not.
        """
        if self._trouble:
            raise Unavailable(self._trouble)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _get(self, out_trade_no: str) -> tuple[int, bytes]:
        async with self._http.stream("GET", f"{self._url}/{out_trade_no}") as answer:
            packing = answer.headers.pop("content-encoding", "")  # httpx would unpack it without a bound
            body = b""
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise httpx.ReadError("the answer is too large")
            try:
                return answer.status_code, unpacked(body, packing, MAX_ANSWER_BYTES)
            except ValueError as error:
                raise httpx.ReadError("the answer can't be unpacked") from error

    def _away(self, what: str) -> Unavailable:
        self._trouble = f"The order backend at TOPUP_ORDER_LOOKUP_URL {what}: payments without an attachment wait."
        return Unavailable(self._trouble)
