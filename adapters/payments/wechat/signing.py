"""WeChat Pay API v3: signing requests, verifying answers. Pure functions.

After WeChat Pay's documentation of API v3 ("signature generation", "signature verification"); the tests compare with
the library `wechatpayv3`.
"""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from adapters.payments.rsa import NotGenuine, is_signed, sign

SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
MAX_AGE_SECONDS: Final = 300
"""Older (or newer) answers and notifications are refused, so that none can be played back later."""

PROBE: Final = "WECHATPAY/SIGNTEST/"
"""Begins a signature that WeChat Pay made wrong on purpose, to see whether signatures are verified."""
_TIMESTAMP_DIGITS: Final = 12


def authorization(
    key: RSAPrivateKey,
    *,
    merchant_id: str,
    serial_no: str,
    method: str,
    target: str,
    body: bytes,
    timestamp: int,
    nonce: str,
) -> str:
    """The `Authorization` header of a request.

    Args:
        key: the merchant's private key.
        merchant_id: `mchid`.
        serial_no: of the merchant's certificate.
        method: upper case.
        target: path and query exactly as they go out.
        body: the bytes that go out, b"" for none.
        timestamp: seconds since the epoch.
        nonce: fresh for each request, at most 32 letters and digits.
    """
    message = f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
    return (
        f'{SCHEME} mchid="{merchant_id}",nonce_str="{nonce}",timestamp="{timestamp}",'
        f'serial_no="{serial_no}",signature="{sign(key, message)}"'
    )


def verify(
    headers: Mapping[str, str], body: bytes, *, public_key_id: str, public_key: RSAPublicKey, now_seconds: float
) -> None:
    """Return if WeChat Pay signed exactly this body, with the configured key, within the last five minutes.

    Args:
        headers: of the answer or notification; names in any case if the mapping finds them so.
        body: the raw bytes, before any parsing.
        public_key_id: the only `Wechatpay-Serial` that is accepted (`PUB_KEY_ID_…`).
        public_key: WeChat Pay's.
        now_seconds: since the epoch.

    Raises:
        NotGenuine: it is not so, and why.
    """
    signature = headers.get("Wechatpay-Signature", "")
    timestamp = headers.get("Wechatpay-Timestamp", "")
    nonce = headers.get("Wechatpay-Nonce", "")
    if not (signature and timestamp and nonce):
        raise NotGenuine("it carries no signature of WeChat Pay", "unsigned")
    if signature.startswith(PROBE):
        raise NotGenuine("it is WeChat Pay's test of whether signatures are verified", "probe")
    if headers.get("Wechatpay-Serial", "") != public_key_id:
        raise NotGenuine("it is signed with another key than TOPUP_WECHAT_PUBLIC_KEY_ID names", "key")
    if headers.get("Wechatpay-Signature-Type", SCHEME) != SCHEME:
        raise NotGenuine(f"its signature is of another type than {SCHEME}", "key")
    if not is_fresh(timestamp, now_seconds):
        raise NotGenuine("it was signed more than 5 minutes away from this machine's clock; check the clock", "stale")
    if not is_signed(public_key, f"{timestamp}\n{nonce}\n".encode() + body + b"\n", signature):
        raise NotGenuine("its signature does not fit TOPUP_WECHAT_PUBLIC_KEY", "forged")


def is_fresh(timestamp: str, now_seconds: float) -> bool:
    """Whether a `Wechatpay-Timestamp` is at most five minutes from now, either way."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _TIMESTAMP_DIGITS):
        return False
    return abs(now_seconds - int(timestamp)) <= MAX_AGE_SECONDS
