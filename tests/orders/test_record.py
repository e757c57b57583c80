"""Every rule of contracts §1, word by word."""

import copy
import json
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders.paid_order import PaidOrder
from orders.record import MAX_ERROR_CHARACTERS, MAX_VALUE_BYTES, PoisonRecord, parse

EXAMPLE: dict[str, Any] = {
    "schema": "topup.paid-order/1",
    "order_id": "T20230821183406000001",
    "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015", "msisdn": "14400000001"},
    "package_id": "CT-DATA-10GB-30D",
    "amount_fen": 9900,
    "currency": "CNY",
    "payment": {
        "provider": "wechat",
        "merchant_id": "1900000109",
        "out_trade_no": "T20230821183406000001",
        "transaction_id": "4200001923202308213518640001",
        "paid_at": "2023-08-21T18:33:55+08:00",
    },
}
KEY = b"T20230821183406000001"
PERSONAL = ("LSGBC5342AG000001", "89860321247550000015", "14400000001")


def example(**members: Any) -> dict[str, Any]:
    """The contract's example with members changed; `vehicle__vin` reaches into `vehicle`, `...` removes."""
    order = copy.deepcopy(EXAMPLE)
    for path, value in members.items():
        *parents, name = path.split("__")
        node = order
        for parent in parents:
            node = node[parent]
        if value is ...:
            del node[name]
        else:
            node[name] = value
    return order


def encode(order: object) -> bytes:
    return json.dumps(order, ensure_ascii=False).encode()


def with_raw(member: str, raw: str) -> bytes:
    """The example with the raw JSON text as the value of a member."""
    return encode(example(**{member: "@@"})).replace(b'"@@"', raw.encode())


def poison(value: bytes | None, key: bytes | None = None) -> PoisonRecord:
    with pytest.raises(PoisonRecord) as caught:
        parse(key, value)
    found = caught.value
    assert found.error
    assert len(found.error) <= MAX_ERROR_CHARACTERS
    assert str(found) == found.error
    return found


def invalid(value: bytes | None, *words: str, key: bytes | None = None) -> None:
    found = poison(value, key)
    assert found.reason == "invalid"
    for word in words:
        assert word in found.error
    for secret in PERSONAL:
        assert secret not in found.error


def test_the_contracts_example_is_a_paid_order() -> None:
    order = parse(KEY, encode(EXAMPLE))
    assert order.order_id == "T20230821183406000001"
    assert order.amount_fen == 9900
    assert order.vehicle.msisdn == "14400000001"
    assert order.payment.paid_at == "2023-08-21T18:33:55+08:00"


# --- key -------------------------------------------------------------------------------------------------------------


def test_a_record_may_have_no_key() -> None:
    assert parse(None, encode(EXAMPLE)).order_id == EXAMPLE["order_id"]


@pytest.mark.parametrize("key", [b"", b"t20230821183406000001", KEY + b" ", KEY + b"\n", b"\xff", b"T1" * 40])
def test_a_present_key_must_equal_the_order_id(key: bytes) -> None:
    invalid(encode(EXAMPLE), "key", key=key)


# --- members ---------------------------------------------------------------------------------------------------------

