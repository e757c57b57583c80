"""Refunds at WeChat Pay: what is not verified is doubt, and only a query confirms."""

import base64
import importlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from activities.ports import PaymentProvider
from adapters.payments.wechat.client import WeChatPay, WeChatPayAccount
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
from tests.adapters import loopback as tcp
from tests.adapters.answers import Answer, Far, raises
from tests.adapters.keys import Pair, pair
from tests.adapters.loopback import PATIENCE_SECONDS, dead_url, loopback

oracle: Any = importlib.import_module("wechatpayv3.utils")

MERCHANT = pair("merchant")
WECHAT = pair("wechat")
STRANGER = pair("stranger")
MERCHANT_ID = "1900000109"
KEY_ID = "PUB_KEY_ID_0119000001092025010100000000000001"
ACCOUNT = WeChatPayAccount(
    merchant_id=MERCHANT_ID,
    serial_no="5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
    private_key=MERCHANT.private,
    public_key_id=KEY_ID,
    public_key=WECHAT.public,
)
REQUEST = RefundRequest(
    refund_number="RT20230821183406000001",
    transaction_id="4200001923202308213518640001",
    out_trade_no="T20230821183406000001",
    merchant_id=MERCHANT_ID,
    amount_fen=9900,
    total_fen=9900,
    currency="CNY",
    reason="the data package could not be delivered",
)


def wechat_at(http: httpx.AsyncClient, url: str = "https://pay.example", **more: str) -> WeChatPay:
    return WeChatPay(http, ACCOUNT, url=url, **more)


async def refund(provider: WeChatPay, timeout_seconds: float = PATIENCE_SECONDS) -> RefundAnswer:
    return await provider.refund(REQUEST, timeout_seconds=timeout_seconds)


async def query(provider: WeChatPay, timeout_seconds: float = PATIENCE_SECONDS) -> RefundAnswer:
    return await provider.query(REQUEST, timeout_seconds=timeout_seconds)


CALLS: dict[str, Callable[[WeChatPay], Awaitable[RefundAnswer]]] = {"refund": refund, "query": query}
each_call = pytest.mark.parametrize("name", CALLS)


def signed(
    status: int, body: bytes, *, key: Pair = WECHAT, age_seconds: int = 0, headers: dict[str, str] | None = None
) -> httpx.Response:
    """An answer of WeChat Pay, signed by the library `wechatpayv3`."""
    timestamp = int(datetime.now(UTC).timestamp()) - age_seconds
    nonce = "c5ac7061fccab6bf3e254dcf98995b8c"
    message = f"{timestamp}\n{nonce}\n{body.decode(errors='replace')}\n"
    proof = {
        "Content-Type": "application/json",
        "Wechatpay-Timestamp": str(timestamp),
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": KEY_ID,
        "Wechatpay-Signature": oracle.rsa_sign(key.private, message),
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
    }
    return httpx.Response(status, content=body, headers=proof | (headers or {}))


def refund_object(status: object, **changes: object) -> bytes:
    members: dict[str, object] = {
        "refund_id": "50000000382019052709732678859",
        "out_refund_no": REQUEST.refund_number,
        "transaction_id": REQUEST.transaction_id,
        "out_trade_no": REQUEST.out_trade_no,
        "channel": "ORIGINAL",
        "user_received_account": "招商银行信用卡0403",
        "status": status,
        "amount": {"total": 9900, "refund": 9900, "payer_total": 9900, "payer_refund": 9900, "currency": "CNY"},
    }
    return json.dumps(members | changes, ensure_ascii=False).encode()


def error(code: object, message: str = "余额不足") -> bytes:
    return json.dumps({"code": code, "message": message}, ensure_ascii=False).encode()


async def says(name: str, answer: Answer | httpx.Response) -> RefundAnswer:
    """What the adapter makes of one answer; asserts that it asked once."""
    far = Far(answer)
    said = await CALLS[name](wechat_at(far.client()))
    assert len(far.requests) == 1
    return said


def doubt(said: RefundAnswer) -> RefundInDoubt:
    assert isinstance(said, RefundInDoubt)
    assert "WeChat Pay" in said.why
    return said


async def test_the_adapter_is_a_provider() -> None:
    async with WeChatPay.open(
        url="https://pay.example",
        merchant_id=MERCHANT_ID,
        serial_no="S",
        private_key=MERCHANT.private_pem,
        public_key_id=KEY_ID,
        public_key=WECHAT.public_pem,
    ) as opened:
        provider: PaymentProvider = opened
        assert (provider.name, provider.merchant_id) == ("wechat", MERCHANT_ID)


