"""What stands under an order's ID is the order's run, or a person hears of it."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from bridge.starter import ForeignRun, Starter
from orders.errors import Unavailable
from tests.workflows.conftest import paid_order

ORDER = paid_order()


class Taken:
    """A Temporal client where the order's ID is taken by `there`, or by what can't be described."""

    def __init__(self, there: object) -> None:
        self.there = there

    async def start_workflow(self, *_arguments: Any, **named: Any) -> None:
        raise WorkflowAlreadyStartedError(named["id"], "TopUpOrder")

    def get_workflow_handle(self, _workflow_id: str) -> "Taken":
        return self

    async def describe(self, **_limits: Any) -> object:
        if isinstance(self.there, Exception):
            raise self.there
        return self.there


async def _start(there: object) -> bool:
    return await Starter(cast("Client", Taken(there)), "q", lambda _vin: "hash").start(ORDER)


def _run(workflow_type: str, task_queue: str) -> object:
    return SimpleNamespace(workflow_type=workflow_type, task_queue=task_queue)


async def test_the_orders_own_run_is_a_duplicate():
    assert await _start(_run("TopUpOrder", "q")) is False


@pytest.mark.parametrize(
    "there", [_run("Other", "q"), _run("TopUpOrder", "elsewhere"), _run("\x1b]52;c;x\x07", "$(id)")]
)
async def test_a_run_of_another_type_or_queue_is_no_duplicate_and_its_words_are_not_shown(there: object):
    """It was taken for the order's own: "already started"."""
    with pytest.raises(ForeignRun, match="terminate it") as raised:
        await _start(there)
    assert f"--workflow-id topup/{ORDER.order_id}`" in str(raised.value)
    assert str(raised.value).isprintable()
    assert "$(" not in str(raised.value)


async def test_a_run_that_is_gone_since_is_the_sweeps():
    assert await _start(RPCError("no such run", RPCStatusCode.NOT_FOUND, b"")) is False


async def test_a_run_that_can_not_be_looked_at_is_started_again():
    with pytest.raises(Unavailable):
        await _start(RPCError("away", RPCStatusCode.UNAVAILABLE, b""))
