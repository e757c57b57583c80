"""Drills with an operator's hands: whatever is done to a run, in each state, the order ends once and as it should."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Literal

from temporalio.client import ScheduleActionStartWorkflow, WorkflowExecutionStatus
from temporalio.service import RPCError

from adapters.order_book.book import Claim
from devkit.audit.books import End, Paid
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from tests.reliability.cases import REFUSED
from tests.reliability.commands import must, of, temporal_cli, topup_cli
from tests.reliability.deployments import HEAL_SECONDS, Deployment, NotShown, thaw, until
from tests.reliability.mutants.runs import FAILS, GIVES_UP
from tests.reliability.running import COMES_ABOUT, ECHO_SECONDS, ENDS, Drill, Runner, Shown
from tests.reliability.states import Scene, State, set_scene
from workflows import steps, sweep

Hand = Literal["terminate", "delete", "fail", "close as cancelled", "reset to first", "reset to last", "start", "copy"]
OPERATOR_FAULTS: Final[Sequence[Hand]] = (
    "terminate",
    "delete",
    "fail",
    "close as cancelled",
    "reset to first",
    "reset to last",
    "start",
    "copy",
)
"""`start` and `copy` are the Web UI's "Start Workflow Like This One", under the same and under another ID."""
CLOSING: Final = frozenset[Hand]({"terminate", "delete", "fail", "close as cancelled"})
"""After these nobody works on the order."""
RESETS: Final[Mapping[Hand, str]] = {"reset to first": "FirstWorkflowTask", "reset to last": "LastWorkflowTask"}
BUGS: Final[Mapping[Hand, str]] = {"fail": FAILS, "close as cancelled": GIVES_UP}

Worker = Literal["alive", "dead", "frozen"]
"""What becomes of the worker with the order's activity in its hands: it goes on, is killed just before the hand comes,
or is frozen then and thawed when another has ended the order."""
By = Literal["sweep", "reopen"]
"""Who takes up an order that nobody works on: the schedule, or `topup orders reopen`."""

TOUCHES_NOTHING: Final = "a settled order's second run touches nothing outside"
NO_SECOND_RUN: Final = "a settled order's second record is a duplicate"
ONLY_WHERE_NEEDED: Final = "only an order that nobody works on is reopened"
DELETED_SECONDS: Final = 240.0
DELETE_AGAIN_SECONDS: Final = 60.0
"""The server deletes a closed run's history some 35 s after it was told to (measured), later under load."""
QUIET_SECONDS: Final = 8.0
"""A wrong second run would have spoken to the world by then."""


def operator_fault_drill(state: State, hand: Hand, *, worker: Worker = "alive", by: By = "sweep") -> Drill:
    """A hand on the run of an order in this state; the order goes on to its one end."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        scene = await set_scene(runner, result, stack, state, zombies=worker == "frozen")
        deployed, order = scene.deployed, scene.order
        usual, deployed.mutant = deployed.mutant, BUGS.get(hand, deployed.mutant)
        first_worker = None if state.unbegun else await deployed.process("worker")
        deployed.mutant = usual
        await deployed.start(order)
        await until(lambda: state.reached(deployed, order, scene.paid), f"the order is {state.name}")
        if worker == "dead" and first_worker is not None:
            await asyncio.to_thread(first_worker.kill)
        if worker == "frozen" and first_worker is not None:
            first_worker.freeze()
        await _lay_hand_on(scene, hand)
        hand_at = time.monotonic()
        if worker != "alive" or first_worker is None:
            await deployed.process("worker")
        if hand in CLOSING and state.untold:
            await _tell_by_hand(scene, result, hand)
        elif hand in CLOSING:
            await _take_up(scene, by, stack)
        else:
            await _refuses_to_reopen(scene, result)
        result.report.add(COMES_ABOUT, result.name, ())
        await scene.relieve()
        ended = await deployed.result(order)
        if hand == "copy":
            await _result_of_copy(deployed, order)
        result.healed_seconds = time.monotonic() - hand_at
        result.report.add(ENDS, result.name, ())
        if worker == "frozen" and first_worker is not None:
            thaw(first_worker)
            await asyncio.sleep(ECHO_SECONDS)
        await asyncio.sleep(1)
        await runner.judge(result, deployed, scene.paid, ended.outcome)

    return drill


def never_started_drill() -> Drill:
    """Claimed, and the bridge died for ever: the sweep starts it."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        deployed = runner.deployed(result.name, stack, scale=0.05)
        order, paid = await runner.order(deployed, "alipay", end="delivered")
        await deployed.book.claim([order])
        await deployed.process("worker")
        claimed_at = time.monotonic()
        await start_sweeping(deployed, stack)
        await until(lambda: _other_run(deployed, order, ""), "a run took the order up", HEAL_SECONDS)
        result.report.add(COMES_ABOUT, result.name, ())
        ended = await deployed.result(order)
        result.healed_seconds = time.monotonic() - claimed_at
        result.report.add(ENDS, result.name, ())
        await runner.judge(result, deployed, paid, ended.outcome)

    return drill


