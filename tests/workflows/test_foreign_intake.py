"""Whoever may start runs pauses no intake: on the real server, with the bridge's own parts and a real order book."""

import asyncio
import json
from pathlib import Path

import pytest
from temporalio.testing import TimeSkipper

from activities.reopening import Reopened, Reopening
from adapters.kafka.watermark import PartitionAssignment
from adapters.order_book.worked_on import WorkedOn
from bridge.admission import AdmissionLimit
from bridge.outages import Outages
from bridge.pipeline import Pipeline
from bridge.starter import Starter
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from runtime.metrics import Metrics
from tests.bridge.fakes import FakeDeadLetters, records
from tests.limits import WAIT_SECONDS
from tests.workflows.conftest import paid_order
from tests.workflows.world import World, new_world
from workflows.steps import TopUpResult

pytestmark = pytest.mark.real
LIMIT = 2


async def test_behind_foreign_runs_a_genuine_order_is_taken_in_and_delivered(
    time_skipping_env: TimeSkipper, tmp_path: Path
):
    client = time_skipping_env.client
    blocked, genuine = [paid_order() for _ in range(LIMIT + 1)], paid_order()
    async with new_world(time_skipping_env, tmp_path, paid_order()) as world:
        await world.result(await world.start())  # the world's own order is done: it takes no place
        foreign = [
            await client.start_workflow("Other", id=workflow_id(order.order_id), task_queue="nobody")
            for order in blocked
        ]
        assignment = PartitionAssignment("orders", 0)
        pipeline = _pipeline(world)
        work = asyncio.create_task(pipeline.run())
        pipeline.offer(records(assignment, [_record(order) for order in (*blocked, genuine)]))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while assignment.in_flight:
                    await asyncio.sleep(0.05)
            assert (await _result(world, genuine)).outcome == "delivered"
        finally:
            work.cancel()
            await asyncio.wait((work,))
            await pipeline.settle(WAIT_SECONDS)
        for order in blocked:
            assert (await world.book.read(order.order_id)).state.attention == "foreign_run"

        for run in foreign:
            await run.terminate()
        reopening = Reopening(
            lambda: client, WorkedOn(world.book), world.clock, world.alert, task_queue=world.task_queue, scale=1.0
        )
        assert await reopening.reopen(blocked[0].order_id) is Reopened.REOPENED
        assert (await _result(world, blocked[0])).outcome == "delivered"
        assert (await world.book.read(blocked[0].order_id)).state.attention == ""


def _pipeline(world: World) -> Pipeline:
    starter = Starter(world.env.client, world.task_queue, world.cipher.vehicle_hash)
    return Pipeline(
        book=world.book,
        admission=AdmissionLimit(world.book.first_pass_count, LIMIT),
        start=starter.start,
        dead_letters=FakeDeadLetters(),
        outages=Outages(),
        metrics=Metrics(),
    )


def _record(order: PaidOrder) -> bytes:
    return json.dumps(order.model_dump(mode="json", by_alias=True)).encode()


async def _result(world: World, order: PaidOrder) -> TopUpResult:
    name = workflow_id(order.order_id)
    return await world.result(world.env.client.get_workflow_handle(name, result_type=TopUpResult))
