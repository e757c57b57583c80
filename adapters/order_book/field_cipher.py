"""Vehicle data and stored bodies at rest: AES-256-GCM under keys derived from `TOPUP_PII_KEY` by HKDF.

Each value carries the ID of its key, so that keys can be rotated while orders run: the newest encrypts, all decrypt.
"""

import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Literal, get_args

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


Personal = Literal["vehicle", "iccid", "msisdn"]
"""What is filed under a keyed hash: the VIN, the SIM card's number, the phone number."""


class WrongKey(TopUpError):
    """A stored value was encrypted under a key that isn't configured."""


class FieldCipher:
    """Encrypts and decrypts columns, and makes keyed hashes of what people are looked up by.

    Args:
        pii_keys: 32 bytes each; the first encrypts, every one decrypts. New hashes use the first.

    Attributes:
        current_key_id: of the key that encrypts.
        key_ids: of all keys, the current one first.
    """

    def __init__(self, *pii_keys: bytes) -> None:
        keys = [_derive(key, b"topup/column/1") for key in pii_keys]
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self.key_ids = tuple(self._ciphers)
        self.current_key_id = self.key_ids[0]
        self._hash_keys = {
            kind: [_derive(key, f"topup/{kind}-hash/1".encode()) for key in pii_keys] for kind in get_args(Personal)
        }

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
        return self.keyed_hash("vehicle", vin)

    def keyed_hash(self, kind: Personal, value: str) -> str:
        """What a value is filed under: by the current key, and by a key of its own for each kind."""
        return identities.keyed_hash(self._hash_keys[kind][0], value)

    def keyed_hashes(self, kind: Personal, value: str) -> tuple[str, ...]:
        """The hash under every key: what an order may be filed under, before and after a rotation."""
        return tuple(identities.keyed_hash(key, value) for key in self._hash_keys[kind])

    def file_under(self, vehicle: Mapping[str, str]) -> dict[str, str]:
        """The columns by which an order is found again, of its `vin`, `iccid` and (where there is one) `msisdn`."""
        msisdn = vehicle.get("msisdn")
        return {
            "vehicle_hash": self.keyed_hash("vehicle", vehicle["vin"]),
            "iccid_hash": self.keyed_hash("iccid", vehicle["iccid"]),
            "msisdn_hash": "" if msisdn is None else self.keyed_hash("msisdn", msisdn),
        }


def key_id_of(stored: bytes) -> bytes:
    """The ID of the key that a stored value was encrypted under."""
    return stored[KEY_ID_AT : KEY_ID_AT + KEY_ID_BYTES]


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _key_id(derived: bytes) -> bytes:
    return sha256(b"topup/key-id" + derived).digest()[:KEY_ID_BYTES]


def _bind(bound_to: Sequence[str]) -> bytes:
    return "\x00".join(bound_to).encode()
