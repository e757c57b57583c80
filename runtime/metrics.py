"""Metrics: each defined once, in a table that the documentation is compared with."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from runtime.alerts import ALERTS
from runtime.metric import Metric
from runtime.temporal_table import TEMPORAL_METRICS

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 900, 3600)
"""Wide: an answer takes 20 ms, a slow carrier 40 s, a doubt minutes."""


METRICS: Final = (
    Metric(
        "topup_records_total",
        "counter",
        ("result",),
        "records read, by what became of them",
        ("started", "duplicate", "invalid", "oversize", "conflict"),
    ),
    Metric("topup_bridge_in_flight", "gauge", (), "records taken from Kafka whose offset is not yet complete"),
    Metric("topup_bridge_lag_records", "gauge", ("partition",), "records between the committed offset and the end"),
    Metric(
        "topup_bridge_first_pass_orders",
        "gauge",
        (),
        "orders in their first pass, counted for admission; one behind another's run (`foreign_run`) is none",
    ),
    Metric("topup_bridge_paused", "gauge", ("reason",), "1 while the intake is paused for this reason"),
    Metric(
        "topup_orders_settled_total", "counter", ("outcome",), "orders brought to an end", ("delivered", "refunded")
    ),
    Metric("topup_step_seconds", "histogram", ("step", "result"), "one attempt of a step, by its result"),
    Metric(
        "topup_alerts_total",
        "counter",
        ("alert",),
        "what a person should look at now, by kind",
        tuple(alert.kind for alert in ALERTS),
    ),
    Metric(
        "topup_callbacks_total",
        "counter",
        ("provider", "result"),
        "payment callbacks, by what became of them: order, unmatched, refund, other, refused",
    ),
    Metric(
        "topup_callback_alerts_total", "counter", ("provider", "reason"), "callbacks that a person should look at now"
    ),
    Metric(
        "topup_callback_unknown_names_total",
        "counter",
        ("provider",),
        "members of genuine notices that nobody has documented yet",
    ),
    Metric(
        "topup_refund_prompts_total",
        "counter",
        ("result",),
        "refund notices, by what came of telling the order's run: prompted, no_run, unavailable",
    ),
    Metric("topup_unmatched_payments_open", "gauge", (), "unmatched payments that nobody has ended yet"),
    Metric("topup_dead_letters_open", "gauge", (), "dead letters that nobody has ended yet"),
    Metric(
        "topup_reconcile_differences",
        "gauge",
        ("kind",),
        "differences of money that are open, by kind; each worker says the same, looked at each minute",
    ),
    Metric(
        "topup_reconcile_alerts_total",
        "counter",
        ("kind",),
        "differences that called a person at once, by kind",
        ("sold_after_refusal", "delivered_and_refunded", "refunded_twice", "refund_missing"),
    ),
    Metric(
        "topup_codec_requests_total",
        "counter",
        ("result",),
        "requests to the codec server; refused: nobody that it knows",
        ("answered", "refused", "malformed"),
    ),
    Metric(
        "topup_codec_payloads_total",
        "counter",
        ("result",),
        "payloads asked for, by what became of them",
        ("decoded", "plain", "unknown_key", "changed"),
    ),
    Metric(
        "topup_paid_to_settled_seconds",
        "histogram",
        ("outcome",),
        "from the payment to the written end, once per order",
    ),
    Metric(
        "topup_orders_unsettled",
        "gauge",
        ("status",),
        "paid orders without an end, by status; from the order book, by one worker at a time",
    ),
    Metric(
        "topup_orders_unsettled_oldest_seconds",
        "gauge",
        ("status",),
        "how long ago the oldest of them was claimed, 0 where there is none; likewise",
    ),
    Metric(
        "topup_orders_need_person",
        "gauge",
        ("attention",),
        "unsettled orders and goodwill refunds that wait for a person, by what for (the runbook has a table); likewise",
    ),
    Metric(
        "topup_refunds_under_way",
        "gauge",
        ("age",),
        "refunds not confirmed yet, goodwill too, by the age that they have not passed: 10m, 1h, 24h, older; likewise",
    ),
    Metric(
        "topup_notices_unpublished",
        "gauge",
        ("platform",),
        "notices that an MQTT platform has not taken yet; likewise",
    ),
    Metric(
        "topup_book_read_timestamp_seconds",
        "gauge",
        (),
        "when this process last read those five from the order book (Unix time); 0: another one does",
    ),
    Metric(
        "topup_pushes_total",
        "counter",
        ("result",),
        "pushes to `TOPUP_PUSH_URL`, by what came of them",
        ("sent", "failed"),
    ),
    Metric(
        "topup_traces_total",
        "counter",
        ("result",),
        "orders' traces for the collector, by what came of them",
        ("sent", "lost"),
    ),
    Metric(
        "topup_log_lines_left_out_total",
        "counter",
        ("event",),
        "lines of orders' steps left out in a storm, by what they would have said; the trails have them",
    ),
    Metric(
        "topup_held",
        "gauge",
        ("part",),
        "1 while an operator holds carrier or provider (`topup hold`); each worker says the same, looked at each 15 s",
    ),
    Metric(
        "topup_held_long",
        "gauge",
        ("part",),
        "1 while it has been held for longer than `TOPUP_HOLD_LONG_SECONDS`; likewise",
    ),
    Metric(
        "topup_calls_turned_away_total",
        "counter",
        ("part",),
        "calls that a hold or `TOPUP_CALLS_PER_SECOND` has turned away, to come again later",
    ),
    Metric("topup_part_up", "gauge", ("part",), "1 while a part passes its check of `/readyz`; looked at each 15 s"),
)


class Metrics:
    """The metrics of one process, in a registry of their own.

    Beside the table it exports what `prometheus_client` knows of the process: memory, CPU, files, garbage collection.
    """

    def __init__(self, table: tuple[Metric, ...] = (*METRICS, *TEMPORAL_METRICS)) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._counters: Mapping[str, Counter] = {
            m.name: Counter(m.name, m.meaning, m.labels, registry=self._registry) for m in table if m.kind == "counter"
        }
        self._gauges: Mapping[str, Gauge] = {
            m.name: Gauge(m.name, m.meaning, m.labels, registry=self._registry) for m in table if m.kind == "gauge"
        }
        self._histograms: Mapping[str, Histogram] = {
            m.name: Histogram(m.name, m.meaning, m.labels, buckets=SECONDS_BUCKETS, registry=self._registry)
            for m in table
            if m.kind == "histogram"
        }
        for metric in table:
            for value in metric.values:
                self._counters[metric.name].labels(value)

    def counter(self, name: str) -> Counter:
        """The counter of the table; raises `KeyError` for a name that isn't there."""
        return self._counters[name]

    def gauge(self, name: str) -> Gauge:
        """The gauge of the table; raises `KeyError` for a name that isn't there."""
        return self._gauges[name]

    def histogram(self, name: str) -> Histogram:
        """The histogram (seconds) of the table; raises `KeyError` for a name that isn't there."""
        return self._histograms[name]

    def exposition(self) -> bytes:
        """What `/metrics` answers, in the text format of `CONTENT_TYPE`."""
        return generate_latest(self._registry)
