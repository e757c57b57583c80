"""What docs/operations.md and the alerting rules say is what the processes export."""

import re
from pathlib import Path
from typing import get_args

import yaml

from orders.state import Attention
from runtime.alerts import ALERTS, Alert
from runtime.metric import Metric
from runtime.metrics import METRICS
from runtime.temporal_table import TEMPORAL_METRICS

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
RULES = (ROOT / "deploy" / "alert-rules.yml").read_text()
ALSO_LABELS = {"instance", "job"}
"""Prometheus adds them to every series."""


def _row(metric: Metric) -> str:
    values = f": {', '.join(metric.values)}" if metric.values and metric.name != "topup_alerts_total" else ""
    labels = ", ".join(f"`{label}`" for label in metric.labels) + values
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |"


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _alert_row(alert: Alert) -> str:
    link = f"[{alert.runbook}](runbook.md#{_anchor(alert.runbook)})" if alert.runbook else ""
    return f"| `{alert.kind}` | {alert.meaning} | {link} |"


def test_the_table_of_metrics_is_what_the_processes_export():
    rows = [line for line in OPERATIONS.splitlines() if line.startswith(("| `topup_", "| `temporal_"))]

    assert rows == [_row(metric) for metric in (*METRICS, *TEMPORAL_METRICS)]


def test_the_table_of_alerts_is_what_the_code_raises():
    section = OPERATIONS.split("## Alerts")[1].split("## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]

    assert rows == [_alert_row(alert) for alert in ALERTS]


def test_every_section_of_the_runbook_that_an_alert_names_is_there():
    named = {alert.runbook for alert in ALERTS if alert.runbook}
    of_rules = re.findall(r"Runbook: ([^\"]+)\.\"", RULES)

    assert of_rules
    named |= {name for names in of_rules for name in names.split("; ")}
    assert [name for name in named if f"## {name}\n" not in RUNBOOK] == []


def test_each_rule_names_its_section_of_the_runbook_and_is_found_there_by_its_name():
    rules = [rule for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]
    listed = re.findall(r"^\| `(TopUp\w+)` \| (.*) \|$", RUNBOOK, re.MULTILINE)

    wanted: list[tuple[str, str]] = []
    for rule in rules:
        named = re.search(r" Runbook: (.+)\.$", rule["annotations"]["summary"])
        assert named is not None, f"{rule['alert']} names no section of docs/runbook.md"
        links = [f"[{section}](#{_anchor(section)})" for section in named[1].split("; ")]
        wanted.append((rule["alert"], ", ".join(links)))
    assert listed == wanted


def test_of_each_rule_it_is_said_which_test_saw_its_cause_or_that_none_did():
    """That the named tests are there, `tests/test_documents.py` looks at."""
    rows = re.findall(r"^\| `(TopUp\w+)` \| (.+) \| (.+) \|$", (ROOT / "docs" / "testing.md").read_text(), re.MULTILINE)

    assert [name for name, _, _ in rows] == re.findall(r"- alert: (\w+)", RULES)
    assert [name for name, rises, _ in rows if "`tests/" not in rises and "not shown" not in rises] == []
    assert [name for name, rises, falls in rows if falls.startswith("there") and "`tests/" not in rises] == []


def test_whatever_a_person_is_called_for_has_its_section():
    listed = re.findall(r"^\| `([a-z_]+)` \| (.*) \|$", RUNBOOK, re.MULTILINE)

    assert [name for name, _ in listed] == [name for name in get_args(Attention) if name]


def test_every_alert_that_the_runbook_names_exists():
    named = set(re.findall(r"alert `(\w+)`", RUNBOOK))

    assert named
    assert named <= {alert.kind for alert in ALERTS}


def test_the_rules_ask_for_metrics_and_labels_that_are_exported():
    labels = {metric.name: set(metric.labels) for metric in (*METRICS, *TEMPORAL_METRICS)}
    rules = [rule for group in yaml.safe_load(RULES)["groups"] for rule in group["rules"]]

    assert len(rules) > 5
    for rule in rules:
        asked = re.findall(r"((?:topup|temporal)_\w+?)(?:_bucket)?(?:\{(\w+)=|\b)", rule["expr"])
        assert [name for name, _ in asked if name not in labels] == []
        assert [label for name, label in asked if label and label not in labels[name]] == []
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert shown <= ALSO_LABELS.union(*(labels[name] for name, _ in asked))


def test_each_rule_has_its_promtool_test():
    tested = (ROOT / "deploy" / "alert-rules.test.yml").read_text()
    names = re.findall(r"- alert: (\w+)", RULES)

    assert names
    assert [name for name in names if f"alertname: {name}, exp_alerts: [{{" not in tested] == []


def test_the_collector_of_the_recipe_listens_where_it_sends_and_takes_its_token_from_the_environment():
    collector = yaml.safe_load((ROOT / "deploy" / "otel-collector.yaml").read_text())
    [receiver] = collector["receivers"].values()
    server = receiver["protocols"]["http"]
    assert f"TOPUP_OTLP_ENDPOINT=http://{server['endpoint']} " in OPERATIONS
    [pipeline] = collector["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(collector[kind]), kind
    assert collector["service"]["extensions"] == [server["auth"]["authenticator"]]
    [variable] = re.findall(r"\$\{env:(\w+)\}", collector["extensions"]["bearertokenauth"]["token"])
    token = re.search(rf"export {variable}=(\S+)", OPERATIONS)
    assert token, "the recipe sets it"
    assert f"TOPUP_OTLP_HEADERS='authorization=Bearer%20{token[1]}'" in OPERATIONS