REFERENCES = ["payment__merchant_id", "payment__out_trade_no", "payment__transaction_id"]
GOOD: list[tuple[str, Any]] = [
    ("order_id", "abc_-9"),
    ("order_id", "a" * 32),
    ("vehicle__vin", "ABCDEFGHJKLMNPRST"),
    ("vehicle__vin", "UVWXYZ01234567890"),
    ("vehicle__iccid", "8986032124755000001"),
    ("vehicle__msisdn", ...),
    ("vehicle__msisdn", "1" * 15),
    ("package_id", "a"),
    ("package_id", "A_.-z" + "9" * 59),
    ("amount_fen", 1),
    ("amount_fen", 100_000_000),
    ("payment__provider", "alipay"),
    *[(name, value) for name in REFERENCES for value in ("!", "~" * 64, '"\\/')],
]
BAD: list[tuple[str, Any]] = [
    ("schema", "topup.paid-order/2"),
    ("schema", "topup.paid-order/1 "),
    ("schema", 1),
    ("order_id", "abc_-"),
    ("order_id", "a" * 33),
    ("order_id", "abcdef\n"),
    ("order_id", "abc def"),
    ("order_id", "abc.def"),
    ("order_id", "abcdé0"),
    ("order_id", "12345٣"),
    ("order_id", 123456),
    ("vehicle", []),
    ("vehicle", "LSGBC5342AG000001"),
    ("vehicle__vin", "LSGBC5342AG00001"),
    ("vehicle__vin", "LSGBC5342AG0000012"),
    ("vehicle__vin", "lSGBC5342AG000001"),
    ("vehicle__vin", "ISGBC5342AG000001"),
    ("vehicle__vin", "OSGBC5342AG000001"),
    ("vehicle__vin", "QSGBC5342AG000001"),
    ("vehicle__vin", "LSGBC5342AG000001\n"),
    ("vehicle__iccid", "8" * 18),
    ("vehicle__iccid", "8" * 21),
    ("vehicle__iccid", "8" * 19 + "F"),
    ("vehicle__iccid", int("8" * 19)),
    ("vehicle__iccid", "٣" * 19),
    ("vehicle__msisdn", None),
    ("vehicle__msisdn", ""),
    ("vehicle__msisdn", "1" * 10),
    ("vehicle__msisdn", "1" * 16),
    ("vehicle__msisdn", "+14400000001"),
    ("vehicle__msisdn", 14400000001),
    ("package_id", ""),
    ("package_id", "a" * 65),
    ("package_id", "a/b"),
    ("package_id", "a\n"),
    ("amount_fen", 0),
    ("amount_fen", -1),
    ("amount_fen", 100_000_001),
    ("amount_fen", "9900"),
    ("amount_fen", True),
    ("amount_fen", False),
    ("amount_fen", [9900]),
    ("currency", "cny"),
    ("currency", "USD"),
    ("currency", "156"),
    ("payment", {}),
    ("payment__provider", "WeChat"),
    ("payment__provider", "unionpay"),
    *[
        (name, value)
        for name in REFERENCES
        for value in ("", "a" * 65, "a b", "é", "a\x7f", "a\n", "\x00", "\ufeff", 42, ["x"], {"a": "b"})
    ],
]
REQUIRED = ["schema", "order_id", "vehicle", "package_id", "amount_fen", "currency", "payment"]
REQUIRED += ["vehicle__vin", "vehicle__iccid", "payment__provider", *REFERENCES, "payment__paid_at"]


@pytest.mark.parametrize(("member", "value"), GOOD)
def test_a_member_within_its_rule_is_taken_as_it_is(member: str, value: Any) -> None:
    taken: Any = parse(None, encode(example(**{member: value}))).model_dump(by_alias=True)
    for name in member.split("__"):
        taken = taken[name]
    assert taken == (None if value is ... else value)


@pytest.mark.parametrize(("member", "value"), BAD)
def test_a_member_against_its_rule_is_poison_and_named(member: str, value: Any) -> None:
    invalid(encode(example(**{member: value})), member.rpartition("__")[2])


@pytest.mark.parametrize("member", REQUIRED)
@pytest.mark.parametrize("value", [..., None])
def test_a_required_member_is_neither_absent_nor_null(member: str, value: Any) -> None:
    invalid(encode(example(**{member: value})), member.rpartition("__")[2])


@pytest.mark.parametrize(
    "raw", ["1.0", "9900.0", "1e2", "1E2", "99e-1", "NaN", "Infinity", "-0", "-9900", "true", '"1"']
)
def test_money_is_an_integer_and_nothing_like_one(raw: str) -> None:
    invalid(with_raw("amount_fen", raw))


PAID_AT_GOOD = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+08:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999999-23:59",
    "2024-02-29T00:00:00Z",
    "2000-02-29T12:00:00-00:00",
    "2023-08-21T18:33:55.1+08:00",
    "2023-08-21T18:33:55.123456789Z",
    "3023-08-21T23:59:59Z",
]
PAID_AT_BAD = [
    "",
    "2023-08-21",
    "2023-08-21T18:33:55",
    "2023-08-21t18:33:55Z",
    "2023-08-21T18:33:55z",
    "2023-08-21 18:33:55Z",
    "2023-08-21T18:33:55.Z",
    "2023-08-21T18:33:55,1Z",
    "2023-08-21T18:33:55.1234567890Z",
    "2023-08-21T18:33:60Z",
    "2016-12-31T23:59:60Z",
    "2023-08-21T24:00:00Z",
    "2023-08-21T18:60:00Z",
    "2023-02-29T00:00:00Z",
    "1900-02-29T00:00:00Z",
    "2023-04-31T00:00:00Z",
    "2023-00-10T00:00:00Z",
    "2023-13-10T00:00:00Z",
    "2023-01-00T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "10000-01-01T00:00:00Z",
    "+2023-08-21T18:33:55Z",
    "2023-08-21T18:33:55+0800",
    "2023-08-21T18:33:55+08",
    "2023-08-21T18:33:55+8:00",
    "2023-08-21T18:33:55+24:00",
    "2023-08-21T18:33:55+08:60",
    "2023-08-21T18:33:55−08:00",
    "2023-08-21T18:33:55Z\n",
    " 2023-08-21T18:33:55Z",
    "2023-W34-1T18:33:55Z",
    "2023-8-21T18:33:55Z",
    "2023-08-21T18:33Z",
    "２０２３-08-21T18:33:55Z",
]


