"""Vehicle data at rest: readable only with the key, only where it was written, and never in an error's text."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.order_book.field_cipher import FieldCipher, WrongKey
from orders.errors import TopUpError

KEY, OTHER = bytes(range(32)), bytes(32)
VIN = "LSGBC5342AG000001"
PLACE = ("T00001", "vehicle")


@given(st.binary(max_size=500))
def test_what_was_encrypted_comes_back(plain: bytes):
    cipher = FieldCipher(KEY)

    assert cipher.decrypt(cipher.encrypt(plain, bound_to=PLACE), bound_to=PLACE) == plain


def test_the_same_value_never_looks_the_same():
    cipher = FieldCipher(KEY)

    assert len({cipher.encrypt(VIN.encode(), bound_to=PLACE) for _ in range(100)}) == 100


def test_nothing_of_value_or_key_stands_in_what_is_stored():
    stored = FieldCipher(KEY).encrypt(VIN.encode() * 3, bound_to=PLACE)

    assert VIN.encode() not in stored
    assert KEY[:8] not in stored


@pytest.mark.parametrize("elsewhere", [("T00002", "vehicle"), ("T00001", "body"), ("T00001vehicle", "")])
def test_a_value_moved_to_another_order_or_column_is_refused(elsewhere: tuple[str, str]):
    cipher = FieldCipher(KEY)
    stored = cipher.encrypt(b"x", bound_to=PLACE)

    with pytest.raises(WrongKey, match="changed or moved"):
        cipher.decrypt(stored, bound_to=elsewhere)


def test_a_value_with_any_bit_changed_is_refused():
    cipher = FieldCipher(KEY)
    stored = cipher.encrypt(VIN.encode(), bound_to=PLACE)

    for index in range(len(stored)):
        changed = stored[:index] + bytes([stored[index] ^ 1]) + stored[index + 1 :]
        with pytest.raises(WrongKey):
            cipher.decrypt(changed, bound_to=PLACE)


def test_a_value_that_was_cut_off_is_refused():
    cipher = FieldCipher(KEY)
    stored = cipher.encrypt(VIN.encode(), bound_to=PLACE)

    for length in (0, 1, 4, *range(13, len(stored))):
        with pytest.raises(WrongKey):
            cipher.decrypt(stored[:length], bound_to=PLACE)


@pytest.mark.parametrize("stored", [b"", b"\x01", b"\x01abcd", b"LSGBC5342AG000001"])
def test_what_the_vault_did_not_write_is_refused_by_a_sentence(stored: bytes):
    with pytest.raises(WrongKey) as said:
        FieldCipher(KEY).decrypt(stored, bound_to=PLACE)

    assert isinstance(said.value, TopUpError)
    assert VIN not in str(said.value)


def test_a_key_that_is_not_configured_is_named_by_its_setting():
    with pytest.raises(WrongKey, match="TOPUP_PII_KEY"):
        FieldCipher(OTHER).decrypt(FieldCipher(KEY).encrypt(b"x", bound_to=PLACE), bound_to=PLACE)


def test_keys_rotate_the_newest_encrypts_and_all_decrypt():
    old, both, new = FieldCipher(KEY), FieldCipher(OTHER, KEY), FieldCipher(OTHER)
    before, after = old.encrypt(b"x", bound_to=PLACE), both.encrypt(b"y", bound_to=PLACE)

    assert both.decrypt(before, bound_to=PLACE) == b"x"
    assert new.decrypt(after, bound_to=PLACE) == b"y"
    with pytest.raises(WrongKey):
        old.decrypt(after, bound_to=PLACE)


def test_a_vehicles_hash_is_the_same_in_every_process_and_needs_the_key():
    assert FieldCipher(KEY).vehicle_hash(VIN) == FieldCipher(KEY).vehicle_hash(VIN)
    assert FieldCipher(KEY).vehicle_hash(VIN) != FieldCipher(OTHER).vehicle_hash(VIN)
    assert FieldCipher(KEY).vehicle_hash(VIN) != hashlib.sha256(VIN.encode()).hexdigest()[:32]
    assert FieldCipher(KEY).vehicle_hash(VIN) != FieldCipher(KEY).vehicle_hash(VIN[:-1] + "2")
