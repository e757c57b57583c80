"""RSA signatures as both payment providers use them: SHA-256, PKCS #1 v1.5, base64."""

import base64
import binascii
from typing import Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from orders.errors import TopUpError


class NotGenuine(TopUpError):
    """What came is not proven to be the provider's; nothing in it may be believed.

    Attributes:
        flaw: `unsigned` (a proxy's answer, or one to a request the provider could not attribute to us), `probe`
            (WeChat Pay tests whether we verify), `key` (another key than the configured one), `stale`, `forged`.
    """

    def __init__(self, sentence: str, flaw: Literal["unsigned", "probe", "key", "stale", "forged"]) -> None:
        super().__init__(sentence)
        self.flaw = flaw


def load_private_key(pem: str) -> RSAPrivateKey:
    """A merchant's key.

    Raises:
        ValueError: it is no RSA private key in PEM without a password. Never shows the key.
    """
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("must be an RSA private key in PEM")  # noqa: TRY004 - the text is wrong, not its type
    return key


def load_public_key(pem: str) -> RSAPublicKey:
    """A provider's key.

    Raises:
        ValueError: it is no RSA public key in PEM.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("must be an RSA public key in PEM")  # noqa: TRY004 - the text is wrong, not its type
    return key


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """The signature of `message` in base64."""
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def is_signed(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether `signature` (base64, in its one right spelling) is the key owner's for exactly these bytes."""
    try:
        decoded = base64.b64decode(signature, validate=True)
        if base64.b64encode(decoded).decode() != signature:  # the last character may have bits to spare
            return False
        key.verify(decoded, message, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):  # ValueError: it is not ASCII
        return False
    return True
