"""Vehicle data and stored bodies at rest: AES-256-GCM under keys derived from `TOPUP_PII_KEY` by HKDF.

Each value carries the ID of its key, so that keys can be rotated while orders run: the newest encrypts, all decrypt.
"""

import os
from collections.abc import Sequence
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orders import identities
from orders.errors import TopUpError

_FORMAT = b"\x01"
_KEY_ID_BYTES = 4
_NONCE_BYTES = 12


class WrongKey(TopUpError):
    """A stored value was encrypted under a key that isn't configured."""


class Vault:
    """Encrypts and decrypts columns, and makes the keyed hash of a VIN.

    Args:
        pii_keys: 32 bytes each; the first encrypts, every one decrypts. The keyed hash uses the first.
    """

    def __init__(self, *pii_keys: bytes) -> None:
        keys = [_derive(key, b"topup/column/1") for key in pii_keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])
        self._hash_key = _derive(pii_keys[0], b"topup/vehicle-hash/1")

    def encrypt(self, plain: bytes, *, bound_to: Sequence[str]) -> bytes:
        """Encrypt; the value decrypts only where it is bound to (order ID, column)."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, plain, _bind(bound_to))
        return _FORMAT + self._current + nonce + sealed

    def decrypt(self, stored: bytes, *, bound_to: Sequence[str]) -> bytes:
        """The inverse of `encrypt`.

        Raises:
            WrongKey: no configured key fits.
        """
        key_id, rest = stored[1 : 1 + _KEY_ID_BYTES], stored[1 + _KEY_ID_BYTES :]
        cipher = self._ciphers.get(key_id)
        if cipher is None or stored[:1] != _FORMAT:
            raise WrongKey(
                "A stored value needs another key: set TOPUP_PII_KEY to the one the order book was made with."
            )
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bind(bound_to))
        except (InvalidTag, ValueError) as error:  # ValueError: cut off within the nonce
            raise WrongKey(
                "A stored value was changed or moved in the order book; restore it from a backup."
            ) from error

    def vehicle_hash(self, vin: str) -> str:
        """What stands for the vehicle in search attributes and logs (contracts §3)."""
        return identities.vehicle_hash(self._hash_key, vin)


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _key_id(derived: bytes) -> bytes:
    return sha256(b"topup/key-id" + derived).digest()[:_KEY_ID_BYTES]


def _bind(bound_to: Sequence[str]) -> bytes:
    return "\x00".join(bound_to).encode()
