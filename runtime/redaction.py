"""The last line of defence: what looks like personal data or a secret leaves no process in a log line or an error.

The first line is that nobody logs it (contracts §8). This one goes by shape, so it may also take out an innocent
number; what stands under the keys of `IDENTIFIERS` stays, there and wherever else the same record names it.
"""

import functools
import re
from collections.abc import Mapping
from typing import Final, cast

IDENTIFIERS: Final = frozenset(
    {"order_id", "workflow_id", "run_id", "activity_id", "out_refund_no", "notification_id", "at", "level"}
)
"""Keys whose values are ours and safe: an order ID may look like a VIN or an ICCID."""

_EDGE_BEFORE: Final = r"(?<![0-9A-Za-z])"
_ESCAPED_BEFORE: Final = (
    rf"(?:{_EDGE_BEFORE}|(?<=\\[abfnrtv])|(?<=\\x[0-9A-Fa-f]{{2}})|(?<=\\u[0-9A-Fa-f]{{4}})|(?<=%[0-9A-Fa-f]{{2}}))"
)
"""Also behind an escape: the line break of a text that `repr` or JSON has written, the `%3D` of an address."""
_IS_ESCAPED: Final = re.compile(r"[\\%][0-9A-Za-z]")
_EDGE_AFTER: Final = r"(?![0-9A-Za-z])"
_BEGINS_A_UUID: Final = "[0-9A-Fa-f]{8}-" + 3 * "[0-9A-Fa-f]{4}-"
_OF_A_VIN: Final = "[A-HJ-NPR-Za-hj-npr-z0-9]"
_LETTER: Final = "[A-HJ-NPR-Za-hj-npr-z]"
_SPLIT_VIN: Final = "|".join(
    form.replace("C", _OF_A_VIN).replace("L", _LETTER)
    for form in (
        # The maker's three, then a description of letters and digits, then the rest with or without more separators.
        r"C{3}(?P<by>[ -])(?=L{0,4}[0-9])(?=[0-9]{0,4}L)C{5}(?:(?P=by)?C){3}(?P=by)?C{2}[0-9]{4}",
        # Both of these in one, the check digit at their end, and the year, a letter, with or without the works behind.
        r"(?=[0-9]{0,2}L)C{8}[0-9Xx](?:[ -]LC[ -]?|LC[ -])C{2}[0-9]{4}",
        # By fours.
        r"(?=[0-9]{0,3}L)C{4}(?P<four>[ -])(?=L{0,3}[0-9])C{4}(?P=four)C{4}(?P=four)C[0-9]{3}(?P=four)[0-9]",
    )
)
"""A VIN as people write it down. Its last four are digits, and letters and digits stand in each of its parts, as in no
date, UUID or number with a prefix."""


def _shapes(before: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    return (
        (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL), "[pem]"),
        (re.compile(r"\b(bearer|basic)\s+[0-9A-Za-z._~+/=-]{6,}", re.IGNORECASE), r"\1 [secret]"),
        (re.compile(r"(password|passwd|secret|token)=[^\s&;,\"']+", re.IGNORECASE), r"\1=[secret]"),
        (re.compile(rf"{before}(?<!topup/)[A-HJ-NPR-Z0-9]{{17}}{_EDGE_AFTER}"), "[vin]"),
        (re.compile(rf"{before}(?<!topup/)(?=[A-Za-z]*[0-9])[A-HJ-NPR-Za-hj-npr-z0-9]{{17}}{_EDGE_AFTER}"), "[vin]"),
        (re.compile(rf"{before}(?<!topup/)(?:{_SPLIT_VIN}){_EDGE_AFTER}"), "[vin]"),
        (re.compile(rf"{before}89[0-9]{{2}}(?:[ .-][0-9]{{4}}){{3}}[ .-][0-9]{{3,4}}{_EDGE_AFTER}"), "[iccid]"),
        (
            re.compile(rf"{before}(?:(?:00)?86[ .-]?)?1[0-9]{{2}}[ .-][0-9]{{4}}[ .-][0-9]{{4}}{_EDGE_AFTER}"),
            "[phone]",
        ),
        (re.compile(rf"{before}(?<!topup/)[0-9]{{19,20}}{_EDGE_AFTER}"), "[iccid]"),
        (re.compile(rf"{before}(?<!topup/)(?<!\.)(?<!{_BEGINS_A_UUID})[0-9]{{11,15}}{_EDGE_AFTER}"), "[phone]"),
    )


