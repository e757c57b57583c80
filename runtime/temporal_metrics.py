"""Passes the Temporal SDK's own metrics on to this process's `/metrics`: no port of its own, no series unasked for."""

import asyncio
from collections.abc import Callable
from typing import Final

from temporalio.runtime import BufferedMetric, BufferedMetricUpdate

from runtime.metric import Metric
from runtime.metrics import Metrics
from runtime.temporal import metric_buffer
from runtime.temporal_table import TEMPORAL_METRICS, sdk_name

DRAIN_SECONDS: Final = 1.0
MOST_CACHED: Final = 10_000
"""Pairs of a metric and its attributes; the SDK makes an attribute object per worker, poller and operation."""

Record = Callable[[float], None]


class TemporalRelay:
    """From the SDK's buffer into `metrics`, until cancelled."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._table = {sdk_name(metric): metric for metric in TEMPORAL_METRICS}
        self._records: dict[tuple[int, int], tuple[BufferedMetric, object, Record | None]] = {}
        """By identity, which the SDK promises to keep; both objects are held, so that no identity is used again."""

    async def run(self) -> None:
        """Drain the buffer each second: it drops what comes when it is full."""
        while True:
            self.drain()
            await asyncio.sleep(DRAIN_SECONDS)

    def drain(self) -> None:
        """Once."""
        for update in metric_buffer().retrieve_updates():
            record = self._record_of(update)
            if record is not None:
                record(update.value)

    def _record_of(self, update: BufferedMetricUpdate) -> Record | None:
        key = (id(update.metric), id(update.attributes))
        found = self._records.get(key)
        if found is None:
            if len(self._records) >= MOST_CACHED:
                self._records.clear()
            found = (update.metric, update.attributes, self._made(update))
            self._records[key] = found
        return found[2]

    def _made(self, update: BufferedMetricUpdate) -> Record | None:
        metric = self._table.get(update.metric.name)
        if metric is None:
            return None
        labels = [str(update.attributes.get(label, "")) for label in metric.labels]
        return _recorder(self._metrics, metric, labels)


def _recorder(metrics: Metrics, metric: Metric, labels: list[str]) -> Record:
    match metric.kind:
        case "counter":
            return metrics.counter(metric.name).labels(*labels).inc
        case "gauge":
            return metrics.gauge(metric.name).labels(*labels).set
        case "histogram":
            return metrics.histogram(metric.name).labels(*labels).observe
