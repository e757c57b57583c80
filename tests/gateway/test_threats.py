"""Each threat of contracts §7 by its name, over the wire of the callback port."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

import gateway.server
from tests.gateway.providers import (
    ALIPAY_OLD,
    ATTACHMENT,
    MCHID,
    NOW,
    ORDER_ID,
    SERIAL,
    STRANGER,
    WECHAT_CERTIFICATE,
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
from tests.gateway.serving import gateway as gateway_process
from tests.limits import WAIT_SECONDS

AGAIN = {
    "wechat": (
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 35\r\n"
        b'Connection: close\r\n\r\n{"code": "FAIL", "message": "FAIL"}'
    ),
    "alipay": (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n"
        b"Connection: close\r\n\r\nfail"
    ),
}


@pytest.fixture
async def gate() -> AsyncIterator[Gateway]:
    async with gateway_process() as one:
        yield one


def good(provider: str = "wechat") -> Callback:
    return wechat(event(payment())) if provider == "wechat" else alipay(alipay_form(trade()))


async def is_refused(gate: Gateway, provider: str, callback: Callback, *, alert: str | None = None) -> None:
    """The constant answer, nothing produced, counted, and an alert or none."""
    before = gate.count(provider, "refused"), len(gate.topic.sent), gate.alerts()
    answer = await gate.post(provider, callback)

    assert answer.raw == AGAIN[provider]
    assert gate.count(provider, "refused") == before[0] + 1
    assert len(gate.topic.sent) == before[1]
    raised = {key: value for key, value in gate.alerts().items() if value != before[2].get(key, 0)}
    assert set(raised) == (set() if alert is None else {(provider, alert)})


async def is_stored(gate: Gateway, provider: str, callback: Callback) -> None:
    answer = await gate.post(provider, callback)

    if provider == "wechat":
        assert (answer.status, answer.body) == (204, b"")
    else:
        assert (answer.status, answer.body) == (200, b"success")


# --- replay --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("age", [-299, 0, 299])
async def test_replay_wechat_within_five_minutes_is_accepted(gate: Gateway, age: int):
    await is_stored(gate, "wechat", wechat(event(payment()), at=NOW - timedelta(seconds=age)))


@pytest.mark.parametrize("age", [-301, 301, 40 * 86_400])
async def test_replay_wechat_later_or_earlier_is_refused(gate: Gateway, age: int):
    await is_refused(gate, "wechat", wechat(event(payment()), at=NOW - timedelta(seconds=age)))


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1692614046.0", " ", "１６９２６１４０４６", "9" * 30])
async def test_replay_wechat_a_timestamp_is_decimal_digits(gate: Gateway, timestamp: str):
    headers, body = good()
    raw = timestamp.encode().decode("latin-1")
    await is_refused(gate, "wechat", (headers | {"Wechatpay-Timestamp": raw}, body))


async def test_replay_alipay_the_last_resend_is_accepted_and_a_later_one_is_not(gate: Gateway):
    def sent(age: timedelta) -> Callback:
        return alipay(alipay_form(trade(notify_time=(NOW - age).strftime("%Y-%m-%d %H:%M:%S"))))

    await is_stored(gate, "alipay", sent(timedelta(hours=25, minutes=24)))
    await is_stored(gate, "alipay", sent(timedelta(seconds=-299)))
    await is_refused(gate, "alipay", sent(timedelta(hours=26, seconds=1)))
    await is_refused(gate, "alipay", sent(timedelta(seconds=-301)))


@pytest.mark.parametrize("provider", ["wechat", "alipay"])
async def test_replay_a_repeat_is_a_duplicate(gate: Gateway, provider: str):
    """The same record each time: the bridge knows it for one that it has."""
    for _ in range(10):
        await is_stored(gate, provider, good(provider))
    gate.now += timedelta(hours=6)
    later = gate.now
    resent = wechat(event(payment()), at=later) if provider == "wechat" else alipay(
        alipay_form(trade(notify_time=later.strftime("%Y-%m-%d %H:%M:%S")))
    )  # fmt: skip
    await is_stored(gate, provider, resent)

    assert len(gate.topic.sent) == 11
    assert len({(topic, key, value) for topic, key, value, _ in gate.topic.sent}) == 1


# --- probe ---------------------------------------------------------------------------------------------------------


async def test_probe_is_refused_without_an_alert(gate: Gateway):
    headers, body = good()
    probe = headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]}
    for _ in range(30):
        await is_refused(gate, "wechat", (probe, body))
    await is_stored(gate, "wechat", (headers, body))


# --- key rotation --------------------------------------------------------------------------------------------------


async def test_key_rotation_public_key_and_certificate_are_both_believed(gate: Gateway):
    await is_stored(gate, "wechat", good())
    await is_stored(gate, "wechat", wechat(event(payment()), key=WECHAT_CERTIFICATE.private, serial=SERIAL.lower()))
    await is_refused(gate, "wechat", wechat(event(payment()), key=WECHAT_CERTIFICATE.private))


async def test_key_rotation_an_unknown_key_is_refused_and_calls_a_person_only_when_it_comes_again(gate: Gateway):
    callback = wechat(event(payment()), key=STRANGER.private, serial="PUB_KEY_ID_9999")

    await is_refused(gate, "wechat", callback)
    await is_refused(gate, "wechat", wechat(event(payment()), key=STRANGER.private, serial="AB12"))
    await is_refused(gate, "wechat", callback, alert="unknown_key")


async def test_key_rotation_alipay_each_key_is_tried(gate: Gateway):
    await is_stored(gate, "alipay", alipay(alipay_form(trade(), key=ALIPAY_OLD.private)))
    await is_refused(gate, "alipay", alipay(alipay_form(trade(), key=STRANGER.private)))


async def test_key_rotation_keys_that_no_longer_fit_call_a_person(gate: Gateway):
    callback = alipay(alipay_form(trade(), key=STRANGER.private))
    for _ in range(19):
        await is_refused(gate, "alipay", callback)
    await is_refused(gate, "alipay", callback, alert="nothing_proven")


# --- headers twice -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Timestamp", "Nonce", "Signature", "Serial", "Signature-Type", "Whatever"])
async def test_headers_twice_are_refused(gate: Gateway, name: str):
    headers, body = good()
    value = headers.get(f"Wechatpay-{name}", "x")
    pairs = [*headers.items(), (f"wechatpay-{name.upper()}", value)]
    if name == "Whatever":
        pairs.append(("Wechatpay-Whatever", value))
    answer = await gate.request("POST", "/callbacks/wechat", pairs, body)

    assert answer.raw == AGAIN["wechat"]
    assert gate.topic.sent == []


# --- an API answer sent as a notice ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(payment()).encode(),
        json.dumps({"code": "OK", "id": "EV-1", "event_type": "TRANSACTION.SUCCESS"}).encode(),
        b"[]",
        b"",
        event(payment(), resource_type="plain"),
        event(payment(), resource_type=None),
        event(payment(), id=None),
        event(payment(), event_type=1),
        event(payment(), resource={"algorithm": "AEAD_AES_128_GCM"}),
        event(payment(), resource={"algorithm": "aead_aes_256_gcm"}),
        event(payment(), resource={"algorithm": None}),
        event(payment(), nonce="elevenbytes"),
        event(payment(), nonce="thirteenbytes"),
        event(payment(), resource={"ciphertext": "%%%"}),
        event(payment(), resource={"nonce": None}),
        event(payment(), resource={"associated_data": 1}),
        event(payment(), original_type="refund"),
        event(payment(), original_type=1),
        refund_event(refund(), original_type="transaction"),
    ],
)
async def test_an_api_answer_sent_as_a_notice_is_refused(gate: Gateway, body: bytes):
    await is_refused(gate, "wechat", wechat(body), alert="form")


@pytest.mark.parametrize("resource", [{"ciphertext": "QUJD"}, {"associated_data": "refund"}, {"nonce": "000000000000"}])
async def test_an_api_answer_sent_as_a_notice_has_no_resource_that_opens(gate: Gateway, resource: dict[str, str]):
    await is_refused(gate, "wechat", wechat(event(payment(), resource=resource)), alert="decryption")


@pytest.mark.parametrize(
    "body",
    [
        event({"mchid": MCHID}, original_type="profitsharing"),
        event({"mchid": MCHID}, event_type="PAYSCORE.USER_PAID", original_type="payscore"),
        event({"mchid": MCHID}, event_type="COUPON.USE", original_type=None),
    ],
)
async def test_an_api_answer_sent_as_a_notice_is_not_another_kind_of_notice(gate: Gateway, body: bytes):
    await is_stored(gate, "wechat", wechat(body))

    assert gate.count("wechat", "other") == 1
    assert gate.topic.sent == []


# --- Alipay's ambiguous string ------------------------------------------------------------------------------------


@pytest.mark.parametrize("added", [b"&total_amount=99.00", b"&Trade_no=1", b"&sign_type=RSA2", b"&x-y=1", b"&"])
async def test_alipays_ambiguous_string_names_stand_once_and_are_names(gate: Gateway, added: bytes):
    await is_refused(gate, "alipay", alipay(alipay_form(trade()) + added))


async def test_alipays_ambiguous_string_a_value_is_no_member(gate: Gateway):
    callback = alipay(alipay_form(trade(subject="x&total_amount=0.01")))
    await is_refused(gate, "alipay", callback, alert="ambiguous")


async def test_alipays_ambiguous_string_new_names_are_verified_and_counted(gate: Gateway):
    await is_stored(gate, "alipay", alipay(alipay_form(trade(brand_new_name="x"))))
    await is_refused(gate, "alipay", alipay(alipay_form(trade()) + b"&another_name=x"))

    assert gate._sample("topup_callback_unknown_names_total", provider="alipay") == 1


async def test_alipays_ambiguous_string_has_no_part_in_the_query(gate: Gateway):
    headers, body = good("alipay")
    answer = await gate.request("POST", "/callbacks/alipay?total_amount=0.01", list(headers.items()), body)

    assert (answer.status, answer.body) == (404, b"")
    assert gate.topic.sent == []


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
async def test_alipays_ambiguous_string_is_a_form(gate: Gateway, content_type: str):
    await is_refused(gate, "alipay", alipay(alipay_form(trade()), content_type))


async def test_alipays_ambiguous_string_is_utf8(gate: Gateway):
    await is_refused(gate, "alipay", alipay(alipay_form(trade(), encoding="gbk")), alert="charset")
    await is_refused(gate, "alipay", alipay(alipay_form(trade(charset="GBK"), encoding="gbk")), alert="charset")
    await is_refused(
        gate, "alipay", alipay(alipay_form(trade()), "application/x-www-form-urlencoded;charset=GBK"), alert="charset"
    )


# --- sign type ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign_type", ["RSA", "rsa2", "Rsa2", "", None])
async def test_sign_type_rsa2_alone(gate: Gateway, sign_type: str | None):
    await is_refused(gate, "alipay", alipay(alipay_form(trade(), sign_type=sign_type)))


@pytest.mark.parametrize("signature_type", ["WECHATPAY2-SM2-WITH-SM3", "", "wechatpay2-sha256-rsa2048"])
async def test_sign_type_of_wechat_is_its_own_or_absent(gate: Gateway, signature_type: str):
    await is_refused(gate, "wechat", wechat(event(payment()), signature_type=signature_type))
    await is_stored(gate, "wechat", wechat(event(payment()), signature_type=None))


# --- identity -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "callback"),
    [
        ("wechat", wechat(event(payment(mchid="1900000110")))),
        ("wechat", wechat(event(payment(appid="wx0")))),
        ("wechat", wechat(event(payment(mchid=None)))),
        ("wechat", wechat(event(payment(appid=None)))),
        ("wechat", wechat(refund_event(refund(mchid="1900000110")))),
        ("alipay", alipay(alipay_form(trade(app_id="2")))),
        ("alipay", alipay(alipay_form(trade(seller_id="2")))),
        ("alipay", alipay(alipay_form(trade(app_id=None)))),
        ("alipay", alipay(alipay_form(trade(seller_id=None)))),
    ],
)
async def test_identity_of_another_merchant_is_refused_with_an_alert(gate: Gateway, provider: str, callback: Callback):
    await is_refused(gate, provider, callback, alert="identity")


async def test_identity_a_refund_notice_has_no_appid(gate: Gateway):
    await is_stored(gate, "wechat", wechat(refund_event(refund())))

    assert gate.prompts == [(ORDER_ID,)]


# --- state ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "callback", "result"),
    [
        ("wechat", wechat(event(payment(trade_state="CLOSED"))), "other"),
        ("wechat", wechat(event(payment(trade_state="REFUND"))), "other"),
        ("alipay", alipay(alipay_form(trade(trade_status="WAIT_BUYER_PAY"))), "other"),
        ("alipay", alipay(alipay_form(trade(trade_status="TRADE_CLOSED"))), "other"),
        ("alipay", alipay(alipay_form(trade(notify_type="open_app_auth_notify"))), "other"),
        ("alipay", alipay(alipay_form(trade(refund_fee="0.01"))), "refund"),
        ("alipay", alipay(alipay_form(trade(gmt_refund="2023-08-21 18:40:00.123"))), "refund"),
    ],
)
async def test_state_only_a_payment_that_succeeded_is_an_order(
    gate: Gateway, provider: str, callback: Callback, result: str
):
    await is_stored(gate, provider, callback)

    assert gate.count(provider, result) == 1
    assert gate.topic.sent == []


@pytest.mark.parametrize("status", ["TRADE_SUCCESS", "TRADE_FINISHED"])
async def test_state_success_and_finished_are_orders_also_with_a_refund_fee_of_nothing(gate: Gateway, status: str):
    await is_stored(gate, "alipay", alipay(alipay_form(trade(trade_status=status, refund_fee="0.00"))))

    assert [order["order_id"] for order in gate.orders()] == [ORDER_ID]


# --- flood ----------------------------------------------------------------------------------------------------------


def request_of(callback: Callback, provider: str = "wechat", more: Sequence[str] = ("Connection: close",)) -> bytes:
    headers, body = callback
    lines = [f"POST /callbacks/{provider} HTTP/1.1", "Host: pay.example", *more]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}"]).encode() + b"\r\n\r\n" + body


def bare(status: int) -> bytes:
    phrase = {400: "Bad Request", 408: "Request Timeout", 413: "Request Entity Too Large"}[status]
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()


async def test_flood_a_body_has_64_kib_and_not_a_byte_more(gate: Gateway):
    def filled(size: int) -> Callback:
        return alipay(alipay_form(trade(subject="x" * 9)).replace(b"x" * 9, b"x" * (9 + size), 1))

    at_most = 65_536 - len(filled(0)[1])

    assert (await gate.post("alipay", filled(at_most))).raw == AGAIN["alipay"]  # read, and its signature is wrong
    assert (await gate.post("alipay", filled(at_most + 1))).raw == bare(413)


async def test_flood_a_chunked_body_has_64_kib_too(gate: Gateway):
    head = b"POST /callbacks/wechat HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert await gate.raw(head + b"8000\r\n" + b"x" * 0x8000 + b"\r\n8001\r\n" + b"x" * 0x8001) == bare(413)
    assert await gate.raw(head + b"1\r\nx\r\n" * 5000) == bare(413)


async def test_flood_a_head_is_bounded(gate: Gateway):
    head = b"POST /callbacks/wechat HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000

    assert await gate.raw(head) == bare(400)
    assert await gate.raw(head + b"\r\nContent-Length: 0\r\n\r\n") == bare(400)


async def test_flood_an_encoded_body_is_refused_unread(gate: Gateway):
    headers, body = good()
    for encoding, sent in (("gzip", gzip.compress(body)), ("identity", body), ("", body)):
        await is_refused(gate, "wechat", (headers | {"Content-Encoding": encoding}, sent))


async def connected(gate: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client whose connection the server has: from here on it counts its seconds by the limits as they are then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    async with asyncio.timeout(WAIT_SECONDS):
        while not gate.server._open:
            await asyncio.sleep(0.001)
    return reader, writer


async def test_flood_a_connection_that_says_nothing_has_its_seconds(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway.server, "HEAD_SECONDS", 0.0)

    assert await gate.raw(b"") == b""


async def test_flood_a_head_has_its_seconds(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    reader, writer = await connected(gate)
    monkeypatch.setattr(gateway.server, "HEAD_SECONDS", 0.0)
    writer.write(request_of(good())[:30])

    assert await reader.read() == bare(408)
    writer.close()


async def test_flood_a_body_has_its_seconds(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gateway.server, "BODY_SECONDS", 0.0)

    assert await gate.raw(request_of(good())[:-1]) == bare(408)


async def test_flood_a_head_that_drips_has_no_longer(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    """Each byte comes within the limit, the whole does not: had each one the seconds anew, it would be answered."""
    reader, writer = await connected(gate)
    monkeypatch.setattr(gateway.server, "HEAD_SECONDS", 0.3)
    answer = asyncio.ensure_future(reader.read())
    for byte in request_of(good()):
        writer.write(bytes([byte]))
        await asyncio.wait((answer,), timeout=0.05)
        if answer.done():
            break
    writer.close()

    assert answer.result() == bare(408)


async def test_flood_slow_and_half_open_clients_cost_no_good_one_its_answer():
    async with gateway_process(max_connections=50) as gate:
        whole = request_of(good())
        slow = [await asyncio.open_connection("127.0.0.1", gate.port) for _ in range(200)]
        for number, (_, writer) in enumerate(slow):
            writer.write(whole[: (0, 10, len(whole) - 1)[number % 3]])
        for _ in range(20):
            await is_stored(gate, "wechat", good())
        assert len(gate.server._open) <= 51
        for _, writer in slow:
            writer.close()


async def test_flood_a_client_that_has_said_all_gets_its_answer(gate: Gateway):
    assert parsed(await gate.raw(request_of(good()), eof=True)).status == 204


async def test_flood_more_callbacks_in_hand_than_bounded_are_told_to_come_again(
    gate: Gateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("gateway.callbacks.MAX_IN_HAND", 5)
    gate.topic.hold = asyncio.Event()
    waiting = [asyncio.ensure_future(gate.post("wechat", good())) for _ in range(6)]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    gate.topic.hold.set()

    assert [task.result().raw for task in done] == [AGAIN["wechat"]]
    assert sorted(answer.status for answer in await asyncio.gather(*waiting)) == [204] * 5 + [500]


async def test_flood_an_answer_comes_in_time_also_where_kafka_is_frozen(gate: Gateway, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.callbacks.ANSWER_SECONDS", 0.3)
    gate.topic.hold = asyncio.Event()

    await is_refused(gate, "wechat", good())
    gate.topic.hold.set()


# --- oracle ---------------------------------------------------------------------------------------------------------


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


# --- smuggling ------------------------------------------------------------------------------------------------------


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


# --- forged trace ---------------------------------------------------------------------------------------------------


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


# --- logs -----------------------------------------------------------------------------------------------------------


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
