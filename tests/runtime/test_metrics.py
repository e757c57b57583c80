import re
from pathlib import Path

import pytest
import structlog

from runtime.alerts import ALERTS, Alerts
from runtime.metric import Metric
from runtime.metrics import METRICS, Metrics


def test_every_metric_of_the_table_can_be_used_and_is_exposed():
    metrics = Metrics()
    of_kind = {"counter": metrics.counter, "gauge": metrics.gauge, "histogram": metrics.histogram}
    for metric in METRICS:
        made = of_kind[metric.kind](metric.name)
        made = made.labels(*("x" for _ in metric.labels)) if metric.labels else made
        made.observe(1) if metric.kind == "histogram" else made.inc()
    text = metrics.exposition().decode()
    for metric in METRICS:
        assert f"# HELP {metric.name} {metric.meaning}" in text
    assert "process_resident_memory_bytes" in text


def test_two_sets_of_metrics_do_not_share_their_counts():
    one, other = Metrics(), Metrics()
    one.counter("topup_records_total").labels(result="started").inc()
    assert 'topup_records_total{result="started"} 1.0' in one.exposition().decode()
    assert 'result="started"} 0.0' in other.exposition().decode()


def test_a_metric_that_is_not_in_the_table_is_refused():
    with pytest.raises(KeyError):
        Metrics((Metric("topup_a_total", "counter", (), "a"),)).counter("topup_b_total")


def test_the_table_is_what_the_code_asks_for_name_by_name_and_kind_by_kind():
    root = Path(__file__).parents[2]
    packages = ("activities", "adapters", "bridge", "console", "gateway", "runtime", "workers")
    asked = {
        match.groups()
        for package in packages
        for file in (root / package).rglob("*.py")
        for match in re.finditer(r"\.(counter|gauge|histogram)\(\s*\"(topup_\w+)\"", file.read_text())
    }
    assert asked == {(metric.kind, metric.name) for metric in METRICS}


def test_what_can_be_counted_is_zero_from_the_start_so_that_the_first_one_is_an_increase():
    exposed = Metrics().exposition().decode()

    for alert in ALERTS:
        assert f'topup_alerts_total{{alert="{alert.kind}"}} 0.0' in exposed
    assert 'topup_records_total{result="conflict"} 0.0' in exposed
    assert 'topup_orders_settled_total{outcome="refunded"} 0.0' in exposed


def test_an_alert_is_a_line_and_a_count_and_one_that_is_not_in_the_table_is_refused():
    metrics = Metrics()
    alert = Alerts(metrics.counter("topup_alerts_total"))
    with structlog.testing.capture_logs() as lines:
        alert("conflict", order_id="T-000001")

    assert lines == [{"event": "conflict", "alert": True, "order_id": "T-000001", "log_level": "error"}]
    assert 'topup_alerts_total{alert="conflict"} 1.0' in metrics.exposition().decode()
    with pytest.raises(KeyError):
        alert("no_such_kind")


def test_the_alerts_table_is_what_the_code_raises_kind_by_kind():
    root = Path(__file__).parents[2]
    raised = {
        kind
        for package in ("activities", "adapters", "bridge", "reconciliation", "workers")
        for file in (root / package).rglob("*.py")
        for call in re.findall(r"\b_?alert\(\s*([^,]+),", file.read_text())
        for kind in re.findall(r"\"(\w+)\"", call)
    }
    assert raised == {alert.kind for alert in ALERTS}
