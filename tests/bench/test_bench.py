"""The benchmark's own check: it runs on real parts, and what is wrong in the outside world makes it fail."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import ActivityTaskStartedEventAttributes, HistoryEvent

from bench.checkouts import unpacked
from bench.history_cost import HistoryCost, cost_of
from bench.orders import Merchants, Trouble, make_orders
from bench.plots import all_drawn
from bench.report import as_text, memory_slopes, ratios
from bench.rounds import Memory, Result, mismatches
from devkit.audit.books import Books, Entry
from devkit.servers import kafka, mosquitto, postgres, temporal
from devkit.servers.process import PartMissingError
from orders.record import parse

ROOT = Path(__file__).parents[2]
MERCHANTS = Merchants("1900000109", "2088000000000001")
PLATFORM = "cars"
ALL_REFUSED = Trouble(refused_percent=100)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=280)


@pytest.mark.real
@pytest.mark.long
def test_a_small_run_measures_both_sagas_and_finds_every_effect_right():
    try:
        for part in (kafka, mosquitto, postgres, temporal):
            part.find()
    except PartMissingError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))

    done = run_bench("compare", "--orders", "20", "--pairs", "1", "--warm-up", "5", "--cores", "1", "--json")

    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert [(one["variant"], one["orders"]) for one in shown["rounds"]] == [("local first", 20), ("all regular", 20)]
    assert len(shown["ratios"]) == 1
    for one in shown["rounds"]:
        assert one["mismatches"] == []
        assert one["orders_per_second"] > 0
        assert one["cpu_ms_per_order"]["worker"] > 0
        assert one["cpu_ms_per_order"]["PostgreSQL (book)"] > 0
        assert one["p50_seconds"] <= one["p99_seconds"]
        assert one["round_trips_per_order"] > one["write_transactions_per_order"]["PostgreSQL (book)"] > 0
        assert one["history"]["events"] > one["history"]["actions"] > 0


def test_help_shows_examples_and_a_wrong_word_ends_with_2_and_a_sentence():
    assert "python -m bench compare" in run_bench("--help").stdout
    wrong = run_bench("compair")
    assert wrong.returncode == 2
    assert "compare, lone, trouble, memory" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_every_order_is_one_that_the_product_accepts_and_none_is_made_twice():
    orders = [*make_orders(1, 0, 300, Trouble(), MERCHANTS), *make_orders(1, 300, 300, Trouble(), MERCHANTS)]
    for order in orders:
        assert parse(order.order_id.encode(), order.record()).amount_fen == order.amount_fen
    assert len({order.order_id for order in orders}) == len({order.transaction_id for order in orders}) == 600


def test_trouble_meets_as_many_of_a_hundred_orders_as_asked_for():
    trouble = Trouble(lost_answers_percent=5, silent_percent=3, refused_percent=2)
    kinds = [fault["kind"] for number in range(100) if (fault := trouble.fault(number))]
    assert {kind: kinds.count(kind) for kind in kinds} == {"reset": 5, "hang": 3, "refuse": 2}


def test_an_order_must_come_to_its_one_right_end_by_one_post():
    good, refused = make_orders(1, 0, 1, Trouble(), MERCHANTS)[0], make_orders(1, 1, 1, ALL_REFUSED, MERCHANTS)[0]
    assert (good.paid([PLATFORM]).end, refused.paid([PLATFORM]).end) == ("delivered", "refunded")
    assert good.paid([PLATFORM]).posts == refused.paid([PLATFORM]).posts == 1


def test_each_effect_that_is_missing_wrong_or_of_nobody_is_a_mismatch():
    """Which ones the auditor knows is shown in tests/devkit/test_audit.py; here that all of its words are heard."""
    paid = make_orders(1, 0, 1, Trouble(), MERCHANTS)[0].paid([PLATFORM])
    books = Books()
    assert any(
        "neither delivered nor refunded" in sentence for sentence in mismatches([books.about(paid)], [paid], books)
    )
    for kind in ("sold", "invalid"):
        books.add("carrier", Entry(1, NOON, kind, {"external_id": "stranger"}))
    found = mismatches([], [], books)
    assert any("stranger was acted on and was never paid" in sentence for sentence in found)
    assert any("booked `invalid`" in sentence for sentence in found)


def test_the_slope_of_memory_is_what_each_order_leaves_behind():
    result = Result("any", 20_000)
    for at in (0, 5_000, 10_000, 20_000):
        held = Memory(0, 100_000 + at // 1_000)
        result.memory[at] = {"bridge": Memory(0, 70_000), "worker": held}
    slopes = memory_slopes(result)
    assert slopes["bridge"] == 0
    assert slopes["worker"] == pytest.approx(1.024)


def test_a_ratio_is_made_of_two_rounds_that_ran_one_after_the_other():
    compared = [Result("a", 100, seconds=seconds) for seconds in (1.0, 3.0, 1.0, 2.0)]
    assert [ratio for _, _, ratio in ratios(compared)] == pytest.approx([3.0, 2.0])


def test_each_plot_of_the_documents_shows_the_recorded_figures():
    drawn = all_drawn()
    assert drawn
    for image, svg in drawn.items():
        assert image.read_text() == svg, "make them again: python -m bench.plots"


def test_an_orders_actions_are_counted_as_they_are_billed():
    """One start, one upsert, one for each workflow task that reports local activities, one for each attempt."""

    def happened(kind: "EventType.ValueType", **more: Any) -> HistoryEvent:
        return HistoryEvent(event_type=kind, **more)

    task, marker = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED, EventType.EVENT_TYPE_MARKER_RECORDED
    attempts = ActivityTaskStartedEventAttributes(attempt=3)
    cost = cost_of(
        [
            happened(EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED),
            happened(task),
            happened(marker),
            happened(marker),
            happened(EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES),
            happened(EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED, activity_task_started_event_attributes=attempts),
            happened(task),
            happened(marker),
        ]
    )
    assert (cost.events, cost.workflow_tasks, cost.actions) == (8, 2, 1 + 1 + 1 + 3 + 1)


def test_another_commits_source_is_unpacked_as_it_was(tmp_path):
    first, again = unpacked("HEAD", tmp_path / "one"), unpacked("HEAD", tmp_path / "two")
    assert (first.root / "bench" / "__main__.py").read_bytes() == (again.root / "bench" / "__main__.py").read_bytes()
    with pytest.raises(PartMissingError, match="takes a commit of this repository"):
        unpacked("no-such-commit", tmp_path)


def test_the_tables_show_each_round_and_the_ratio_of_each_pair():
    rounds = [measured("this checkout", seconds=10.0, worker=10.0), measured("4c81e81", seconds=20.0, worker=30.0)]
    shown = as_text(rounds)
    assert "this checkout : 4c81e81 = 2.00 in orders/s" in shown
    assert "0.33 of bridge and worker" in shown
    for column in ("SQL round trips", "Cloud actions", "WAL KiB", "p99", "spin ms", "product, engine"):
        assert column in shown
    assert "Every effect of every order was right." in shown


def measured(name: str, *, seconds: float, worker: float) -> Result:
    return Result(
        name,
        100,
        kind="compare",
        seconds=seconds,
        half_seconds=seconds / 2,
        cpu_ms_per_order={"worker": worker, "Temporal": 5.0, "PostgreSQL (book)": 1.0},
        p50_seconds=seconds / 2,
        p99_seconds=seconds,
        round_trips_per_order=4.0,
        write_transactions_per_order={"PostgreSQL (book)": 1.5},
        wal_bytes_per_order={"PostgreSQL (book)": 8192.0},
        history=HistoryCost(11, 3, 1),
    )
