"""What others say reaches the operator short, on one line, and without personal data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wording import MAX_CHARACTERS, for_operator, quoted, reference

PERSONAL = {
    "phone": "14400000001",
    "phone with country": "+8614400000001",
    "ICCID": "89860321247550000015",
    "ICCID in words": "the card 8986 0321 2475 5000 0015 is unknown",
    "phone with dashes": "144-0000-0001",
    "phone with a line break": "144\n0000\r\n0001",
    "phone with a hidden character": "1440\u200b0000001",
    "full-width digits": "\uff11\uff14\uff14\uff10\uff10\uff10\uff10\uff10\uff10\uff10\uff11",
    "VIN": "LSGBC5342AG000001",
    "VIN in lower case": "vin lsgbc5342ag000001!",
    "VIN in wide letters": "".join(chr(ord(letter) + 0xFEE0) for letter in "LSGBC5342AG000001"),
    "VIN with a hidden character": "LSGBC5342\u200bAG000001",
    "VIN among letters": "VINLSGBC5342AG000001",
    "identity card": "11010519491231002X",
}


@pytest.mark.parametrize("name", PERSONAL)
def test_personal_data_is_redacted(name: str) -> None:
    told = for_operator(f"refused: {PERSONAL[name]} (see above)")
    assert "[redacted]" in told
    assert sum(letter.isdigit() for letter in told) < 4
    assert told.startswith("refused: ")


def test_a_number_at_the_cut_is_redacted_whole() -> None:
    assert "144" not in for_operator("x" * (MAX_CHARACTERS - 3) + " 14400000001")


def test_a_long_text_is_cut() -> None:
    assert for_operator("x y " * 1000) == ("x y " * 50)[:MAX_CHARACTERS]


@given(st.text(), st.text())
def test_a_phone_number_never_gets_through(before: str, after: str) -> None:
    assert "14400000001" not in for_operator(before + "14400000001" + after)


@given(st.text(max_size=6000))
def test_the_text_is_short_and_on_one_line(words: str) -> None:
    told = for_operator(words)
    assert len(told) <= MAX_CHARACTERS
    assert told == "" or told.isprintable()


@pytest.mark.parametrize("words", ["SIM_SUSPENDED", "COMPLETION_DATE_PASSED", "余额不足", "incomprehensibilities"])
def test_plain_words_stay(words: str) -> None:
    assert for_operator(words) == words


@pytest.mark.parametrize("words", [None, ["x"], {"a": 1}, float("nan")])
def test_what_is_no_scalar_says_nothing(words: object) -> None:
    assert for_operator(words) == ""
    assert quoted(words) == ""


def test_a_quotation_stands_after_a_colon() -> None:
    assert quoted("no\tbalance") == ': "no balance"'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("PO0000000001", "PO0000000001"),
        ("", ""),
        ("a b", ""),
        ("x" * 129, ""),
        (7, "7"),
        ([7], ""),
        (None, ""),
        ("é", ""),
    ],
)
def test_a_reference_stands_as_it_is_or_not_at_all(value: object, expected: str) -> None:
    assert reference(value) == expected
