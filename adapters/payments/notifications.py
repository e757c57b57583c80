"""What a payment provider's callback says once it is proven to be the provider's (contracts §7).

Each provider has a reader of its own (`adapters.payments.<provider>.notifications`): raw headers and body in, one of
the notices below out, or `NotificationRefused`. Nothing in a callback is looked at before its signature holds, but what
the signature itself is found by.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import load_pem_x509_certificate

from adapters.payments.rsa import load_public_key
from orders.errors import TopUpError
from orders.paid_order import Provider

Flaw = Literal[
    "headers",
    "unsigned",
    "probe",
    "unknown_key",
    "stale",
    "signature",
    "decryption",
    "form",
    "identity",
    "ambiguous",
    "charset",
]
"""Why a callback is refused:

- `headers`: twice what may come once, or a body of another type; `unsigned`: no signature, or one of another type.
- `probe`: the provider tests whether signatures are verified. `unknown_key`: signed by a key that isn't configured.
- `stale`: too old or too far ahead; the clock is wrong, or somebody replays it. `signature`: it does not hold.
- The signature holds, and yet: `decryption` (no configured API v3 key opens it), `form` (a member is missing or of
  another form), `identity` (another merchant's), `ambiguous` (the signed string has two readings), `charset`.
"""
GENUINE_AND_REFUSED: Final[frozenset[Flaw]] = frozenset({"decryption", "form", "identity", "ambiguous", "charset"})
"""What only the provider can have sent: a person should see it, for a payment may hang on it."""

_PEM: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.+?-----END \1-----", re.DOTALL)
_REFERENCE: Final = re.compile(r"[!-~]{1,64}")

Headers = Sequence[tuple[str, str]]
"""Of the request, as they came and as often; names in lower case."""


@dataclass(frozen=True, slots=True)
class PaymentNotice:
    """A payment that has succeeded, to us. Its values are the provider's, as they came.

    Attributes:
        notification_id: the provider's; the same when it sends again.
        unknown_names: how many members came that were never documented.
        attachment: what the order backend gave the payment to carry; None where there is none. Personal data.
        paid_at: RFC 3339, as contracts §1 has it.
        amount_fen: an integer of any size; may be no price.
    """

    notification_id: str
    provider: Provider
    merchant_id: str
    out_trade_no: str
    transaction_id: str
    amount_fen: int
    currency: str
    paid_at: str
    attachment: str | None
    unknown_names: int = 0


@dataclass(frozen=True, slots=True)
class RefundNotice:
    """A refund has moved. Proves nothing: a reason to ask the provider now.

    Attributes:
        refund_number: ours where we sent the refund; "" where the notice names none.
        out_trade_no, transaction_id: of the payment; "" where the notice names none.
    """

    notification_id: str
    refund_number: str
    out_trade_no: str = ""
    transaction_id: str = ""
    unknown_names: int = 0


@dataclass(frozen=True, slots=True)
class OtherNotice:
    """Genuine, and nothing to do: a payment not (yet) made, or an event that we don't know."""

    notification_id: str
    unknown_names: int = 0


Notice = PaymentNotice | RefundNotice | OtherNotice


class NotificationRefused(TopUpError):
    """A callback that must not be acknowledged; the sentence says why, and holds nothing of what came.

    Attributes:
        flaw: see `Flaw`.
        key_id: the key that an `unknown_key` names; "" else. Not proven to be anybody's.
    """

    def __init__(self, flaw: Flaw, sentence: str, *, key_id: str = "") -> None:
        super().__init__(sentence)
        self.flaw: Flaw = flaw
        self.key_id = key_id


class NotificationReader(Protocol):
    """A provider's reader of callbacks."""

    def read(self, headers: Headers, body: bytes, now: datetime) -> Notice:
        """What a callback says; pure.

        Raises:
            NotificationRefused: it is not the provider's, not fresh, not ours, or not to be understood.
        """
        ...


def public_keys(pems: str) -> tuple[RSAPublicKey, ...]:
    """The keys in one text: public keys and certificates in PEM, one after the other.

    Raises:
        ValueError: there is none, or one of them is no RSA key.
    """
    keys: list[RSAPublicKey] = []
    for found in _PEM.finditer(pems):
        if found[1] != "CERTIFICATE":
            keys.append(load_public_key(found[0]))
            continue
        try:
            key = load_pem_x509_certificate(found[0].encode()).public_key()
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, RSAPublicKey):
            raise ValueError("must hold RSA keys")  # noqa: TRY004 - the text is wrong, not its type
        keys.append(key)
    if not keys:
        raise ValueError("must be one or more RSA public keys or certificates in PEM")
    return tuple(keys)


def came_twice(headers: Headers, prefix: str) -> bool:
    """Whether a header whose name starts so came more than once: two readers could each believe another one."""
    return any(count > 1 for count in Counter(name for name, _ in headers if name.startswith(prefix)).values())


def is_reference(text: str) -> bool:
    """Whether a provider's number has the form of contracts §1."""
    return _REFERENCE.fullmatch(text) is not None
