"""`topup setup` on real servers: makes what is missing, once."""

import json

import pytest
from kafka import KafkaAdminClient
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import (
    Client,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
)

from tests.console.operator_shell import until
from tests.console.test_commands import topup
from tests.limits import WAIT_SECONDS
from workflows.sweep import SCHEDULE_ID

pytestmark = pytest.mark.real


async def _running(schedule: ScheduleHandle, other_than: str = "") -> str | None:
    """The workflow ID of the schedule's open run, if there is one."""
    ids = [running.workflow_id for running in (await schedule.describe()).info.running_actions]
    return next((name for name in ids if name != other_than), None)


@pytest.fixture
def environment(temporal_server, kafka, tmp_path, request):
    name = f"setup-{abs(hash(request.node.name)) % 10**8}-{tmp_path.parent.name}"
    return {
        "TEMPORAL_ADDRESS": temporal_server.address,
        "TEMPORAL_NAMESPACE": name,
        "TOPUP_DATABASE_URL": f"sqlite:///{tmp_path / 'topup.db'}",
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPUP_KAFKA_TOPIC": f"{name}.orders",
        "TOPUP_KAFKA_DLQ_TOPIC": f"{name}.dlq",
        "TOPUP_KAFKA_UNMATCHED_TOPIC": f"{name}.unmatched",
        "TOPUP_TIME_SCALE": "0.1",
    }


def steps(environment, *, ok: bool) -> dict[str, str]:
    done = topup("setup", "--json", environment=environment)
    assert done.returncode == (0 if ok else 1), done.stdout + done.stderr
    return {step["part"]: step["says"] for step in json.loads(done.stdout)["steps"]}


@pytest.mark.slow
async def test_setup_makes_namespace_attributes_schedule_topics_and_schema_and_then_leaves_them(environment, kafka):
    first = steps(environment, ok=True)
    assert f"the namespace {environment['TEMPORAL_NAMESPACE']}" in first["temporal"]
    assert "TopUpNeedsOperator" in first["temporal"]
    assert environment["TOPUP_KAFKA_DLQ_TOPIC"] in first["kafka"]
    second = steps(environment, ok=True)
    assert "all was there" in second["temporal"]
    assert "all were there" in second["kafka"]

    client = await Client.connect(environment["TEMPORAL_ADDRESS"], namespace=environment["TEMPORAL_NAMESPACE"])
    assert (await client.count_workflows('TopUpStatus = "parked" AND TopUpNeedsOperator = true')).count == 0
    assert await client.get_schedule_handle(SCHEDULE_ID).describe()
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    made = admin.describe_topics([environment["TOPUP_KAFKA_TOPIC"]])
    admin.close()
    assert len(made[0]["partitions"]) == 12


@pytest.mark.slow
async def test_setup_corrects_the_pace_of_the_sweep(environment):
    steps(environment, ok=True)
    assert "the sweep's schedule anew" in steps(environment | {"TOPUP_TIME_SCALE": "0.5"}, ok=True)["temporal"]
    assert "all was there" in steps(environment | {"TOPUP_TIME_SCALE": "0.5"}, ok=True)["temporal"]


@pytest.mark.slow
async def test_a_sweep_that_no_worker_of_the_old_task_queue_takes_does_not_hold_up_those_of_the_new_one(environment):
    steps(environment, ok=True)
    client = await Client.connect(environment["TEMPORAL_ADDRESS"], namespace=environment["TEMPORAL_NAMESPACE"])
    schedule = client.get_schedule_handle(SCHEDULE_ID)
    await schedule.trigger()
    hangs = await until(lambda: _running(schedule), "the sweep runs", WAIT_SECONDS)
    assert "the sweep's schedule anew" in steps(environment | {"TOPUP_TASK_QUEUE": "new"}, ok=True)["temporal"]
    assert (await client.get_workflow_handle(hangs).describe()).status is WorkflowExecutionStatus.TERMINATED
    await schedule.trigger()
    next_one = await until(lambda: _running(schedule, other_than=hangs), "the next sweep runs", WAIT_SECONDS)
    assert (await client.get_workflow_handle(next_one).describe()).task_queue == "new"
    assert "all was there" in steps(environment | {"TOPUP_TASK_QUEUE": "new"}, ok=True)["temporal"]
    assert (await client.get_workflow_handle(next_one).describe()).status is WorkflowExecutionStatus.RUNNING


@pytest.mark.slow
async def test_a_setup_that_died_after_it_had_moved_the_schedule_is_made_good_by_the_next(environment):
    steps(environment, ok=True)
    client = await Client.connect(environment["TEMPORAL_ADDRESS"], namespace=environment["TEMPORAL_NAMESPACE"])
    schedule = client.get_schedule_handle(SCHEDULE_ID)
    await schedule.trigger()
    hangs = await until(lambda: _running(schedule), "the sweep runs", WAIT_SECONDS)

    def moved(known: ScheduleUpdateInput) -> ScheduleUpdate:
        there = known.description.schedule
        assert isinstance(there.action, ScheduleActionStartWorkflow)
        there.action.task_queue = "new"
        return ScheduleUpdate(there)

    await schedule.update(moved)
    assert "the sweep's schedule" not in steps(environment | {"TOPUP_TASK_QUEUE": "new"}, ok=True)["temporal"]
    assert (await client.get_workflow_handle(hangs).describe()).status is WorkflowExecutionStatus.TERMINATED


@pytest.mark.slow
async def test_a_search_attribute_of_another_type_is_named_and_left(environment):
    client = await Client.connect(environment["TEMPORAL_ADDRESS"])
    namespace = RegisterNamespaceRequest(namespace=environment["TEMPORAL_NAMESPACE"])
    namespace.workflow_execution_retention_period.FromSeconds(86_400)
    await client.workflow_service.register_namespace(namespace)
    wrong = AddSearchAttributesRequest(
        namespace=environment["TEMPORAL_NAMESPACE"],
        search_attributes={"TopUpStatus": IndexedValueType.INDEXED_VALUE_TYPE_INT},
    )
    await client.operator_service.add_search_attributes(wrong)
    said = steps(environment, ok=False)["temporal"]
    assert "TopUpStatus with another type" in said
    assert "temporal operator search-attribute remove" in said
