"""What the Temporal SDK measures and we pass on: by this table alone, so that it bounds names, labels and series."""

from typing import Final

from runtime.metric import Metric

TEMPORAL_METRICS: Final = (
    Metric(
        "temporal_worker_task_slots_used",
        "gauge",
        ("task_queue", "worker_type"),
        "slots in use, by kind of work: WorkflowWorker, ActivityWorker, LocalActivityWorker",
    ),
    Metric(
        "temporal_worker_task_slots_available", "gauge", ("task_queue", "worker_type"), "slots that are free, likewise"
    ),
    Metric("temporal_num_pollers", "gauge", ("task_queue", "poller_type"), "polls that are open at the server"),
    Metric(
        "temporal_workflow_task_schedule_to_start_latency",
        "histogram",
        ("task_queue",),
        "seconds that a workflow task waited for a worker; p95 above 1 s: too few workers",
    ),
    Metric(
        "temporal_activity_schedule_to_start_latency",
        "histogram",
        ("task_queue",),
        "seconds that a regular activity waited for a worker",
    ),
    Metric(
        "temporal_workflow_task_execution_latency",
        "histogram",
        ("task_queue",),
        "seconds that the saga's code took for one workflow task, local activities included",
    ),
    Metric(
        "temporal_workflow_task_execution_failed_total",
        "counter",
        ("task_queue", "failure_reason"),
        "workflow tasks that our code has failed, once per try: a bug, or a version that does not fit",
    ),
    Metric("temporal_sticky_cache_size", "gauge", ("task_queue",), "runs that a worker holds in memory"),
    Metric("temporal_sticky_cache_hit_total", "counter", ("task_queue",), "workflow tasks that found their run there"),
    Metric("temporal_sticky_cache_miss_total", "counter", ("task_queue",), "workflow tasks that were replayed"),
    Metric(
        "temporal_sticky_cache_total_forced_eviction_total",
        "counter",
        ("task_queue",),
        "runs that were dropped from memory to make room",
    ),
    Metric(
        "temporal_request_failure_total",
        "counter",
        ("operation", "status_code"),
        "calls to the server that failed; NOT_FOUND and ALREADY_EXISTS are answers too",
    ),
    Metric(
        "temporal_long_request_failure_total",
        "counter",
        ("operation", "status_code"),
        "polls that failed: the server is away, or the connection",
    ),
)


def sdk_name(metric: Metric) -> str:
    """As the SDK names it: without Prometheus' `_total`."""
    return metric.name.removesuffix("_total")
