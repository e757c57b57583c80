"""Drills with a cancel in each state, by each of its three ways: what follows is what contracts §3 says."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Literal

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import RequestCancelWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus

from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from tests.reliability.commands import Said, must, of, temporal_cli, topup_cli
from tests.reliability.deployments import Deployment, until
from tests.reliability.operator_faults import TOUCHES_NOTHING, counts
from tests.reliability.running import COMES_ABOUT, ENDS, Drill, Runner, Shown
from tests.reliability.states import Scene, State, set_scene
from workflows.steps import TopUpResult

Way = Literal["temporal", "topup", "web"]
WAYS: Final[Sequence[Way]] = ("temporal", "topup", "web")
Cancels = Literal["temporal", "topup", "web", "three times", "while the worker is dead"]
CANCELS: Final[Sequence[Cancels]] = (*WAYS, "three times", "while the worker is dead")

AS_CONTRACTED: Final = "a cancel does what the contract says"
CLOSES_COMPLETED: Final = "a cancelled run closes Completed, with its outcome"
WRITTEN_FIRST: Final = "a cancel stands in the order book"
BETWEEN_SECONDS: Final = 0.7


def cancel_drill(state: State, how: Cancels) -> Drill:
    """An order in this state is cancelled."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        scene = await set_scene(runner, result, stack, state, end=state.cancelled_end)
        deployed, order = scene.deployed, scene.order
        worker = None if state.unbegun else await deployed.process("worker")
        await deployed.start(order)
        await until(lambda: state.reached(deployed, order, scene.paid), f"the order is {state.name}")
        if how == "while the worker is dead" and worker is not None:
            await asyncio.to_thread(worker.kill)
        await runner.env.refresh()
        before = counts(runner, scene.paid)
        await _cancel(scene, how)
        cancelled_at = time.monotonic()
        if state.unbegun or how == "while the worker is dead":
            await deployed.process("worker")
        result.report.add(COMES_ABOUT, result.name, ())
        if not state.closed:
            await until(
                lambda: _written_or_over(deployed, order), "the cancel stands in the book, or came too late", 60
            )
            result.report.add(WRITTEN_FIRST, result.name, ())
        await scene.relieve()
        ended = await deployed.result(order)
        result.healed_seconds = time.monotonic() - cancelled_at
        result.report.add(ENDS, result.name, ())
        await asyncio.sleep(1)
        await runner.judge(result, deployed, scene.paid, ended.outcome)
        result.report.add(CLOSES_COMPLETED, result.name, await _closing(deployed, order))
        result.report.add(AS_CONTRACTED, result.name, _contract(runner, scene, ended))
        if state.closed:
            grown = [] if counts(runner, scene.paid) == before else ["the books grew after the cancel"]
            result.report.add(TOUCHES_NOTHING, result.name, grown)

    return drill


async def _cancel(scene: Scene, how: Cancels) -> None:
    match how:
        case "temporal" | "topup" | "web":
            await _WAYS[how](scene)
        case "three times":
            for way in WAYS:
                await _WAYS[way](scene)
                await asyncio.sleep(BETWEEN_SECONDS)
        case "while the worker is dead":
            await _by_temporal(scene)
            await _by_web_ui(scene)


async def _by_temporal(scene: Scene) -> None:
    await must(await temporal_cli(scene.deployed, "workflow", "cancel", *of(scene.order)), "temporal workflow cancel")


async def _by_topup(scene: Scene) -> None:
    said: Said = await topup_cli(
        scene.deployed, "orders", "cancel", scene.order.order_id, "--note", "the customer called"
    )
    closed = scene.state.closed or "a cancel would change nothing" in said.text  # it may end between look and cancel
    await must(said if not closed else Said(0 if said.code == 1 else 1, said.text), "topup orders cancel")


async def _by_web_ui(scene: Scene) -> None:
    """What its button sends."""
    client = scene.deployed.client
    await client.workflow_service.request_cancel_workflow_execution(
        RequestCancelWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id(scene.order.order_id)),
        )
    )


_WAYS: Final[Mapping[Way, Callable[[Scene], Awaitable[None]]]] = {
    "temporal": _by_temporal,
    "topup": _by_topup,
    "web": _by_web_ui,
}


async def _written_or_over(deployed: Deployment, order: PaidOrder) -> bool:
    """A slow command may come when the run has ended; then it has nothing to write."""
    if any(event.kind == "cancel_requested" for event in await deployed.book.events(order.order_id)):
        return True
    return (await deployed.handle(order).describe()).status is WorkflowExecutionStatus.COMPLETED


async def _closing(deployed: Deployment, order: PaidOrder) -> list[str]:
    status = (await deployed.handle(order).describe()).status
    return [] if status is WorkflowExecutionStatus.COMPLETED else [f"the run is {status}"]


def _contract(runner: Runner, scene: Scene, ended: TopUpResult) -> list[str]:
    """Before anything was sent, nothing is sent any more; what the car is told is the state's reason."""
    state, seen = scene.state, runner.env.books.about(scene.paid)
    sentences: list[str] = []
    if ended.outcome != state.cancelled_end:
        sentences.append(f"the run says {ended.outcome} instead of {state.cancelled_end}")
    reasons = {str(entry.data["reason"]) for entry in seen.notices if entry.data["result"] == "failed"}
    wanted = {state.cancelled_reason} if state.cancelled_reason else set[str]()
    if reasons != wanted:
        sentences.append(f"the car was told {sorted(reasons)} instead of {sorted(wanted)}")
    if (state.unbegun or state.away == "carrier") and seen.at_carrier("post"):
        sentences.append("a POST was sent after the cancel")
    return sentences