# --- what goes out ---------------------------------------------------------------------------------------------


def assert_signed_by_us(asked: httpx.Request) -> str:
    """The `Authorization` covers the target and the body exactly as they went out; returns its nonce."""
    scheme, _, rest = asked.headers["authorization"].partition(" ")
    assert scheme == "WECHATPAY2-SHA256-RSA2048"
    parts: dict[str, str] = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    assert (parts["mchid"], parts["serial_no"]) == (MERCHANT_ID, ACCOUNT.serial_no)
    assert abs(int(parts["timestamp"]) - datetime.now(UTC).timestamp()) < 60
    head = f"{asked.method}\n{asked.url.raw_path.decode()}\n{parts['timestamp']}\n{parts['nonce_str']}\n"
    message = head.encode() + asked.content + b"\n"
    MERCHANT.public.verify(base64.b64decode(parts["signature"]), message, PKCS1v15(), SHA256())
    return parts["nonce_str"]


async def test_each_call_is_the_apis_request_with_a_fresh_signature() -> None:
    far = Far(httpx.Response(500))
    provider = wechat_at(far.client())
    for call in (refund, query, refund):
        await call(provider)
    assert [(asked.method, str(asked.url)) for asked in far.requests] == [
        ("POST", "https://pay.example/v3/refund/domestic/refunds"),
        ("GET", f"https://pay.example/v3/refund/domestic/refunds/{REQUEST.refund_number}"),
        ("POST", "https://pay.example/v3/refund/domestic/refunds"),
    ]
    nonces = {assert_signed_by_us(asked) for asked in far.requests}
    assert len(nonces) == 3
    assert all(re.fullmatch(r"[0-9A-Za-z]{16,32}", nonce) for nonce in nonces)
    for asked in far.requests:
        assert asked.headers["wechatpay-serial"] == KEY_ID
        assert asked.headers["accept"] == "application/json"
        assert asked.headers["user-agent"]


async def test_the_signature_is_over_the_bytes_on_the_wire() -> None:
    async with loopback(tcp.answering(tcp.head(0, "500 Internal Server Error"))) as server:
        async with httpx.AsyncClient(trust_env=False) as http:
            await refund(wechat_at(http, server.url))
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST /v3/refund/domestic/refunds HTTP/1.1\r\n")
        found = re.search(rb"(?i)\r\nauthorization: ([^\r]+)", head)
        assert found is not None
        headers = {"authorization": found[1].decode()}
        assert_signed_by_us(httpx.Request("POST", "http://x/v3/refund/domestic/refunds", content=body, headers=headers))


async def test_every_attempt_of_one_number_sends_the_same_bytes() -> None:
    far = Far(httpx.Response(500))
    for provider in (wechat_at(far.client()), wechat_at(far.client())):
        await refund(provider)
    first, second = far.requests
    assert first.content == second.content
    assert json.loads(first.content) == {
        "transaction_id": REQUEST.transaction_id,
        "out_refund_no": REQUEST.refund_number,
        "reason": REQUEST.reason,
        "amount": {"refund": 9900, "total": 9900, "currency": "CNY"},
    }


def test_the_notify_url_goes_along_when_there_is_one() -> None:
    provider = wechat_at(httpx.AsyncClient(), notify_url="https://shop.example/callbacks/wechat")
    assert json.loads(provider.refund_body(REQUEST))["notify_url"] == "https://shop.example/callbacks/wechat"


@pytest.mark.parametrize(
    ("reason", "sent"), [("", None), ("x" * 81, "x" * 80), ("退" * 27, "退" * 26), ("a\nb", "a\nb")]
)
def test_a_reason_never_makes_a_refund_invalid(reason: str, sent: str | None) -> None:
    request = REQUEST.model_copy(update={"reason": reason})
    assert json.loads(wechat_at(httpx.AsyncClient()).refund_body(request)).get("reason") == sent


