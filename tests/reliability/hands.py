"""Drills with an operator's hands: a run terminated or deleted in each state is taken up again, nothing is doubled."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import ScheduleActionStartWorkflow
from temporalio.service import RPCError

from adapters.order_book import Claim
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from tests.reliability.audit import End, Paid
from tests.reliability.cells import REFUSED
from tests.reliability.lanes import HEAL_SECONDS, Lane, posted, until
from tests.reliability.running import COMES_ABOUT, ENDS, Drill, Runner, Shown, insist_on_update
from workflows import sweep

Hand = Literal["terminate", "delete"]
HANDS: Final[Sequence[Hand]] = ("terminate", "delete")
TOUCHES_NOTHING: Final = "a settled order's second run touches nothing outside"
NO_SECOND_RUN: Final = "a settled order's second record is a duplicate"
DELETED_SECONDS: Final = 120.0
"""The server deletes a closed run's history some 35 s after it was told to (measured)."""
ECHO_SECONDS: Final = 8.0
"""A wrong second run would have spoken to the world by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where the order stands when the hand comes.

    Attributes:
        reached: whether it stands there.
        resolve: the operator's word afterwards, where the state waits for one.
    """

    name: str
    scale: float
    end: End
    reached: Callable[[Lane, PaidOrder, Paid], Awaitable[bool]]
    carrier: Sequence[Mapping[str, Any]] = ()
    refund: Sequence[Mapping[str, Any]] = ()
    resolve: bool = False


async def _post_on_its_way(lane: Lane, order: PaidOrder, _: Paid) -> bool:
    return posted(await lane.world.refresh(), order, "post")


async def _in_doubt(lane: Lane, order: PaidOrder, _: Paid) -> bool:
    return (await lane.book.read(order.order_id)).entry.status == "in_doubt"


async def _parked(lane: Lane, order: PaidOrder, _: Paid) -> bool:
    return (await lane.book.read(order.order_id)).entry.status == "parked"


async def _burning(lane: Lane, order: PaidOrder, _: Paid) -> bool:
    return posted(await lane.world.refresh(), order, "cancel")


async def _refund_under_way(lane: Lane, _: PaidOrder, paid: Paid) -> bool:
    books = await lane.world.refresh()
    return bool(books.seen([paid])[0].at_provider("refund_accepted"))


STATES: Final[Sequence[State]] = (
    State(
        name="placing",
        scale=0.1,
        end="delivered",
        reached=_post_on_its_way,
        carrier=({"kind": "delay", "seconds": 4},),
    ),
    State(
        name="in doubt",
        scale=0.05,
        end="either",
        reached=_in_doubt,
        carrier=({"kind": "error", "act": False, "times": 3},),
    ),
    State(
        name="burning",
        scale=0.02,
        end="refunded",
        reached=_burning,
        carrier=(
            {"kind": "error", "act": False, "times": -1},
            {"kind": "delay", "target": "cancel", "seconds": 0.8, "when": "after"},
        ),
    ),
    State(
        name="parked",
        scale=0.05,
        end="refunded",
        reached=_parked,
        carrier=({"kind": "async", "then": "partial", "after_seconds": 0.1},),
        resolve=True,
    ),
    State(
        name="refunding",
        scale=0.05,
        end="refunded",
        reached=_refund_under_way,
        carrier=(REFUSED,),
        refund=({"kind": "processing", "seconds": 5},),
    ),
)


