"""Bytes → one JSON object by RFC 8259 and the limits of contracts §1, for whatever money is read from.

Python's JSON is more lenient than RFC 8259; what it lets through is refused here: NaN and Infinity, UTF-16 and UTF-32,
duplicate keys, lone surrogates. What could exhaust it (deep nesting, endless digits) is refused before it gets there.
"""

import json
import re
from collections.abc import Container
from typing import Any, Final, NoReturn

from orders.errors import TopUpError

MAX_DEPTH: Final = 8
MAX_INTEGER_DIGITS: Final = 20

# Strings are consumed whole, an unterminated one up to the end, possessively: linear for any input (the obvious
# pattern takes minutes for 64 KiB of `\"`).
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotStrictJson(TopUpError):
    """What is no such object; the text names the rule, and nothing of what was read: that might be personal data."""


class Fraction:
    """Stands for a number with a fraction or an exponent: valid JSON, no member takes it, and never a float."""


def decode_object(value: bytes, *, named: Container[str] = ()) -> dict[str, object]:
    """The members of the object. A number with a fraction is a `Fraction`, so that no float ever touches money.

    Args:
        value: the bytes; their size is the caller's to limit.
        named: member names that an error may show; others may be personal data.

    Raises:
        NotStrictJson: it is no JSON object, or breaks a rule. Nothing else is raised for any bytes.
    """
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"value: is not UTF-8 at byte {error.start}") from None
    if _is_too_deep(text):
        raise NotStrictJson(f"value: has an object or array at depth {MAX_DEPTH + 1}; at most {MAX_DEPTH} are allowed")

    def members_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        members = dict(pairs)
        if len(members) != len(pairs):
            seen: set[str] = set()
            twice = next(name for name, _ in pairs if name in seen or seen.add(name))
            raise NotStrictJson(f"{twice if twice in named else 'an unknown member'}: stands twice in one object")
        return members

    decoder = json.JSONDecoder(
        object_pairs_hook=members_once, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
    )
    try:
        root: object = decoder.decode(text)
    except json.JSONDecodeError as error:
        rule = error.msg.partition(":")[0]
        raise NotStrictJson(f"value: is not one JSON object (RFC 8259) at character {error.pos}: {rule}") from None
    if not isinstance(root, dict):
        raise NotStrictJson("value: must be one JSON object")
    if _SURROGATE_ESCAPE.search(text) and _has_lone_surrogate(root):  # pyright: ignore[reportUnknownArgumentType] - any JSON
        raise NotStrictJson("value: has half a surrogate pair in a string or member name")
    return root  # pyright: ignore[reportUnknownVariableType] - any JSON


def _is_too_deep(text: str) -> bool:
    depth = 0
    for found in _STRINGS_AND_BRACKETS.finditer(text):
        match found[0]:
            case "[" | "{":
                depth += 1
                if depth > MAX_DEPTH:
                    return True
            case "]" | "}":
                depth -= 1
            case _:
                pass  # a string
    return False


def _has_lone_surrogate(node: Any) -> bool:
    if isinstance(node, str):
        return _SURROGATE.search(node) is not None
    if isinstance(node, dict):
        return any(_has_lone_surrogate(part) for pair in node.items() for part in pair)  # pyright: ignore[reportUnknownVariableType] - any JSON
    if isinstance(node, list):
        return any(_has_lone_surrogate(part) for part in node)  # pyright: ignore[reportUnknownVariableType] - any JSON
    return False


def _integer(digits: str) -> int:
    if len(digits.removeprefix("-")) > MAX_INTEGER_DIGITS:
        raise NotStrictJson(f"value: has an integer of more than {MAX_INTEGER_DIGITS} digits")
    return int(digits)


def _fraction(_: str) -> Fraction:
    return Fraction()  # not a float: 1e999 would become infinity


def _constant(name: str) -> NoReturn:
    raise NotStrictJson(f"value: {name} is not JSON (RFC 8259)")
