"""Our Alipay signatures, verification and amounts agree with the library `python-alipay-sdk` and with arithmetic."""

import importlib
import json
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.payments.alipay.signing import fen, signed_parameters, split_answer, verify, yuan
from adapters.payments.rsa import NotGenuine
from tests.adapters.keys import pair

MERCHANT = pair("merchant")
ALIPAY = pair("alipay")
STRANGER = pair("stranger")
METHOD = "alipay.trade.refund"
MEMBER = "alipay_trade_refund_response"

oracle: Any = importlib.import_module("alipay").AliPay(
    appid="2021001", app_private_key_string=MERCHANT.private_pem, alipay_public_key_string=ALIPAY.public_pem
)
as_alipay: Any = importlib.import_module("alipay").AliPay(
    appid="2021001", app_private_key_string=ALIPAY.private_pem, alipay_public_key_string=ALIPAY.public_pem
)
"""Signs as Alipay does."""

plain_text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | plain_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
    max_leaves=8,
)


def signed_body(raw: str, *, member: str = MEMBER, signer: Any = as_alipay) -> str:
    return f'{{"{member}":{raw},"sign":"{signer._sign(raw)}"}}'


def flaw(body: str) -> str:
    """ "" for a genuine answer."""
    try:
        verify(split_answer(body.encode(), METHOD), ALIPAY.public)
    except NotGenuine as error:
        return error.flaw if str(error) else "no sentence"
    return ""


# --- requests --------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), plain_text.filter(bool), min_size=1))
@settings(max_examples=50)
def test_parameters_are_signed_as_the_library_signs_them(parameters: dict[str, str]) -> None:
    ours = signed_parameters(MERCHANT.private, parameters)
    assert urlencode(ours, quote_via=quote_plus) == oracle.sign_data(dict(parameters))


def test_an_empty_parameter_is_neither_signed_nor_sent() -> None:
    with_empty = signed_parameters(MERCHANT.private, {"b": "2", "a": "1", "notify_url": ""})
    assert with_empty == signed_parameters(MERCHANT.private, {"a": "1", "b": "2"})
    assert list(with_empty) == ["a", "b", "sign"]


# --- answers ---------------------------------------------------------------------------------------------------


@given(
    st.dictionaries(plain_text, json_values, max_size=4), st.sampled_from([{}, {"indent": 1}, {"ensure_ascii": False}])
)
@settings(max_examples=50)
def test_what_alipay_signed_is_genuine_and_read_as_it_stands(members: dict[str, object], form: dict[str, Any]) -> None:
    raw = json.dumps(members, **form)
    answer = split_answer(signed_body(raw).encode(), METHOD)
    assert answer.raw == raw
    assert answer.members == members
    verify(answer, ALIPAY.public)


REFUNDED = '{"code":"10000","msg":"Success","fund_change":"Y","refund_fee":"99.00","out_trade_no":"T1"}'


@given(st.integers(0, 10_000), st.integers(0, 6))
@settings(max_examples=50)
def test_one_changed_bit_is_never_genuine(place: int, bit: int) -> None:
    raw = bytearray(REFUNDED.encode())
    raw[place % len(raw)] ^= 1 << bit
    body = signed_body(REFUNDED).replace(REFUNDED, raw.decode())
    try:
        assert flaw(body) == "forged"
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either refusal is right


@pytest.mark.parametrize(
    "raw",
    [
        REFUNDED,
        '{"code":"10000","sub_msg":"braces } in { text","nested":{"a":{"b":"}"}}}',
        '{"code":"10000","sub_msg":"a \\" quote and a \\\\"}',
        '{"sign":"inner","code":"10000"}',
        '{"alipay_trade_refund_response":{"code":"20000"},"code":"10000"}',
        "{}",
        '{ "code" : "10000" }',
        '{"sub_msg":"余额不足"}',
    ],
)
def test_the_signed_part_is_cut_out_exactly(raw: str) -> None:
    assert split_answer(signed_body(raw).encode(), METHOD).raw == raw
    assert flaw(signed_body(raw)) == ""


@pytest.mark.parametrize(
    "form",
    [
        '{{"alipay_trade_refund_response":{raw},"sign":"{sign}"}}',
        '{{"sign":"{sign}","alipay_trade_refund_response":{raw}}}',
        ' {{\n "alipay_trade_refund_response" : {raw} ,\t"alipay_cert_sn" : "x" , "sign" : "{sign}" }} \r\n',
        '{{"error_response":{raw},"sign":"{sign}"}}',
        '{{"alipay_trade_refund\\u005fresponse":{raw},"sign":"{sign}"}}',
    ],
)
def test_the_order_and_the_space_around_the_signed_part_do_not_matter(form: str) -> None:
    assert flaw(form.format(raw=REFUNDED, sign=as_alipay._sign(REFUNDED))) == ""


def test_the_library_agrees_on_the_signed_part() -> None:
    body = signed_body(REFUNDED)
    cut: str = oracle._get_string_to_be_signed(body, MEMBER)
    assert cut == split_answer(body.encode(), METHOD).raw
    assert oracle._verify(cut, split_answer(body.encode(), METHOD).signature)


