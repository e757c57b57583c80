"""Refunds at Alipay: what is not verified is doubt, and only a query confirms."""

import base64
import importlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from activities.ports import PaymentProvider
from adapters.payments.alipay.client import Alipay, AlipayAccount
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
from tests.adapters import loopback as tcp
from tests.adapters.answers import Answer, Far, raises
from tests.adapters.keys import Pair, pair
from tests.adapters.loopback import PATIENCE_SECONDS, dead_url, loopback

alipay_sdk: Any = importlib.import_module("alipay")

MERCHANT = pair("merchant")
ALIPAY = pair("alipay")
STRANGER = pair("stranger")
SELLER_ID = "2088102146225135"
GATEWAY = "https://openapi.example/gateway.do"
ACCOUNT = AlipayAccount(
    app_id="2021000000000001", seller_id=SELLER_ID, private_key=MERCHANT.private, public_key=ALIPAY.public
)
REQUEST = RefundRequest(
    refund_number="RT20230821183406000001",
    transaction_id="2023082122001404920200514505",
    out_trade_no="T20230821183406000001",
    merchant_id=SELLER_ID,
    amount_fen=9900,
    total_fen=9900,
    currency="CNY",
    reason="流量包未送达",
)
MEMBERS = {"refund": "alipay_trade_refund_response", "query": "alipay_trade_fastpay_refund_query_response"}


def alipay_at(http: httpx.AsyncClient, url: str = GATEWAY) -> Alipay:
    return Alipay(http, ACCOUNT, url=url)


async def refund(provider: Alipay, timeout_seconds: float = PATIENCE_SECONDS) -> RefundAnswer:
    return await provider.refund(REQUEST, timeout_seconds=timeout_seconds)


async def query(provider: Alipay, timeout_seconds: float = PATIENCE_SECONDS) -> RefundAnswer:
    return await provider.query(REQUEST, timeout_seconds=timeout_seconds)


CALLS: dict[str, Callable[[Alipay], Awaitable[RefundAnswer]]] = {"refund": refund, "query": query}
each_call = pytest.mark.parametrize("name", CALLS)


def signature(raw: str, key: Pair) -> str:
    """Made by the library `python-alipay-sdk`."""
    signer = alipay_sdk.AliPay(
        appid="x", app_private_key_string=key.private_pem, alipay_public_key_string=key.public_pem
    )
    return signer._sign(raw)


def answer(
    member: str, members: dict[str, object], *, key: Pair | None = ALIPAY, headers: dict[str, str] | None = None
) -> httpx.Response:
    """An answer as the gateway sends it; unsigned without a key."""
    raw = json.dumps(members, separators=(",", ":"), ensure_ascii=False)
    sign = f',"sign":"{signature(raw, key)}"' if key else ""
    return httpx.Response(200, content=f'{{"{member}":{raw}{sign}}}'.encode(), headers=headers)


def refunded(**changes: object) -> dict[str, object]:
    return {
        "code": "10000",
        "msg": "Success",
        "buyer_logon_id": "dvr***@example.com",
        "fund_change": "Y",
        "out_trade_no": REQUEST.out_trade_no,
        "refund_fee": "99.00",
        "trade_no": REQUEST.transaction_id,
    } | changes


def found(**changes: object) -> dict[str, object]:
    return {
        "code": "10000",
        "msg": "Success",
        "out_request_no": REQUEST.refund_number,
        "out_trade_no": REQUEST.out_trade_no,
        "refund_amount": "99.00",
        "refund_status": "REFUND_SUCCESS",
        "total_amount": "99.00",
        "trade_no": REQUEST.transaction_id,
    } | changes


def failed(code: str, sub_code: object = None, sub_msg: str = "说明") -> dict[str, object]:
    more = {} if sub_code is None else {"sub_code": sub_code, "sub_msg": sub_msg}
    return {"code": code, "msg": "Business Failed", **more}


async def says(name: str, given: Answer | httpx.Response) -> RefundAnswer:
    """What the adapter makes of one answer; asserts that it asked once."""
    far = Far(given)
    said = await CALLS[name](alipay_at(far.client()))
    assert len(far.requests) == 1
    return said


async def says_of(name: str, members: dict[str, object], key: Pair | None = ALIPAY) -> RefundAnswer:
    return await says(name, answer(MEMBERS[name], members, key=key))


def doubt(said: RefundAnswer) -> RefundInDoubt:
    assert isinstance(said, RefundInDoubt)
    assert "Alipay" in said.why
    return said


