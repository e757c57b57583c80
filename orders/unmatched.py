"""A genuine payment that can't become an order by itself (contracts §7): its record, and how a person ends it, once.

Rules are pure, as in `orders.carrier_rules`. That adoption and refund can't both happen rests on two things: the row's
one ending, and the one order that the book has for a payment (a refund is an order that begins with its refusal).
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orders.identities import adopted_order_id
from orders.paid_order import MOST_FEN, PaidOrder, Provider, Reference, instant_ns
from orders.paid_order import SCHEMA as PAID_ORDER_SCHEMA
from orders.record import MAX_VALUE_BYTES, PoisonRecord
from orders.state import UNMATCHED, OrderState
from orders.strict_json import NotStrictJson, decode_object

SCHEMA: Final = "topup.unmatched-payment/1"

UnmatchedReason = Literal["order_id", "attachment", "lookup", "amount"]
"""The order ID breaks §1 · no valid attachment, nobody to ask · the backend knows no such order · another price."""
Ending = Literal["", "adopted", "refund", "settled"]
"""`""`: open. `refund`: the refund was ordered; how far it is, the order of that payment says."""

MOST_CHARACTERS: Final = 256
"""Above what any provider says (64), and below what a database's index holds."""
NO_VEHICLE: Final = {"vin": "0" * 17, "iccid": "0" * 19}
"""Stands in the order of a refund without a delivery; no car has this number."""
NO_PACKAGE: Final = "unmatched"


_Text = Annotated[str, Field(max_length=MOST_CHARACTERS, pattern="^[^\\x00]*$")]


class UnmatchedPayment(BaseModel):
    """The payment as its provider told it."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", serialize_by_alias=True)

    schema_: Literal["topup.unmatched-payment/1"] = Field(default=SCHEMA, alias="schema")
    provider: Provider
    merchant_id: Reference
    out_trade_no: _Text
    transaction_id: Reference
    amount_fen: int = Field(ge=-MOST_FEN, le=MOST_FEN)
    currency: _Text
    paid_at: str = Field(max_length=40)
    reason: UnmatchedReason

    @field_validator("paid_at")
    @classmethod
    def _is_an_instant(cls, value: str) -> str:
        instant_ns(value)
        return value

    @property
    def order_id(self) -> str:
        """Of the order that adoption makes of it (contracts §7)."""
        return adopted_order_id(self.provider, self.out_trade_no, self.transaction_id)

    @property
    def name(self) -> str:
        """What operators call it: `wechat:4200001923202308213518640001`."""
        return f"{self.provider}:{self.transaction_id}"

    def paid_order(self, vehicle: dict[str, str], package_id: str) -> dict[str, Any]:
        """The members of its paid order (contracts §1), for this car and package; not yet held to the rules."""
        return {
            "schema": PAID_ORDER_SCHEMA,
            "order_id": self.order_id,
            "vehicle": vehicle,
            "package_id": package_id,
            "amount_fen": self.amount_fen,
            "currency": self.currency,
            "payment": {
                "provider": self.provider,
                "merchant_id": self.merchant_id,
                "out_trade_no": self.out_trade_no,
                "transaction_id": self.transaction_id,
                "paid_at": self.paid_at,
            },
        }

    def without_delivery(self) -> PaidOrder | None:
        """The order that only its refund is to be made for; None: its amount, currency or number is no order's."""
        try:
            return PaidOrder.model_validate(self.paid_order(dict(NO_VEHICLE), NO_PACKAGE))
        except ValidationError:
            return None