@pytest.mark.parametrize("paid_at", PAID_AT_GOOD)
def test_an_instant_of_the_contracts_grammar_is_taken(paid_at: str) -> None:
    assert parse(None, encode(example(payment__paid_at=paid_at))).payment.paid_at == paid_at


@pytest.mark.parametrize("paid_at", [*PAID_AT_BAD, 1692614035, True])
def test_any_other_time_is_poison(paid_at: Any) -> None:
    invalid(encode(example(payment__paid_at=paid_at)), "paid_at")


# --- JSON ------------------------------------------------------------------------------------------------------------

NOT_JSON = [
    b"",
    b" ",
    b"null",
    b"[]",
    b'"topup"',
    b"1",
    b"true",
    b"{",
    b"{}{}",
    encode(EXAMPLE) + b"x",
    encode(EXAMPLE) + encode(EXAMPLE),
    encode(EXAMPLE) + b"\x00",
    b"\xef\xbb\xbf" + encode(EXAMPLE),
    json.dumps(EXAMPLE).encode("utf-16"),
    json.dumps(EXAMPLE).encode("utf-16-le"),
    json.dumps(EXAMPLE).encode("utf-32"),
    b"\x0b" + encode(EXAMPLE),
    encode(EXAMPLE) + b"\x0c",
    encode(EXAMPLE) + "\u00a0".encode(),
    str(EXAMPLE).encode(),
    encode(EXAMPLE)[:-1] + b",}",
    encode(EXAMPLE)[:-1] + b"/**/}",
]
UNKNOWN_POISON = [
    "NaN",
    "Infinity",
    "-Infinity",
    "01",
    "+1",
    "1.",
    ".5",
    "0x10",
    "1_000",
    "True",
    "undefined",
    "'x'",
    '"\t"',
    '"\n"',
    '"\x00"',
    '"\\x41"',
    '"\\u12"',
    '"\\u 123"',
    '"\\ud800"',
    '"\\udc00"',
    '"\\udc00\\ud800"',
    '"\\ud83dx\\ude00"',
    '{"\\uDfFf": 1}',
    '[{"a": ["\\ud800"]}]',
    '{"a": 1, "a": 1}',
    '{"a": 1, "\\u0061": 2}',
    '[[{"b": {"a": 1, "a": 1}}]]',
    "1" * 21,
    "-" + "1" * 21,
    "9" * 5000,
    "9" * 60000,
    '{"a": [' + "1" * 21 + "]}",
    "[" * 8 + "]" * 8,
    '{"a":' * 8 + "1" + "}" * 8,
    "[" * 30000 + "]" * 30000,
    "[" * 60000,
    "[1,]",
    "[1 2]",
]
UNKNOWN_FINE = [
    "null",
    "1e999",
    "-1e999",
    "1e99999999999999999999999",
    "0.1e-999999999",
    "1." + "0" * 1000,
    "1" * 20,
    "-" + "9" * 20,
    "-0",
    '"\\ud83d\\ude00"',
    '"😀\\u0000\\/"',
    '"[[[[[[[[[[[[[[[["',
    '"\\"[[[[[[[[[[[["',
    '"\x7f\u2028"',
    "[" * 7 + "]" * 7,
    '{"a": {"a": {"a": 1}}}',
    '[{"a": 1}, {"a": 1}]',
    '{"A": 1, "a": 1}',
]


@pytest.mark.parametrize("value", NOT_JSON)
def test_what_is_not_one_json_object_is_poison(value: bytes) -> None:
    invalid(value, "value")


