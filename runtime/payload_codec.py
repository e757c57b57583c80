"""What Temporal keeps of an order, encrypted (contracts §11): AES-256-GCM, by key ID, bound to namespace and workflow.

A payload that was written before there was a key, or by a person in the Web UI, is plain and is read as it stands: what
an operator may say is decided by Temporal's authorisation and the order book, not by who can encrypt.
"""

import copy
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

ENCRYPTED: Final = b"binary/encrypted"
"""Metadata `encoding` of an encrypted payload, as Temporal's own samples call it."""
CIPHER: Final = b"AES-256-GCM"
_ENCODING: Final = "encoding"
_CIPHER: Final = "encryption-cipher"
_KEY_ID: Final = "encryption-key-id"
_NAMESPACE: Final = "topup-namespace"
_WORKFLOW_ID: Final = "topup-workflow-id"
_NONCE_BYTES: Final = 12
_SCHEDULED: Final = re.compile(r"-\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
"""What a schedule puts behind its workflow ID. Its runs hand their results on to one another, so they are one."""

Decoded = Literal["decoded", "plain", "unknown_key", "changed"]
"""What became of a payload: `changed` was touched by somebody, or is another workflow's."""


class UnreadablePayload(Exception):
    """A payload can't be decrypted here; the text is a sentence for the operator. The run waits; nothing is lost."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Whose payload it is; empty where nobody said. A scheduled run counts as its schedule."""

    namespace: str = ""
    workflow_id: str = ""
    is_scheduled: bool = field(default=False, compare=False)

    @property
    def shown(self) -> str:
        """For a sentence."""
        return f"{self.workflow_id[:80]!r} in namespace {self.namespace[:80]!r}"


class EncryptingCodec(PayloadCodec, WithSerializationContext):
    """Encrypts under the first key, decrypts under all, and lets plain payloads through.

    Random nonces are good for 4 thousand million payloads under one key, some 100 million orders: rotate before that
    (docs/keys.md).

    Args:
        key: 32 bytes, encrypts and decrypts; none: nothing is encrypted.
        old_keys: Others that decrypt.
    """

    def __init__(self, key: bytes | None = None, old_keys: Sequence[bytes] = ()) -> None:
        keys = (key, *old_keys) if key is not None else old_keys
        self._ciphers = {key_id(one): AESGCM(one) for one in keys}
        self._current = "" if key is None else key_id(key)
        self._binding = Binding()

    def with_context(self, context: SerializationContext) -> Self:
        """The same codec for one workflow's payloads; without any key it reads none of anybody's."""
        binding = binding_of(context)
        if binding is None or not (self._ciphers or binding.is_scheduled):
            return self
        bound = copy.copy(self)
        bound._binding = binding  # noqa: SLF001 - its own
        return bound

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Each encrypted, where there is a key and it isn't encrypted already."""
        return [self._encrypted(one) if self._current and not _is_encrypted(one) else one for one in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Each as it was.

        A scheduled run gets the result of the one before, which it never reads: where no key fits it stays as it
        stands, since it would hold up each later run for ever.

        Raises:
            UnreadablePayload: no key fits, or the payload was changed, or is another workflow's.
        """
        return [self._decrypted(one) for one in payloads]

    def try_decode(self, payload: Payload) -> tuple[Payload, Decoded]:
        """For people who look: a payload that can't be decrypted stays as it is."""
        if not _is_encrypted(payload):
            return payload, "plain"
        if payload.metadata[_KEY_ID].decode(errors="replace") not in self._ciphers:
            return payload, "unknown_key"
        try:
            return self._decrypted(payload), "decoded"
        except UnreadablePayload:
            return payload, "changed"

    def _encrypted(self, payload: Payload) -> Payload:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, payload.SerializeToString(), _associated(self._binding))
        metadata = {
            _ENCODING: ENCRYPTED,
            _CIPHER: CIPHER,
            _KEY_ID: self._current.encode(),
            _NAMESPACE: self._binding.namespace.encode(),
            _WORKFLOW_ID: self._binding.workflow_id.encode(),
        }
        return Payload(metadata=metadata, data=nonce + sealed)

    def _decrypted(self, payload: Payload) -> Payload:
        if not _is_encrypted(payload):
            return payload
        wanted = payload.metadata[_KEY_ID].decode(errors="replace")
        cipher = self._ciphers.get(wanted)
        if cipher is None and self._binding.is_scheduled:
            return payload
        if cipher is None:
            raise UnreadablePayload(
                f"A payload in Temporal is encrypted under the key {wanted[:16]!r}, which this process does not have: "
                "give it in TOPUP_CODEC_KEY, or beside it in TOPUP_CODEC_OLD_KEYS (docs/keys.md)."
            )
        bound = Binding(_text(payload, _NAMESPACE), _text(payload, _WORKFLOW_ID))
        if bound.workflow_id and self._binding.workflow_id and bound != self._binding:
            raise UnreadablePayload(
                f"A payload of {bound.shown} stands in Temporal as one of {self._binding.shown}: somebody has "
                "moved it; see docs/security.md."
            )
        try:
            opened = cipher.decrypt(payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:], _associated(bound))
            return Payload.FromString(opened)
        except (InvalidTag, ValueError, DecodeError):  # ValueError: cut off within the nonce
            raise UnreadablePayload(
                "A payload in Temporal was changed after it was encrypted; see docs/security.md."
            ) from None


def binding_of(context: SerializationContext) -> Binding | None:
    """Whose payloads are meant; None: nobody's in particular."""
    if not isinstance(context, WorkflowSerializationContext | ActivitySerializationContext):
        return None
    workflow_id, scheduled = _SCHEDULED.subn("", context.workflow_id or "")
    return Binding(context.namespace, workflow_id, is_scheduled=scheduled > 0)


def key_id(key: bytes) -> str:
    """What a key is called in payloads and in `topup keys status`; tells nothing of it."""
    return sha256(b"topup/codec-key-id" + key).hexdigest()[:8]


def workflow_of(payload: Payload) -> str:
    """The workflow that an encrypted payload names as its own; true if it decrypts. Empty for a plain one."""
    return _text(payload, _WORKFLOW_ID)[:200] if _is_encrypted(payload) else ""


def _is_encrypted(payload: Payload) -> bool:
    return payload.metadata.get(_ENCODING) == ENCRYPTED


def _text(payload: Payload, name: str) -> str:
    return payload.metadata.get(name, b"").decode(errors="replace")


def _associated(binding: Binding) -> bytes:
    return f"{binding.namespace}\0{binding.workflow_id}".encode()