@each_call
async def test_a_payment_of_another_merchant_is_held_without_asking(name: str) -> None:
    far = Far(httpx.Response(500))
    other = REQUEST.model_copy(update={"merchant_id": "1900000110"})
    provider = wechat_at(far.client())
    call = provider.refund if name == "refund" else provider.query
    said = await call(other, timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(said, RefundHeld)
    assert "TOPUP_WECHAT_MCHID" in said.why
    assert far.requests == []


@pytest.mark.parametrize("setting", ["private_key", "public_key", "url"])
async def test_an_impossible_setting_is_refused_at_the_start(setting: str) -> None:
    settings = {"url": "https://pay.example", "private_key": MERCHANT.private_pem, "public_key": WECHAT.public_pem}
    with pytest.raises(ValueError, match="must be"):
        async with WeChatPay.open(
            merchant_id=MERCHANT_ID, serial_no="S", public_key_id=KEY_ID, **(settings | {setting: "x"})
        ):
            pass


# --- the refund's state ----------------------------------------------------------------------------------------


async def test_a_success_is_confirmed_by_a_query() -> None:
    said = await says("query", signed(200, refund_object("SUCCESS")))
    assert said == RefundConfirmed(provider_refund_id="50000000382019052709732678859", amount_fen=9900)


async def test_a_success_in_answer_to_the_refund_confirms_nothing_yet() -> None:
    assert isinstance(await says("refund", signed(200, refund_object("SUCCESS"))), RefundAccepted)


@each_call
async def test_processing_is_taken_in(name: str) -> None:
    assert isinstance(await says(name, signed(200, refund_object("PROCESSING"))), RefundAccepted)


@each_call
async def test_closed_is_closed(name: str) -> None:
    assert await says(name, signed(200, refund_object("CLOSED"))) == RefundClosed()


@each_call
async def test_abnormal_is_for_a_person(name: str) -> None:
    said = await says(name, signed(200, refund_object("ABNORMAL")))
    assert isinstance(said, RefundDenied)
    assert said.code == "ABNORMAL"


@each_call
@pytest.mark.parametrize("status", ["success", "REFUNDED", "CHANGE", "", None, 1, ["SUCCESS"], {"is": "SUCCESS"}])
async def test_an_unknown_status_alerts_and_settles_nothing(name: str, status: object) -> None:
    assert doubt(await says(name, signed(200, refund_object(status)))).alert


@each_call
@pytest.mark.parametrize("status", ["SUCCESS", "PROCESSING", "ABNORMAL", "CLOSED"])
@pytest.mark.parametrize(
    "changes",
    [
        {"out_refund_no": "RT20230821183406000002"},
        {"out_refund_no": f"{REQUEST.refund_number}-2"},
        {"out_refund_no": None},
        {"transaction_id": "4200001923202308213518640002"},
        {"transaction_id": None},
        {"amount": {"refund": 9901, "currency": "CNY"}},
        {"amount": {"refund": 99.0, "currency": "CNY"}},
        {"amount": {"refund": "99.00", "currency": "CNY"}},
        {"amount": {"refund": [9900], "currency": "CNY"}},
        {"amount": {"refund": 9900.0, "currency": "CNY"}},
        {"amount": {"refund": 9900, "currency": "HKD"}},
        {"amount": {"currency": "CNY"}},
        {"amount": 9900},
        {"amount": None},
    ],
    ids=str,
)
async def test_an_answer_about_another_refund_alerts_and_settles_nothing(
    name: str, status: str, changes: dict[str, object]
) -> None:
    assert doubt(await says(name, signed(200, refund_object(status, **changes)))).alert


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"refund": "9900", "currency": "CNY"}},
        {"amount": {"refund": 9900, "currency": None}},
        {"amount": {"refund": 9900}},
        {"transaction_id": int(REQUEST.transaction_id)},
    ],
    ids=str,
)
async def test_a_scalar_of_another_type_and_an_absent_currency_mean_the_same(changes: dict[str, object]) -> None:
    assert isinstance(await says("query", signed(200, refund_object("SUCCESS", **changes))), RefundConfirmed)


@pytest.mark.parametrize("content_type", ["text/html", "application/json;charset=GBK", "", "nonsense"])
async def test_the_content_type_is_nobodys_proof(content_type: str) -> None:
    answer = signed(200, refund_object("SUCCESS"), headers={"Content-Type": content_type})
    assert isinstance(await says("query", answer), RefundConfirmed)


async def test_one_fen_is_not_true() -> None:
    """JSON's `true` equals 1 in Python."""
    request = REQUEST.model_copy(update={"amount_fen": 1, "total_fen": 1})
    far = Far(signed(200, refund_object("SUCCESS", amount={"refund": True, "currency": "CNY"})))
    assert doubt(await wechat_at(far.client()).query(request, timeout_seconds=PATIENCE_SECONDS)).alert


