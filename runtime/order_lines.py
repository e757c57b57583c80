"""One log line per order and step (docs/operations.md, Lines): so that "which side doubled it" is a search.

Rate-limited for the whole process: a storm of duplicates must not fill a disk. What is left out is counted by event in
`topup_log_lines_left_out_total`, and said in a line of its own as soon as there is room again.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from runtime.metrics import Metrics
from runtime.telemetry import get_logger

LINES_PER_SECOND: Final = 500.0
"""Some 70 orders a second, above what a worker carries."""
BURST_LINES: Final = 5000.0
"""Ten seconds of the rate: what an outage holds back comes at once and is still told."""
_log = get_logger("topup.orders")


class OrderLines:
    """Writes them. Call it from the event loop alone."""

    def __init__(self, metrics: Metrics, now: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._now = now
        self._room = BURST_LINES
        self._filled_at = now()
        self._left_out: Counter[str] = Counter()

    def __call__(self, event: str, order_id: str, **fields: object) -> None:
        """Say that this has happened to this order; no personal data in `fields`."""
        if not self._has_room():
            self._left_out[event] += 1
            self._metrics.counter("topup_log_lines_left_out_total").labels(event).inc()
            return
        if self._left_out:
            left_out, self._left_out = self._left_out, Counter()
            sentence = "More steps were taken than lines may be written; the order book's trails have them all."
            _log.warning("lines left out", left_out=dict(left_out), sentence=sentence)
        _log.info(event, order_id=order_id, **fields)

    def _has_room(self) -> bool:
        now = self._now()
        self._room = min(BURST_LINES, self._room + (now - self._filled_at) * LINES_PER_SECOND)
        self._filled_at = now
        if self._room < 1:
            return False
        self._room -= 1
        return True
