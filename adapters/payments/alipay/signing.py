"""Alipay OpenAPI: requests signed, the signed part of an answer found and verified, its values read. Pure functions.

RSA2 is SHA256withRSA; the tests compare with the library `python-alipay-sdk`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from adapters.http import charset_of
from adapters.payments.rsa import NotGenuine, is_signed, sign

_ERROR: Final = "error_response"
"""By which the gateway answers what reached no method."""

_YUAN: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?")
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_DECODER: Final = json.JSONDecoder(parse_float=str)  # no number of Alipay's ever becomes a float


@dataclass(frozen=True, slots=True)
class Answer:
    """The part of an answer that Alipay signs.

    Attributes:
        raw: exactly as it came: the signature covers these characters, not their meaning.
        members: the same, parsed; not to be believed before `verify`.
        signature: "" if there is none.
        charset: in which it came, and was signed.
    """

    raw: str
    members: Mapping[str, object]
    signature: str
    charset: str = "utf-8"


def signed_parameters(key: RSAPrivateKey, parameters: Mapping[str, str]) -> dict[str, str]:
    """`parameters` with their `sign`: RSA2 over the non-empty ones, sorted, joined as `k=v&…`, not URL-encoded."""
    filled = {name: value for name, value in sorted(parameters.items()) if value}
    message = "&".join(f"{name}={value}" for name, value in filled.items())
    return filled | {"sign": sign(key, message.encode())}


def split_answer(body: bytes, method: str) -> Answer:
    """The signed part of the answer to `method`, found by walking the outer object member by member.

    Raises:
        ValueError: it is no JSON object with exactly one part for `method` and at most one signature. A repeated member
            is refused: one copy could be verified and the other believed.
    """
    charset = charset_of(body)
    try:
        spans = _members(body.decode(charset))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    wanted = [name for name in (method.replace(".", "_") + "_response", _ERROR) if name in spans]
    if len(wanted) != 1:
        raise ValueError("holds no single answer to the method")
    raw, value = spans[wanted[0]]
    signature = spans["sign"][1] if "sign" in spans else ""
    if not isinstance(value, dict) or not isinstance(signature, str):
        raise ValueError("holds an answer or a signature of the wrong type")  # noqa: TRY004 - the text is wrong
    return Answer(raw, cast("dict[str, object]", value), signature, charset.removesuffix("-sig"))


def verify(answer: Answer, public_key: RSAPublicKey) -> None:
    r"""Return if Alipay signed exactly this answer.

    The gateway has been seen to escape `/` as `\/` after signing; so where the text as it came doesn't fit, the
    unescaped one may, if it means the same (the official SDKs do likewise).

    Raises:
        NotGenuine: it is not so.
    """
    if not answer.signature:
        raise NotGenuine("it carries no signature of Alipay", "unsigned")
    if is_signed(public_key, answer.raw.encode(answer.charset), answer.signature):
        return
    unescaped = answer.raw.replace("\\/", "/")
    signed = is_signed(public_key, unescaped.encode(answer.charset), answer.signature)
    if signed and _DECODER.decode(unescaped) == answer.members:
        return
    raise NotGenuine("its signature does not fit TOPUP_ALIPAY_PUBLIC_KEY", "forged")


def yuan(amount_fen: int) -> str:
    """Fen as Alipay's yuan string: 9900 → `99.00`.

    Raises:
        ValueError: a negative amount.
    """
    if amount_fen < 0:
        raise ValueError("an amount is never negative")
    return f"{amount_fen // 100}.{amount_fen % 100:02d}"


def fen(yuan: object) -> int | None:
    """Alipay's yuan string as fen; None for anything that isn't one."""
    found = _YUAN.fullmatch(yuan) if isinstance(yuan, str) else None
    return None if found is None else int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))


def attachment_of(passback_params: str | None) -> str | None:
    """Alipay hands back what it was given; an encoder before it may have written `%7E` for `~`."""
    if passback_params is None or "%" not in passback_params:
        return passback_params
    return unquote_to_bytes(passback_params).decode(errors="replace")  # what is no UTF-8 is no attachment either


def _members(text: str) -> dict[str, tuple[str, object]]:
    """The outer object's members: name → (raw text of the value, value).

    Raises:
        ValueError: it is no object, has text after it, or has a member twice.
    """
    at = _skip(text, _after(text, _skip(text, 0), "{"))
    members: dict[str, tuple[str, object]] = {}
    while not text.startswith("}", at):
        if members:
            at = _skip(text, _after(text, at, ","))
        name, at = _value(text, at)
        start = _skip(text, _after(text, _skip(text, at), ":"))
        value, end = _value(text, start)
        if not isinstance(name, str) or name in members:
            raise ValueError("has a member twice, or one without a name")
        members[name] = (text[start:end], value)
        at = _skip(text, end)
    if _skip(text, at + 1) != len(text):
        raise ValueError("has text after the object")
    return members


def _value(text: str, at: int) -> tuple[object, int]:
    return cast("tuple[object, int]", _DECODER.raw_decode(text, at))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _after(text: str, at: int, token: str) -> int:
    if not text.startswith(token, at):
        raise ValueError(f"lacks {token} at character {at}")
    return at + 1
