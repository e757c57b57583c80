"""Refunds at WeChat Pay, API v3 (contracts §5).

Only what is verified is believed, errors and refusals of any status too: what isn't signed may be a proxy's, so it is
doubt. WeChat Pay signs its answer only if it could attribute the request to us (documentation, "signature
verification"): what it says unsigned is a hint to the operator, and settles nothing.
"""

import json
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Self

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from adapters.http import EndpointHealth, NoResponse, Reply, always, as_object, client, json_object, origin, send
from adapters.payments.rsa import NotGenuine, load_private_key, load_public_key
from adapters.payments.wechat.signing import authorization, verify
from adapters.wording import for_operator, quoted, reference, text_of
from orders.errors import Unavailable
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundRequest,
    RefundUnknown,
)

_REFUNDS: Final = "/v3/refund/domestic/refunds"
_MAX_REASON_BYTES: Final = 80
_WHOM: Final = "WeChat Pay"

_NOT_NOW: Final = frozenset({"SYSTEM_ERROR", "FREQUENCY_LIMITED", "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED"})
_DENIED: Final = {
    "USER_ACCOUNT_ABNORMAL": "the payer's account can't take the money: pay it back another way, then resolve it",
    "NO_AUTH": "the merchant may not refund this payment: ask WeChat Pay for the permission or pay it back another way",
    "PARAM_ERROR": "it refuses the refund's parameters: compare the order with the payment at WeChat Pay",
    "INVALID_REQUEST": "a rule forbids the refund: look the payment up at WeChat Pay, it may be refunded or too old",
    "RESOURCE_NOT_EXISTS": "it doesn't know the payment: look it up at WeChat Pay under its transaction ID",
    "MCH_NOT_EXISTS": "it doesn't know the merchant: check TOPUP_WECHAT_MCHID and the merchant's account",
}
"""Answers to the POST by which WeChat Pay has refused for good; a person settles them (docs/facts/payments.md)."""

_MISCONFIGURED: Final = frozenset({"SIGN_ERROR", "NO_AUTH", "MCH_NOT_EXISTS"})
"""Answers to a query that speak of us and not of the refund."""

_OURS: Final = "TOPUP_WECHAT_MCHID, TOPUP_WECHAT_SERIAL_NO and TOPUP_WECHAT_PRIVATE_KEY and this machine's clock"


@dataclass(frozen=True, slots=True)
class WeChatPayAccount:
    """Who refunds, and the keys of both sides."""

    merchant_id: str
    serial_no: str
    private_key: RSAPrivateKey
    public_key_id: str
    public_key: RSAPublicKey


@dataclass(frozen=True, slots=True)
class Said:
    """A verified answer below 500 with a JSON object."""

    reply: Reply
    members: dict[str, object]

    @property
    def code(self) -> str:
        """The error's; "" where there is none."""
        return text_of(self.members.get("code")) or ""

    @property
    def words(self) -> str:
        """What it says, as an insertion into a sentence."""
        return quoted(self.members.get("message"))