def hand_drill(state: State, hand: Hand) -> Drill:
    """The run of an order in this state is terminated or deleted; the schedule's sweep takes it up again."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        lane = runner.lane(result.name, stack, scale=state.scale)
        order, paid = await runner.order(lane, "wechat", end=state.end, given_up=state.resolve)
        await runner.world.order_faults("carrier", order.order_id, state.carrier)
        await runner.world.order_faults("wechat", order.payment.transaction_id, state.refund)
        await lane.process("worker")
        await lane.start(order)
        await until(lambda: state.reached(lane, order, paid), f"the order is {state.name}", 60)
        first = (await lane.handle(order).describe()).run_id
        await _lay_hand_on(lane, order, hand)
        hand_at = time.monotonic()
        await _sweep(lane, stack)
        await until(lambda: _other_run(lane, order, first), "another run took the order up", HEAL_SECONDS)
        result.report.add(COMES_ABOUT, result.name, ())
        if state.resolve:
            await _resolve(runner, lane, order, paid)
        ended = await lane.result(order)
        result.healed_seconds = time.monotonic() - hand_at
        result.report.add(ENDS, result.name, ())
        await asyncio.sleep(1)
        await runner.judge(result, lane, paid, ended.outcome)

    return drill


def never_started_drill() -> Drill:
    """Claimed, and the bridge died for ever: the sweep starts it."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        lane = runner.lane(result.name, stack, scale=0.05)
        order, paid = await runner.order(lane, "alipay", end="delivered")
        await lane.book.claim([order])
        await lane.process("worker")
        claimed_at = time.monotonic()
        await _sweep(lane, stack)
        await until(lambda: _other_run(lane, order, ""), "a run took the order up", HEAL_SECONDS)
        result.report.add(COMES_ABOUT, result.name, ())
        ended = await lane.result(order)
        result.healed_seconds = time.monotonic() - claimed_at
        result.report.add(ENDS, result.name, ())
        await runner.judge(result, lane, paid, ended.outcome)

    return drill


def forgotten_drill(end: End) -> Drill:
    """Settled, its history deleted: a second record is a duplicate, and even a second run touches nothing outside."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        lane = runner.lane(result.name, stack, scale=0.05)
        order, paid = await runner.order(lane, "wechat", end=end)
        await runner.world.order_faults("carrier", order.order_id, [REFUSED] if end == "refunded" else [])
        await lane.process("worker")
        await lane.start(order)
        ended = await lane.result(order)
        await _lay_hand_on(lane, order, "delete")
        await until(lambda: _gone(lane, order), "the history is deleted", DELETED_SECONDS)
        result.report.add(COMES_ABOUT, result.name, ())
        before = _counts(runner, paid)
        (claimed,) = await lane.book.claim([order])
        said = [] if claimed.outcome is Claim.SETTLED else [f"the claim says {claimed.outcome}"]
        result.report.add(NO_SECOND_RUN, result.name, said)
        await lane.start_run(order)  # as a bridge would that had claimed it just before it was settled
        again = await lane.result(order)
        await _sweep(lane, stack)
        await asyncio.sleep(ECHO_SECONDS)
        await runner.world.refresh()
        after = _counts(runner, paid)
        changed = [] if after == before else [f"the books grew from {before} to {after} entries"]
        result.report.add(TOUCHES_NOTHING, result.name, changed)
        result.report.add(ENDS, result.name, [] if again.outcome == ended.outcome else ["another outcome"])
        await runner.judge(result, lane, paid, again.outcome)

    return drill


async def _lay_hand_on(lane: Lane, order: PaidOrder, hand: Hand) -> None:
    if hand == "terminate":
        await lane.handle(order).terminate(reason="an operator's mistake")
        return
    await lane.client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=lane.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id(order.order_id)),
        )
    )


async def _sweep(lane: Lane, stack: AsyncExitStack) -> None:
    """The schedule of `topup setup`, under a name of this lane's own, because the server is shared."""
    wanted = sweep.schedule(lane.queue, lane.scale)
    assert isinstance(wanted.action, ScheduleActionStartWorkflow)
    name = f"{sweep.SCHEDULE_ID}-{lane.queue}"
    mine = dataclasses.replace(wanted, action=dataclasses.replace(wanted.action, id=name))
    handle = await lane.client.create_schedule(name, mine)
    stack.push_async_callback(handle.delete)


async def _other_run(lane: Lane, order: PaidOrder, first: str) -> bool:
    with contextlib.suppress(RPCError):
        return (await lane.handle(order).describe()).run_id != first
    return False


async def _gone(lane: Lane, order: PaidOrder) -> bool:
    try:
        await lane.handle(order).describe()
    except RPCError:
        return True
    return False


async def _resolve(runner: Runner, lane: Lane, order: PaidOrder, paid: Paid) -> None:
    books = await runner.world.refresh()
    reference = books.seen([paid])[0].at_carrier("accepted")[0].data["id"]
    word = {"operator": "Wang", "note": f"Carrier says no: {reference}", "outcome": "not_delivered"}
    await insist_on_update(lane, order, "resolve", word)


def _counts(runner: Runner, paid: Paid) -> tuple[int, int, int]:
    seen = runner.world.books.seen([paid])[0]
    return len(seen.carrier), len(seen.money), len(seen.notices)
