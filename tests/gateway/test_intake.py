"""What becomes of a genuine payment: a paid order, an unmatched payment, or a question that must be asked again."""

import asyncio
import base64
import gzip
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gateway.lookup import OrderLookup
from orders.arrival import NOTIFICATION_ID_HEADER, NOTIFIED_AT_HEADER, arrival_of
from orders.errors import Unavailable
from orders.record import parse
from orders.record_mac import HEADER, sign
from tests.gateway.providers import ATTACHMENT, ORDER_ID, alipay, alipay_form, event, payment, trade, wechat
from tests.gateway.serving import TOPIC, UNMATCHED, Gateway
from tests.gateway.serving import gateway as gateway_process

BACKEND = {
    "vehicle": {"vin": "LSGBC5342AG000002", "iccid": "89860321247550000023"},
    "package_id": "CT-DATA-5GB-30D",
    "amount_fen": 9900,
    "price_list": 2023.5,
}
PAYMENT = {
    "provider": "wechat",
    "merchant_id": "1900000109",
    "out_trade_no": ORDER_ID,
    "transaction_id": "4200001923202308213518640001",
    "paid_at": "2023-08-21T18:33:55+08:00",
}


@dataclass
class Backend:
    """An order backend behind `OrderLookup`."""

    answer: Callable[[httpx.Request], httpx.Response]
    asked: list[httpx.Request] = field(default_factory=list)

    def lookup(self, **options: Any) -> OrderLookup:
        async def respond(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            return self.answer(request)

        return OrderLookup("https://orders.example/v1/", "token", transport=httpx.MockTransport(respond), **options)


def says(content: Any, status: int = 200) -> Backend:
    return Backend(
        lambda _: httpx.Response(status, content=content if isinstance(content, bytes) else json.dumps(content))
    )


async def pay(gate: Gateway, **changes: Any) -> int:
    return (await gate.post("wechat", wechat(event(payment(**changes))))).status


def reasons(gate: Gateway) -> list[str]:
    return [one["reason"] for one in gate.unmatched()]


# --- paid orders ----------------------------------------------------------------------------------------------------


async def test_a_payment_of_wechat_becomes_the_paid_order_of_the_contract():
    async with gateway_process() as gate:
        assert await pay(gate) == 204

    [(topic, key, value, headers)] = gate.topic.sent
    assert (topic, key) == (TOPIC, ORDER_ID.encode())
    assert [name for name, _ in headers] == [NOTIFICATION_ID_HEADER, NOTIFIED_AT_HEADER]
    assert arrival_of(0, 0, headers).notification_id == "EV-2018022511223320873"
    assert "EV-2018022511223320873" in gate.logs.getvalue()
    assert json.loads(value or b"") == {
        "schema": "topup.paid-order/1",
        "order_id": ORDER_ID,
        "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015", "msisdn": "14400000001"},
        "package_id": "CT-DATA-10GB-30D",
        "amount_fen": 9900,
        "currency": "CNY",
        "payment": PAYMENT,
    }
    assert parse(key, value).order_id == ORDER_ID
    assert gate.count("wechat", "order") == 1
    assert gate.alerts() == {}


async def test_a_payment_of_alipay_becomes_the_paid_order_of_the_contract():
    async with gateway_process() as gate:
        answer = await gate.post("alipay", alipay(alipay_form(trade())))

    assert (answer.status, answer.body) == (200, b"success")
    [order] = gate.orders()
    assert order["payment"] == {
        "provider": "alipay",
        "merchant_id": "2088000000000001",
        "out_trade_no": ORDER_ID,
        "transaction_id": "2023082122001424333001234567",
        "paid_at": "2023-08-21T18:33:55+08:00",
    }
    assert (order["amount_fen"], order["vehicle"]["vin"]) == (9900, "LSGBC5342AG000001")


@pytest.mark.parametrize("provider", ["wechat", "alipay"])
async def test_records_are_signed_where_the_key_is_set(provider: str):
    key = b"k" * 32
    async with gateway_process(key=key) as gate:
        for order_id in (ORDER_ID, "§"):
            callback = (
                wechat(event(payment(out_trade_no=order_id)))
                if provider == "wechat"
                else alipay(alipay_form(trade(out_trade_no=order_id)))
            )
            await gate.post(provider, callback)

    assert [topic for topic, *_ in gate.topic.sent] == [TOPIC, UNMATCHED]
    for _, record_key, value, headers in gate.topic.sent:
        assert headers[0] == (HEADER, sign(key, record_key, value))
        assert len(base64.urlsafe_b64decode(headers[0][1] + b"=")) == 32