async def test_the_adapter_is_a_provider() -> None:
    async with Alipay.open(
        url=GATEWAY,
        app_id="2021000000000001",
        seller_id=SELLER_ID,
        private_key=MERCHANT.private_pem,
        public_key=ALIPAY.public_pem,
    ) as opened:
        provider: PaymentProvider = opened
        assert (provider.name, provider.merchant_id) == ("alipay", SELLER_ID)


# --- what goes out ---------------------------------------------------------------------------------------------


def form(asked: httpx.Request) -> dict[str, str]:
    pairs = parse_qsl(asked.content.decode(), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


async def test_all_parameters_go_in_the_form_body() -> None:
    far = Far(httpx.Response(500))
    provider = alipay_at(far.client())
    await refund(provider)
    await query(provider)
    for asked in far.requests:
        assert (asked.method, str(asked.url)) == ("POST", GATEWAY)
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded;charset=utf-8"
        assert asked.content.isascii()
        parameters = form(asked)
        assert parameters.keys() == {
            "app_id",
            "method",
            "format",
            "charset",
            "sign_type",
            "timestamp",
            "version",
            "biz_content",
            "sign",
        }
        fixed = {name: parameters[name] for name in ("app_id", "format", "charset", "sign_type", "version")}
        assert fixed == {
            "app_id": "2021000000000001",
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "version": "1.0",
        }
    assert [form(asked)["method"] for asked in far.requests] == [
        "alipay.trade.refund",
        "alipay.trade.fastpay.refund.query",
    ]
    assert [json.loads(form(asked)["biz_content"]) for asked in far.requests] == [
        {
            "trade_no": REQUEST.transaction_id,
            "refund_amount": "99.00",
            "out_request_no": REQUEST.refund_number,
            "refund_reason": REQUEST.reason,
        },
        {"trade_no": REQUEST.transaction_id, "out_request_no": REQUEST.refund_number},
    ]


async def test_the_library_verifies_what_we_signed() -> None:
    far = Far(httpx.Response(500))
    await refund(alipay_at(far.client()))
    parameters = form(far.requests[0])
    sign = parameters.pop("sign")
    message = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()))
    verifier: Any = alipay_sdk.AliPay(
        appid="x", app_private_key_string=STRANGER.private_pem, alipay_public_key_string=MERCHANT.public_pem
    )
    assert verifier._verify(message, sign)


