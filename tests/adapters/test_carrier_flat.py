"""The flat dialect: one call, and only a receipt that is sure settles anything; canned answers and bad wires."""

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.ports import Carrier
from adapters.carriers.flat.client import DONE, DOUBTS, REFUSALS, FlatCarrier
from orders.outcomes import Completed, InDoubt, Refused
from orders.paid_order import PaidOrder
from tests.adapters import loopback as tcp
from tests.adapters.answers import Far, raises
from tests.adapters.loopback import PATIENCE_SECONDS, dead_url, loopback
from tests.adapters.test_carrier_tmf622 import ICCID, MSISDN, paid_order

DATE = datetime(2023, 8, 21, 10, 39, 6, tzinfo=UTC)


def carrier_at(http: httpx.AsyncClient, url: str = "https://carrier.example") -> FlatCarrier:
    return FlatCarrier(http, url=url, token="carrier-token")


BODY = carrier_at(httpx.AsyncClient()).order_body(paid_order(msisdn=MSISDN), DATE)


async def says(answer: httpx.Response) -> Completed | Refused | InDoubt:
    """What the adapter makes of one answer; asserts that it asked once."""
    far = Far(answer)
    said = await carrier_at(far.client()).submit(BODY, timeout_seconds=PATIENCE_SECONDS)
    assert len(far.requests) == 1
    return said


def receipt(code: object, **members: object) -> httpx.Response:
    return httpx.Response(200, json={"resultCode": code, "resultMsg": "said so", **members})


def doubt(said: object) -> InDoubt:
    assert isinstance(said, InDoubt)
    assert said.why
    return said


def test_the_adapter_is_a_carrier() -> None:
    carrier: Carrier = carrier_at(httpx.AsyncClient())
    assert carrier.name == "flat"


async def test_the_request_is_the_documented_form() -> None:
    far = Far(receipt(DONE))
    await carrier_at(far.client()).submit(BODY, timeout_seconds=PATIENCE_SECONDS)
    request = far.requests[0]
    assert (request.method, str(request.url)) == ("POST", "https://carrier.example/m2m/orderPackage")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == "Bearer carrier-token"
    assert parse_qs(request.content.decode()) == {
        "iccid": [ICCID],
        "msisdn": [MSISDN],
        "packageId": ["CT-DATA-10GB-30D"],
    }


def test_the_body_depends_on_the_order_alone() -> None:
    carrier = carrier_at(httpx.AsyncClient())
    without: PaidOrder = paid_order()
    assert carrier.order_body(paid_order(msisdn=MSISDN), datetime.now(UTC)) == BODY
    assert carrier.order_body(without, DATE) == f"iccid={ICCID}&packageId=CT-DATA-10GB-30D".encode()


async def test_a_body_of_another_dialect_is_never_sent() -> None:
    far = Far(receipt(DONE))
    with pytest.raises(ValueError, match="order_body"):
        await carrier_at(far.client()).submit(b'{"externalId": "T1"}', timeout_seconds=1)
    assert far.requests == []


async def test_success_is_delivered() -> None:
    assert await says(receipt(DONE, orderNo="M2M1")) == Completed(carrier_order_id="M2M1")
    assert await says(receipt(DONE, orderNo=4711)) == Completed(carrier_order_id="4711")


@pytest.mark.parametrize("code", REFUSALS)
async def test_a_definite_receipt_is_a_refusal_with_a_code_that_may_travel(code: str) -> None:
    said = await says(receipt(code))
    assert isinstance(said, Refused)
    assert (said.code, said.burnt) == (REFUSALS[code][0], False)
    assert code in said.text
    assert "said so" in said.text


def test_the_refusals_are_these_five() -> None:
    assert set(REFUSALS) == {"10000", "10001", "10002", "10003", "12000"}
    assert not set(REFUSALS) & set(DOUBTS)
    assert DONE not in {*REFUSALS, *DOUBTS}


@pytest.mark.parametrize("code", DOUBTS)
async def test_a_receipt_that_is_not_sure_is_doubt_and_says_why(code: str) -> None:
    said = doubt(await says(receipt(code, orderNo="M2M2")))
    assert (said.cause, said.carrier_order_id, said.alert) == ("answered", "M2M2", False)
    assert DOUBTS[code] in said.why


@given(
    st.one_of(st.text(max_size=8), st.integers(), st.none(), st.booleans(), st.lists(st.just(DONE))).filter(
        lambda code: str(code) not in {DONE, *REFUSALS}
    )
)
async def test_any_other_code_is_doubt(code: object) -> None:
    assert doubt(await says(receipt(code))).cause == "answered"


@pytest.mark.parametrize("status", [201, 202, 204, 302, 400, 401, 403, 404, 409, 429, 500, 502, 503, 504])
async def test_no_status_but_200_settles_anything_and_a_refused_token_alerts(status: int) -> None:
    for code in (DONE, "10000"):
        said = doubt(await says(httpx.Response(status, json={"resultCode": code})))
        assert (said.cause, said.alert) == ("answered", status in {401, 403})


