"""`topup-mac`: only who has the key writes a record that the bridge takes."""

from hypothesis import given
from hypothesis import strategies as st

from orders.record_mac import HEADER, sign, verify

KEY = bytes(range(32))
RECORD_KEY, VALUE = b"T20230821183406000001", b'{"a":1}'
MAC = b"txXYDy7WktXcQO_GnvNF3oNHwigtKM8gMs1JHHqcvUg"


def test_the_contracts_own_mac_is_made_and_verified():
    assert sign(KEY, RECORD_KEY, VALUE) == MAC
    assert verify([KEY], RECORD_KEY, VALUE, [("traceparent", b"x"), (HEADER, MAC)])
    assert verify([b"x" * 32, KEY], RECORD_KEY, VALUE, [(HEADER, MAC)])


def test_no_mac_two_macs_and_another_mac_verify_nothing():
    for headers in (
        [],
        [(HEADER, MAC), (HEADER, MAC)],
        [(HEADER, None)],
        [(HEADER, MAC + b"=")],
        [(HEADER.upper(), MAC)],
        [(HEADER, sign(b"x" * 32, RECORD_KEY, VALUE))],
    ):
        assert not verify([KEY], RECORD_KEY, VALUE, headers)
    assert not verify([], RECORD_KEY, VALUE, [(HEADER, MAC)])


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_mac_is_good_for_one_record(record_key: bytes, value: bytes):
    assert verify([KEY], record_key, value, [(HEADER, sign(KEY, record_key, value))])
    assert not verify([KEY], record_key, value + b" ", [(HEADER, sign(KEY, record_key, value))])
    assert (record_key, value) == (RECORD_KEY, VALUE) or not verify([KEY], record_key, value, [(HEADER, MAC)])
