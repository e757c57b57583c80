"""Vehicle data and stored bodies at rest: AES-256-GCM under keys derived from `TOPUP_PII_KEY` by HKDF.

Each value carries the ID of its key, so that keys can be rotated while orders run: the newest encrypts, all decrypt.
"""

import os
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from orders import identities
from orders.errors import TopUpError

_FORMAT = b"\x01"
KEY_ID_AT: Final = len(_FORMAT)
KEY_ID_BYTES: Final = 4
_NONCE_BYTES = 12


class WrongKey(TopUpError):
    """A stored value was encrypted under a key that isn't configured."""


class FieldCipher:
    """Encrypts and decrypts columns, and makes the keyed hash of a VIN.

    Args:
        pii_keys: 32 bytes each; the first encrypts, every one decrypts. The keyed hash uses the first.

    Attributes:
        current_key_id: of the key that encrypts.
        key_ids: of all keys, the current one first.
    """

    def __init__(self, *pii_keys: bytes) -> None:
        keys = [_derive(key, b"topup/column/1") for key in pii_keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self.key_ids = tuple(self._ciphers)
        self.current_key_id = self.key_ids[0]
        self._hash_keys = [_derive(key, b"topup/vehicle-hash/1") for key in pii_keys]

    def encrypt(self, plain: bytes, *, bound_to: Sequence[str]) -> bytes:
        """Encrypt; the value decrypts only where it is bound to (order ID, column)."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.current_key_id].encrypt(nonce, plain, _bind(bound_to))
        return _FORMAT + self.current_key_id + nonce + sealed

    def decrypt(self, stored: bytes, *, bound_to: Sequence[str]) -> bytes:
        """The inverse of `encrypt`.

        Raises:
            WrongKey: no configured key fits.
        """
        key_id, rest = key_id_of(stored), stored[KEY_ID_AT + KEY_ID_BYTES :]
        cipher = self._ciphers.get(key_id)
        if cipher is None or stored[:1] != _FORMAT:
            raise WrongKey(
                "A stored value needs another key: give the one that it was written with in TOPUP_PII_KEY, or beside it"
                " in TOPUP_PII_OLD_KEYS; `topup keys status` shows which keys the order book needs."
            )
        try:
            return cipher.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bind(bound_to))
        except (InvalidTag, ValueError) as error:  # ValueError: cut off within the nonce
            raise WrongKey(
                "A stored value was changed or moved in the order book; restore it from a backup."
            ) from error

    def vehicle_hash(self, vin: str) -> str:
        """What stands for the vehicle in search attributes and logs (contracts §3)."""
        return identities.vehicle_hash(self._hash_keys[0], vin)

    def vehicle_hashes(self, vin: str) -> tuple[str, ...]:
        """The hash under every key: what an order of this vehicle may be filed under, before and after a rotation."""
        return tuple(identities.vehicle_hash(key, vin) for key in self._hash_keys)


def key_id_of(stored: bytes) -> bytes:
    """The ID of the key that a stored value was encrypted under."""
    return stored[KEY_ID_AT : KEY_ID_AT + KEY_ID_BYTES]


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _key_id(derived: bytes) -> bytes:
    return sha256(b"topup/key-id" + derived).digest()[:KEY_ID_BYTES]


def _bind(bound_to: Sequence[str]) -> bytes:
    return "\x00".join(bound_to).encode()
