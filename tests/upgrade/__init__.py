"""What the released version wrote, and must be gone on with: its order book, with orders in flight (docs/versions.md).

The runs of such orders are the histories in `tests/histories`.
"""

from pathlib import Path

BASELINE = Path(__file__).parent / "baseline.sql"
"""SQL of an SQLite order book as the version that is released writes it; today that is the version to come."""
PII_KEY = bytes(range(32))
STATES = ("claimed", "in_doubt", "refused", "refund_sent", "delivered", "refunded", "parked")
"""What the orders of the baseline are in, by the ends of their IDs."""


def order_id(state: str) -> str:
    """Of the baseline's order in this state."""
    return f"TBASE{STATES.index(state):03}"