async def test_an_amount_without_a_currency_is_the_payments() -> None:
    answer = signed(200, refund_object("SUCCESS", amount={"refund": 9900}))
    assert isinstance(await says("query", answer), RefundConfirmed)


# --- errors ----------------------------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "SYSTEM_ERROR"),
        (502, "NOT_ENOUGH"),
        (503, "RESOURCE_NOT_EXISTS"),
        (429, "FREQUENCY_LIMITED"),
        (429, "NOT_ENOUGH"),
        (429, "RATELIMIT_EXCEEDED"),
        (403, "FREQUENCY_LIMITED"),
        (400, "SYSTEM_ERROR"),
    ],
)
async def test_what_may_pass_is_doubt_without_an_alert(name: str, status: int, code: str) -> None:
    said = doubt(await says(name, signed(status, error(code), headers={"Retry-After": "7"})))
    assert (said.alert, said.retry_after_seconds) == (False, 7)


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_lack_of_balance_is_held(status: int) -> None:
    said = await says("refund", signed(status, error("NOT_ENOUGH")))
    assert isinstance(said, RefundHeld)
    assert said.code == "NOT_ENOUGH"
    assert "top up" in said.why


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "USER_ACCOUNT_ABNORMAL"),
        (403, "NO_AUTH"),
        (400, "PARAM_ERROR"),
        (400, "INVALID_REQUEST"),
        (404, "RESOURCE_NOT_EXISTS"),
        (404, "MCH_NOT_EXISTS"),
    ],
)
async def test_a_definite_refusal_is_denied(status: int, code: str) -> None:
    said = await says("refund", signed(status, error(code)))
    assert isinstance(said, RefundDenied)
    assert said.code == code


@each_call
@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_verified_sign_error_is_held_and_never_denied(name: str, status: int) -> None:
    said = await says(name, signed(status, error("SIGN_ERROR")))
    assert isinstance(said, RefundHeld)
    assert "ALERT" in said.why
    assert "TOPUP_WECHAT_PRIVATE_KEY" in said.why


@each_call
async def test_an_unsigned_sign_error_alerts_and_says_what_to_check(name: str) -> None:
    """WeChat Pay signs its answer only if it could verify ours, so this one always comes unsigned."""
    said = doubt(await says(name, httpx.Response(401, content=error("SIGN_ERROR"))))
    assert said.alert
    assert "SIGN_ERROR" in said.why
    assert "TOPUP_WECHAT_PRIVATE_KEY" in said.why


@each_call
async def test_a_forged_sign_error_is_doubt(name: str) -> None:
    assert doubt(await says(name, signed(401, error("SIGN_ERROR"), key=STRANGER))).alert


@each_call
@pytest.mark.parametrize("code", ["TELEPORTED", "not_enough", "", None, 7, ["NOT_ENOUGH"]])
async def test_an_unknown_error_alerts_and_settles_nothing(name: str, code: object) -> None:
    assert doubt(await says(name, signed(400, error(code)))).alert


async def test_only_a_404_says_that_there_is_no_such_refund() -> None:
    assert await says("query", signed(404, error("RESOURCE_NOT_EXISTS"))) == RefundUnknown()
    assert doubt(await says("query", signed(400, error("RESOURCE_NOT_EXISTS")))).alert
    assert doubt(await says("query", signed(404, error("NOT_FOUND")))).alert


@pytest.mark.parametrize("code", ["USER_ACCOUNT_ABNORMAL", "PARAM_ERROR", "INVALID_REQUEST", "NOT_ENOUGH"])
async def test_a_refused_query_is_no_refused_refund(code: str) -> None:
    assert doubt(await says("query", signed(403, error(code)))).alert


@pytest.mark.parametrize("code", ["NO_AUTH", "MCH_NOT_EXISTS"])
async def test_a_query_that_we_may_not_ask_is_held(code: str) -> None:
    assert isinstance(await says("query", signed(403, error(code))), RefundHeld)


# --- what is not verified --------------------------------------------------------------------------------------

EVERYTHING = {
    "SUCCESS": (200, refund_object("SUCCESS")),
    "PROCESSING": (200, refund_object("PROCESSING")),
    "CLOSED": (200, refund_object("CLOSED")),
    "ABNORMAL": (200, refund_object("ABNORMAL")),
    "NOT_ENOUGH": (403, error("NOT_ENOUGH")),
    "NO_AUTH": (403, error("NO_AUTH")),
    "USER_ACCOUNT_ABNORMAL": (403, error("USER_ACCOUNT_ABNORMAL")),
    "RESOURCE_NOT_EXISTS": (404, error("RESOURCE_NOT_EXISTS")),
    "SYSTEM_ERROR": (500, error("SYSTEM_ERROR")),
}