# --- settled orders --------------------------------------------------------------------------------------------------


def forgotten_drill(end: End) -> Drill:
    """Settled, its history deleted: a second record is a duplicate, and even a second run touches nothing outside."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        deployed, order, paid, said = await _settle(runner, result, stack, end)
        await _delete_for_good(deployed, order)
        result.report.add(COMES_ABOUT, result.name, ())
        before = counts(runner, paid)
        (claimed,) = await deployed.book.claim([order])
        wrong = [] if claimed.outcome is Claim.SETTLED else [f"the claim says {claimed.outcome}"]
        result.report.add(NO_SECOND_RUN, result.name, wrong)
        await deployed.start_run(order)  # as a bridge would that had claimed it just before it was settled
        again = await deployed.result(order)
        await start_sweeping(deployed, stack)
        await _touched_nothing(runner, result, paid, before)
        result.report.add(ENDS, result.name, [] if again.outcome == said else ["another outcome"])
        await runner.judge(result, deployed, paid, again.outcome)

    return drill


def settled_drill(end: End, hand: Hand) -> Drill:
    """A hand on the closed run of a settled order: whatever runs then touches nothing outside, and says the same."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        deployed, order, paid, said = await _settle(runner, result, stack, end)
        scene = Scene(runner, SETTLED, deployed, order, paid, None)
        first = await _run_id(deployed, order)
        before = counts(runner, paid)
        await _lay_hand_on(scene, hand)
        if hand == "copy":
            again = await _result_of_copy(deployed, order)
        else:
            if await _run_id(deployed, order) == first:
                raise NotShown("there is no second run")
            again = (await deployed.result(order)).outcome
        result.report.add(COMES_ABOUT, result.name, ())
        refused = await topup_cli(deployed, "orders", "reopen", order.order_id)
        answer = [] if refused.code == 1 and "settled" in refused.text else [f"reopen: {refused.code}, {refused.text}"]
        result.report.add(ONLY_WHERE_NEEDED, result.name, answer)
        await _touched_nothing(runner, result, paid, before)
        result.report.add(ENDS, result.name, [] if again == said else ["another outcome"])
        await runner.judge(result, deployed, paid, again)

    return drill


async def _settle(
    runner: Runner, result: Shown, stack: AsyncExitStack, end: End
) -> tuple[Deployment, PaidOrder, Paid, str]:
    deployed = runner.deployed(result.name, stack, scale=0.05)
    order, paid = await runner.order(deployed, "wechat", end=end)
    await runner.env.order_faults("carrier", order.order_id, [REFUSED] if end == "refunded" else [])
    await deployed.process("worker")
    await deployed.start(order)
    said = (await deployed.result(order)).outcome
    await runner.env.refresh()
    return deployed, order, paid, said


async def _delete_for_good(deployed: Deployment, order: PaidOrder) -> None:
    """`temporal workflow delete`, given again while the server has not carried it out."""
    deadline = time.monotonic() + DELETED_SECONDS
    while time.monotonic() < deadline:
        await temporal_cli(deployed, "workflow", "delete", *of(order), "--yes")
        with contextlib.suppress(NotShown):
            await until(lambda: _gone(deployed, order), "the history is deleted", DELETE_AGAIN_SECONDS)
            return
    raise NotShown(f"not within {DELETED_SECONDS:.0f} s: the history is deleted")


async def _touched_nothing(runner: Runner, result: Shown, paid: Paid, before: tuple[int, int, int]) -> None:
    await asyncio.sleep(QUIET_SECONDS)
    await runner.env.refresh()
    after = counts(runner, paid)
    changed = [] if after == before else [f"the books grew from {before} to {after} entries"]
    result.report.add(TOUCHES_NOTHING, result.name, changed)


async def _never(_lane: Deployment, _order: PaidOrder, _paid: Paid) -> bool:
    return True


SETTLED: Final = State(name="settled", scale=0.05, end="either", reached=_never, cancelled_end="either", closed=True)


# --- the hands -------------------------------------------------------------------------------------------------------


async def _lay_hand_on(scene: Scene, hand: Hand) -> None:
    deployed, order = scene.deployed, scene.order
    match hand:
        case "terminate":
            await must(await temporal_cli(deployed, "workflow", hand, *of(order)), hand)
        case "delete":
            await must(await temporal_cli(deployed, "workflow", hand, *of(order), "--yes"), hand)
        case "fail" | "close as cancelled":
            await must(await temporal_cli(deployed, "workflow", "cancel", *of(order)), "cancel")
            wanted = WorkflowExecutionStatus.FAILED if hand == "fail" else WorkflowExecutionStatus.CANCELED
            await until(lambda: _is(deployed, order, wanted), f"the run is {wanted.name}", HEAL_SECONDS)
        case "reset to first" | "reset to last":
            reset = ("workflow", "reset", *of(order), "-t", RESETS[hand], "--reason", "an operator's mistake")
            await must(await temporal_cli(deployed, *reset), hand)
        case "start":
            await _start_again(scene)
        case "copy":
            await must(await temporal_cli(deployed, *_start_words(scene, f"copy-of/{order.order_id}")), "start")