NO_RECEIPTS = {
    "empty": b"",
    "no JSON": b"<html>OK</html>",
    "no object": b'["00000"]',
    "no charset": b'{"resultCode": "00000", "resultMsg": "\xff\xfe"}',
    "twice": b'{"resultCode": "99999", "resultCode": "00000"}',
    "no code": b'{"resultMsg": "success"}',
    "within": b'{"receipt": {"resultCode": "00000"}}',
    "cut off": b'{"resultCode": "00000"',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", NO_RECEIPTS)
async def test_what_is_no_receipt_is_doubt(name: str) -> None:
    assert doubt(await says(httpx.Response(200, content=NO_RECEIPTS[name]))).cause == "answered"


async def test_what_the_carrier_says_reaches_the_operator_without_personal_data() -> None:
    for code in ("10000", "11001", "4711"):
        said = await says(httpx.Response(200, json={"resultCode": code, "resultMsg": f"card {ICCID} of {MSISDN}"}))
        assert isinstance(said, Refused | InDoubt)
        text = said.text if isinstance(said, Refused) else said.why
        assert ICCID not in text
        assert MSISDN not in text


@pytest.mark.parametrize("name", [*tcp.BROKEN, "no answer"])
async def test_whatever_fails_after_the_connect_is_unanswered_and_never_sent_again(name: str) -> None:
    async with loopback(tcp.UNANSWERED[name]) as server, FlatCarrier.open(url=server.url, token="t") as carrier:
        said = await carrier.submit(BODY, timeout_seconds=PATIENCE_SECONDS)
        assert doubt(said).cause == "unanswered"
        assert server.connections == 1
        assert len(server.requests) <= 1


async def test_a_connection_that_was_never_made_is_no_post() -> None:
    async with FlatCarrier.open(url=dead_url(), token="t") as carrier:
        assert doubt(await carrier.submit(BODY, timeout_seconds=PATIENCE_SECONDS)).cause == "not_sent"


async def test_an_unexpected_error_of_the_client_is_doubt() -> None:
    far = Far(raises(RuntimeError("boom")))
    said = await carrier_at(far.client()).submit(BODY, timeout_seconds=1)
    assert doubt(said).cause == "unanswered"


async def test_there_is_no_query_and_no_cancel_and_nothing_is_sent_for_them() -> None:
    far = Far(receipt(DONE))
    carrier = carrier_at(far.client())
    for said in (await carrier.query("T1", timeout_seconds=1), await carrier.cancel("T1", timeout_seconds=1)):
        assert doubt(said).cause == "not_sent"
    assert far.requests == []


# --- the last look ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_time_looks", [0, 1], ids=["before the connect", "after the connect"])
async def test_a_post_that_is_late_before_its_first_byte_is_not_sent(in_time_looks: int) -> None:
    answers = iter([True] * in_time_looks + [False] * 9)
    async with loopback(tcp.never_answer) as server, FlatCarrier.open(url=server.url, token="t") as carrier:
        said = await carrier.submit(BODY, timeout_seconds=PATIENCE_SECONDS, in_time=lambda: next(answers))
        await asyncio.sleep(0.05)
        assert doubt(said).cause == "not_sent"
        assert (server.connections, server.requests) == (in_time_looks, [])


async def test_a_post_that_is_late_between_head_and_body_never_becomes_whole_and_is_doubt() -> None:
    answers = iter([True, True, False])
    async with loopback(tcp.never_answer) as server, FlatCarrier.open(url=server.url, token="t") as carrier:
        said = await carrier.submit(BODY, timeout_seconds=PATIENCE_SECONDS, in_time=lambda: next(answers))
        await asyncio.sleep(0.05)
        assert doubt(said).cause == "unanswered"
        assert (server.connections, server.requests) == (1, [])


async def test_the_clock_is_looked_at_before_the_connect_and_again_before_head_and_body() -> None:
    """Connecting may take long: what was in time before it need not be after it."""
    steps: list[str] = []
    ok = json.dumps({"resultCode": DONE}).encode()

    def in_time() -> bool:
        steps.append("looks")
        return True

    async def traced(peer: tcp.Peer) -> None:
        steps.append("connected")
        await tcp.answering(tcp.head(len(ok)) + ok)(peer)

    async with loopback(traced) as server, FlatCarrier.open(url=server.url, token="t") as carrier:
        said = await carrier.submit(BODY, timeout_seconds=PATIENCE_SECONDS, in_time=in_time)
    assert isinstance(said, Completed)
    assert steps[0] == "looks"
    assert sorted(steps) == ["connected", "looks", "looks", "looks"]


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gbk"])
async def test_a_receipt_counts_in_whatever_charset_its_words_stand(charset: str) -> None:
    """What isn't understood here is doubt for good: this carrier can't be asked again."""
    body = json.dumps({"resultCode": DONE, "resultMsg": "受理成功", "orderNo": "M2M42"}, ensure_ascii=False)
    headers = {"Content-Type": "text/html", "Content-Encoding": "utf-8"}
    said = await says(httpx.Response(200, content=body.encode(charset), headers=headers))
    assert said == Completed(carrier_order_id="M2M42")