async def test_the_timestamp_is_chinas() -> None:
    far = Far(httpx.Response(500))
    await refund(alipay_at(far.client()))
    sent = form(far.requests[0])["timestamp"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", sent)
    shanghai = datetime.fromisoformat(sent + "+08:00")
    assert abs(shanghai - datetime.now(UTC)) < timedelta(minutes=1)


async def test_every_attempt_of_one_number_sends_the_same_refund() -> None:
    far = Far(httpx.Response(500))
    for provider in (alipay_at(far.client()), alipay_at(far.client())):
        await refund(provider)
    first, second = (form(asked)["biz_content"] for asked in far.requests)
    assert first == second


@pytest.mark.parametrize(("reason", "sent"), [("", None), ("退" * 300, "退" * 256)])
async def test_a_reason_never_makes_a_refund_invalid(reason: str, sent: str | None) -> None:
    far = Far(httpx.Response(500))
    request = REQUEST.model_copy(update={"reason": reason})
    await alipay_at(far.client()).refund(request, timeout_seconds=PATIENCE_SECONDS)
    assert json.loads(form(far.requests[0])["biz_content"]).get("refund_reason") == sent


@each_call
@pytest.mark.parametrize("changes", [{"merchant_id": "2088102146225136"}, {"currency": "HKD"}], ids=str)
async def test_a_payment_that_is_not_ours_to_refund_is_held_without_asking(name: str, changes: dict[str, str]) -> None:
    far = Far(httpx.Response(500))
    provider = alipay_at(far.client())
    call = provider.refund if name == "refund" else provider.query
    assert isinstance(await call(REQUEST.model_copy(update=changes), timeout_seconds=PATIENCE_SECONDS), RefundHeld)
    assert far.requests == []


# --- the refund's state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fund_change", ["Y", "N", None])
async def test_10000_is_taken_in_and_confirms_nothing(fund_change: str | None) -> None:
    assert isinstance(await says_of("refund", refunded(fund_change=fund_change)), RefundAccepted)


@pytest.mark.parametrize("trade_no", ["2023082122001404920200514506", "", [], 1])
async def test_10000_for_another_payment_alerts_and_settles_nothing(trade_no: object) -> None:
    assert doubt(await says_of("refund", refunded(trade_no=trade_no))).alert


async def test_a_success_with_our_number_and_amount_is_confirmed() -> None:
    assert await says_of("query", found()) == RefundConfirmed(amount_fen=9900)


async def test_a_success_in_answer_to_the_refund_confirms_nothing_yet() -> None:
    assert isinstance(await says_of("refund", found()), RefundAccepted)


@pytest.mark.parametrize(
    "changes",
    [
        {"out_request_no": "RT20230821183406000002"},
        {"out_request_no": None},
        {"out_request_no": ["RT20230821183406000001"]},
        {"trade_no": "2023082122001404920200514506"},
        {"trade_no": {}},
        {"refund_amount": "99.01"},
        {"refund_amount": "9900"},
        {"refund_amount": 9900},
        {"refund_amount": [99]},
        {"refund_amount": None},
    ],
    ids=str,
)
async def test_a_success_of_another_refund_alerts_and_settles_nothing(changes: dict[str, object]) -> None:
    assert doubt(await says_of("query", found(**changes))).alert


@pytest.mark.parametrize("member", ["out_request_no", "refund_amount"])
async def test_a_success_that_does_not_say_of_what_settles_nothing(member: str) -> None:
    members = found()
    del members[member]
    assert doubt(await says_of("query", members)).alert


@pytest.mark.parametrize("status", [None, ""])
async def test_10000_without_a_status_means_no_such_refund(status: str | None) -> None:
    assert await says_of("query", {"code": "10000", "msg": "Success"}) == RefundUnknown()
    for member in ("out_request_no", "refund_amount"):
        members = found(refund_status=status)
        del members[member]
        assert await says_of("query", members) == RefundUnknown()


@pytest.mark.parametrize(
    "changes", [{"refund_status": None}, {"refund_status": ""}, {"refund_status": None, "trade_no": None}]
)
async def test_a_refund_that_is_shown_with_its_data_is_done_without_a_status(changes: dict[str, object]) -> None:
    """As Alipay's documentation has it; without this the refund is sent and asked for without end."""
    assert await says_of("query", found(**changes)) == RefundConfirmed(amount_fen=9900)
    assert doubt(await says_of("query", found(**changes, refund_amount="99.01"))).alert


@pytest.mark.parametrize("changes", [{"code": 10000}, {"refund_amount": 99}, {"trade_no": int(REQUEST.transaction_id)}])
async def test_a_number_where_a_text_was_agreed_on_means_the_same(changes: dict[str, object]) -> None:
    assert await says_of("query", found(**changes)) == RefundConfirmed(amount_fen=9900)


@pytest.mark.parametrize("changes", [{"out_request_no": "RT2"}, {"trade_no": "2"}], ids=str)
async def test_no_such_refund_of_another_number_alerts_and_settles_nothing(changes: dict[str, str]) -> None:
    assert doubt(await says_of("query", {"code": "10000", **changes})).alert


@pytest.mark.parametrize("status", ["REFUND_PROCESSING", "refund_success", "REFUND_FAIL", 1, True, ["REFUND_SUCCESS"]])
async def test_an_unknown_status_alerts_and_settles_nothing(status: object) -> None:
    assert doubt(await says_of("query", found(refund_status=status))).alert


# --- errors ----------------------------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize(
    ("code", "sub_code"),
    [
        ("20000", None),
        ("20000", "isp.unknow-error"),
        ("20000", "aop.ACQ.SYSTEM_ERROR"),
        ("40004", "ACQ.SYSTEM_ERROR"),
        ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST"),
        ("40005", "isv.app-call-limited"),
    ],
)
async def test_what_may_pass_is_doubt_without_an_alert(name: str, code: str, sub_code: str | None) -> None:
    said = doubt(await says(name, answer(MEMBERS[name], failed(code, sub_code), headers={"Retry-After": "7"})))
    assert (said.alert, said.retry_after_seconds) == (False, 7)


async def test_a_lack_of_balance_is_held() -> None:
    said = await says_of("refund", failed("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"))
    assert isinstance(said, RefundHeld)
    assert said.code == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    assert "top up" in said.why


DENIED = [
    "ACQ.TRADE_HAS_FINISHED",
    "ACQ.TRADE_STATUS_ERROR",
    "ACQ.TRADE_NOT_EXIST",
    "ACQ.TRADE_NOT_ALLOW_REFUND",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
    "ACQ.REASON_TRADE_BEEN_FREEZEN",
]