@pytest.mark.parametrize("raw", UNKNOWN_POISON)
def test_what_rfc_8259_or_the_contract_forbids_is_poison_in_unknown_members_too(raw: str) -> None:
    invalid(with_raw("note", raw))
    invalid(with_raw("vehicle__note", raw))


@pytest.mark.parametrize("raw", UNKNOWN_FINE)
def test_unknown_members_may_hold_whatever_json_allows(raw: str) -> None:
    assert parse(KEY, with_raw("note", raw)) == parse(KEY, encode(EXAMPLE))


def test_white_space_of_json_does_not_matter() -> None:
    assert parse(KEY, b" \t\r\n" + json.dumps(EXAMPLE, indent=3).encode() + b"\n ") == parse(KEY, encode(EXAMPLE))


def test_a_tombstone_is_poison() -> None:
    invalid(None, "tombstone", key=KEY)


@pytest.mark.parametrize(
    "damage",
    [b"\xff", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\x80"],
    ids=["never", "cut", "overlong", "surrogate", "cesu-8", "beyond", "continuation"],
)
def test_what_is_not_utf_8_is_poison(damage: bytes) -> None:
    invalid(with_raw("note", '"@"').replace(b'"@"', b'"' + damage + b'"'), "UTF-8")


@pytest.mark.parametrize("name", ["order_id", "vehicle", "note", "LSGBC5342AG000001"])
def test_a_member_that_stands_twice_is_poison_and_an_unknown_name_is_not_echoed(name: str) -> None:
    value = encode(EXAMPLE)[:-1] + f', "{name}": 1, "{name}": 1}}'.encode()
    invalid(value, "stands twice", name if name in EXAMPLE else "unknown member")


def test_the_limit_of_depth_counts_the_root_as_one() -> None:
    assert parse(KEY, with_raw("note", "[" * 7 + "]" * 7))
    invalid(with_raw("note", "[" * 8 + "]" * 8), "depth 9")


def test_the_limit_of_size_counts_bytes_and_comes_before_any_rule() -> None:
    padded = encode(example(note="é" * 10))
    fits = padded + b" " * (MAX_VALUE_BYTES - len(padded))
    assert parse(KEY, fits).order_id == EXAMPLE["order_id"]
    assert poison(fits + b" ", key=b"other").reason == "oversize"
    assert poison(b"\xff" * (MAX_VALUE_BYTES + 1)).reason == "oversize"


@pytest.mark.parametrize(
    "value",
    [b'"' + rb"\"" * 32767, b"[" * 65536, b'{"a":' * 13000, b"\\" * 65536, b'""' * 32768, b"1" * 65536],
    ids=["escaped quotes", "brackets", "objects", "backslashes", "strings", "digits"],
)
def test_no_record_takes_longer_than_its_size_warrants(value: bytes) -> None:
    started = time.thread_time()
    invalid(value)
    assert time.thread_time() - started < 1  # quadratic behaviour takes minutes


def test_an_error_holds_nothing_of_the_record() -> None:
    secrets = ["LSGBC5342AG00000I", "8986032124755000001X", "1440000000A"]
    order = example(vehicle__vin=secrets[0], vehicle__iccid=secrets[1], vehicle__msisdn=secrets[2])
    for damage in (order, example(vehicle=secrets), example(vehicle__vin=secrets), {**order, secrets[0]: 1}):
        found = poison(encode(damage))
        assert not any(secret in found.error for secret in (*secrets, *PERSONAL))


# --- properties ------------------------------------------------------------------------------------------------------


@given(key=st.none() | st.binary(max_size=40), value=st.none() | st.binary(max_size=300))
@settings(max_examples=300)
def test_any_bytes_are_an_order_or_poison(key: bytes | None, value: bytes | None) -> None:
    _order_or_poison(key, value)


@given(data=st.data())
@settings(max_examples=300)
def test_any_damage_to_an_order_leaves_an_order_or_poison(data: st.DataObject) -> None:
    value = bytearray(encode(example(note={"a": [1, "x"]})))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(value) - 1))
        piece = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"\\", b"{", b"]", b"NaN", b"\\ud800", b"9" * 25])
        )
        value[at : at + data.draw(st.integers(0, 3))] = piece
    _order_or_poison(KEY, bytes(value))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(tree=json_values, member=st.sampled_from(["note", *REQUIRED]))