def test_a_slash_escaped_after_signing_is_genuine() -> None:
    signed = '{"url":"https://alipay.example/x"}'
    sent = signed.replace("/", "\\/")
    assert flaw(f'{{"{MEMBER}":{sent},"sign":"{as_alipay._sign(signed)}"}}') == ""


def test_a_slash_that_changes_the_meaning_is_a_forgery() -> None:
    r"""`\\/` is a backslash and a slash; with one backslash taken away it is a slash alone, which Alipay did sign."""
    signed = '{"out_request_no":"a\\/b"}'
    sent = '{"out_request_no":"a\\\\/b"}'
    assert flaw(f'{{"{MEMBER}":{sent},"sign":"{as_alipay._sign(signed)}"}}') == "forged"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f'{{"{MEMBER}":{REFUNDED}}}', "unsigned"),
        (f'{{"{MEMBER}":{REFUNDED},"sign":""}}', "unsigned"),
        (f'{{"{MEMBER}":{REFUNDED},"sign":"no base64!"}}', "forged"),
        (f'{{"{MEMBER}":{REFUNDED},"sign":"签"}}', "forged"),
        (f'{{"{MEMBER}":{REFUNDED},"sign":"{as_alipay._sign("{}")}"}}', "forged"),
        (signed_body(REFUNDED, signer=oracle), "forged"),
        (signed_body(REFUNDED).replace(REFUNDED, json.dumps(json.loads(REFUNDED))), "forged"),
    ],
)
def test_what_is_not_exactly_what_alipay_signed_is_not_genuine(body: str, expected: str) -> None:
    assert flaw(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        '"x"',
        "{",
        "{}",
        "<html>OK</html>",
        f'{{"{MEMBER}":{REFUNDED}',
        f'{{"{MEMBER}":{REFUNDED}}} x',
        f'{{"{MEMBER}":{REFUNDED},}}',
        f'{{"{MEMBER}":{REFUNDED} "sign":"x"}}',
        f'{{,"{MEMBER}":{REFUNDED}}}',
        f'{{"{MEMBER}" {REFUNDED}}}',
        f"{{1:{REFUNDED}}}",
        f'{{"{MEMBER}":"10000"}}',
        f'{{"{MEMBER}":null}}',
        f'{{"{MEMBER}":[{REFUNDED}]}}',
        f'{{"{MEMBER}":{REFUNDED},"sign":1}}',
        f'{{"{MEMBER}":{REFUNDED},"sign":null}}',
        f'{{"{MEMBER}":{REFUNDED},"{MEMBER}":{{}}}}',
        f'{{"{MEMBER}":{REFUNDED},"alipay_trade_refund\\u005fresponse":{{}}}}',
        f'{{"{MEMBER}":{REFUNDED},"sign":"x","sign":"y"}}',
        f'{{"{MEMBER}":{REFUNDED},"error_response":{{}}}}',
        '{"alipay_trade_fastpay_refund_query_response":{"code":"10000"}}',
        f'{{"{MEMBER}":' + '{"a":' * 100_000,
        f'{{"{MEMBER}":' + "9" * 5000 + "}",
    ],
    ids=lambda body: body[:60],
)
def test_what_is_no_single_answer_to_the_method_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        split_answer(body.encode(), METHOD)


def test_bytes_that_are_no_utf_8_are_refused() -> None:
    with pytest.raises(ValueError, match=r".+"):
        split_answer(signed_body(REFUNDED).encode() + b"\xff", METHOD)


@given(st.text())
def test_no_text_breaks_the_cut(text: str) -> None:
    body = f'{{"{MEMBER}":{text}'.encode(errors="surrogatepass")
    try:
        split_answer(body, METHOD)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - the point is that nothing else is raised


# --- yuan and fen ----------------------------------------------------------------------------------------------


@given(st.integers(0, 100_000_000_000))
def test_yuan_and_fen_are_inverse_and_exact(amount_fen: int) -> None:
    assert fen(yuan(amount_fen)) == amount_fen
    assert Decimal(yuan(amount_fen)) * 100 == amount_fen


@pytest.mark.parametrize(
    ("amount_fen", "text"),
    [(0, "0.00"), (1, "0.01"), (10, "0.10"), (99, "0.99"), (9900, "99.00"), (100_000_000, "1000000.00")],
)
def test_yuan_has_two_digits_after_the_point(amount_fen: int, text: str) -> None:
    assert yuan(amount_fen) == text


def test_a_negative_amount_is_no_yuan() -> None:
    with pytest.raises(ValueError, match="never negative"):
        yuan(-1)


@pytest.mark.parametrize(
    ("text", "amount_fen"), [("99", 9900), ("99.0", 9900), ("99.00", 9900), ("0.01", 1), ("0.1", 10)]
)
def test_fen_reads_what_alipay_writes(text: str, amount_fen: int) -> None:
    assert fen(text) == amount_fen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "99.",
        ".99",
        "99.001",
        "-99.00",
        "+99.00",
        "99,00",
        " 99.00",
        "99.00 ",
        "9e3",
        "٩٩.٠٠",
        "NaN",
        99,
        99.0,
        None,
    ],
)
def test_fen_reads_nothing_else(text: object) -> None:
    assert fen(text) is None
