"""What a worker says of each step that an order has taken: its line, and how long an order took from payment to end."""

from typing import Any

from runtime.metrics import Metrics
from runtime.order_lines import OrderLines


class StepsTaken:
    """The activities' `Journal`."""

    def __init__(self, metrics: Metrics) -> None:
        self._lines = OrderLines(metrics)
        self._took = metrics.histogram("topup_paid_to_settled_seconds")

    def __call__(self, event: str, order_id: str, **fields: Any) -> None:
        """Count and write."""
        if event == "settled" and "paid_to_settled_seconds" in fields:
            self._took.labels(fields["outcome"]).observe(fields["paid_to_settled_seconds"])
        self._lines(event, order_id, **fields)