@settings(max_examples=300)
def test_any_json_in_any_member_is_an_order_or_poison(tree: Any, member: str) -> None:
    _order_or_poison(KEY, json.dumps(example(**{member: tree})).encode())


def _order_or_poison(key: bytes | None, value: bytes | None) -> None:
    found: PaidOrder | PoisonRecord
    try:
        found = parse(key, value)
    except PoisonRecord as poison:
        found = poison
    if isinstance(found, PoisonRecord):
        assert found.reason == ("oversize" if value is not None and len(value) > MAX_VALUE_BYTES else "invalid")
        assert 0 < len(found.error) <= MAX_ERROR_CHARACTERS
    else:
        assert key in (None, found.order_id.encode())


# --- content ---------------------------------------------------------------------------------------------------------

CONTENT: dict[str, st.SearchStrategy[Any]] = {
    "order_id": st.sampled_from(["T00001", "T00002"]),
    "vehicle__vin": st.sampled_from(["LSGBC5342AG000001", "LSGBC5342AG000002"]),
    "vehicle__iccid": st.sampled_from(["89860321247550000015", "8986032124755000001"]),
    "vehicle__msisdn": st.sampled_from([..., "14400000001", "14400000002"]),
    "package_id": st.sampled_from(["A", "a"]),
    "amount_fen": st.sampled_from([1, 2]),
    "payment__provider": st.sampled_from(["wechat", "alipay"]),
    "payment__merchant_id": st.sampled_from(["1", "2"]),
    "payment__out_trade_no": st.sampled_from(["1", "2"]),
    "payment__transaction_id": st.sampled_from(["1", "2"]),
}
INSTANT = datetime(2023, 8, 21, 10, 33, 55, tzinfo=UTC)


@st.composite
def instants(draw: st.DrawFn) -> tuple[int, str]:
    """(the instant in tenths of a second, one of its spellings)."""
    tenths = draw(st.integers(0, 3))
    zone = timezone(timedelta(minutes=draw(st.sampled_from([0, 480, -330, 1439, -1439]))))
    moment = (INSTANT + timedelta(milliseconds=100 * tenths)).astimezone(zone)
    fraction = f".{tenths}" + "0" * draw(st.integers(0, 8)) if tenths or draw(st.booleans()) else ""
    offset = moment.strftime("%z")
    written = "Z" if offset == "+0000" and draw(st.booleans()) else f"{offset[:3]}:{offset[3:5]}"
    return tenths, moment.strftime("%Y-%m-%dT%H:%M:%S") + fraction + written


orders = st.fixed_dictionaries({**CONTENT, "paid_at": instants()})


@pytest.mark.slow
@given(one=orders, other=orders, change=st.sets(st.sampled_from([*CONTENT, "paid_at"]), max_size=2))
@settings(max_examples=500)
def test_two_orders_have_the_same_digest_exactly_when_their_content_is_the_same(
    one: dict[str, Any], other: dict[str, Any], change: set[str]
) -> None:
    other = {name: (other if name in change else one)[name] for name in one}
    same = all(one[name] == other[name] for name in CONTENT) and one["paid_at"][0] == other["paid_at"][0]
    assert (_digest(one) == _digest(other, noise=True)) is same


def _digest(content: dict[str, Any], *, noise: bool = False) -> str:
    members = {name: value for name, value in content.items() if name != "paid_at"}
    order = example(**members, payment__paid_at=content["paid_at"][1])
    if noise:  # order of members, white space, unknown members don't count
        order = dict(reversed(order.items())) | {"note": [1.5, None]}
        order["vehicle"] = dict(reversed(order["vehicle"].items())) | {"colour": "red"}
    return parse(None, json.dumps(order, indent=1 if noise else None).encode()).content_digest()


NEIGHBOURS: list[tuple[str, str]] = [
    ("2023-08-21T18:33:55.123456789Z", "2023-08-21T18:33:55.123456788Z"),
    ("0001-01-01T00:00:00+08:00", "0001-01-01T00:00:00+07:59"),
    ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-00:01"),
]


@pytest.mark.parametrize(("one", "other"), NEIGHBOURS)
def test_instants_are_told_apart_to_the_nanosecond_in_all_years(one: str, other: str) -> None:
    def digest(paid_at: str) -> str:
        return parse(None, encode(example(payment__paid_at=paid_at))).content_digest()

    assert digest(one) != digest(other)
    assert digest(one) == digest(one)
