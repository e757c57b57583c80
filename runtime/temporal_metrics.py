"""Passes the Temporal SDK's own metrics on to this process's `/metrics`: no port of its own, no series unasked for."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from temporalio.runtime import BufferedMetric, BufferedMetricUpdate

from runtime.metric import Metric
from runtime.metrics import Metrics
from runtime.temporal import metric_buffer
from runtime.temporal_table import TEMPORAL_METRICS, sdk_name

DRAIN_SECONDS: Final = 1.0

Record = Callable[[float], None]


class TemporalRelay:
    """From the SDK's buffer into `metrics`, until cancelled."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._table = {sdk_name(metric): metric for metric in TEMPORAL_METRICS}
        self._series: dict[int, tuple[BufferedMetric, _Series | None]] = {}
        """By identity, which the SDK promises to keep; each is held, so that no identity is used again."""

    async def run(self) -> None:
        """Drain the buffer each second: it drops what comes when it is full."""
        while True:
            self.drain()
            await asyncio.sleep(DRAIN_SECONDS)

    def drain(self) -> None:
        """Once."""
        for update in metric_buffer().retrieve_updates():
            series = self._series_of(update.metric)
            if series is not None:
                series.record(update)

    def _series_of(self, metric: BufferedMetric) -> "_Series | None":
        found = self._series.get(id(metric))
        if found is None:
            ours = self._table.get(metric.name)
            found = (metric, None if ours is None else _Series(self._metrics, ours))
            self._series[id(metric)] = found
        return found[1]


class _Series:
    """One metric's series, by the values of its labels.

    Not by the attributes' identity: the SDK makes a new object for two of five updates (measured: 16 an order).
    """

    def __init__(self, metrics: Metrics, metric: Metric) -> None:
        self._metrics = metrics
        self._metric = metric
        self._records: dict[tuple[str, ...], Record] = {}

    def record(self, update: BufferedMetricUpdate) -> None:
        labels = tuple([str(update.attributes.get(label, "")) for label in self._metric.labels])
        record = self._records.get(labels)
        if record is None:
            record = self._records[labels] = _recorder(self._metrics, self._metric, labels)
        record(update.value)


def _recorder(metrics: Metrics, metric: Metric, labels: Sequence[str]) -> Record:
    match metric.kind:
        case "counter":
            return metrics.counter(metric.name).labels(*labels).inc
        case "gauge":
            return metrics.gauge(metric.name).labels(*labels).set
        case "histogram":
            return metrics.histogram(metric.name).labels(*labels).observe
