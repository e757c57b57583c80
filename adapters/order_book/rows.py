"""What the order book's rows are to its callers."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row

from adapters.order_book import tables
from adapters.order_book.field_cipher import FieldCipher, WrongKey
from orders.errors import TopUpError
from orders.paid_order import SCHEMA, PaidOrder
from orders.state import DERIVED, OrderState

ORDERS, EVENTS, NOTICES, UNMATCHED, LETTERS, POSITIONS = (
    tables.SQLModel.metadata.tables[name]
    for name in ("orders", "order_events", "notices", "unmatched_payments", "dead_letters", "read_positions")
)
DUTIES, PUSHES, HOLDS, CALL_SLOTS, GOODWILL = (
    tables.SQLModel.metadata.tables[name] for name in ("duties", "pushes", "holds", "call_slots", "goodwill_refunds")
)
_FIELDS: Final = tuple(field.name for field in dataclasses.fields(OrderState))
STATE_COLUMNS: Final = (*_FIELDS, *DERIVED)


ENDING: Final = (
    "ending",
    "ended_at",
    "ended_by",
    "ended_note",
    "proposal",
    "proposed_by",
    "proposed_at",
    "proposed_note",
    "confirmed_by",
    "confirmed_note",
)
"""How a person ends what became no order, and what the first of two wishes: fields of its state, and columns."""
NOT_ENDED: Final[Mapping[str, Any]] = {name: None if name.endswith("_at") else "" for name in ENDING}

ERASED: Final = b""
"""A vehicle whose person was erased (`adapters.order_book.erasure`)."""
NO_HASHES: Final = {"vehicle_hash": "", "iccid_hash": "", "msisdn_hash": ""}
"""What such an order is filed under: it is found by nothing that is of its person."""


class UnknownOrder(TopUpError):
    """The book has no such order."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"The order book has no order {order_id}: check the ID and TOPUP_DATABASE_URL.")


class Unreadable(WrongKey):
    """One order's stored values can't be decrypted; every other order can be worked on.

    Attributes:
        order_id: whose.
    """

    def __init__(self, order_id: str, why: WrongKey) -> None:
        super().__init__(f"Order {order_id} can't be read: {why}")
        self.order_id = order_id


class PersonErased(TopUpError):
    """What was paid for which car can't be read any more: it was erased at its owner's wish."""

    def __init__(self, order_id: str) -> None:
        super().__init__(f"The person of order {order_id} was erased: its vehicle is nowhere in the order book.")


class Unstorable(TopUpError):
    """A text that the database can't hold; nothing was changed."""


def order_of(row: Row[Any], vehicle: Any, package_id: str) -> PaidOrder:
    """What was paid, as the row has it, for this vehicle and package."""
    return PaidOrder.model_validate(
        {
            "schema": SCHEMA,
            "order_id": row.order_id,
            "vehicle": vehicle,
            "package_id": package_id,
            "amount_fen": row.amount_fen,
            "currency": row.currency,
            "payment": {
                "provider": row.provider,
                "merchant_id": row.merchant_id,
                "out_trade_no": row.out_trade_no,
                "transaction_id": row.transaction_id,
                "paid_at": row.paid_at,
            },
        }
    )


class StoredOrder:
    """One order's row as a rule sees it: the state, and what was paid (decrypted when asked for)."""

    def __init__(self, row: Row[Any], cipher: FieldCipher) -> None:
        self._row = row
        self._cipher = cipher
        self._state: OrderState | None = None
        self._order: PaidOrder | None = None

    @property
    def order_id(self) -> str:
        """Readable under any key."""
        return self._row.order_id

    @property
    def claimed_at(self) -> datetime:
        """Readable under any key."""
        return self._row.claimed_at

    @property
    def state(self) -> OrderState:
        """The money part.

        Raises:
            Unreadable: no configured key opens its body.
        """
        if self._state is None:
            self._state = self._read_state()
        return self._state

    @property
    def order(self) -> PaidOrder:
        """What was paid.

        Raises:
            Unreadable: no configured key opens the vehicle.
            PersonErased: there is no vehicle any more.
        """
        if self._order is None:
            self._order = self._read_order()
        return self._order

    @property
    def trail(self) -> str:
        """The head of its audit trail when the row was read."""
        return self._row.trail

    @property
    def refund_fen(self) -> int:
        """What a refund of it pays back: all."""
        return self._row.amount_fen

    @property
    def vehicle_hash(self) -> str:
        """The keyed hash of the VIN."""
        return self._row.vehicle_hash

    @property
    def unreadable(self) -> Unreadable | None:
        """Why `state` or `order` would raise; None: both can be read. For lists, where one order stops no other."""
        try:
            _ = self.state, self.order
        except Unreadable as why:
            return why
        return None

    def after(self, state: OrderState) -> "StoredOrder":
        """The same order, as the next decision of one transaction sees it."""
        changed = StoredOrder(self._row, self._cipher)
        changed._state, changed._order = state, self._order
        return changed

    def values(self) -> dict[str, Any]:
        """The state as columns; a body that is as it was read keeps its ciphertext."""
        state = self.state
        values: dict[str, Any] = {name: getattr(state, name) for name in STATE_COLUMNS}
        if state.body is not None:
            stored: bytes | None = self._row.body
            same = stored is not None and self._decrypt(stored, "body") == state.body
            values["body"] = stored if same else self._cipher.encrypt(state.body, bound_to=(self.order_id, "body"))
        return values

    def _decrypt(self, stored: bytes, column: str) -> bytes:
        try:
            return self._cipher.decrypt(stored, bound_to=(self.order_id, column))
        except WrongKey as why:
            raise Unreadable(self.order_id, why) from why

    def _read_state(self) -> OrderState:
        values: dict[str, Any] = {name: getattr(self._row, name) for name in _FIELDS}
        if values["body"] is not None:
            values["body"] = self._decrypt(values["body"], "body")
        return OrderState(**values)

    def _read_order(self) -> PaidOrder:
        row = self._row
        if row.vehicle == ERASED:
            raise PersonErased(self.order_id)
        vehicle = self._decrypt(row.vehicle, "vehicle")
        return order_of(row, json.loads(vehicle), row.package_id)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail. `detail` holds no personal data."""

    at: datetime
    kind: str
    detail: Mapping[str, Any]


def check_texts(values: Mapping[str, Any]) -> None:
    """Refuse what PostgreSQL's `text` can't hold, before it spoils a transaction that others share.

    Raises:
        Unstorable: a text holds U+0000 or half of a surrogate pair.
    """
    for name, value in values.items():
        if not isinstance(value, str) or value.isprintable():
            continue
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unstorable(f"{name} holds half of a character: write it again without.") from None
        if "\x00" in value:
            raise Unstorable(f"{name} holds the character U+0000, which no database keeps: write it without.")
