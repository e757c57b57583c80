"""What the SDK measures reaches `/metrics` by our table alone, whatever else it measures."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.runtime import MetricBuffer, MetricBufferDurationFormat, Runtime, TelemetryConfig
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from runtime import temporal_metrics
from runtime.metrics import Metrics
from runtime.temporal_metrics import TemporalRelay
from runtime.temporal_table import TEMPORAL_METRICS, sdk_name


@workflow.defn(name="Measured", sandboxed=False)
class Measured:
    """One timer, so that there are two workflow tasks."""

    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(0.001)


@dataclass
class Buffer:
    """The SDK's, with what it is given."""

    updates: list[Any] = field(default_factory=list[Any])

    def retrieve_updates(self) -> list[Any]:
        given, self.updates = self.updates, []
        return given


@pytest.fixture
def buffer(monkeypatch: pytest.MonkeyPatch) -> Buffer:
    made = Buffer()
    monkeypatch.setattr(temporal_metrics, "metric_buffer", lambda: made)
    return made


def update(metric: Any, attributes: dict[str, Any], value: float) -> Any:
    return SimpleNamespace(metric=metric, attributes=attributes, value=value)


def test_deltas_add_up_the_last_value_stands_and_labels_that_nobody_asked_for_make_no_series(buffer: Buffer) -> None:
    metrics = Metrics()
    relay = TemporalRelay(metrics)
    failed = SimpleNamespace(name="temporal_workflow_task_execution_failed")
    used = SimpleNamespace(name="temporal_worker_task_slots_used")
    waited = SimpleNamespace(name="temporal_workflow_task_schedule_to_start_latency")
    other = SimpleNamespace(name="temporal_something_new")
    queue = {"task_queue": "q", "namespace": "default", "failure_reason": "WorkflowError", "worker_type": "W"}
    for run in range(3):
        buffer.updates = [
            update(failed, queue, 1),
            update(failed, {**queue, "workflow_type": f"T{run}"}, 1),
            update(used, queue, 5 + run),
            update(waited, queue, 0.3),
            update(other, queue, 9),
        ]
        relay.drain()

    lines = [line for line in metrics.exposition().decode().splitlines() if line.startswith("temporal_")]
    values = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in lines if "_created" not in line}
    assert (
        values['temporal_workflow_task_execution_failed_total{failure_reason="WorkflowError",task_queue="q"}'] == "6.0"
    )
    assert values['temporal_worker_task_slots_used{task_queue="q",worker_type="W"}'] == "7.0"
    assert values['temporal_workflow_task_schedule_to_start_latency_count{task_queue="q"}'] == "3.0"
    assert not any("something_new" in name or "T1" in name for name in values)


@pytest.mark.real
async def test_the_table_names_what_the_sdk_really_measures(temporal_server: Any) -> None:
    """By a worker of its own runtime: what it measures has the names and the labels that the table asks for."""
    own = MetricBuffer(10_000, MetricBufferDurationFormat.SECONDS)
    runtime = Runtime(telemetry=TelemetryConfig(metrics=own, attach_service_name=False))
    client = await Client.connect(temporal_server.address, runtime=runtime)
    async with Worker(client, task_queue="measured", workflows=[Measured], workflow_runner=UnsandboxedWorkflowRunner()):
        await client.execute_workflow("Measured", id="measured", task_queue="measured")
        seen: dict[str, set[str]] = {}
        for one in own.retrieve_updates():
            seen.setdefault(one.metric.name, set()).update(one.attributes)

    table = {sdk_name(metric): set(metric.labels) for metric in TEMPORAL_METRICS}
    named = table.keys() & seen.keys()
    assert {"temporal_worker_task_slots_used", "temporal_num_pollers", "temporal_sticky_cache_size"} <= named
    assert "temporal_workflow_task_schedule_to_start_latency" in named
    assert {name: table[name] - seen[name] for name in named if not table[name] <= seen[name]} == {}
