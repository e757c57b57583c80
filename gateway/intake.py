"""A proven payment → the record that Kafka gets: a paid order, or an unmatched payment (contracts §7)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.payments.notifications import PaymentNotice
from gateway.lookup import BackendOrder
from orders.attachment import Purchase, read_attachment
from orders.identities import is_order_id
from orders.paid_order import SCHEMA
from orders.record import PoisonRecord, parse
from orders.unmatched import SCHEMA as UNMATCHED_SCHEMA
from orders.unmatched import UnmatchedReason


class Lookup(Protocol):
    """`gateway.lookup.OrderLookup`."""

    async def find(self, out_trade_no: str) -> BackendOrder | None:
        """The order as the backend priced it; None for none; raises `Unavailable` where it doesn't say."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """What is to be written. `unmatched`: why it is no order; None for a paid order."""

    key: bytes
    value: bytes
    unmatched: UnmatchedReason | None


class Intake:
    """Finds out what a payment bought.

    Args:
        attachment_keys: of the order backend, the present one first; none: attachments prove nothing here.
        lookup: the order backend; None: only attachments prove anything.
    """

    def __init__(self, attachment_keys: Sequence[bytes], lookup: Lookup | None) -> None:
        self._attachment_keys = attachment_keys
        self._lookup = lookup

    async def record_of(self, notice: PaymentNotice) -> Record:
        """The record of a payment, the same for each resend.

        Raises:
            Unavailable: the backend doesn't say what was bought; the provider must send again.
        """
        found = await self._purchase(notice)
        if not isinstance(found, Purchase):
            return _unmatched(notice, found)
        record = _paid_order(notice, found)
        try:
            parse(record.key, record.value)
        except PoisonRecord:  # attachment and backend are held to the rules, so it is the price or the currency
            return _unmatched(notice, "amount")
        return record

    async def _purchase(self, notice: PaymentNotice) -> Purchase | UnmatchedReason:
        """What was bought, or why that is unknown."""
        if not is_order_id(notice.out_trade_no):
            return "order_id"
        if notice.attachment is not None:
            proven = read_attachment(
                self._attachment_keys,
                notice.attachment,
                out_trade_no=notice.out_trade_no,
                amount_fen=notice.amount_fen,
            )
            if proven is not None:
                return proven
        if self._lookup is None:
            return "attachment"
        order = await self._lookup.find(notice.out_trade_no)
        if order is None:
            return "lookup"
        return order.purchase if order.amount_fen == notice.amount_fen else "amount"


def _paid_order(notice: PaymentNotice, purchase: Purchase) -> Record:
    members = {
        "schema": SCHEMA,
        "order_id": notice.out_trade_no,
        "vehicle": purchase.vehicle.model_dump(exclude_none=True),
        "package_id": purchase.package_id,
        "amount_fen": notice.amount_fen,
        "currency": notice.currency,
        "payment": {
            "provider": notice.provider,
            "merchant_id": notice.merchant_id,
            "out_trade_no": notice.out_trade_no,
            "transaction_id": notice.transaction_id,
            "paid_at": notice.paid_at,
        },
    }
    return Record(notice.out_trade_no.encode(), json.dumps(members, separators=(",", ":")).encode(), None)


def _unmatched(notice: PaymentNotice, reason: UnmatchedReason) -> Record:
    members = {
        "schema": UNMATCHED_SCHEMA,
        "provider": notice.provider,
        "merchant_id": notice.merchant_id,
        "out_trade_no": notice.out_trade_no,
        "transaction_id": notice.transaction_id,
        "amount_fen": notice.amount_fen,
        "currency": notice.currency,
        "paid_at": notice.paid_at,
        "reason": reason,
    }
    value = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
    return Record(notice.out_trade_no.encode(), value, reason)