async def test_an_attachment_that_proves_wins_over_the_lookup():
    backend = says(BACKEND)
    async with gateway_process(lookup=backend.lookup()) as gate:
        await pay(gate)

    assert backend.asked == []
    assert gate.orders()[0]["package_id"] == "CT-DATA-10GB-30D"


@pytest.mark.parametrize("attach", [None, "", "hello", ATTACHMENT + "x"])
@pytest.mark.parametrize("with_key", [True, False])
async def test_the_backend_is_asked_where_no_attachment_proves(attach: str | None, *, with_key: bool):
    backend = says(BACKEND)
    async with gateway_process(lookup=backend.lookup(), attach=with_key) as gate:
        assert await pay(gate, attach=attach) == 204

    [order] = gate.orders()
    assert (order["package_id"], order["vehicle"]) == ("CT-DATA-5GB-30D", BACKEND["vehicle"])
    [asked] = backend.asked
    assert (asked.method, str(asked.url)) == ("GET", f"https://orders.example/v1/{ORDER_ID}")
    assert asked.headers["Authorization"] == "Bearer token"


async def test_a_lookup_that_does_not_help_makes_the_provider_send_again():
    wrong: list[Any] = [
        says(BACKEND, 500),
        says(BACKEND, 201),
        says(b"", 204),
        says(b"", 401),
        Backend(lambda _: httpx.Response(302, headers={"Location": "https://orders.example/other"})),
        says(b"{"),
        says([]),
        says(b"\xff"),
        says(BACKEND | {"amount_fen": "9900"}),
        says(BACKEND | {"amount_fen": 9900.0}),
        says(BACKEND | {"amount_fen": 0}),
        says(BACKEND | {"amount_fen": 100_000_001}),
        says(BACKEND | {"package_id": ""}),
        says(BACKEND | {"vehicle": {"vin": "x"}}),
        says(BACKEND | {"vehicle": {**BACKEND["vehicle"], "msisdn": None}}),
        says(json.dumps(BACKEND)[:-1].encode() + b', "package_id": "P"}'),
        says(json.dumps(BACKEND).encode() + b" " * 70_000),
    ]

    def refuses(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    for backend in [*wrong, Backend(refuses)]:
        async with gateway_process(lookup=backend.lookup()) as gate:
            assert await pay(gate, attach=None) == 500
            assert gate.topic.sent == []
            assert gate.count("wechat", "refused") == 1
            assert len(backend.asked) == 1


async def test_a_lookup_has_two_seconds(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.lookup.LOOKUP_SECONDS", 0.1)

    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError("waited")

    lookup = OrderLookup("https://orders.example", "", transport=httpx.MockTransport(never))
    with pytest.raises(Unavailable, match="doesn't answer"):
        await lookup.find(ORDER_ID)
    with pytest.raises(Unavailable):
        await lookup.check()


async def test_a_packed_answer_is_unpacked_as_far_as_an_answer_goes():
    def packed(content: bytes, times: int) -> Backend:
        for _ in range(times):
            content = gzip.compress(content)
        headers = {"Content-Encoding": ", ".join(["gzip"] * times)}
        return Backend(lambda _: httpx.Response(200, stream=httpx.ByteStream(content), headers=headers))

    for times in (0, 1, 2):
        found = await packed(json.dumps(BACKEND).encode(), times).lookup().find(ORDER_ID)
        assert found is not None
        assert found.amount_fen == 9900
    giant = packed(bytes(32 * 1024 * 1024), 2).lookup()
    tracemalloc.start()
    try:
        with pytest.raises(Unavailable):
            await giant.find(ORDER_ID)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * 1024 * 1024


async def test_the_lookup_is_well_again_once_it_answers():
    answers = iter([httpx.Response(500), httpx.Response(404)])
    lookup = Backend(lambda _: next(answers)).lookup()
    with pytest.raises(Unavailable, match="answers 500"):
        await lookup.find(ORDER_ID)

    assert await lookup.find(ORDER_ID) is None
    await lookup.check()


# --- unmatched payments -----------------------------------------------------------------------------------------------


async def test_an_unmatched_payment_is_kept_as_the_contract_has_it():
    async with gateway_process() as gate:
        assert await pay(gate, attach=None) == 204

    [(topic, key, value, headers)] = gate.topic.sent
    assert (topic, key) == (UNMATCHED, ORDER_ID.encode())
    assert arrival_of(0, 0, headers).notified_at
    assert json.loads(value or b"") == {
        "schema": "topup.unmatched-payment/1",
        **PAYMENT,
        "amount_fen": 9900,
        "currency": "CNY",
        "reason": "attachment",
    }
    assert gate.count("wechat", "unmatched") == 1
    assert gate.alerts() == {("wechat", "attachment"): 1}


@pytest.mark.parametrize("order_id", ["short", "x" * 33, "with blank", "ünïcode", "a~b~c~d", "", "T2023/../admin"])
async def test_an_order_id_that_breaks_the_rules_is_unmatched_and_looked_up_nowhere(order_id: str):
    backend = says(BACKEND)
    async with gateway_process(lookup=backend.lookup()) as gate:
        assert await pay(gate, out_trade_no=order_id) == 204

    assert reasons(gate) == ["order_id"]
    assert gate.unmatched()[0]["out_trade_no"] == order_id
    assert gate.topic.sent[0][1] == order_id.encode()
    assert backend.asked == []


@pytest.mark.parametrize(
    ("backend", "changes", "reason"),
    [
        (None, {"attach": None}, "attachment"),
        (None, {"attach": ATTACHMENT + "x"}, "attachment"),
        (None, {"amount": {"total": 9901, "currency": "CNY"}}, "attachment"),
        (None, {"amount": {"total": 0, "currency": "CNY"}, "attach": None}, "attachment"),
        (says(b"", 404), {"attach": None}, "lookup"),
        (says(b"", 404), {"amount": {"total": 9901, "currency": "CNY"}}, "lookup"),
        (says(BACKEND), {"amount": {"total": 9901, "currency": "CNY"}}, "amount"),
        (says(BACKEND), {"attach": None, "amount": {"total": -9900, "currency": "CNY"}}, "amount"),
        (says(BACKEND), {"attach": None, "amount": {"total": 9900, "currency": "USD"}}, "amount"),
        (None, {"amount": {"total": 9900, "currency": "USD"}}, "amount"),
        (None, {"amount": {"total": 9900, "currency": "cny"}}, "amount"),
        (says(BACKEND), {"out_trade_no": "x", "attach": None}, "order_id"),
    ],
)
async def test_the_first_that_is_wrong_is_the_reason(backend: Backend | None, changes: Any, reason: str):
    async with gateway_process(lookup=backend.lookup() if backend else None) as gate:
        assert await pay(gate, **changes) == 204

    assert reasons(gate) == [reason]
    assert gate.orders() == []
    assert gate.alerts() == {("wechat", reason): 1}


@pytest.mark.parametrize("amount_fen", [0, -1, 100_000_001, 10**19])
async def test_a_price_that_is_none_is_unmatched_even_where_it_is_signed(amount_fen: int):
    from orders.attachment import Purchase, make_attachment  # noqa: PLC0415 - here alone
    from orders.paid_order import Vehicle  # noqa: PLC0415 - here alone

    car = Purchase(Vehicle(vin="LSGBC5342AG000001", iccid="89860321247550000015"), "P")
    attach = make_attachment(bytes(range(32)), car, out_trade_no=ORDER_ID, amount_fen=amount_fen)
    async with gateway_process() as gate:
        assert await pay(gate, attach=attach, amount={"total": amount_fen, "currency": "CNY"}) == 204

    assert reasons(gate) == ["amount"]
    assert gate.unmatched()[0]["amount_fen"] == amount_fen


async def test_nothing_is_acknowledged_while_kafka_does_not_acknowledge():
    async with gateway_process() as gate:
        gate.topic.away = True
        for changes in ({}, {"attach": None}):
            assert await pay(gate, **changes) == 500
        assert gate.alerts() == {}
        gate.topic.away = False
        assert await pay(gate) == 204
    assert len(gate.topic.sent) == 1


async def test_nothing_is_acknowledged_before_kafka_was_there():
    async with gateway_process() as gate:
        gate.open = False
        assert await pay(gate) == 500
        assert await pay(gate, trade_state="NOTPAY") == 500
        gate.open = True
        assert await pay(gate) == 204
