"""Threats of contracts §7 in HTTP itself and in what leaves us: oracle, smuggling, forged trace, logs."""

import asyncio
import json

import pytest

from tests.gateway.providers import (
    ATTACHMENT,
    ORDER_ID,
    STRANGER,
    Callback,
    alipay,
    alipay_form,
    event,
    payment,
    refund,
    refund_event,
    trade,
    wechat,
)
from tests.gateway.serving import Answer, Gateway, parsed
from tests.gateway.threats import AGAIN, bare, good, is_refused, is_stored, request_of


async def test_oracle_every_failure_has_the_same_bytes(gate: Gateway):
    headers, body = good()
    failures: list[Callback] = [
        ({}, b""),
        ({}, b"{"),
        ({"Content-Type": "text/plain"}, b"\xff" * 100),
        (headers, body + b" "),
        (headers | {"Wechatpay-Serial": "X"}, body),
        (headers | {"Content-Encoding": "gzip"}, body),
        wechat(b"{"),
        wechat(b"[" * 5000),
        wechat(event(payment(mchid="1"))),
        wechat(event(payment(success_time=None))),
    ]
    answers = {(await gate.post("wechat", failure)).raw for failure in failures}
    gate.topic.away = True
    answers.add((await gate.post("wechat", good())).raw)
    gate.open = False
    answers.add((await gate.post("wechat", good())).raw)

    assert answers == {AGAIN["wechat"]}


async def test_oracle_every_failure_of_alipay_has_the_same_bytes(gate: Gateway):
    headers, body = good("alipay")
    failures: list[Callback] = [
        ({}, b""),
        ({"Content-Type": "application/json"}, b"{}"),
        (headers, body + b"&x=1"),
        (headers, b"%"),
        alipay(alipay_form(trade(app_id="1"))),
        alipay(alipay_form(trade(total_amount="x"))),
        alipay(alipay_form(trade(), key=STRANGER.private)),
    ]
    answers = {(await gate.post("alipay", failure)).raw for failure in failures}
    gate.topic.away = True
    answers.add((await gate.post("alipay", good("alipay"))).raw)

    assert answers == {AGAIN["alipay"]}


async def test_oracle_nothing_is_parsed_before_the_signature_holds(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    def parsed_too_early(*_: object, **__: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr("adapters.payments.wechat.notifications.decode_object", parsed_too_early)
    await is_refused(gate, "wechat", wechat(event(payment()), key=STRANGER.private))
    monkeypatch.setattr("adapters.payments.alipay.notifications.fen", parsed_too_early)
    monkeypatch.setattr("adapters.payments.alipay.notifications._moment", parsed_too_early)
    await is_refused(gate, "alipay", alipay(alipay_form(trade(), key=STRANGER.private)))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/callbacks/wechat"),
        ("PUT", "/callbacks/alipay"),
        ("OPTIONS", "*"),
        ("CONNECT", "example.com:443"),
        ("post", "/callbacks/wechat"),
        ("POST", "/callbacks/wechat/"),
        ("POST", "/callbacks/wechat?x=1"),
        ("POST", "/callbacks/wechat?"),
        ("POST", "/callbacks/%77echat"),
        ("POST", "/callbacks/WECHAT"),
        ("POST", "//callbacks/wechat"),
        ("POST", "http://pay.example/callbacks/wechat"),
        ("POST", "/"),
        ("POST", "/metrics"),
        ("POST", "/callbacks/paypal"),
    ],
)
async def test_oracle_nothing_else_is_there(gate: Gateway, method: str, target: str):
    headers, body = good()
    answer = await gate.request(method, target, list(headers.items()), body)

    assert (answer.status, answer.body) == (404, b"")
    assert gate.topic.sent == []


async def test_oracle_the_head_of_what_is_not_there_is_empty_too(gate: Gateway):
    answer = await gate.request("HEAD", "/callbacks/wechat")

    assert (answer.status, answer.body) == (404, b"")


