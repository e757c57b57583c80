"""Refunds at Alipay: `alipay.trade.refund` and `alipay.trade.fastpay.refund.query` (contracts §5).

Only what is verified is believed. One exception, which claims nothing about money: a gateway that can't tell who asks,
or finds our signature wrong, doesn't sign its answer (`40003 isv.missing-signature-config` comes without `sign`); such
an error holds the refund until a person has mended the configuration.
"""

import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self
from urllib.parse import urlencode

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from adapters.http import EndpointHealth, NoResponse, Reply, always, client, origin, send
from adapters.payments.alipay.signing import Answer, fen, signed_parameters, split_answer, verify, yuan
from adapters.payments.rsa import NotGenuine, load_private_key, load_public_key
from adapters.wording import for_operator, quoted, text_of
from orders.errors import Unavailable
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
from orders.paid_order import CHINA

_REFUND: Final = "alipay.trade.refund"
_QUERY: Final = "alipay.trade.fastpay.refund.query"
_MAX_REASON_CHARACTERS: Final = 256
_WHOM: Final = "Alipay"

_SUCCESS: Final = "10000"
_NOT_NOW: Final = frozenset({"ACQ.SYSTEM_ERROR", "ACQ.DISCORDANT_REPEAT_REQUEST"})
_NO_BALANCE: Final = "ACQ.SELLER_BALANCE_NOT_ENOUGH"
NO_TRADE: Final = "ACQ.TRADE_NOT_EXIST"
_DENIED: Final = {
    "ACQ.TRADE_HAS_FINISHED": "the payment is finished and takes no refund any more: pay the money back another way",
    "ACQ.TRADE_STATUS_ERROR": "the payment's state allows no refund: look it up at Alipay, it may be refunded already",
    NO_TRADE: "it doesn't know the payment: look it up at Alipay under its trade number",
    "ACQ.TRADE_NOT_ALLOW_REFUND": "the payment allows no refund: pay the money back another way",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": "the amount is not the payment's: compare the order with the payment at Alipay",
    "ACQ.REASON_TRADE_BEEN_FREEZEN": "the payment is frozen: have Alipay release it or pay the money back another way",
}
"""Answers to a refund by which Alipay has refused for good; a person settles them (docs/facts/payments.md)."""


@dataclass(frozen=True, slots=True)
class AlipayAccount:
    """Who refunds, and the keys of both sides."""

    app_id: str
    seller_id: str
    private_key: RSAPrivateKey
    public_key: RSAPublicKey


@dataclass(frozen=True, slots=True)
class Said:
    """An answer whose members may be believed."""

    reply: Reply
    members: Mapping[str, object]

    @property
    def code(self) -> str | None:
        """`10000` where the call succeeded, which says nothing else."""
        return self.text("code")

    @property
    def sub_code(self) -> str:
        """The error's; "" where there is none."""
        return self.text("sub_code") or ""

    def text(self, member: str) -> str | None:
        """A member's text, a number's too; None where it is absent, "" where it is an object or an array."""
        value = self.members.get(member)
        return None if value is None else text_of(value) or ""

    @property
    def is_busy(self) -> bool:
        """The gateway is away, or called too often."""
        return self.code in ("20000", "40005")

    @property
    def blames_us(self) -> bool:
        """The gateway refuses the request for who asks, how, or with what permission."""
        return self.sub_code.startswith("isv.") or self.code in ("20001", "40001", "40002", "40003", "40006")

    @property
    def what(self) -> str:
        """Codes and words for a sentence."""
        code = for_operator(self.code) or "without a code"
        return f"{code} {for_operator(self.sub_code)}".rstrip() + quoted(self.members.get("sub_msg"))