async def _start_again(scene: Scene) -> None:
    """Under the same ID: refused while a run is open, and a second run of the same order after that."""
    deployed, order = scene.deployed, scene.order
    first, is_open = await _run_id(deployed, order), await _is(deployed, order, WorkflowExecutionStatus.RUNNING)
    said = await temporal_cli(deployed, *_start_words(scene, workflow_id(order.order_id)))
    if not is_open:
        await must(said, "start")
    elif await _run_id(deployed, order) != first and await _is(
        deployed, order, WorkflowExecutionStatus.RUNNING, run_id=first
    ):
        raise NotShown("a second run was started while the first is open")


def _start_words(scene: Scene, name: str) -> Sequence[str]:
    order = scene.order
    again = steps.TopUpInput(
        order_id=order.order_id,
        package_id=order.package_id,
        amount_fen=order.amount_fen,
        provider=order.payment.provider,
    )
    run = ("--type", steps.TOP_UP_ORDER, "--task-queue", scene.deployed.queue, "-w", name)
    return ("workflow", "start", *run, "--input", again.model_dump_json())


async def _take_up(scene: Scene, by: By, stack: AsyncExitStack) -> None:
    """Nobody works on it: the sweep finds it, or an operator reopens it."""
    deployed, order = scene.deployed, scene.order
    first = await _run_id(deployed, order)
    match by:
        case "sweep":
            await start_sweeping(deployed, stack)
        case "reopen":
            await must(await topup_cli(deployed, "orders", "reopen", order.order_id), "reopen")
    await until(lambda: _other_run(deployed, order, first), "another run took the order up", HEAL_SECONDS)


async def _tell_by_hand(scene: Scene, result: Shown, hand: Hand) -> None:
    """No sweep and no command takes a settled order up; a reset, or the same start once more, tells the car.

    A reset keeps a cancel, which would meet the same bug again.
    """
    await _refuses_to_reopen(scene, result)
    await _lay_hand_on(scene, "reset to last" if hand == "terminate" else "start")


async def _refuses_to_reopen(scene: Scene, result: Shown) -> None:
    """There is an open run: neither the command nor (by the same code) the sweep starts a second one."""
    said = await topup_cli(scene.deployed, "orders", "reopen", scene.order.order_id)
    refused = said.code == 1 and ("open run" in said.text or "settled" in said.text)
    result.report.add(ONLY_WHERE_NEEDED, result.name, [] if refused else [f"reopen: {said.code}, {said.text}"])


async def start_sweeping(deployed: Deployment, stack: AsyncExitStack) -> None:
    """The schedule of `topup setup`, under a name of this deployment's own, because the server is shared."""
    wanted = sweep.schedule(deployed.queue, deployed.scale)
    assert isinstance(wanted.action, ScheduleActionStartWorkflow)
    name = f"{sweep.SCHEDULE_ID}-{deployed.queue}"
    mine = dataclasses.replace(wanted, action=dataclasses.replace(wanted.action, id=name))
    handle = await deployed.client.create_schedule(name, mine)
    stack.push_async_callback(handle.delete)


# --- looking ---------------------------------------------------------------------------------------------------------


async def _run_id(deployed: Deployment, order: PaidOrder) -> str:
    with contextlib.suppress(RPCError):
        return (await deployed.handle(order).describe()).run_id
    return ""


async def _other_run(deployed: Deployment, order: PaidOrder, first: str) -> bool:
    return await _run_id(deployed, order) not in ("", first)


async def _is(
    deployed: Deployment, order: PaidOrder, status: WorkflowExecutionStatus, *, run_id: str | None = None
) -> bool:
    with contextlib.suppress(RPCError):
        run = deployed.client.get_workflow_handle(workflow_id(order.order_id), run_id=run_id)
        return (await run.describe()).status is status
    return False


async def _gone(deployed: Deployment, order: PaidOrder) -> bool:
    return not await _run_id(deployed, order)


async def _result_of_copy(deployed: Deployment, order: PaidOrder) -> str:
    copy = deployed.client.get_workflow_handle(f"copy-of/{order.order_id}", result_type=steps.TopUpResult)
    try:
        async with asyncio.timeout(HEAL_SECONDS):
            return (await copy.result()).outcome
    except TimeoutError:
        raise TimeoutError(f"the copy's run has no end within {HEAL_SECONDS:.0f} s") from None


def counts(runner: Runner, paid: Paid) -> tuple[int, int, int]:
    """Entries about one order in the books: carrier, money, notices."""
    seen = runner.env.books.about(paid)
    return len(seen.carrier), len(seen.money), len(seen.notices)
