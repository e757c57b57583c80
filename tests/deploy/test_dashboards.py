"""The dashboards ask for what is exported, each panel says what it shows and in which unit, and none covers another."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.metrics import METRICS
from runtime.temporal_table import TEMPORAL_METRICS

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
FILES = sorted(FOLDER.glob("*.json"))
TABLE = {metric.name: metric for metric in (*METRICS, *TEMPORAL_METRICS)}
OF_THE_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
SCRAPED = {"instance", "job"}
WORDS = {"sum", "max", "min", "count", "by", "or", "rate", "increase", "histogram_quantile", "vector"}
UNITS = {"short", "s", "reqps", "bool", "percentunit", "bytes"}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def faults(expr: str) -> Iterator[str]:
    """What this query asks for that nobody exports, and counters that are read without a rate."""
    for found in re.finditer(r"\b((?:topup|temporal|process)_\w+)(?:\{([^}]*)\})?(\[\$__rate_interval\])?", expr):
        name, matchers, over_time = found[1], found[2] or "", found[3]
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        metric = TABLE.get(name) or TABLE.get(base)
        if metric is None:
            if name not in OF_THE_PROCESS:
                yield f"{name} is in no table"
            continue
        if (metric.name != name) != (metric.kind == "histogram"):
            yield f"{name} is no series of a {metric.kind}"
        if (metric.kind != "gauge") != bool(over_time):
            yield f"{name}: a counter is read by its rate, a gauge as it is"
        labels = {*metric.labels, *SCRAPED, *({"le"} if name.endswith("_bucket") else ())}
        asked = set(re.findall(r"(\w+)\s*(?:=|!)", matchers))
        by = {label.strip() for one in re.findall(r"by \(([^)]*)\)", expr) for label in one.split(",")}
        yield from (f"{name} has no label {label}" for label in (asked | by) - labels)
    words = set(re.findall(r"\b([a-z_]+)\s*\(", re.sub(r"by \([^)]*\)", "", expr)))
    yield from (f"{word} is no function that is used here" for word in words - WORDS)
    if expr.count("(") != expr.count(")"):
        yield "brackets do not match"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_query_asks_for_what_is_exported(file: Path):
    dashboard = json.loads(file.read_text())
    exprs = [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]

    assert len(exprs) > 10
    assert {expr: list(faults(expr)) for expr in exprs if list(faults(expr))} == {}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_panel_says_what_it_shows_in_which_unit_and_covers_no_other(file: Path):
    dashboard = json.loads(file.read_text())
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in panels(dashboard):
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource"]
    assert dashboard["uid"]


def test_what_waits_and_all_that_temporal_measures_is_on_a_dashboard():
    shown = "".join(file.read_text() for file in FILES)
    must = [name for name in TABLE if name.startswith("temporal_") or "waits" in name or "need_person" in name]

    assert len(must) > len(TEMPORAL_METRICS)
    assert [name for name in must if name not in shown] == []


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        ("sum(topup_no_such_metric)", "topup_no_such_metric is in no table"),
        ("sum(topup_records_total)", "topup_records_total: a counter is read by its rate, a gauge as it is"),
        ("max by (reason) (topup_orders_unsettled)", "topup_orders_unsettled has no label reason"),
        ('max(topup_orders_unsettled{state="x"})', "topup_orders_unsettled has no label state"),
        ("avg(topup_dead_letters_open)", "avg is no function that is used here"),
        ("rate(topup_step_seconds[$__rate_interval])", "topup_step_seconds is no series of a histogram"),
        ("max(topup_dead_letters_open", "brackets do not match"),
    ],
)
def test_each_kind_of_fault_is_found(expr: str, fault: str):
    assert fault in list(faults(expr))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_sum_over_what_temporal_counts_only_once_it_happens_is_zero_before_and_not_empty(file: Path):
    """Seen in a real Prometheus: a healthy worker exports no `…_miss_total`, and a sum with it shows nothing at all."""
    exprs = [target["expr"] for panel in panels(json.loads(file.read_text())) for target in panel["targets"]]
    bare = {
        found[1]
        for expr in exprs
        for found in re.finditer(r"sum\(\w+\((temporal_\w+_total)\[[^]]*\]\)\)(?! or vector\(0\))", expr)
    }
    assert bare <= {"temporal_sticky_cache_hit_total"}, "counted by every worker that works"