class WeChatPay:
    """`activities.ports.PaymentProvider` over HTTP."""

    name: str = "wechat"
    merchant_id: str

    def __init__(self, http: httpx.AsyncClient, account: WeChatPayAccount, *, url: str, notify_url: str = "") -> None:
        """Build it on a client that the caller closes.

        Args:
            http: without redirects and retries; see `open`.
            account: the merchant's.
            url: origin of the API (`https://api.mch.weixin.qq.com`).
            notify_url: public address for refund notices; "" for none. The same for the life of an order, since all
                attempts of one refund number must send the same parameters.
        """
        self.merchant_id = account.merchant_id
        self.health = EndpointHealth()
        self.http = http
        self._account = account
        self._url = origin(url)
        self._notify_url = notify_url

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        *,
        url: str,
        merchant_id: str,
        serial_no: str,
        private_key: str,
        public_key_id: str,
        public_key: str,
        notify_url: str = "",
        cafile: str | None = None,
    ) -> AsyncGenerator[Self, None]:
        """The adapter with a client of its own, closed at the end. Keys are PEM.

        Raises:
            ValueError: an address or a key can't be one.
        """
        account = WeChatPayAccount(
            merchant_id=merchant_id,
            serial_no=serial_no,
            private_key=load_private_key(private_key),
            public_key_id=public_key_id,
            public_key=load_public_key(public_key),
        )
        async with client(cafile=cafile) as http:
            yield cls(http, account, url=url, notify_url=notify_url)

    def refund_body(self, request: RefundRequest) -> bytes:
        """The body of the POST, the same bytes for one refund number on every attempt."""
        body: dict[str, object] = {"transaction_id": request.transaction_id, "out_refund_no": request.refund_number}
        if reason := request.reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore"):
            body["reason"] = reason
        if self._notify_url:
            body["notify_url"] = self._notify_url
        body["amount"] = {"refund": request.amount_fen, "total": request.total_fen, "currency": request.currency}
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool] = always
    ) -> RefundAnswer:
        """Send the refund; what is taken in is `RefundAccepted`, even a `SUCCESS`."""
        if request.merchant_id != self.merchant_id:
            return _foreign()
        said = await self._ask("POST", _REFUNDS, self.refund_body(request), timeout_seconds, in_time)
        if not isinstance(said, Said):
            return said
        return _refund_state(said, request, queried=False) if said.reply.is_success else _refused(said)

    async def query(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """Ask for the refund of this number."""
        if request.merchant_id != self.merchant_id:
            return _foreign()
        said = await self._ask("GET", f"{_REFUNDS}/{request.refund_number}", b"", timeout_seconds)
        if not isinstance(said, Said):
            return said
        return _refund_state(said, request, queried=True) if said.reply.is_success else _query_refused(said)

    async def get(self, path: str, *, timeout_seconds: float) -> Said:
        """Ask for anything else; `path` with its query.

        Raises:
            Unavailable: WeChat Pay gave no answer that is believed and says something.
        """
        said = await self._ask("GET", path, b"", timeout_seconds)
        if not isinstance(said, Said):
            raise Unavailable(getattr(said, "why", "WeChat Pay does not say."))
        return said

    async def _ask(
        self, method: str, path: str, body: bytes, timeout_seconds: float, in_time: Callable[[], bool] = always
    ) -> Said | RefundAnswer:
        reply = await send(
            self.http,
            self.signed(method, path, body),
            whom=_WHOM,
            timeout_seconds=timeout_seconds,
            health=self.health,
            in_time=in_time,
        )
        if isinstance(reply, NoResponse):
            return RefundInDoubt(why=reply.why)
        account = self._account
        now = datetime.now(UTC).timestamp()
        try:
            verify(
                reply.headers,
                reply.body,
                public_key_id=account.public_key_id,
                public_key=account.public_key,
                now_seconds=now,
            )
        except NotGenuine as flaw:
            return _unbelieved(reply, flaw)
        members = json_object(reply.body)
        if reply.status == httpx.codes.TOO_MANY_REQUESTS.value or httpx.codes.is_server_error(reply.status):
            return _doubt(reply, f"WeChat Pay answered HTTP {reply.status} {_code_in(reply)}: it can't say now.")
        if members is None:
            return _doubt(reply, f"WeChat Pay answered HTTP {reply.status} with what is no JSON object.", alert=True)
        return Said(reply, members)

    def signed(self, method: str, path: str, body: bytes) -> httpx.Request:
        """A request whose signature covers the target and the bytes that go out."""
        url = httpx.URL(self._url + path)
        headers = {
            "Authorization": authorization(
                self._account.private_key,
                merchant_id=self._account.merchant_id,
                serial_no=self._account.serial_no,
                method=method,
                target=url.raw_path.decode("ascii"),
                body=body,
                timestamp=int(datetime.now(UTC).timestamp()),
                nonce=secrets.token_hex(16),
            ),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "topup",  # WeChat Pay refuses requests without one
            "Wechatpay-Serial": self._account.public_key_id,  # asks for answers signed with this key
        }
        if body:
            headers["Content-Type"] = "application/json"
        return httpx.Request(method, url, content=body or None, headers=headers)


def _refund_state(said: Said, request: RefundRequest, *, queried: bool) -> RefundAnswer:
    """The state map; only an answer about exactly our refund counts."""
    if mismatch := _mismatch(said.members, request):
        why = f"WeChat Pay answered about another refund than ours ({mismatch} differs): look it up at WeChat Pay."
        return _doubt(said.reply, why, alert=True)
    match said.members.get("status"):
        case "SUCCESS" if queried:
            number = reference(said.members.get("refund_id"))
            return RefundConfirmed(provider_refund_id=number, amount_fen=request.amount_fen)
        case "SUCCESS" | "PROCESSING" as status:
            return RefundAccepted(why=f"WeChat Pay says {status}.")
        case "CLOSED":
            return RefundClosed()
        case "ABNORMAL":
            why = "WeChat Pay could not pay the money out (ABNORMAL): handle it in its merchant platform, then resolve."
            return RefundDenied(code="ABNORMAL", why=why)
        case status:
            why = f"WeChat Pay answered with a refund status that isn't known{quoted(status)}: look it up there."
            return _doubt(said.reply, why, alert=True)


def _mismatch(members: dict[str, object], request: RefundRequest) -> str:
    """The first member that is not our refund's; "" if all are."""
    amount = as_object(members.get("amount")) or {}
    if text_of(members.get("out_refund_no")) != request.refund_number:
        return "out_refund_no"
    if text_of(members.get("transaction_id")) != request.transaction_id:
        return "transaction_id"
    refund = amount.get("refund")
    if isinstance(refund, bool) or text_of(refund) != str(request.amount_fen):
        return "amount.refund"
    if amount.get("currency") not in (None, request.currency):
        return "amount.currency"
    return ""


def _refused(said: Said) -> RefundAnswer:
    """A 3xx or 4xx to the POST."""
    code = said.code
    if code == "NOT_ENOUGH":
        why = f"WeChat Pay says NOT_ENOUGH{said.words}: top up the merchant's balance; the refund is then sent again."
        return RefundHeld(code=code, why=why)
    if code == "SIGN_ERROR":
        return _misconfigured(code, said.words)
    if code in _DENIED:
        return RefundDenied(code=code, why=f"WeChat Pay says {code}{said.words}: {_DENIED[code]}.")
    return _unclear(said)


def _query_refused(said: Said) -> RefundAnswer:
    """A 3xx or 4xx to the query: it refuses the question, so it can't refuse the refund."""
    code = said.code
    if code == "RESOURCE_NOT_EXISTS" and said.reply.status == httpx.codes.NOT_FOUND.value:
        return RefundUnknown()
    if code in _MISCONFIGURED:
        return _misconfigured(code, said.words)
    return _unclear(said)


def _unclear(said: Said) -> RefundInDoubt:
    why = f"WeChat Pay answered HTTP {said.reply.status} {_code_in(said.reply)}{said.words}"
    if said.code in _NOT_NOW:
        return _doubt(said.reply, f"{why}: it can't say now.")
    return _doubt(said.reply, f"{why}, which settles nothing: look the refund up at WeChat Pay.", alert=True)


def _unbelieved(reply: Reply, flaw: NotGenuine) -> RefundAnswer:
    """An answer that isn't proven to be WeChat Pay's: it settles nothing, a refusal neither (contracts §5).

    WeChat Pay may not sign an answer to a request that it can't attribute; what it says then is a hint to the operator.
    """
    why = f"WeChat Pay's answer (HTTP {reply.status} {_code_in(reply)}) is not believed: {flaw}."
    if (for_operator((json_object(reply.body) or {}).get("code"))) in _MISCONFIGURED:
        why = f"{why[:-1]}; if it is WeChat Pay's, check {_OURS}."
    # A proxy's unsigned 5xx or 429 passes, and a probe is meant to come; all else needs a person.
    passing = reply.status == httpx.codes.TOO_MANY_REQUESTS.value or httpx.codes.is_server_error(reply.status)
    alert = flaw.flaw != "probe" and not (flaw.flaw == "unsigned" and passing)
    return _doubt(reply, why, alert=alert)


def _misconfigured(code: str, words: str) -> RefundHeld:
    why = f"ALERT: WeChat Pay refuses our requests ({code}){words}, no refund can be sent: check {_OURS}."
    return RefundHeld(code=code, why=why)


def _foreign() -> RefundHeld:
    why = "The payment belongs to another merchant than TOPUP_WECHAT_MCHID: configure that one, or refund it by hand."
    return RefundHeld(code="OTHER_MERCHANT", why=why)


def _code_in(reply: Reply) -> str:
    return for_operator((json_object(reply.body) or {}).get("code")) or "without a code"


def _doubt(reply: Reply, why: str, *, alert: bool = False) -> RefundInDoubt:
    return RefundInDoubt(why=why, retry_after_seconds=reply.retry_after_seconds(datetime.now(UTC)), alert=alert)
