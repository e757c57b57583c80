"""Our WeChat Pay signatures and verification agree with the library `wechatpayv3`."""

import importlib
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.payments.rsa import NotGenuine, load_private_key, load_public_key
from adapters.payments.wechat.signing import MAX_AGE_SECONDS, SCHEME, authorization, is_fresh, verify
from tests.adapters.keys import pair

oracle: Any = importlib.import_module("wechatpayv3.utils")
oracle_core: Any = importlib.import_module("wechatpayv3.core")

KEY_ID = "PUB_KEY_ID_0119000001092025010100000000000001"
NOW = 1_692_614_046
MERCHANT = pair("merchant")
WECHAT = pair("wechat")
STRANGER = pair("stranger")


def headers(body: bytes, *, key: Any = WECHAT, timestamp: str = str(NOW), **changes: str) -> dict[str, str]:
    """The headers of an answer, signed by the oracle."""
    nonce = "c5ac7061fccab6bf3e254dcf98995b8c"
    signature = oracle.rsa_sign(key.private, f"{timestamp}\n{nonce}\n{body.decode()}\n")
    names = {
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": signature,
        "Wechatpay-Serial": KEY_ID,
        "Wechatpay-Signature-Type": SCHEME,
    }
    return names | {f"Wechatpay-{name.replace('_', '-').title()}": value for name, value in changes.items()}


def flaw(answer_headers: dict[str, str], body: bytes) -> str:
    """ "" for a genuine answer."""
    try:
        verify(answer_headers, body, public_key_id=KEY_ID, public_key=WECHAT.public, now_seconds=NOW)
    except NotGenuine as error:
        return error.flaw if str(error) else "no sentence"
    return ""


def oracle_accepts(answer_headers: dict[str, str], body: bytes) -> bool:
    core = oracle_core.Core(
        "1900000109", "SERIAL", MERCHANT.private_pem, "k" * 32, public_key=WECHAT.public_pem, public_key_id=KEY_ID
    )
    return core._verify_signature(answer_headers, body.decode())


# --- requests --------------------------------------------------------------------------------------------------


@given(
    method=st.sampled_from(["GET", "POST"]),
    target=st.sampled_from(["/v3/refund/domestic/refunds", "/v3/refund/domestic/refunds/RT1?x=%20y"]),
    body=st.text(st.characters(exclude_categories=["Cs"])),
)
@settings(max_examples=30)
def test_a_request_is_signed_as_the_library_signs_it(method: str, target: str, body: str) -> None:
    theirs: str = oracle.build_authorization(target, method, "1900000109", "SERIAL", MERCHANT.private, body, "NONCE")
    timestamp = re.search(r'timestamp="(\d+)"', theirs)
    assert timestamp is not None
    ours = authorization(
        MERCHANT.private,
        merchant_id="1900000109",
        serial_no="SERIAL",
        method=method,
        target=target,
        body=body.encode(),
        timestamp=int(timestamp[1]),
        nonce="NONCE",
    )
    assert parts(ours) == parts(theirs)
    assert parts(ours).keys() == {"mchid", "nonce_str", "timestamp", "serial_no", "signature"}


def parts(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    assert scheme == SCHEME
    return dict(re.findall(r'(\w+)="([^"]*)"', rest))


# --- answers and notifications ---------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=30)
def test_what_the_library_signed_is_genuine(body: str) -> None:
    assert flaw(headers(body.encode()), body.encode()) == ""
    assert oracle_accepts(headers(body.encode()), body.encode())


@given(st.integers(0, 10_000), st.integers(0, 7))
@settings(max_examples=30)
def test_one_changed_bit_is_a_forgery(place: int, bit: int) -> None:
    body = b'{"status":"SUCCESS","amount":{"refund":9900}}'
    changed = bytearray(body)
    changed[place % len(body)] ^= 1 << bit
    try:
        changed.decode()
    except UnicodeDecodeError:
        return
    assert flaw(headers(body), bytes(changed)) == "forged"
    assert not oracle_accepts(headers(body), bytes(changed))


BODY = b'{"status":"SUCCESS"}'


@pytest.mark.parametrize(
    ("answer_headers", "expected"),
    [
        ({}, "unsigned"),
        (headers(BODY, signature=""), "unsigned"),
        (headers(BODY, timestamp_=""), ""),  # a header of another name changes nothing
        (headers(BODY) | {"Wechatpay-Timestamp": ""}, "unsigned"),
        (headers(BODY, nonce=""), "unsigned"),
        (headers(BODY, signature="WECHATPAY/SIGNTEST/abcd"), "probe"),
        (headers(BODY, serial="PUB_KEY_ID_OTHER"), "key"),
        (headers(BODY, serial=""), "key"),
        (headers(BODY, serial="5157F09EFDC096DE15EBE81A47057A7232F1B8E1"), "key"),
        (headers(BODY, signature_type="WECHATPAY2-SM2-WITH-SM3"), "key"),
        (headers(BODY, key=STRANGER), "forged"),
        (headers(BODY, key=MERCHANT), "forged"),
        (headers(BODY, nonce="another"), "forged"),
        (headers(BODY) | {"Wechatpay-Timestamp": str(NOW + 1)}, "forged"),
        (headers(BODY, signature="no base64!"), "forged"),
        (headers(BODY, signature="签"), "forged"),
        (headers(BODY, timestamp=str(NOW - MAX_AGE_SECONDS)), ""),
        (headers(BODY, timestamp=str(NOW + MAX_AGE_SECONDS)), ""),
        (headers(BODY, timestamp=str(NOW - MAX_AGE_SECONDS - 1)), "stale"),
        (headers(BODY, timestamp=str(NOW + MAX_AGE_SECONDS + 1)), "stale"),
        (headers(BODY, timestamp=f"{NOW}.0"), "stale"),
        (headers(BODY, timestamp="-1"), "stale"),
        (headers(BODY, timestamp="9" * 5000), "stale"),
    ],
)
def test_only_a_fresh_signature_with_the_configured_key_is_believed(
    answer_headers: dict[str, str], expected: str
) -> None:
    assert flaw(answer_headers, BODY) == expected


def test_an_answer_without_the_type_of_its_signature_is_verified_all_the_same() -> None:
    without = headers(BODY)
    del without["Wechatpay-Signature-Type"]
    assert flaw(without, BODY) == ""


@given(st.text())
def test_no_timestamp_breaks_the_check(timestamp: str) -> None:
    assert is_fresh(timestamp, NOW) in {True, False}


# --- keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pem", ["", "x", WECHAT.public_pem, WECHAT.private_pem[:-60]])
def test_what_is_no_private_key_is_refused_and_not_shown(pem: str) -> None:
    with pytest.raises(ValueError, match="RSA private key") as refusal:
        load_private_key(pem)
    assert pem == "" or pem not in str(refusal.value)


@pytest.mark.parametrize("pem", ["", "x", WECHAT.private_pem])
def test_what_is_no_public_key_is_refused(pem: str) -> None:
    with pytest.raises(ValueError, match="RSA public key"):
        load_public_key(pem)
