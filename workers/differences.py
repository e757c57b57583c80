"""What the worker's `/metrics` say of differences of money: those that are open, and those that called a person."""

import asyncio
from typing import Final

from adapters.order_book.reconciling import ReconciliationBook
from orders.errors import Unavailable
from reconciliation.differences import KINDS
from runtime.alerts import Alerts
from runtime.metrics import Metrics

LOOK_SECONDS: Final = 60.0


class CountingDifferences(Alerts):
    """Calls a person, and counts differences by their kind as well."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics.counter("topup_alerts_total"))
        self._differences = metrics.counter("topup_reconcile_alerts_total")

    def __call__(self, kind: str, **fields: object) -> None:
        """Say what happened, without personal data."""
        if kind == "money_differs":
            self._differences.labels(str(fields.get("differs"))).inc()
        super().__call__(kind, **fields)


async def count_differences(differences: ReconciliationBook, metrics: Metrics) -> None:
    """Look at what is open, whoever found it, for ever. A book that is away leaves the last count."""
    gauge = metrics.gauge("topup_reconcile_differences")
    while True:
        try:
            counts = await differences.open_counts()
        except Unavailable:
            counts = None
        if counts is not None:
            for kind in KINDS:
                gauge.labels(kind).set(counts.get(kind, 0))
        await asyncio.sleep(LOOK_SECONDS)
