"""WeChat Pay's refunds: checked with wechatpayv3 as an independent oracle."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from wechatpayv3 import WeChatPay, WeChatPayType

from simulators.book import verify
from simulators.serving import listen
from tests.limits import WAIT_SECONDS
from tests.simulators.payment_clients import REFUNDS, WechatClient, flipped, new_payment
from tests.simulators.processes import SILENT, start


async def until(wechat: WechatClient, refund_no: str, status: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        while (answer := await wechat.query(refund_no)).json().get("status") != status:  # by itself
            await asyncio.sleep(0.02)
    return answer.json()


def oracle(wechat: WechatClient) -> WeChatPay:
    settings = wechat.settings
    client = WeChatPay(
        wechatpay_type=WeChatPayType.NATIVE,
        mchid=settings["TOPUP_WECHAT_MCHID"],
        private_key=settings["TOPUP_WECHAT_PRIVATE_KEY"],
        cert_serial_no=settings["TOPUP_WECHAT_SERIAL_NO"],
        apiv3_key=settings["TOPUP_WECHAT_API_V3_KEY"],
        appid=settings["TOPUP_WECHAT_APPID"],
        public_key=settings["TOPUP_WECHAT_PUBLIC_KEY"],
        public_key_id=settings["TOPUP_WECHAT_PUBLIC_KEY_ID"],
        timeout=5,
    )
    client._core._gate_way = str(wechat.http.base_url).rstrip("/")
    return client


async def test_the_oracle_refunds_and_queries_and_accepts_every_signature(wechat: WechatClient):
    transaction_id, out_trade_no = await wechat.paid()
    client, refund_no = oracle(wechat), f"R{out_trade_no}"
    amount = {"refund": 9900, "total": 9900, "currency": "CNY"}
    status, text = await asyncio.to_thread(
        client.refund, refund_no, amount, transaction_id=transaction_id, reason="未能充值"
    )
    assert (status, json.loads(text)["status"]) == (200, "PROCESSING")
    await until(wechat, refund_no, "SUCCESS")
    status, text = await asyncio.to_thread(client.query_refund, refund_no)
    refund = json.loads(text)
    assert status == 200
    assert refund["out_refund_no"] == refund_no
    assert refund["transaction_id"] == transaction_id
    assert refund["out_trade_no"] == out_trade_no
    assert refund["amount"]["refund"] == refund["amount"]["total"] == 9900
    assert refund["success_time"].endswith("+08:00")
    assert {"refund_id", "channel", "user_received_account", "create_time", "funds_account"} <= refund.keys()


async def test_a_refund_moves_money_once_however_often_it_is_sent(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    refund_no = f"R{transaction_id}"
    answers = await asyncio.gather(*(wechat.refund(refund_no, transaction_id) for _ in range(5)))
    assert {answer.json()["refund_id"] for answer in answers} == {answers[0].json()["refund_id"]}
    await until(wechat, refund_no, "SUCCESS")
    assert (await wechat.refund(refund_no, transaction_id)).json()["status"] == "SUCCESS"
    refunded = await wechat.entries(transaction_id, "refunded")
    assert [(entry["refund_no"], entry["amount_fen"]) for entry in refunded] == [(refund_no, 9900)]
    summary = await wechat.summary(transaction_id)
    assert (summary["paid_fen"], summary["refunded_fen"], summary["refund_requests"]) == (9900, 9900, 6)


async def test_out_trade_no_names_the_payment_as_well(wechat: WechatClient):
    transaction_id, out_trade_no = await wechat.paid()
    amount = {"refund": 9900, "total": 9900, "currency": "CNY"}
    body = json.dumps({"out_refund_no": f"R{out_trade_no}", "out_trade_no": out_trade_no, "amount": amount})
    assert (await wechat.send("POST", REFUNDS, body)).json()["transaction_id"] == transaction_id


async def test_every_answer_is_signed_errors_too(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    answers = [
        await wechat.refund(f"R{transaction_id}", transaction_id),
        await wechat.refund(f"R{transaction_id}", "unknown"),
        await wechat.query("unknown"),
        await wechat.http.post(REFUNDS, content="{}"),
    ]
    assert [answer.status_code for answer in answers] == [200, 404, 404, 401]
    assert all(wechat.is_signed(answer) for answer in answers)


@pytest.mark.parametrize("part", ["body", "path", "method", "mchid", "serial_no", "signature", "schema"])
async def test_a_request_whose_signature_does_not_fit_is_401_sign_error(wechat: WechatClient, part: str):
    transaction_id, _ = await wechat.paid()
    amount = {"refund": 9900, "total": 9900, "currency": "CNY"}
    body = json.dumps({"out_refund_no": "R-signed", "transaction_id": transaction_id, "amount": amount})
    signed = {
        "body": lambda: wechat.authorization("POST", REFUNDS, body.replace("9900", "9901")),
        "path": lambda: wechat.authorization("POST", f"{REFUNDS}/", body),
        "method": lambda: wechat.authorization("PUT", REFUNDS, body),
        "mchid": lambda: wechat.authorization("POST", REFUNDS, body, mchid="1900000110"),
        "serial_no": lambda: wechat.authorization("POST", REFUNDS, body, serial_no="AB"),
    }.get(part, lambda: wechat.authorization("POST", REFUNDS, body))()
    if part == "signature":
        signature = signed.split('signature="')[1].split('"')[0]
        signed = signed.replace(signature, flipped(signature))
    if part == "schema":
        signed = signed.replace("WECHATPAY2-SHA256-RSA2048", "WECHATPAY2-SM2-WITH-SM3")
    answer = await wechat.http.post(REFUNDS, content=body, headers={"Authorization": signed})
    assert (answer.status_code, answer.json()["code"]) == (401, "SIGN_ERROR")
    assert (await wechat.summary(transaction_id))["refunds"] == {}


@pytest.mark.parametrize("seconds", [-400, 400])
async def test_a_well_signed_request_of_another_time_is_401_sign_error(
    wechat: WechatClient, monkeypatch: pytest.MonkeyPatch, seconds: int
):
    transaction_id, _ = await wechat.paid()
    monkeypatch.setattr("wechatpayv3.utils.time", SimpleNamespace(time=lambda: time.time() + seconds))
    answer = await wechat.refund(f"R{transaction_id}", transaction_id)
    assert (answer.status_code, answer.json()["code"]) == (401, "SIGN_ERROR")
    monkeypatch.undo()
    assert (await wechat.refund(f"R{transaction_id}", transaction_id)).status_code == 200


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"fen": 9800}, "INVALID_REQUEST"),
        ({"total": 10000}, "INVALID_REQUEST"),
    ],
)
async def test_the_same_number_with_other_parameters_is_refused(wechat: WechatClient, other: Any, code: str):
    transaction_id, _ = await wechat.paid()
    await wechat.refund(f"R{transaction_id}", transaction_id)
    answer = await wechat.refund(f"R{transaction_id}", transaction_id, **other)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_the_same_number_for_another_payment_is_refused(wechat: WechatClient):
    first, second = (await wechat.paid())[0], (await wechat.paid())[0]
    await wechat.refund(f"R{first}", first)
    assert (await wechat.refund(f"R{first}", second)).json()["code"] == "INVALID_REQUEST"


async def test_refunds_never_exceed_the_payment_over_several_numbers(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    assert (await wechat.refund("R1" + transaction_id, transaction_id, fen=9901)).status_code == 400
    assert (await wechat.refund("R1" + transaction_id, transaction_id, fen=5000)).status_code == 200
    assert (await wechat.refund("R2" + transaction_id, transaction_id, fen=4901)).status_code == 400
    assert (await wechat.refund("R2" + transaction_id, transaction_id, fen=4900)).status_code == 200
    assert (await wechat.refund("R3" + transaction_id, transaction_id, fen=1)).json()["code"] == "INVALID_REQUEST"


async def test_a_total_that_was_not_paid_is_refused(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    answer = await wechat.refund(f"R{transaction_id}", transaction_id, fen=100, total=9901)
    assert answer.json()["code"] == "INVALID_REQUEST"


async def test_only_after_closed_another_number_may_refund(wechat: WechatClient):
    under_way, _ = await wechat.paid()
    await wechat.fault(under_way, {"kind": "processing"})
    await wechat.refund(f"R{under_way}", under_way)
    assert (await wechat.refund(f"R{under_way}-2", under_way)).status_code == 400

    transaction_id, _ = await wechat.paid()
    refund_no = f"R{transaction_id}"
    await wechat.fault(transaction_id, {"kind": "closed"})
    await wechat.refund(refund_no, transaction_id)
    await until(wechat, refund_no, "CLOSED")
    assert (await wechat.refund(refund_no, transaction_id)).json()["status"] == "CLOSED"
    assert (await wechat.refund(f"{refund_no}-2", transaction_id)).status_code == 200
    await until(wechat, f"{refund_no}-2", "SUCCESS")
    assert (await wechat.summary(transaction_id))["refunded_fen"] == 9900


@pytest.mark.parametrize("amount", ["99.00", 99.0, True, None, 0, -1])
async def test_an_amount_that_is_no_positive_integer_is_param_error(wechat: WechatClient, amount: Any):
    transaction_id, _ = await wechat.paid()
    answer = await wechat.refund(f"R{transaction_id}", transaction_id, fen=amount)
    assert (answer.status_code, answer.json()["code"]) == (400, "PARAM_ERROR")


async def test_abnormal_stays_until_the_merchant_settles_it(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    refund_no = f"R{transaction_id}"
    await wechat.fault(transaction_id, {"kind": "abnormal"})
    await wechat.refund(refund_no, transaction_id)
    assert "success_time" not in await until(wechat, refund_no, "ABNORMAL")
    assert (await wechat.summary(transaction_id))["refunded_fen"] == 0
    assert (await wechat.http.post(f"/refunds/{refund_no}/settle")).status_code == 200
    await until(wechat, refund_no, "SUCCESS")
    assert (await wechat.http.post(f"/refunds/{refund_no}/settle")).status_code == 409
    assert len(await wechat.entries(transaction_id, "refunded")) == 1
    assert (await wechat.http.post("/refunds/nobody/settle")).status_code == 404


async def test_processing_lasts_as_long_as_ordered_or_until_settled(wechat: WechatClient):
    brief, endless = (await wechat.paid())[0], (await wechat.paid())[0]
    await wechat.fault(brief, {"kind": "processing", "seconds": 10})
    await wechat.fault(endless, {"kind": "processing"})
    for transaction_id in (brief, endless):
        taken = await wechat.refund(f"R{transaction_id}", transaction_id)
        assert taken.json()["status"] == "PROCESSING"
    await until(wechat, f"R{brief}", "SUCCESS")
    assert (await wechat.query(f"R{endless}")).json()["status"] == "PROCESSING"
    await wechat.http.post(f"/refunds/R{endless}/settle")
    await until(wechat, f"R{endless}", "SUCCESS")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "not_enough"}, 403, "NOT_ENOUGH"),
        ({"kind": "frequency_limited"}, 429, "FREQUENCY_LIMITED"),
        ({"kind": "user_account_abnormal"}, 403, "USER_ACCOUNT_ABNORMAL"),
        ({"kind": "system_error", "act": False}, 500, "SYSTEM_ERROR"),
        ({"kind": "refuse", "status": 403, "code": "NO_AUTH"}, 403, "NO_AUTH"),
    ],
)
async def test_an_error_without_effect_lasts_until_it_is_used_up_or_cleared(
    wechat: WechatClient, fault: dict[str, Any], status: int, code: str
):
    transaction_id, out_trade_no = await wechat.paid()
    await wechat.fault(out_trade_no, fault | {"times": -1})
    for _ in range(3):
        answer = await wechat.refund(f"R{transaction_id}", transaction_id)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await wechat.query(f"R{transaction_id}")).json()["code"] == "RESOURCE_NOT_EXISTS"
    await wechat.http.delete(f"/faults/{out_trade_no}")
    assert (await wechat.refund(f"R{transaction_id}", transaction_id)).status_code == 200


async def test_system_error_may_have_acted(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    await wechat.fault(transaction_id, {"kind": "system_error"})
    answer = await wechat.refund(f"R{transaction_id}", transaction_id)
    assert (answer.status_code, answer.json()["code"]) == (500, "SYSTEM_ERROR")
    await until(wechat, f"R{transaction_id}", "SUCCESS")


async def test_a_hang_acts_and_never_answers(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    await wechat.fault(transaction_id, {"kind": "hang"})
    with pytest.raises(httpx.ReadTimeout):
        await wechat.refund(f"R{transaction_id}", transaction_id, timeout_seconds=SILENT)
    await until(wechat, f"R{transaction_id}", "SUCCESS")


@pytest.mark.parametrize("target", ["refund", "query"])
@pytest.mark.parametrize("kind", ["wrong_signature", "unsigned"])
async def test_an_answer_may_be_signed_wrongly_or_not_at_all(wechat: WechatClient, kind: str, target: str):
    transaction_id, _ = await wechat.paid()
    await wechat.fault(transaction_id, {"kind": kind, "target": target})
    answers = [await wechat.refund(f"R{transaction_id}", transaction_id), await wechat.query(f"R{transaction_id}")]
    hit, other = answers if target == "refund" else reversed(answers)
    assert hit.status_code == other.status_code == 200
    assert wechat.is_signed(other)
    assert ("wechatpay-signature" in hit.headers) == (kind == "wrong_signature")
    assert not wechat.is_signed(hit)


async def test_a_query_may_not_know_the_refund_for_a_while(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    await wechat.fault(transaction_id, {"kind": "not_exists", "seconds": 10})
    await wechat.refund(f"R{transaction_id}", transaction_id)
    answer = await wechat.query(f"R{transaction_id}")
    assert (answer.status_code, answer.json()["code"]) == (404, "RESOURCE_NOT_EXISTS")
    await until(wechat, f"R{transaction_id}", "SUCCESS")


@pytest.mark.parametrize("shape", ["not_json", "no_state", "empty", "wrong_type"])
async def test_malformed_is_a_signed_2xx_without_a_status(wechat: WechatClient, shape: str):
    transaction_id, _ = await wechat.paid()
    await wechat.fault(transaction_id, {"kind": "malformed", "body": shape})
    answer = await wechat.refund(f"R{transaction_id}", transaction_id)
    assert answer.status_code == 200
    assert wechat.is_signed(answer)
    assert '"status"' not in answer.text


async def test_an_unknown_status_is_shown(wechat: WechatClient):
    transaction_id, _ = await wechat.paid()
    await wechat.fault(transaction_id, {"kind": "unknown_state", "state": "FROZEN", "target": "query"})
    await wechat.refund(f"R{transaction_id}", transaction_id)
    assert (await wechat.query(f"R{transaction_id}")).json()["status"] == "FROZEN"


async def test_a_payment_is_registered_once_and_never_changes(wechat: WechatClient):
    transaction_id, out_trade_no = await wechat.paid()
    await wechat.register(transaction_id, out_trade_no)
    changed = {"amount_fen": 9901, "out_trade_no": out_trade_no}
    assert (await wechat.http.put(f"/payments/{transaction_id}", json=changed)).status_code == 409
    assert (await wechat.http.put("/payments/another", json=changed)).status_code == 409
    for wrong in ({"amount_fen": "9900", "out_trade_no": "T1"}, {"amount_fen": 99.0, "out_trade_no": "T1"}, {}, 3):
        answer = await wechat.http.put("/payments/T1", json=wrong)
        assert answer.status_code == 422
        assert "amount_fen" in answer.json()["error"]
    names = [new_payment() for _ in range(3)]
    many = {one: {"amount_fen": 100, "out_trade_no": other} for one, other in names}
    assert (await wechat.http.put("/payments", json=many)).json() == {"registered": 3}
    assert len(await wechat.entries(transaction_id, "paid")) == 1


async def test_a_payment_of_another_merchant_is_unknown(wechat: WechatClient):
    transaction_id, out_trade_no = new_payment()
    spec = {"amount_fen": 9900, "out_trade_no": out_trade_no, "merchant_id": "1900000999"}
    await wechat.http.put(f"/payments/{transaction_id}", json=spec)
    assert (await wechat.refund(f"R{transaction_id}", transaction_id)).json()["code"] == "RESOURCE_NOT_EXISTS"


async def test_after_a_restart_refunds_go_on_where_they_were(book_path: Path, keys: Path):
    transaction_id, out_trade_no = new_payment()
    arguments = ("wechat", "--keys", keys, "--book", book_path, "--settle-seconds", "0.5", "--accept-unknown-payments")
    first = start(*arguments)
    wechat = WechatClient(first.url("wechat"), keys)
    assert (await wechat.refund(f"R{transaction_id}", transaction_id)).json()["status"] == "PROCESSING"
    await wechat.http.aclose()
    first.stop(9)
    second = start(*arguments)
    wechat = WechatClient(second.url("wechat"), keys)
    await until(wechat, f"R{transaction_id}", "SUCCESS")
    assert (await wechat.refund(f"R{transaction_id}", transaction_id)).json()["status"] == "SUCCESS"
    assert (await wechat.refund(f"R{out_trade_no}-2", transaction_id)).status_code == 400
    await wechat.http.aclose()
    assert second.stop()[0] == 0
    assert [entry.kind for entry in verify(book_path)].count("refunded") == 1


@pytest.fixture
async def merchant() -> AsyncIterator[tuple[str, asyncio.Queue[tuple[dict[str, str], bytes]]]]:
    """A merchant's address that refuses the first notification and stores the next."""
    came: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
    statuses = iter([500, 204])

    async def notified(request: Request) -> Response:
        came.put_nowait((dict(request.headers), await request.body()))
        return Response(status_code=next(statuses))

    app = Starlette(routes=[Route("/notify", notified, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="critical"))
    sock = listen("127.0.0.1", 0)
    task = asyncio.create_task(server._serve([sock]))
    yield f"http://127.0.0.1:{sock.getsockname()[1]}/notify", came
    server.should_exit = True
    await task


async def test_the_oracle_decrypts_the_notification_which_comes_again_until_stored(
    wechat: WechatClient,
    merchant: tuple[str, asyncio.Queue[tuple[dict[str, str], bytes]]],
):
    url, came = merchant
    transaction_id, out_trade_no = await wechat.paid()
    await wechat.refund(f"R{transaction_id}", transaction_id, notify_url=url)
    async with asyncio.timeout(WAIT_SECONDS):
        first, second = await came.get(), await came.get()
    assert first[1] == second[1]
    notice = oracle(wechat).callback(second[0], second[1])
    assert notice
    assert notice["event_type"] == "REFUND.SUCCESS"
    resource = notice["resource"]
    assert (resource["refund_status"], resource["out_refund_no"]) == ("SUCCESS", f"R{transaction_id}")
    assert (resource["out_trade_no"], resource["amount"]["refund"]) == (out_trade_no, 9900)
    assert oracle(wechat).callback(second[0], second[1].replace(b"SUCCESS", b"CLOSED")) is None
