"""Runs that are open somewhere must go on under this version of the saga: their histories replay."""

import base64
import json
import re

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner
from temporalio.workflow import NondeterminismError

from runtime.temporal import DATA_CONVERTER
from tests.histories import FOLDER, FORGOTTEN
from tests.workflows.world import SANDBOX
from workers.composition import WORKFLOWS
from workflows.steps import TOP_UP_ORDER, TopUpInput, TopUpResult
from workflows.top_up_order import TopUpOrder

HISTORIES = sorted(FOLDER.glob("*.json"))


def history(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json("topup/TRECORDED", (FOLDER / name).read_text())


def replayer(*workflows: type, runner: WorkflowRunner = SANDBOX) -> Replayer:
    return Replayer(workflows=workflows, workflow_runner=runner, data_converter=DATA_CONVERTER)


def test_there_is_a_history_of_every_end_in_both_ways_of_running_steps():
    names = {path.stem.rsplit("-", 1)[-1] for path in HISTORIES}

    assert {"local_first", "all_regular"} <= names
    assert len(HISTORIES) >= 30


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_run_replays(path):
    await replayer(*WORKFLOWS).replay_workflow(history(path.name))


@workflow.defn(name=TOP_UP_ORDER)
class ChangedWithoutAPatch(TopUpOrder):
    """One step more at the start, as a careless change would add it."""

    @workflow.init
    def __init__(self, order: TopUpInput) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, order: TopUpInput) -> TopUpResult:
        await workflow.sleep(1)
        return await super().run(order)


async def test_a_saga_that_was_changed_without_a_patch_fails_the_replay():
    with pytest.raises(NondeterminismError):
        await replayer(ChangedWithoutAPatch, runner=UnsandboxedWorkflowRunner()).replay_workflow(
            history("refunded_after_refusal-local_first.json")
        )


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_history_holds_no_vehicle_data(path):
    """VIN, ICCID and phone number of the recorded orders, in clear or inside a payload."""
    text = path.read_text()
    payloads = [base64.b64decode(found).decode(errors="replace") for found in re.findall(r'"data": "([^"]+)"', text)]

    assert json.loads(text)["events"]
    for secret in ("LSGBC5342AG000001", "89860321247550000015", "14400000001"):
        assert secret not in text
        assert not [payload for payload in payloads if secret in payload]


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_history_names_no_machine_that_recorded_it(path):
    text = path.read_text()

    for name, instead in FORGOTTEN.items():
        assert set(re.findall(rf'"{name}": "((?:[^"\\]|\\.)*)"', text)) <= {instead}
    assert "site-packages" not in text