@pytest.mark.parametrize("sub_code", DENIED)
async def test_a_definite_refusal_is_denied(sub_code: str) -> None:
    said = await says_of("refund", failed("40004", sub_code))
    assert isinstance(said, RefundDenied)
    assert said.code == sub_code


async def test_an_unknown_trade_has_no_refund() -> None:
    """The refund is then sent, and that answer is the denial: doubt here would never end."""
    assert await says_of("query", failed("40004", "ACQ.TRADE_NOT_EXIST")) == RefundUnknown()


@pytest.mark.parametrize("sub_code", [*sorted(set(DENIED) - {"ACQ.TRADE_NOT_EXIST"}), "ACQ.SELLER_BALANCE_NOT_ENOUGH"])
async def test_a_refused_query_is_no_refused_refund(sub_code: str) -> None:
    assert doubt(await says_of("query", failed("40004", sub_code))).alert


@each_call
@pytest.mark.parametrize("sub_code", ["ACQ.TELEPORTED", "acq.trade_has_finished", "", None, 7, ["ACQ.SYSTEM_ERROR"]])
async def test_an_unknown_error_alerts_and_settles_nothing(name: str, sub_code: object) -> None:
    assert doubt(await says_of(name, failed("40004", sub_code))).alert


@each_call
@pytest.mark.parametrize("code", ["10001", "10003", "", "1000", "99999"])
async def test_an_unknown_code_alerts_and_settles_nothing(name: str, code: str) -> None:
    members = refunded(code=code) if name == "refund" else found(code=code)
    assert doubt(await says_of(name, members)).alert


@each_call
@pytest.mark.parametrize("code", [None, ["10000"], True, {}, 1e4])
async def test_a_code_that_is_none_settles_nothing(name: str, code: object) -> None:
    members = refunded(code=code) if name == "refund" else found(code=code)
    assert doubt(await says_of(name, members)).alert


@each_call
@pytest.mark.parametrize("key", [ALIPAY, None], ids=["signed", "unsigned"])
@pytest.mark.parametrize("member", ["error_response", "method"])
@pytest.mark.parametrize(
    ("code", "sub_code"),
    [
        ("40002", "isv.invalid-signature"),
        ("40002", "isv.invalid-app-id"),
        ("40003", "isv.missing-signature-config"),
        ("40006", "isv.insufficient-isv-permissions"),
        ("40001", "isv.missing-app-id"),
        ("20001", "aop.invalid-auth-token"),
    ],
)
async def test_a_wrong_configuration_is_held_and_never_denied(
    name: str, member: str, code: str, sub_code: str, key: Pair | None
) -> None:
    """A gateway that doesn't know us can't sign: such an answer claims nothing about money, a person must act."""
    where = MEMBERS[name] if member == "method" else member
    said = await says(name, answer(where, failed(code, sub_code), key=key))
    assert isinstance(said, RefundHeld)
    assert said.code == sub_code
    assert "ALERT" in said.why
    assert "TOPUP_ALIPAY_APP_ID" in said.why


async def test_an_error_of_the_gateway_without_a_sub_code_is_held_too() -> None:
    said = await says("refund", answer("error_response", failed("40002"), key=None))
    assert isinstance(said, RefundHeld)
    assert said.code == "GATEWAY_ERROR"


# --- what is not verified --------------------------------------------------------------------------------------

EVERYTHING: dict[str, dict[str, dict[str, object]]] = {
    "refund": {
        "10000": refunded(),
        "balance": failed("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"),
        "denied": failed("40004", "ACQ.TRADE_HAS_FINISHED"),
    },
    "query": {
        "success": found(),
        "absent": {"code": "10000"},
        "no trade": failed("40004", "ACQ.TRADE_NOT_EXIST"),
    },
}
each_answer = pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name, answers in EVERYTHING.items() for what in answers]
)


@each_answer
async def test_an_unsigned_answer_alerts_and_is_doubt(name: str, what: str) -> None:
    assert doubt(await says_of(name, EVERYTHING[name][what], key=None)).alert


@each_answer
async def test_a_forged_answer_alerts_and_is_doubt(name: str, what: str) -> None:
    assert "TOPUP_ALIPAY_PUBLIC_KEY" in doubt(await says_of(name, EVERYTHING[name][what], key=STRANGER)).why


@each_call
async def test_a_forged_error_of_the_gateway_alerts_and_is_doubt(name: str) -> None:
    said = await says(name, answer("error_response", failed("40002", "isv.invalid-app-id"), key=STRANGER))
    assert doubt(said).alert