def parse_unmatched(key: bytes | None, value: bytes | None) -> UnmatchedPayment:
    """The payment in a record of the topic of unmatched payments.

    Raises:
        PoisonRecord: it is none. Nothing else is raised for any bytes.
    """
    if value is None or len(value) > MAX_VALUE_BYTES:
        raise PoisonRecord("invalid", "value: must be one JSON object of at most 64 KiB")
    try:
        payment = UnmatchedPayment.model_validate(decode_object(value, named=frozenset(UnmatchedPayment.model_fields)))
    except NotStrictJson as error:
        raise PoisonRecord("invalid", str(error)) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise PoisonRecord("invalid", f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None
    if key is not None and key != payment.out_trade_no.encode():
        raise PoisonRecord("invalid", "key: must equal out_trade_no byte by byte, or be null")
    return payment


def begin_refunded(order: PaidOrder, now: datetime) -> OrderState:
    """The state that an order begins with whose payment is only to be paid back: never sent, definitely refused.

    `orders.next_step` says of it from then on what it says of every refused order: write the intent, send, ask.
    """
    return OrderState(
        order_id=order.order_id,
        claimed_at=now,
        carrier_outcome="rejected",
        carrier_code=UNMATCHED,
        carrier_outcome_at=now,
    )


@dataclass(frozen=True, slots=True)
class UnmatchedState:
    """Where an unmatched payment stands."""

    payment: UnmatchedPayment
    signed: bool
    """Whether somebody who has a record key wrote it; True where no key is configured."""
    ending: Ending = ""
    ended_at: datetime | None = None
    ended_by: str = ""
    ended_note: str = ""

    proposal: str = ""
    """As in `OrderState`: what the first of two persons wishes (`orders.four_eyes`)."""
    proposed_by: str = ""
    proposed_at: datetime | None = None
    proposed_note: str = ""
    confirmed_by: str = ""
    confirmed_note: str = ""

    order_id: str = ""
    """Of the order that the book has for this payment, whoever made it; "" for none."""
    taken: bool = False
    """Whether the order ID of its adoption belongs to another payment's order."""

    @property
    def is_open(self) -> bool:
        """Whether somebody must still end it, or its adoption has not become an order yet."""
        return not self.order_id and self.ending in ("", "adopted")

    def ended(self, ending: Ending, now: datetime, operator: str, note: str) -> Self:
        """With its ending."""
        return replace(self, ending=ending, ended_at=now, ended_by=operator, ended_note=note)


def adopt(state: UnmatchedState, now: datetime, operator: str, note: str) -> tuple[UnmatchedState, str]:
    """Have it become an order; its record is sent after this is written. Returns why not, or "".

    Said again while no order has come of it: the record is sent again, which is one order all the same.
    """
    if refusal := _unfit(state) or _ended(state, but="adopted"):
        return state, refusal
    if state.order_id:
        return state, f"This payment is order {state.order_id} already: see `topup orders show {state.order_id}`."
    return (state, "") if state.ending else (state.ended("adopted", now, operator, note), "")


def refund(state: UnmatchedState, now: datetime, operator: str, note: str) -> tuple[UnmatchedState, str]:
    """Have it refunded without any delivery. Returns why not, or "". Said again, it is the same refund."""
    if refusal := _unfit(state) or _ended(state, but="refund"):
        return state, refusal
    if state.ending == "refund":
        return state, ""
    if state.order_id:
        order_id = state.order_id
        return state, f"This payment is order {order_id} by now: use `topup orders refund {order_id}`."
    if state.payment.without_delivery() is None:
        return state, (
            f"{state.payment.name} can't be refunded from here: its amount, currency or order number is none of an "
            "order's. Refund it at the provider's merchant platform, then say so with `topup payments settle`."
        )
    return state.ended("refund", now, operator, note), ""


def settle(state: UnmatchedState, now: datetime, operator: str, note: str) -> tuple[UnmatchedState, str]:
    """Note how it was ended elsewhere. Returns why not, or ""."""
    if refusal := _ended(state, but=""):
        return state, refusal
    if state.order_id:
        return state, f"This payment is order {state.order_id} by now, which ends it: nothing is to be settled."
    return state.ended("settled", now, operator, note), ""


def _unfit(state: UnmatchedState) -> str:
    payment = state.payment
    if not state.signed:
        return (
            f"Nobody who has TOPUP_RECORD_KEY (or one of TOPUP_RECORD_OLD_KEYS) wrote {payment.name}: look for the "
            "payment at the provider; nothing is adopted or refunded on this record. End it with `topup payments "
            "settle`."
        )
    if state.taken:
        return (
            f"Another payment has order {payment.order_id} already, so {payment.name} was paid a second time: refund "
            "it at the provider's merchant platform by its transaction number, then say so with `topup payments "
            "settle`."
        )
    return ""


def _ended(state: UnmatchedState, *, but: str) -> str:
    if not state.ending or state.ending == but:
        return ""
    at = state.ended_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if state.ended_at else ""
    said = {"adopted": "adopted", "refund": "refunded", "settled": "settled elsewhere"}[state.ending]
    return f"{state.payment.name} was {said} by {state.ended_by} on {at} ({state.ended_note}): it is ended once."