_SHAPES: Final = _shapes(_EDGE_BEFORE)
"""PEM first: its lines are full of other shapes."""
_BEHIND_ESCAPES: Final = _shapes(_ESCAPED_BEFORE)
"""Likewise, three times as slow."""
_ADDRESS: Final = re.compile(r"://([^\s\"'<>]*)")
_MAY_BEGIN_A_PASSWORD: Final = re.compile(r"[^:/?#]*:(?![0-9]+(?:[/?#]|\Z)).*")
"""Of an address without an `@`: behind the `:` is no port, so perhaps a password that holds a quote or a blank."""
_LONGEST_PASSWORD: Final = 128
_HIDES_ITS_VALUE: Final = re.compile(r"(?:password|passwd|secret|token|api_?key|private_?key|authorization)\Z")
"""What the key of a value ends with that is never shown, in small letters and with `_` for any other mark."""
_WIDE: Final = str.maketrans(
    {
        chr(wide): chr(wide - 0xFEE0)
        for first, last in ("０９", "ＡＺ", "ａｚ")
        for wide in range(ord(first), ord(last) + 1)
    }
)
"""Digits and letters in the width of Chinese text, as an input method writes them."""
_IS_WIDE: Final = re.compile("[０-９Ａ-Ｚａ-ｚ]")
_PERHAPS: Final = re.compile(
    r"[0-9A-Za-z]{11}|[ -](?:[0-9A-Za-z]{2,5}[0-9]{4}|[0-9A-Za-z][0-9]{3}[ -][0-9])|[0-9][ .-][0-9]{4}|://|-----BEGIN"
    r"|(?i:bearer|basic)|="
)
"""Stands in whatever one of the shapes is in: one look at the many texts that hold nothing."""


def redacted(text: str, keep: frozenset[str] = frozenset()) -> str:
    """`text` without what looks like a VIN, an ICCID, a phone number, a PEM block, a token or an address's password.

    Args:
        text: Anything.
        keep: Exact matches that stay (order IDs named beside it).
    """
    if not text.isascii() and _IS_WIDE.search(text) is not None:
        text = text.translate(_WIDE)
    if _PERHAPS.search(text) is None:
        return text
    text = _without_logins(text)
    for shape, replacement in _BEHIND_ESCAPES if _IS_ESCAPED.search(text) else _SHAPES:
        text = shape.sub(lambda match, r=replacement: match[0] if match[0] in keep else match.expand(r), text)
    return text


def in_one_line(error: BaseException) -> str:
    """An error's text for an operator: one line, redacted, never empty."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    text = " ".join(str(error).split()) or type(error).__name__
    return redacted(text)[:300]


def _without_logins(text: str) -> str:
    """Each address without what stands before its last `@`: a password may hold one unescaped.

    Each address is read once: a shape that began anew at each `://` took 7 s for 60 KB of them (measured).
    """
    parts, done = list[str](), 0
    for address in _ADDRESS.finditer(text):
        begin, end = address.span(1)
        if begin < done:
            continue
        at = text.rfind("@", begin, end)
        if at < 0 and _MAY_BEGIN_A_PASSWORD.fullmatch(address[1]) is not None:
            at = text.find("@", end, end + _LONGEST_PASSWORD)
        if at >= 0:
            parts += text[done:begin], "[secret]"
            done = at
    return "".join((*parts, text[done:]))


def showable(text: str) -> str:
    """` (now '…')` for a fault's sentence, a query cut off; empty where an `@` stands, so perhaps a password."""
    if "@" in text:
        return ""
    cut = re.sub(r"([?#]).+", r"\1…", text, flags=re.DOTALL)
    return f" (now {redacted(cut)[:80]!r})"


def redacted_record(record: Mapping[str, object]) -> dict[str, object]:
    """A log record with every text in it redacted, at any depth; what is neither text nor number becomes text."""
    keep = frozenset(str(record[key]) for key in IDENTIFIERS & record.keys())
    return {key: value if key in IDENTIFIERS else _under(key, value, keep) for key, value in record.items()}


def _under(key: str, value: object, keep: frozenset[str]) -> object:
    """The value under this key of a record; whether there is one is no secret."""
    if value not in (None, "", True, False) and _hides_its_value(key):
        return "[secret]"
    return _clean(value, keep)


@functools.lru_cache(maxsize=1024)
def _hides_its_value(key: str) -> bool:
    return _HIDES_ITS_VALUE.search(re.sub(r"\W", "_", key.lower())) is not None


def _clean(value: object, keep: frozenset[str]) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redacted(value, keep)
        case dict():
            items = cast("dict[object, object]", value).items()
            return {redacted(str(key), keep): _under(str(key), item, keep) for key, item in items}
        case list() | tuple() | set() | frozenset():
            return [_clean(item, keep) for item in cast("list[object]", value)]
        case _:
            return redacted(str(value), keep)
