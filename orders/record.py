"""Bytes of a Kafka record → paid order: one pure function, every poison rule of contracts §1.

Python's JSON is more lenient than RFC 8259; what it lets through is refused here: NaN and Infinity, UTF-16 and UTF-32,
duplicate keys, lone surrogates. What could exhaust it (deep nesting, endless digits) is refused before it gets there.
"""

import json
import re
from typing import Any, Final, Literal, NoReturn

from pydantic import ValidationError

from orders.errors import TopUpError
from orders.paid_order import PaidOrder, Payment, Vehicle

MAX_VALUE_BYTES: Final = 65_536
MAX_DEPTH: Final = 8
MAX_INTEGER_DIGITS: Final = 20
MAX_ERROR_CHARACTERS: Final = 512

PoisonReason = Literal["invalid", "oversize"]

# Strings are consumed whole, an unterminated one up to the end, possessively: linear for any input (the obvious
# pattern takes minutes for 64 KiB of `\"`).
_STRINGS_AND_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MEMBERS: Final = frozenset(
    field.alias or name for model in (PaidOrder, Vehicle, Payment) for name, field in model.model_fields.items()
)


class PoisonRecord(TopUpError):
    """A record that breaks a rule of contracts §1; it claims no order ID and goes to the dead letters.

    Attributes:
        reason: `oversize` or `invalid`.
        error: names the member and the rule, at most 512 characters. Holds nothing of what the record holds: that
            might be personal data, names of unknown members included.
    """

    def __init__(self, reason: PoisonReason, error: str) -> None:
        super().__init__(error)
        self.reason: PoisonReason = reason
        self.error = error[:MAX_ERROR_CHARACTERS]


def parse(key: bytes | None, value: bytes | None) -> PaidOrder:
    """The paid order in a record.

    Raises:
        PoisonRecord: it breaks a rule of contracts §1. Nothing else is raised for any bytes.
    """
    if value is None:
        raise _invalid("value: is null (a tombstone); it must be one JSON object")
    if len(value) > MAX_VALUE_BYTES:
        raise PoisonRecord("oversize", f"value: has {len(value)} bytes; at most {MAX_VALUE_BYTES} are read")
    order = _validated(_decoded(_text(value)))
    if key is not None and key != order.order_id.encode():
        raise _invalid("key: must equal order_id byte by byte, or be null")
    return order


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid(f"value: is not UTF-8 at byte {error.start}") from None


def _decoded(text: str) -> dict[str, object]:
    if _is_too_deep(text):
        raise _invalid(f"value: has an object or array at depth {MAX_DEPTH + 1}; at most {MAX_DEPTH} are allowed")
    try:
        root: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        rule = error.msg.partition(":")[0]
        raise _invalid(f"value: is not one JSON object (RFC 8259) at character {error.pos}: {rule}") from None
    if not isinstance(root, dict):
        raise _invalid("value: must be one JSON object")
    if _SURROGATE_ESCAPE.search(text) and _has_lone_surrogate(root):  # pyright: ignore[reportUnknownArgumentType] - any JSON
        raise _invalid("value: has half a surrogate pair in a string or member name")
    return root  # pyright: ignore[reportUnknownVariableType] - any JSON


def _validated(root: dict[str, object]) -> PaidOrder:
    try:
        return PaidOrder.model_validate(root)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        member = ".".join(str(part) for part in first["loc"])
        raise _invalid(f"{member}: {first['msg']}") from None


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


class _NotAnInteger:
    """Stands for a number with a fraction or an exponent: valid JSON, no member takes it, and never a float."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _invalid(f"{twice if twice in _MEMBERS else 'an unknown member'}: stands twice in one object")
    return members


def _integer(digits: str) -> int:
    if len(digits.removeprefix("-")) > MAX_INTEGER_DIGITS:
        raise _invalid(f"value: has an integer of more than {MAX_INTEGER_DIGITS} digits")
    return int(digits)


def _fraction(_: str) -> _NotAnInteger:
    return _NotAnInteger()  # not a float: 1e999 would become infinity, and no float touches money


def _constant(name: str) -> NoReturn:
    raise _invalid(f"value: {name} is not JSON (RFC 8259)")


def _invalid(error: str) -> PoisonRecord:
    return PoisonRecord("invalid", error)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
