"""Drill with many hands at random: each order gets some of everything that an operator can do, workers die beside."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import RPCTimeoutOrCancelledError, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from devkit.servers.process import Program
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from tests.reliability.chaos import paid_orders
from tests.reliability.commands import of, temporal_cli
from tests.reliability.deployments import HEAL_SECONDS, Deployment, NotShown
from tests.reliability.operator_faults import RESETS, start_sweeping
from tests.reliability.running import COMES_ABOUT, ENDS, Drill, Runner, Shown
from workflows import steps

SCALE: Final = 0.05
SECONDS: Final = 45.0
MOST_HANDS: Final = 4
WORKERS_KILLED: Final = 2
NOT_DONE: Final = (
    RPCError,
    RPCTimeoutOrCancelledError,
    WorkflowAlreadyStartedError,
    WorkflowUpdateFailedError,
    TimeoutError,
)
"""A hand that comes too late, or finds no worker in time."""
UPDATE_SECONDS: Final = 6.0
SIGNED: Final = {"operator": "Wang", "note": "at random"}


def random_operations_drill(count: int, *, seed: int) -> Drill:
    """So many orders of an everyday mix, each with up to four hands on its run at random moments."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        draw = random.Random(seed)
        deployed = runner.deployed(result.name, stack, scale=SCALE, on_postgres=seed % 2 == 0)
        both = await paid_orders(runner, deployed, count, draw)
        workers = [await deployed.process("worker"), await deployed.process("worker")]
        await start_sweeping(deployed, stack)
        operators = [
            _RandomOperator(deployed, order, random.Random(f"{seed} {order.order_id[-5:]}")) for order, _ in both
        ]
        kills = [_replace_later(deployed, workers, draw.uniform(5, SECONDS)) for _ in range(WORKERS_KILLED)]
        await asyncio.gather(*(operator.play() for operator in operators), *kills)
        calm_at = time.monotonic()
        result.report.add(COMES_ABOUT, result.name, ())
        for operator in operators:
            await operator.until_ended(calm_at + HEAL_SECONDS)
        result.healed_seconds = time.monotonic() - calm_at
        result.report.add(ENDS, result.name, ())
        await asyncio.sleep(2)
        await runner.judge_all(result, deployed, [paid for _, paid in both])
        result.remark = f"{sum(operator.done for operator in operators)} hands on {count} orders"

    return drill


class _RandomOperator:
    """The hands on one order."""

    def __init__(self, deployed: Deployment, order: PaidOrder, draw: random.Random) -> None:
        self._lane = deployed
        self._order = order
        self._draw = draw
        self.done = 0
        self._copies: list[str] = []

    async def play(self) -> None:
        """Start the order, then lay hands on it; what can't be done (any more) is not done."""
        draw = self._draw
        begins, number = draw.uniform(0, SECONDS / 2), draw.randint(0, MOST_HANDS)
        waits = sorted(
            draw.choice((draw.uniform(0, 1), draw.uniform(0, 5), draw.uniform(0, 20))) for _ in range(number)
        )
        await asyncio.sleep(begins)
        await self._lane.start(self._order)
        started_at = time.monotonic()
        for wait in waits:
            await asyncio.sleep(max(0.0, started_at + wait - time.monotonic()))
            hand = draw.choice(list(self._hands()))
            with contextlib.suppress(*NOT_DONE):
                await self._hands()[hand]()
            self.done += 1

    def _hands(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        handle = self._lane.handle(self._order)
        return {
            "cancel": handle.cancel,
            "terminate": lambda: handle.terminate(reason="at random"),
            "delete": self._delete,
            "reset to first": lambda: self._reset("reset to first"),
            "reset to last": lambda: self._reset("reset to last"),
            "copy": self._copy,
            "start": self._start_again,
            "retry": lambda: self._update("retry_now", SIGNED),
            "refund": lambda: self._update("refund_now", SIGNED),
            "resolve": lambda: self._update("resolve", {**SIGNED, "outcome": "not_delivered"}),
        }

    async def _delete(self) -> None:
        client = self._lane.client
        execution = WorkflowExecution(workflow_id=workflow_id(self._order.order_id))
        await client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
        )

    async def _reset(self, hand: Any) -> None:
        words = ("workflow", "reset", *of(self._order), "-t", RESETS[hand], "--reason", "at random")
        await temporal_cli(self._lane, *words)

    async def _copy(self) -> None:
        name = f"copy-{len(self._copies)}-of/{self._order.order_id}"
        await self._start(name)
        self._copies.append(name)

    async def _start_again(self) -> None:
        await self._start(workflow_id(self._order.order_id))

    async def _start(self, name: str) -> None:
        order = self._order
        again = steps.TopUpInput(
            order_id=order.order_id,
            package_id=order.package_id,
            amount_fen=order.amount_fen,
            provider=order.payment.provider,
        )
        anew = WorkflowIDReusePolicy.ALLOW_DUPLICATE
        queue = self._lane.queue
        await self._lane.client.start_workflow(
            steps.TOP_UP_ORDER, again, id=name, task_queue=queue, id_reuse_policy=anew
        )

    async def _update(self, name: str, word: Mapping[str, str]) -> None:
        async with asyncio.timeout(UPDATE_SECONDS):
            await self._lane.handle(self._order).execute_update(  # pyright: ignore[reportUnknownMemberType] - the SDK's own
                name, dict(word)
            )

    async def until_ended(self, deadline: float) -> None:
        """Settled in the book, and every run of the order closed; where none was left to tell the car, one is started.

        Raises:
            TimeoutError: not by then.
        """
        while (await self._lane.book.read(self._order.order_id)).state.outcome is None:
            await self._pause(deadline, "is not settled")
        if not await self._told():
            with contextlib.suppress(WorkflowAlreadyStartedError):  # contracts §3: no sweep takes up a settled order
                await self._start_again()
        for name in (workflow_id(self._order.order_id), *self._copies):
            while await self._is_open(name):
                await self._pause(deadline, f"has an open run {name}")

    async def _pause(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            entry = (await self._lane.book.read(self._order.order_id)).state
            raise TimeoutError(f"{self._order.order_id} {what} within {HEAL_SECONDS:.0f} s: {entry}")
        await asyncio.sleep(0.5)

    async def _told(self) -> bool:
        with contextlib.suppress(RPCError):
            status = (await self._lane.handle(self._order).describe()).status
            return status in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.COMPLETED)
        return False

    async def _is_open(self, name: str) -> bool:
        with contextlib.suppress(RPCError):
            run = await self._lane.client.get_workflow_handle(name).describe()
            return run.status is WorkflowExecutionStatus.RUNNING
        return False


async def _replace_later(deployed: Deployment, workers: list[Program], seconds: float) -> None:
    await asyncio.sleep(seconds)
    if not workers:
        raise NotShown("no worker is left to kill")
    victim = workers.pop(0)
    await asyncio.to_thread(victim.kill)
    workers.append(await deployed.process("worker"))