@each_call
@pytest.mark.parametrize("what", EVERYTHING)
async def test_an_unsigned_answer_settles_nothing(name: str, what: str) -> None:
    """A refusal neither: whoever can answer in WeChat Pay's place could have an operator pay a refund twice."""
    status, body = EVERYTHING[what]
    said = doubt(await says(name, httpx.Response(status, content=body)))
    assert said.alert == (status < 500 and status != 429)


@each_call
@pytest.mark.parametrize("what", EVERYTHING)
async def test_a_forged_answer_alerts_and_is_doubt(name: str, what: str) -> None:
    status, body = EVERYTHING[what]
    assert doubt(await says(name, signed(status, body, key=STRANGER))).alert


@each_call
@pytest.mark.parametrize("what", EVERYTHING)
async def test_an_answer_played_back_later_alerts_and_is_doubt(name: str, what: str) -> None:
    status, body = EVERYTHING[what]
    assert "clock" in doubt(await says(name, signed(status, body, age_seconds=400))).why


@each_call
@pytest.mark.parametrize("what", EVERYTHING)
@pytest.mark.parametrize("serial", ["PUB_KEY_ID_OTHER", ""])
async def test_an_answer_signed_with_another_key_alerts_and_is_doubt(name: str, what: str, serial: str) -> None:
    status, body = EVERYTHING[what]
    said = doubt(await says(name, signed(status, body, headers={"Wechatpay-Serial": serial})))
    assert said.alert
    assert "TOPUP_WECHAT_PUBLIC_KEY_ID" in said.why


@each_call
async def test_a_probe_of_our_verification_is_doubt_without_an_alert(name: str) -> None:
    answer = signed(200, refund_object("SUCCESS"), headers={"Wechatpay-Signature": "WECHATPAY/SIGNTEST/abcd"})
    assert not doubt(await says(name, answer)).alert


@each_call
async def test_a_throttling_proxy_is_doubt_with_its_waiting_time(name: str) -> None:
    said = doubt(await says(name, httpx.Response(429, text="slow down", headers={"Retry-After": "9"})))
    assert (said.alert, said.retry_after_seconds) == (False, 9)


@each_call
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"<html>OK</html>", b"[" * 100_000])
@pytest.mark.parametrize("status", [200, 204, 302, 404])
async def test_a_signed_answer_that_is_no_object_is_doubt(name: str, status: int, body: bytes) -> None:
    assert doubt(await says(name, signed(status, body))).alert


async def test_an_answers_words_reach_the_operator_without_personal_data() -> None:
    said = await says("refund", signed(403, error("NOT_ENOUGH", "账户 14400000001\n余额不足")))
    assert isinstance(said, RefundHeld)
    assert '"账户 [redacted] 余额不足"' in said.why


@each_call
async def test_an_unsigned_answers_code_is_told_without_personal_data(name: str) -> None:
    said = doubt(await says(name, httpx.Response(403, content=error("14400000001"))))
    assert "14400000001" not in said.why


# --- no answer -------------------------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("reset")]
)
async def test_no_answer_is_doubt_without_an_alert(name: str, failure: Exception) -> None:
    assert not doubt(await says(name, raises(failure))).alert


async def test_a_refused_connection_is_doubt() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        assert "No connection" in doubt(await refund(wechat_at(http, dead_url()))).why


@pytest.mark.parametrize("name", tcp.UNANSWERED)
async def test_whatever_fails_after_the_connect_is_doubt(name: str) -> None:
    async with loopback(tcp.UNANSWERED[name]) as server, httpx.AsyncClient(trust_env=False) as http:
        doubt(await refund(wechat_at(http, server.url)))
        assert server.connections == 1


async def test_a_giant_answer_is_doubt() -> None:
    async with loopback(tcp.giant) as server, httpx.AsyncClient(trust_env=False) as http:
        doubt(await query(wechat_at(http, server.url)))


async def test_a_refund_that_is_late_is_not_sent() -> None:
    far = Far(httpx.Response(200))
    said = await wechat_at(far.client()).refund(REQUEST, timeout_seconds=PATIENCE_SECONDS, in_time=lambda: False)
    assert isinstance(said, RefundInDoubt)
    assert far.requests == []
