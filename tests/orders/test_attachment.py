"""The signed attachment binds car, package, order number and price; nothing else proves what was bought."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.attachment import MAX_ATTACHMENT_BYTES, Purchase, make_attachment, read_attachment
from orders.paid_order import Vehicle

KEY = bytes(range(32))
ORDER_ID = "T20230821183406000001"
PURCHASE = Purchase(
    Vehicle(vin="LSGBC5342AG000001", iccid="89860321247550000015", msisdn="14400000001"), "CT-DATA-10GB-30D"
)
ATTACHMENT = "1~LSGBC5342AG000001~89860321247550000015~CT-DATA-10GB-30D~14400000001~E-4tIChGonCc0txMsJmJZw"


def read(text: str, *, order_id: str = ORDER_ID, amount_fen: int = 9900, keys: tuple[bytes, ...] = (KEY,)):
    return read_attachment(keys, text, out_trade_no=order_id, amount_fen=amount_fen)


def test_the_contracts_own_attachment_is_made_and_read():
    assert make_attachment(KEY, PURCHASE, out_trade_no=ORDER_ID, amount_fen=9900) == ATTACHMENT
    assert read(ATTACHMENT) == PURCHASE


def test_a_car_without_a_phone_number_has_an_empty_member():
    car = Purchase(Vehicle(vin="LSGBC5342AG000001", iccid="8986032124755000001"), "P")
    text = make_attachment(KEY, car, out_trade_no=ORDER_ID, amount_fen=1)

    assert text.startswith("1~LSGBC5342AG000001~8986032124755000001~P~~")
    assert read(text, amount_fen=1) == car


def test_another_price_or_order_is_another_attachment():
    assert read(ATTACHMENT, amount_fen=9901) is None
    assert read(ATTACHMENT, order_id="T20230821183406000002") is None


def test_an_older_key_still_proves():
    assert read(ATTACHMENT, keys=(b"x" * 32, KEY)) == PURCHASE
    assert read(ATTACHMENT, keys=(b"x" * 32,)) is None
    assert read(ATTACHMENT, keys=()) is None


@pytest.mark.parametrize("position", range(len(ATTACHMENT)))
def test_no_character_can_be_another(position: int):
    for other in "A~0_-":
        if ATTACHMENT[position] != other:
            assert read(ATTACHMENT[:position] + other + ATTACHMENT[position + 1 :]) is None


def test_another_spelling_of_the_same_mac_proves_nothing():
    """The last character of 16 bytes in base64 has four bits to spare."""
    assert [read(ATTACHMENT[:-1] + last) for last in "xyz0123456789-_ABC"] == [None] * 18
    assert read(ATTACHMENT + "==") is None


@pytest.mark.parametrize(
    ("vin", "iccid", "package_id", "msisdn", "version"),
    [
        ("LSGBC5342AG00000I", "89860321247550000015", "P", "", "1"),
        ("LSGBC5342AG000001", "898603", "P", "", "1"),
        ("LSGBC5342AG000001", "89860321247550000015", "", "", "1"),
        ("LSGBC5342AG000001", "89860321247550000015", "a b", "", "1"),
        ("LSGBC5342AG000001", "89860321247550000015", "P", "123", "1"),
        ("LSGBC5342AG000001", "89860321247550000015", "P", "", "2"),
        ("LSGBC5342AG000001", "89860321247550000015", "P~x", "", "1"),
    ],
)
def test_a_signed_attachment_with_a_bad_member_is_a_wrong_one(
    vin: str, iccid: str, package_id: str, msisdn: str, version: str
):
    bad = Purchase(Vehicle.model_construct(vin=vin, iccid=iccid, msisdn=msisdn), package_id)
    text = make_attachment(KEY, bad, out_trade_no=ORDER_ID, amount_fen=9900)
    if version != "1":
        text = ATTACHMENT.replace("1~", f"{version}~", 1)

    assert read(text) is None


def test_an_attachment_has_at_most_127_bytes():
    longest = MAX_ATTACHMENT_BYTES - len(ATTACHMENT) + len(PURCHASE.package_id)
    fits = Purchase(PURCHASE.vehicle, "P" * longest)
    text = make_attachment(KEY, fits, out_trade_no=ORDER_ID, amount_fen=9900)

    assert len(text) == MAX_ATTACHMENT_BYTES
    assert read(text) == fits
    with pytest.raises(ValueError, match="at most 127 bytes"):
        make_attachment(KEY, Purchase(PURCHASE.vehicle, "P" * (longest + 1)), out_trade_no=ORDER_ID, amount_fen=9900)


@given(st.text(max_size=200))
def test_no_text_proves_anything_by_chance(text: str):
    assert read(text) is None
