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
    macs = [mac or b"" for name, mac in headers if name == HEADER]
    if len(macs) != 1:
        return False
    return any(hmac.compare_digest(macs[0], sign(key, record_key, value)) for key in keys)