@each_call
async def test_an_unsigned_passing_error_is_doubt_without_an_alert(name: str) -> None:
    for code in ("20000", "40005"):
        assert not doubt(await says(name, answer("error_response", failed(code, "isv.x"), key=None))).alert


@each_answer
@pytest.mark.parametrize("status", [302, 401, 403, 404, 429, 500, 503])
async def test_no_other_status_is_an_answer_whatever_it_says(name: str, what: str, status: int) -> None:
    good = answer(MEMBERS[name], EVERYTHING[name][what])
    said = doubt(await says(name, httpx.Response(status, content=good.content, headers={"Retry-After": "7"})))
    assert said.retry_after_seconds == 7


@each_call
@pytest.mark.parametrize("body", [b"", b"null", b"{}", b"[]", b"<html>OK</html>", b"\xff", b'{"a":' * 100_000])
async def test_an_answer_that_cannot_be_read_is_doubt(name: str, body: bytes) -> None:
    assert doubt(await says(name, httpx.Response(200, content=body))).alert


@each_call
async def test_the_answer_to_another_method_is_doubt(name: str) -> None:
    other = "query" if name == "refund" else "refund"
    members = refunded() if name == "refund" else found()
    assert doubt(await says(name, answer(MEMBERS[other], members))).alert


async def test_an_answers_words_reach_the_operator_without_personal_data() -> None:
    said = await says_of("refund", failed("40004", "ACQ.TRADE_STATUS_ERROR", "账户 14400000001\n状态"))
    assert isinstance(said, RefundDenied)
    assert '"账户 [redacted] 状态"' in said.why


@each_call
async def test_a_code_is_told_without_personal_data(name: str) -> None:
    assert "14400000001" not in doubt(await says_of(name, failed("40004", "ACQ.14400000001"))).why


# --- no answer -------------------------------------------------------------------------------------------------


@each_call
@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("reset")]
)
async def test_no_answer_is_doubt_without_an_alert(name: str, failure: Exception) -> None:
    assert not doubt(await says(name, raises(failure))).alert


async def test_a_refused_connection_is_doubt() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        assert "No connection" in doubt(await refund(alipay_at(http, dead_url()))).why


@pytest.mark.parametrize("name", tcp.UNANSWERED)
async def test_whatever_fails_after_the_connect_is_doubt(name: str) -> None:
    async with loopback(tcp.UNANSWERED[name]) as server, httpx.AsyncClient(trust_env=False) as http:
        doubt(await refund(alipay_at(http, server.url)))
        assert server.connections == 1


async def test_a_giant_answer_is_doubt() -> None:
    async with loopback(tcp.giant) as server, httpx.AsyncClient(trust_env=False) as http:
        doubt(await query(alipay_at(http, server.url)))


async def test_a_refund_that_is_late_is_not_sent() -> None:
    far = Far(httpx.Response(200))
    said = await alipay_at(far.client()).refund(REQUEST, timeout_seconds=PATIENCE_SECONDS, in_time=lambda: False)
    assert isinstance(said, RefundInDoubt)
    assert far.requests == []


@each_call
async def test_an_answer_in_gbk_is_verified_as_it_came_and_understood(name: str) -> None:
    """Asked in utf-8, the gateway has been seen to answer in GBK."""
    members = {**(refunded() if name == "refund" else found()), "msg": "成功"}
    raw = json.dumps(members, separators=(",", ":"), ensure_ascii=False)
    signed = base64.b64encode(ALIPAY.private.sign(raw.encode("gbk"), padding.PKCS1v15(), hashes.SHA256())).decode()
    body = f'{{"{MEMBERS[name]}":{raw},"sign":"{signed}"}}'.encode("gbk")
    said = await says(name, httpx.Response(200, content=body))
    assert isinstance(said, RefundAccepted if name == "refund" else RefundConfirmed)


@each_call
async def test_a_forged_answer_in_gbk_alerts_and_is_doubt(name: str) -> None:
    members = {**(refunded() if name == "refund" else found()), "msg": "成功"}
    good = answer(MEMBERS[name], members)  # signed over its bytes in utf-8
    assert doubt(await says(name, httpx.Response(200, content=good.content.decode().encode("gbk")))).alert


@each_call
async def test_a_busy_gateway_that_says_so_in_gbk_is_busy(name: str) -> None:
    members = failed("20000", "aop.unknow-error", "系统繁忙")
    body = json.dumps({MEMBERS[name]: members}, ensure_ascii=False).encode("gbk")
    said = doubt(await says(name, httpx.Response(200, content=body)))
    assert "aop.unknow-error" in said.why
    assert "系统繁忙" in said.why
