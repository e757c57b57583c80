"""`topup-mac`: a record's proof that the gateway (or whoever has the key) wrote it (contracts §1). Pure."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Final

HEADER: Final = "topup-mac"


def sign(key: bytes, record_key: bytes | None, value: bytes | None) -> bytes:
    """The header's value: HMAC-SHA256 over key, a zero byte, value, in base64url without padding.

    A null key or value counts as an empty one.
    """
    message = (record_key or b"") + b"\x00" + (value or b"")
    return base64.urlsafe_b64encode(hmac.new(key, message, hashlib.sha256).digest()).rstrip(b"=")


def verify(
    keys: Sequence[bytes],
    record_key: bytes | None,
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
) -> bool:
    """Whether the record has exactly one `topup-mac`, and one of `keys` made it."""
    mac = mac_of(headers)
    return mac is not None and any(hmac.compare_digest(mac, sign(key, record_key, value)) for key in keys)


def mac_of(headers: Iterable[tuple[str, bytes | None]]) -> bytes | None:
    """The record's `topup-mac`; None where it has none, or several."""
    macs = [mac or b"" for name, mac in headers if name == HEADER]
    return macs[0] if len(macs) == 1 else None
