"""Alipay's refunds: checked with python-alipay-sdk as an independent oracle."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
import pytest
from alipay.exceptions import AliPayException, AliPayValidationError

from simulators.alipay_wire import AlipayError, fen, yuan
from simulators.book import verify
from tests.limits import WAIT_SECONDS
from tests.simulators.payment_clients import AlipayClient, flipped, new_payment
from tests.simulators.processes import SILENT, start


async def until_done(alipay: AlipayClient, trade_no: str, request_no: str) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_SECONDS):
        while "refund_status" not in (  # it happens in another process
            content := alipay.verified(await alipay.query(trade_no, request_no))
        ):
            await asyncio.sleep(0.02)
    return content


async def test_the_oracle_refunds_and_queries_and_accepts_every_signature(alipay: AlipayClient):
    trade_no, out_trade_no = await alipay.paid()
    refund = alipay.verified(await alipay.refund(trade_no, f"R{out_trade_no}"))
    assert (refund["code"], refund["fund_change"], refund["refund_fee"]) == ("10000", "Y", "99.00")
    assert (refund["trade_no"], refund["out_trade_no"]) == (trade_no, out_trade_no)
    query = alipay.verified(await alipay.query(trade_no, f"R{out_trade_no}"))
    assert (query["code"], query["refund_status"]) == ("10000", "REFUND_SUCCESS")
    assert (query["refund_amount"], query["total_amount"]) == ("99.00", "99.00")
    assert query["out_request_no"] == f"R{out_trade_no}"


async def test_the_signature_covers_the_inner_object_exactly_as_it_stands(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    answer = await alipay.refund(trade_no, f"R{trade_no}")
    spoilt = answer.text.replace('"fund_change":"Y"', '"fund_change":"N"')
    assert spoilt != answer.text
    with pytest.raises(AliPayValidationError):
        alipay.oracle._verify_and_return_sync_response(spoilt, "alipay_trade_refund_response")


async def test_the_same_number_again_changes_no_funds(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    answers = [alipay.verified(await alipay.refund(trade_no, f"R{trade_no}")) for _ in range(3)]
    assert [answer["fund_change"] for answer in answers] == ["Y", "N", "N"]
    refunded = await alipay.entries(trade_no, "refunded")
    assert [(entry["refund_no"], entry["amount_fen"]) for entry in refunded] == [(f"R{trade_no}", 9900)]


async def test_the_same_number_with_another_amount_is_discordant(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    await alipay.refund(trade_no, f"R{trade_no}", "50.00")
    answer = alipay.verified(await alipay.refund(trade_no, f"R{trade_no}", "49.00"))
    assert (answer["code"], answer["sub_code"]) == ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST")


async def test_refunds_never_exceed_the_payment_over_several_numbers(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    first = alipay.verified(await alipay.refund(trade_no, "R1", "50.00"))
    over = alipay.verified(await alipay.refund(trade_no, "R2", "49.01"))
    rest = alipay.verified(await alipay.refund(trade_no, "R2", "49"))
    assert (first["refund_fee"], rest["refund_fee"]) == ("50.00", "99.00")
    assert over["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert (await alipay.summary(trade_no))["refunded_fen"] == 9900


async def test_a_refund_not_received_has_no_status(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    assert alipay.verified(await alipay.query(trade_no, "R-never")) == {"code": "10000", "msg": "Success"}


async def test_an_unknown_trade_does_not_exist(alipay: AlipayClient):
    for answer in (await alipay.refund("nobody", "R1"), await alipay.query("nobody", "R1")):
        assert alipay.verified(answer)["sub_code"] == "ACQ.TRADE_NOT_EXIST"


@pytest.mark.parametrize(
    ("name", "value", "sub_code"),
    [
        ("biz_content", '{"trade_no":"1","refund_amount":"0.01"}', "isv.invalid-signature"),
        ("timestamp", "2023-08-21 18:34:07", "isv.invalid-signature"),
        ("timestamp", "2023-08-21T18:34:07Z", "isv.invalid-timestamp"),
        ("app_id", "2021000000000002", "isv.invalid-app-id"),
        ("sign_type", "RSA", "isv.invalid-signature-type"),
        ("method", "alipay.trade.fastpay.refund.query", "isv.invalid-signature"),
        ("new", "1", "isv.invalid-signature"),
    ],
)
async def test_a_request_whose_signature_does_not_fit_is_refused(
    alipay: AlipayClient, name: str, value: str, sub_code: str
):
    trade_no, _ = await alipay.paid()
    content = {"trade_no": trade_no, "out_request_no": "R1", "refund_amount": "99.00"}
    form = dict(parse_qsl(alipay.oracle.sign_data(alipay.oracle.build_body("alipay.trade.refund", content))))
    answer = await alipay.send(urlencode(form | {name: value}))
    inner = next(value for value in answer.json().values() if isinstance(value, dict))
    assert (inner["code"], inner["sub_code"]) == ("40002", sub_code)
    sign = await alipay.send(urlencode(form | {"sign": flipped(form["sign"])}))
    assert sign.json()["alipay_trade_refund_response"]["sub_code"] == "isv.invalid-signature"
    assert (await alipay.summary(trade_no))["refunds"] == {}


async def test_parameters_in_the_url_are_refused(alipay: AlipayClient):
    content = {"trade_no": "1", "out_request_no": "R1", "refund_amount": "99.00"}
    form = alipay.oracle.sign_data(alipay.oracle.build_body("alipay.trade.refund", content))
    answer = await alipay.http.post(f"/gateway.do?{form}")
    assert answer.json()["error_response"]["code"] == "40002"


async def test_a_method_that_is_not_simulated_is_said_so(alipay: AlipayClient):
    answer = await alipay.call("alipay.trade.close", {"trade_no": "1"})
    assert answer.json()["error_response"]["sub_code"] == "isv.invalid-method"


@pytest.mark.parametrize("amount", ["99.001", "-1", "0", "0.00", "1e2", "", "９９", 99])
async def test_an_amount_that_is_no_yuan_string_is_an_invalid_parameter(alipay: AlipayClient, amount: Any):
    trade_no, _ = await alipay.paid()
    answer = alipay.verified(await alipay.refund(trade_no, "R1", amount))
    assert answer["sub_code"] == "ACQ.INVALID_PARAMETER"


@pytest.mark.parametrize(("text", "amount"), [("99.00", 9900), ("0.01", 1), ("1.5", 150), ("7", 700)])
def test_yuan_become_fen_exactly(text: str, amount: int):
    assert fen(text) == amount
    assert fen(yuan(amount)) == amount
    with pytest.raises(AlipayError):
        fen(text + "x")


@pytest.mark.parametrize(
    ("fault", "code", "sub_code"),
    [
        ({"kind": "not_enough"}, "40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"),
        ({"kind": "refuse"}, "40004", "ACQ.TRADE_HAS_FINISHED"),
        ({"kind": "refuse", "sub_code": "ACQ.TRADE_STATUS_ERROR"}, "40004", "ACQ.TRADE_STATUS_ERROR"),
        ({"kind": "system_error", "act": False}, "40004", "ACQ.SYSTEM_ERROR"),
        ({"kind": "system_error", "act": False, "code": "20000"}, "20000", "isp.unknow-error"),
    ],
)
async def test_an_error_without_effect_lasts_until_it_is_used_up_or_cleared(
    alipay: AlipayClient, fault: dict[str, Any], code: str, sub_code: str
):
    trade_no, out_trade_no = await alipay.paid()
    await alipay.fault(out_trade_no, fault | {"times": 2})
    for _ in range(2):
        answer = alipay.verified(await alipay.refund(trade_no, "R1"))
        assert (answer["code"], answer["sub_code"]) == (code, sub_code)
    assert "refund_status" not in alipay.verified(await alipay.query(trade_no, "R1"))
    assert alipay.verified(await alipay.refund(trade_no, "R1"))["fund_change"] == "Y"


async def test_system_error_may_have_acted(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    await alipay.fault(trade_no, {"kind": "system_error"})
    assert alipay.verified(await alipay.refund(trade_no, "R1"))["sub_code"] == "ACQ.SYSTEM_ERROR"
    assert alipay.verified(await alipay.query(trade_no, "R1"))["refund_status"] == "REFUND_SUCCESS"


async def test_a_hang_acts_and_never_answers(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    await alipay.fault(trade_no, {"kind": "hang"})
    with pytest.raises(httpx.ReadTimeout):
        await alipay.refund(trade_no, "R1", timeout=SILENT)
    assert (await until_done(alipay, trade_no, "R1"))["refund_status"] == "REFUND_SUCCESS"


@pytest.mark.parametrize("absent", [True, False])
async def test_fund_change_may_be_n_or_absent_although_it_is_done(alipay: AlipayClient, *, absent: bool):
    trade_no, _ = await alipay.paid()
    await alipay.fault(trade_no, {"kind": "fund_change_n", "absent": absent})
    answer = alipay.verified(await alipay.refund(trade_no, "R1"))
    assert answer["code"] == "10000"
    assert answer.get("fund_change") == (None if absent else "N")
    assert alipay.verified(await alipay.query(trade_no, "R1"))["refund_status"] == "REFUND_SUCCESS"


async def test_a_refund_under_way_says_n_first_and_is_done_later(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    await alipay.fault(trade_no, {"kind": "processing", "seconds": 8})
    assert alipay.verified(await alipay.refund(trade_no, "R1"))["fund_change"] == "N"
    assert "refund_status" not in alipay.verified(await alipay.query(trade_no, "R1"))
    assert (await until_done(alipay, trade_no, "R1"))["refund_status"] == "REFUND_SUCCESS"


async def test_a_query_may_not_know_the_refund_for_a_while(alipay: AlipayClient):
    trade_no, _ = await alipay.paid()
    await alipay.fault(trade_no, {"kind": "not_exists", "seconds": 8})
    assert alipay.verified(await alipay.refund(trade_no, "R1"))["fund_change"] == "Y"
    assert "refund_status" not in alipay.verified(await alipay.query(trade_no, "R1"))
    assert (await until_done(alipay, trade_no, "R1"))["refund_status"] == "REFUND_SUCCESS"


@pytest.mark.parametrize(("kind", "error"), [("wrong_signature", AliPayValidationError), ("unsigned", AliPayException)])
@pytest.mark.parametrize("target", ["refund", "query"])
async def test_the_oracle_refuses_an_answer_signed_wrongly_or_not_at_all(
    alipay: AlipayClient, kind: str, error: type[Exception], target: str
):
    trade_no, _ = await alipay.paid()
    await alipay.fault(trade_no, {"kind": kind, "target": target})
    answers = {"refund": await alipay.refund(trade_no, "R1"), "query": await alipay.query(trade_no, "R1")}
    with pytest.raises(error):
        alipay.verified(answers.pop(target))
    for other in answers.values():
        assert alipay.verified(other)["code"] == "10000"


@pytest.mark.parametrize("shape", ["not_json", "no_state", "empty", "wrong_type"])
async def test_malformed_says_nothing_about_the_refund(alipay: AlipayClient, shape: str):
    trade_no, _ = await alipay.paid()
    await alipay.fault(trade_no, {"kind": "malformed", "body": shape})
    answer = await alipay.refund(trade_no, "R1")
    assert answer.status_code == 200
    assert "10000" not in answer.text
    assert "fund_change" not in answer.text


@pytest.mark.slow
async def test_after_a_restart_refunds_are_known(book_path: Path, keys: Path):
    trade_no, out_trade_no = new_payment()
    arguments = ("alipay", "--keys", keys, "--book", book_path, "--accept-unknown-payments")
    first = start(*arguments)
    alipay = AlipayClient(first.url("alipay"), keys)
    assert alipay.verified(await alipay.refund(trade_no, f"R{out_trade_no}"))["fund_change"] == "Y"
    await alipay.http.aclose()
    first.stop(9)
    second = start(*arguments)
    alipay = AlipayClient(second.url("alipay"), keys)
    assert alipay.verified(await alipay.refund(trade_no, f"R{out_trade_no}"))["fund_change"] == "N"
    await alipay.http.aclose()
    assert second.stop()[0] == 0
    kinds = [entry.kind for entry in verify(book_path)]
    assert (kinds[0], kinds.count("refunded")) == ("paid", 1)
