"""Counts what became of records, each once, also where a rebalance made it come twice."""

from collections import OrderedDict
from typing import Final, Literal

from adapters.kafka.assignments import Record
from runtime.metrics import Metrics

REMEMBERED: Final = 20_000
"""Well above what can be in flight when a partition is taken away and given back."""

Result = Literal["started", "duplicate", "invalid", "oversize", "conflict"]


class RecordMetrics:
    """`topup_records_total`. A record that this process counted is not counted again; a restart may count it again."""

    def __init__(self, metrics: Metrics) -> None:
        self._counter = metrics.counter("topup_records_total")
        self._counted: OrderedDict[tuple[int, int], None] = OrderedDict()

    def count(self, record: Record, result: Result) -> None:
        """The record is complete with this result."""
        key = (record.partition, record.offset)
        if key in self._counted:
            return
        self._counted[key] = None
        if len(self._counted) > REMEMBERED:
            self._counted.popitem(last=False)
        self._counter.labels(result).inc()
