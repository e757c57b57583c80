"""The audit trail's chain: each line's hash goes over the one before of the same order, the last stands in its row.

So a line that was changed, taken out, put in or moved is found, unless everything after it and the row were made anew.
Whoever could do that is found by heads that were kept elsewhere (`topup orders verify --json`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

BEGINNING: Final = ""
"""What stands before an order's first line."""


def link(before: str, order_id: str, at: datetime, kind: str, detail: Mapping[str, Any]) -> str:
    """The hash of a line that follows `before`: SHA-256 in hexadecimal, over JSON that every database gives back."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps([before, order_id, moment, kind, detail], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def line(before: str, order_id: str, at: datetime, kind: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the trail that follows `before`."""
    kept = dict(detail)
    return {
        "order_id": order_id,
        "at": at,
        "kind": kind,
        "detail": kept,
        "hash": link(before, order_id, at, kind, kept),
    }


def flaw(order_id: str, lines: Sequence[Any], head: str) -> str:
    """Where an order's trail is broken, as a clause; "" where it is whole.

    Args:
        order_id: whose.
        lines: its rows, oldest first.
        head: what its row says is the last one's hash.
    """
    before = BEGINNING
    for number, row in enumerate(lines, start=1):
        if link(before, order_id, row.at, row.kind, row.detail) != row.hash:
            return f"line {number} ({row.kind}) does not follow from the one before"
        before = row.hash
    return "" if before == head else f"its last line is not the one that the order's row names, after {len(lines)}"
