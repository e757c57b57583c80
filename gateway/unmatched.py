"""A genuine payment that can't become an order: kept, as the provider told it (contracts §7). Pure."""

import json
from typing import Final, Literal

from adapters.payments.notifications import PaymentNotice

SCHEMA: Final = "topup.unmatched-payment/1"

UnmatchedReason = Literal["order_id", "attachment", "lookup", "amount"]
"""The order ID breaks §1 · no valid attachment, nobody to ask · the backend knows no such order · another price."""


def unmatched_payment(notice: PaymentNotice, reason: UnmatchedReason) -> bytes:
    """The record's value; the same for each resend of the notice."""
    members = {
        "schema": SCHEMA,
        "provider": notice.provider,
        "merchant_id": notice.merchant_id,
        "out_trade_no": notice.out_trade_no,
        "transaction_id": notice.transaction_id,
        "amount_fen": notice.amount_fen,
        "currency": notice.currency,
        "paid_at": notice.paid_at,
        "reason": reason,
    }
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
