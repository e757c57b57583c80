"""What carrier, provider and platforms can say. A timeout is not a refusal: the types say so, and `match` must exhaust.

Each answer is made at one mapping point per adapter; sentences in `why` go to operators and hold no personal data.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


# --- the carrier -----------------------------------------------------------------------------------------------


class Completed(_Answer):
    """The carrier has delivered. Final."""

    kind: Literal["completed"] = "completed"
    carrier_order_id: str = ""


class Refused(_Answer):
    """A definite refusal: the carrier will never deliver this serial. Final; the only way to a refund."""

    kind: Literal["refused"] = "refused"
    code: str
    text: str = ""
    burnt: bool = False
    """True: `cancelled` at the carrier, so every later POST of this serial is refused too."""
    carrier_order_id: str = ""


DoubtCause = Literal[
    "not_sent",  # the connection was never made: no POST happened
    "unanswered",  # sent, no answer (time-out, reset): the carrier may act still
    "answered",  # an answer that settles nothing (4xx, 5xx, malformed, 409)
    "unknown_state",  # the carrier shows the order, in a state that nobody knows
    "in_flight",  # the carrier has it and works on it
    "partial",  # the carrier says partial: a person must look
]


class InDoubt(_Answer):
    """Nothing is known for sure; nothing may be refunded or ordered again on this."""

    kind: Literal["in_doubt"] = "in_doubt"
    cause: DoubtCause
    why: str
    retry_after_seconds: float | None = None
    """The carrier's `Retry-After`: a lower bound, never scaled, at most 60 s (contracts §4)."""
    alert: bool = False
    """A person must look at once (401, 403: the token)."""
    carrier_order_id: str = ""


class NotFound(_Answer):
    """`GET` by our serial was answered, empty. Doubt, unless the book says that it counts (`orders.next_step`)."""

    kind: Literal["not_found"] = "not_found"


CarrierAnswer = Completed | Refused | InDoubt | NotFound


# --- the payment provider --------------------------------------------------------------------------------------


class RefundConfirmed(_Answer):
    """The provider's verified answer to a query: the money is on its way back for good. Final."""

    kind: Literal["confirmed"] = "confirmed"
    provider_refund_id: str = ""
    amount_fen: int | None = None
    """The amount that the provider names, if it does; another than ours is a contradiction and never confirms."""


class RefundAccepted(_Answer):
    """Taken in (WeChat 200/PROCESSING, Alipay 10000): nothing confirmed; query."""

    kind: Literal["accepted"] = "accepted"
    why: str = ""


class RefundUnknown(_Answer):
    """The provider has no refund of this number: send it (again), unchanged."""

    kind: Literal["unknown"] = "unknown"


class RefundClosed(_Answer):
    """WeChat `CLOSED`, the only state that allows a new number."""

    kind: Literal["closed"] = "closed"


class RefundHeld(_Answer):
    """Not possible now (balance, provider not configured): a person must act, then the same number again."""

    kind: Literal["held"] = "held"
    code: str
    why: str


class RefundDenied(_Answer):
    """The provider has definitely refused (ABNORMAL, account gone, trade finished): waits for `resolve refunded`."""

    kind: Literal["denied"] = "denied"
    code: str
    why: str


class RefundInDoubt(_Answer):
    """No usable answer: the same number and amount again, after a query."""

    kind: Literal["in_doubt"] = "in_doubt"
    why: str
    retry_after_seconds: float | None = None
    alert: bool = False


RefundAnswer = (
    RefundConfirmed | RefundAccepted | RefundUnknown | RefundClosed | RefundHeld | RefundDenied | RefundInDoubt
)


class RefundRequest(_Answer):
    """What a refund needs; the same on every attempt of one number. Money is integer fen."""

    refund_number: str
    transaction_id: str
    out_trade_no: str
    merchant_id: str
    amount_fen: int
    total_fen: int
    currency: str
    reason: str