def with_framing(*framing: str, body: bytes = b"") -> bytes:
    headers, _ = good()
    lines = ["POST /callbacks/wechat HTTP/1.1", "Host: pay.example", "Connection: close", *framing]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "framing",
    [
        ["Content-Length: 5", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chunked", "Content-Length: 0"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: identity"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: -1"],
        ["Content-Length: +5"],
        ["Content-Length: 0x5"],
        ["Content-Length : 5"],
        ["Transfer-Encoding : chunked"],
    ],
)
async def test_smuggling_a_request_that_could_be_two_is_refused(gate: Gateway, framing: list[str]):
    raw = await gate.raw(with_framing(*framing, body=b"0\r\n\r\n" + request_of(good())))

    assert raw == bare(400)
    assert gate.topic.sent == []


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9, b"hello\r\n\r\n", b"\x00" * 50])
async def test_smuggling_a_broken_head_is_refused(gate: Gateway, data: bytes):
    assert await gate.raw(data) == bare(400)


async def test_smuggling_chunks_alone_are_read_like_any_other(gate: Gateway):
    body = good()[1]
    headers, body = wechat(body)
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:8], body[8:])) + b"0\r\n\r\n"
    lines = ["POST /callbacks/wechat HTTP/1.1", "Host: x", "Connection: close", "Transfer-Encoding: chunked"]
    lines += [f"{name}: {value}" for name, value in headers.items()]

    assert parsed(await gate.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + chunks)).status == 204


async def test_smuggling_one_connection_takes_one_request_after_the_other(gate: Gateway):
    kept = request_of(good(), more=())
    raw = await gate.raw(kept + kept + request_of(wechat(b"{"), more=()) + request_of(good("alipay"), "alipay"))

    statuses = [int(part.split()[0]) for part in raw.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [204, 204, 500, 200]


async def test_smuggling_a_client_that_asks_first_is_told_to_go_on(gate: Gateway):
    head, _, body = request_of(good(), more=("Connection: close", "Expect: 100-continue")).partition(b"\r\n\r\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(head + b"\r\n\r\n")

    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(body)
    assert parsed(await reader.read()).status == 204
    writer.close()


async def test_forged_trace_is_not_carried_into_the_record(gate: Gateway):
    headers, body = good()
    trace = {
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate": "a=b",
        "baggage": "x=y",
        "ce_id": "1",
    }
    await is_stored(gate, "wechat", (headers | trace, body))

    [(*_, sent_headers)] = gate.topic.sent
    assert [name for name, _ in sent_headers] == ["topup-notification-id", "topup-notified-at"]


async def test_logs_hold_one_line_for_each_callback_and_nothing_that_came(gate: Gateway):
    headers, body = good()
    secret = ["LSGBC5342AG000001", "89860321247550000015", "14400000001", "oUpF8uMuAJO", headers["Wechatpay-Nonce"]]
    callbacks: list[tuple[str, Callback]] = [
        ("wechat", (headers, body)),
        ("wechat", (headers | {"X-Secret": ATTACHMENT}, body + b" ")),
        ("wechat", wechat(event(payment(out_trade_no="LSGBC5342AG000001~~", attach=ATTACHMENT)))),
        ("wechat", wechat(event(payment(), id="LSGBC5342AG000001"))),
        ("wechat", wechat(refund_event(refund()))),
        ("wechat", wechat(event(payment(attach=1)))),
        ("alipay", alipay(alipay_form(trade()))),
        ("alipay", alipay(alipay_form(trade(subject="14400000001&sign=LSGBC5342AG000001")))),
        ("alipay", alipay(ATTACHMENT.encode())),
    ]
    for provider, callback in callbacks:
        await gate.post(provider, callback)

    lines = [json.loads(line) for line in gate.logs.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "callback"]
    assert len(told) == len(callbacks)
    assert {"provider", "notification_id", "result", "order_id"} <= set(told[0])
    assert told[0] | {"at": ""} == told[0] | {
        "at": "",
        "provider": "wechat",
        "notification_id": "EV-2018022511223320873",
        "result": "order",
        "order_id": ORDER_ID,
    }
    everything = gate.logs.getvalue() + gate.metrics.exposition().decode()
    assert [text for text in [*secret, headers["Wechatpay-Signature"]] if text in everything] == []


async def test_every_answer_has_the_same_head(gate: Gateway):
    answers: list[Answer] = [await gate.post("wechat", good()), await gate.post("alipay", good("alipay"))]

    assert [answer.headers for answer in answers] == [
        [("Connection", "close")],
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "7"), ("Connection", "close")],
    ]
