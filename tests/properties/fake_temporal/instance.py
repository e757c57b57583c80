"""The SDK's own workflow instance, which plays a run."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# The SDK's own parts are private and half typed.

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payloads
from temporalio.common import MetricMeter, Priority, TypedSearchAttributes
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker._workflow_instance import WorkflowInstance, WorkflowInstanceDetails

from runtime.temporal import DATA_CONVERTER
from tests.properties.fake_temporal.runs import Run

TASK_TIMEOUT_SECONDS = 10.0
"""What it takes the server to give a dead worker's workflow task to another."""


def instance_of(run: Run, definition: workflow._Definition) -> WorkflowInstance:
    """One that has seen nothing yet."""
    functions: Mapping[str, Any] = {
        "__temporal_get_metric_meter": lambda: MetricMeter.noop,
        "__temporal_assert_local_activity_valid": _is_there,
    }
    info = workflow.Info(
        attempt=1,
        continued_run_id=None,
        cron_schedule=None,
        execution_timeout=None,
        first_execution_run_id=run.run_id,
        headers={},
        namespace="default",
        original_execution_run_id=run.run_id,
        parent=None,
        root=None,
        priority=Priority.default,
        raw_memo={},
        retry_policy=None,
        run_id=run.run_id,
        run_timeout=None,
        search_attributes={},
        start_time=run.started_at,
        workflow_start_time=run.started_at,
        task_queue="topup-orders",
        task_timeout=timedelta(seconds=TASK_TIMEOUT_SECONDS),
        typed_search_attributes=TypedSearchAttributes.empty,
        workflow_id=run.workflow_id,
        workflow_type=definition.name or "",
    )
    return UnsandboxedWorkflowRunner().create_instance(
        WorkflowInstanceDetails(
            payload_converter_factory=DATA_CONVERTER._new_payload_converter,
            failure_converter_class=DATA_CONVERTER.failure_converter_class,
            interceptor_classes=[],
            defn=definition,
            info=info,
            randomness_seed=1,
            extern_functions=functions,
            disable_eager_activity_execution=False,
            worker_level_failure_exception_types=(),
            patch_activation_callback=None,
            last_completion_result=Payloads(),
            last_failure=None,
        )
    )


def _is_there(_name: str) -> None:
    """Every activity is there."""
