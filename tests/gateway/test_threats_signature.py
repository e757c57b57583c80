"""Threats of contracts §7 to the proof of who sent a callback: replay, probe, keys, headers, sign type, ambiguity."""

from datetime import timedelta

import pytest

from tests.gateway.providers import (
    ALIPAY_OLD,
    NOW,
    SERIAL,
    STRANGER,
    WECHAT_CERTIFICATE,
    Callback,
    alipay,
    alipay_form,
    event,
    payment,
    trade,
    wechat,
)
from tests.gateway.serving import Gateway
from tests.gateway.threats import AGAIN, good, is_refused, is_stored


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


async def test_probe_is_refused_without_an_alert(gate: Gateway):
    headers, body = good()
    probe = headers | {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"]}
    for _ in range(30):
        await is_refused(gate, "wechat", (probe, body))
    await is_stored(gate, "wechat", (headers, body))


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


@pytest.mark.parametrize("sign_type", ["RSA", "rsa2", "Rsa2", "", None])
async def test_sign_type_rsa2_alone(gate: Gateway, sign_type: str | None):
    await is_refused(gate, "alipay", alipay(alipay_form(trade(), sign_type=sign_type)))


@pytest.mark.parametrize("signature_type", ["WECHATPAY2-SM2-WITH-SM3", "", "wechatpay2-sha256-rsa2048"])
async def test_sign_type_of_wechat_is_its_own_or_absent(gate: Gateway, signature_type: str):
    await is_refused(gate, "wechat", wechat(event(payment()), signature_type=signature_type))
    await is_stored(gate, "wechat", wechat(event(payment()), signature_type=None))