class Alipay:
    """`activities.ports.PaymentProvider` over HTTP."""

    name: str = "alipay"
    merchant_id: str

    def __init__(self, http: httpx.AsyncClient, account: AlipayAccount, *, url: str) -> None:
        """Build it on a client that the caller closes.

        Args:
            http: without redirects and retries; see `open`.
            account: the seller's.
            url: the gateway with its path (`https://openapi.alipay.com/gateway.do`).
        """
        self.merchant_id = account.seller_id
        self.health = EndpointHealth()
        self.http = http
        self.url = origin(url)
        self._account = account

    @classmethod
    @asynccontextmanager
    async def open(
        cls, *, url: str, app_id: str, seller_id: str, private_key: str, public_key: str, cafile: str | None = None
    ) -> AsyncGenerator[Self, None]:
        """The adapter with a client of its own, closed at the end. Keys are PEM.

        Raises:
            ValueError: an address or a key can't be one.
        """
        account = AlipayAccount(
            app_id=app_id,
            seller_id=seller_id,
            private_key=load_private_key(private_key),
            public_key=load_public_key(public_key),
        )
        async with client(cafile=cafile) as http:
            yield cls(http, account, url=url)

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool] = always
    ) -> RefundAnswer:
        """Send the refund; what is taken in is `RefundAccepted`, even with `fund_change=Y`."""
        if held := self._not_ours(request):
            return held
        content = {
            "trade_no": request.transaction_id,
            "refund_amount": yuan(request.amount_fen),
            "out_request_no": request.refund_number,
        }
        if request.reason:
            content["refund_reason"] = request.reason[:_MAX_REASON_CHARACTERS]
        said = await self._ask(_REFUND, content, timeout_seconds, in_time)
        if not isinstance(said, Said):
            return said
        return _taken_in(said, request) if said.code == _SUCCESS else _refused(said)

    async def query(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """Ask for the refund of this number."""
        if held := self._not_ours(request):
            return held
        content = {"trade_no": request.transaction_id, "out_request_no": request.refund_number}
        said = await self._ask(_QUERY, content, timeout_seconds)
        if not isinstance(said, Said):
            return said
        return _found(said, request) if said.code == _SUCCESS else _query_refused(said)

    def _not_ours(self, request: RefundRequest) -> RefundHeld | None:
        if request.merchant_id != self.merchant_id:
            why = "The payment belongs to another seller than TOPUP_ALIPAY_SELLER_ID: configure it or refund by hand."
            return RefundHeld(code="OTHER_MERCHANT", why=why)
        if request.currency != "CNY":
            return RefundHeld(code="OTHER_CURRENCY", why="Alipay refunds in yuan; refund this payment by hand.")
        return None

    async def ask(self, method: str, content: Mapping[str, str], *, timeout_seconds: float) -> Said:
        """Call any other method.

        Raises:
            Unavailable: Alipay gave no answer that is believed.
        """
        said = await self._ask(method, content, timeout_seconds)
        if not isinstance(said, Said):
            raise Unavailable(getattr(said, "why", "Alipay does not say."))
        return said

    async def _ask(
        self, method: str, content: Mapping[str, str], timeout_seconds: float, in_time: Callable[[], bool] = always
    ) -> Said | RefundAnswer:
        request = self._signed(method, content)
        reply = await send(
            self.http, request, whom=_WHOM, timeout_seconds=timeout_seconds, health=self.health, in_time=in_time
        )
        if isinstance(reply, NoResponse):
            return RefundInDoubt(why=reply.why)
        if not reply.is_success:
            return _doubt(reply, f"Alipay's gateway answered HTTP {reply.status}, which settles nothing.")
        try:
            answer = split_answer(reply.body, method)
        except ValueError as error:
            return _doubt(reply, f"Alipay's answer can't be read (it {error}); nothing is known from it.", alert=True)
        try:
            verify(answer, self._account.public_key)
        except NotGenuine as flaw:
            return _unbelieved(reply, answer, flaw)
        return Said(reply, answer.members)

    def _signed(self, method: str, content: Mapping[str, str]) -> httpx.Request:
        """A request with all its parameters in the form body (contracts §5), ASCII throughout.

        ASCII, since the gateway decodes before it knows the `charset` that stands among the parameters.
        """
        parameters = {
            "app_id": self._account.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": datetime.now(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
            "version": "1.0",
            "biz_content": json.dumps(content, separators=(",", ":")),
        }
        headers = {
            "Content-Type": "application/x-www-form-urlencoded;charset=utf-8",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "topup",
        }
        form = urlencode(signed_parameters(self._account.private_key, parameters)).encode()
        return httpx.Request("POST", self.url, content=form, headers=headers)


def _taken_in(said: Said, request: RefundRequest) -> RefundAnswer:
    """10000 to a refund: taken in. `fund_change` says whether money moved by this call; the query confirms."""
    if said.text("trade_no") not in (None, request.transaction_id):
        return _contradiction(said, "trade_no")
    moved = said.members.get("fund_change")
    return RefundAccepted(why=f"Alipay says fund_change={'Y' if moved == 'Y' else 'N'}.")


def _found(said: Said, request: RefundRequest) -> RefundAnswer:
    """10000 to a query: the query succeeded, which says nothing of the refund by itself.

    A refund that is done is shown by its data: our number and our amount. Its `refund_status` is optional (Alipay's
    documentation); without the data there is no such refund, or it has failed.
    """
    for member, ours in (("out_request_no", request.refund_number), ("trade_no", request.transaction_id)):
        if said.text(member) not in (None, ours):
            return _contradiction(said, member)
    status = said.members.get("refund_status")
    if status not in (None, "", "REFUND_SUCCESS"):
        why = f"Alipay answered with a refund status that isn't known{quoted(status)}: look the refund up at Alipay."
        return _doubt(said.reply, why, alert=True)
    if not status and (said.text("out_request_no") is None or said.text("refund_amount") is None):
        return RefundUnknown()
    if said.text("out_request_no") is None:
        return _contradiction(said, "out_request_no")
    if fen(said.text("refund_amount")) != request.amount_fen:
        return _contradiction(said, "refund_amount")
    return RefundConfirmed(amount_fen=request.amount_fen)


def _refused(said: Said) -> RefundAnswer:
    """Another code than 10000 to a refund."""
    sub_code = said.sub_code
    if sub_code == _NO_BALANCE:
        why = f"Alipay says {said.what}: top up the seller's balance; the refund is then sent again."
        return RefundHeld(code=sub_code, why=why)
    if sub_code in _DENIED:
        return RefundDenied(code=sub_code, why=f"Alipay says {said.what}: {_DENIED[sub_code]}.")
    return _unclear(said)


def _query_refused(said: Said) -> RefundAnswer:
    """Another code than 10000 to a query: it refuses the question, so it can't refuse the refund.

    `TRADE_NOT_EXIST` means that there is no refund of this number either. It is no denial (only the refund itself can
    be refused) and no lasting doubt (nothing would ever end it): as "unknown" the refund is sent, which one number can
    do any number of times, and if the trade is still not known, that answer is the denial.
    """
    return RefundUnknown() if said.sub_code == NO_TRADE else _unclear(said)


def _unclear(said: Said) -> RefundAnswer:
    if said.sub_code in _NOT_NOW or said.is_busy:
        return _doubt(said.reply, f"Alipay says {said.what}: it can't say now.")
    if said.blames_us:
        return _misconfigured(said)
    why = f"Alipay says {said.what}, which settles nothing: look the refund up at Alipay."
    return _doubt(said.reply, why, alert=True)


def _misconfigured(said: Said) -> RefundHeld:
    why = (
        f"ALERT: Alipay refuses our requests ({said.what}), no refund can be sent: check TOPUP_ALIPAY_APP_ID, "
        "TOPUP_ALIPAY_PRIVATE_KEY and the app's permissions at Alipay."
    )
    return RefundHeld(code=for_operator(said.sub_code) or "GATEWAY_ERROR", why=why)


def _unbelieved(reply: Reply, answer: Answer, flaw: NotGenuine) -> RefundAnswer:
    said = Said(reply, answer.members)
    passing = flaw.flaw == "unsigned" and said.is_busy
    if flaw.flaw == "unsigned" and said.blames_us and not passing:
        return _misconfigured(said)
    return _doubt(reply, f"Alipay's answer ({said.what}) is not believed: {flaw}.", alert=not passing)


def _contradiction(said: Said, member: str) -> RefundInDoubt:
    why = f"Alipay answered about another refund than ours ({member} differs): look it up at Alipay."
    return _doubt(said.reply, why, alert=True)


def _doubt(reply: Reply, why: str, *, alert: bool = False) -> RefundInDoubt:
    return RefundInDoubt(why=why, retry_after_seconds=reply.retry_after_seconds(datetime.now(UTC)), alert=alert)
