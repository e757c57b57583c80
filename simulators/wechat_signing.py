"""Signatures of WeChat Pay API v3, from the provider's side (docs/facts/payments.md)."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import time
from urllib.parse import quote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.requests import Request

from simulators.keys import WechatKeys
from simulators.wire import Json

SCHEMA = "WECHATPAY2-SHA256-RSA2048"
PARAMETER = re.compile(r'\s*([a-z_]+)="([^"]*)"\s*')
TIMESTAMP_TOLERANCE_SECONDS = 300


class SignError(Exception):
    """A request that the real WeChat Pay would answer 401 SIGN_ERROR; the text says which part is wrong."""


def verify_request(keys: WechatKeys, request: Request, body: bytes) -> None:
    """Check who sent a request: method, URL, timestamp, nonce and body, a line each, under the merchant's key.

    Raises:
        SignError: names what doesn't fit.
    """
    schema, _, rest = request.headers.get("authorization", "").partition(" ")
    if schema != SCHEMA:
        raise SignError(f"Authorization has to start with {SCHEMA}")
    matches = [PARAMETER.fullmatch(part) for part in rest.split(",")]
    given = {match.group(1): match.group(2) for match in matches if match}
    if given.get("mchid") != keys.merchant_id or given.get("serial_no") != keys.merchant_serial_no:
        raise SignError("mchid or serial_no is not the merchant's")
    timestamp, nonce = given.get("timestamp", ""), given.get("nonce_str", "")
    if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TIMESTAMP_TOLERANCE_SECONDS:
        raise SignError("timestamp is not within 5 minutes of now")
    raw_path: bytes = request.scope.get("raw_path") or quote(request.url.path).encode()
    query: bytes = request.scope.get("query_string", b"")
    url = raw_path + (b"?" + query if query else b"")
    message = b"\n".join((request.method.encode(), url, timestamp.encode(), nonce.encode(), body, b""))
    try:
        signature = base64.b64decode(given.get("signature", ""), validate=True)
        keys.merchant_public_key.verify(signature, message, PKCS1v15(), SHA256())
    except (binascii.Error, InvalidSignature) as error:
        raise SignError("the signature does not fit the request") from error


def signature_headers(keys: WechatKeys, body: bytes) -> dict[str, str]:
    """The headers of a signed answer or notification: timestamp, nonce and body under the platform's key."""
    timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
    message = b"\n".join((timestamp.encode(), nonce.encode(), body, b""))
    signature = keys.platform_private_key.sign(message, PKCS1v15(), SHA256())
    return {
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature": base64.b64encode(signature).decode(),
        "Wechatpay-Serial": keys.platform_public_key_id,
        "Wechatpay-Signature-Type": SCHEMA,
    }


def encrypted_resource(keys: WechatKeys, content: Json, *, original_type: str) -> Json:
    """A notification's `resource`: AEAD_AES_256_GCM under the API v3 key."""
    nonce, associated_data = secrets.token_hex(6), original_type
    plain = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    cipher = AESGCM(keys.api_v3_key.encode()).encrypt(nonce.encode(), plain, associated_data.encode())
    return {
        "algorithm": "AEAD_AES_256_GCM",
        "original_type": original_type,
        "ciphertext": base64.b64encode(cipher).decode(),
        "nonce": nonce,
        "associated_data": associated_data,
    }
