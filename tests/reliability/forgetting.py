"""Drills with records that come again, for ever: the histories are gone, the group begins at the earliest offset."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError, RPCStatusCode

from devkit.audit.books import Paid
from devkit.servers.kafka import Kafka
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from tests.reliability.bridging import Topic
from tests.reliability.cases import REFUSED
from tests.reliability.deployments import WAIT_SECONDS, Deployment, NotShown, until
from tests.reliability.environment import Environment
from tests.reliability.running import COMES_ABOUT, ENDS, Drill, Runner, Shown

SCALE: Final = 0.1
CONFLICTS: Final = 4
"""Two with other content, two with a payment that another order has."""
REFUNDED_SHARE: Final = 4
"""Every fourth order is refused by the carrier."""
DELETES_AT_ONCE: Final = 16
DELETE_AGAIN_SECONDS: Final = 60.0
"""The server takes some 35 s to delete what it was told to (measured), longer under load."""
SECONDS_AN_ORDER: Final = 0.2
"""As slow as a busy machine may take a large run."""
QUIET_SECONDS: Final = 6.0

TOUCHES_NOTHING: Final = "old records touch nothing outside"
ALL_DUPLICATES: Final = "old records are duplicates, and start nothing"
CONFLICTS_BURIED: Final = "conflicts go to the dead letters, before and after"


def forgotten_records_drill(kafka: Kafka, count: int) -> Drill:
    """So many settled orders; their histories deleted; their records once more, then the whole topic from its start."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        env = runner.env
        topic = await asyncio.to_thread(Topic, kafka, env.unique("orders-"))
        deployed = runner.deployed(result.name, stack, scale=SCALE, **topic.settings)
        both = await _paid_orders(runner, deployed, count)
        orders, paid = [order for order, _ in both], [paid for _, paid in both]
        conflicts = _conflicts(env, orders)
        seconds = WAIT_SECONDS + count * SECONDS_AN_ORDER
        await deployed.process("worker")
        bridge = await deployed.process("bridge")
        await topic.send(orders)
        await _until_settled(deployed, seconds)
        await topic.send(conflicts)
        await _until_committed(topic, seconds)
        before = await _letters(topic)
        forgetting_at = time.monotonic()
        await _forget(deployed, orders, seconds)
        result.report.add(COMES_ABOUT, result.name, ())
        size = sum(len(seen) for seen in (await env.refresh()).seen(paid))

        await topic.send([*orders, *conflicts])
        await _until_committed(topic, seconds)
        await asyncio.sleep(QUIET_SECONDS)
        counted = await deployed.metrics(bridge, "topup_records_total")
        again = await _letters(topic)
        await asyncio.to_thread(bridge.stop)
        await topic.rewind()
        bridge = await deployed.process("bridge")
        await _until_committed(topic, seconds)
        await asyncio.sleep(QUIET_SECONDS)
        counted_anew = await deployed.metrics(bridge, "topup_records_total")
        at_last = await _letters(topic)
        result.healed_seconds = time.monotonic() - forgetting_at

        after = sum(len(seen) for seen in (await env.refresh()).seen(paid))
        grown = [] if after == size else [f"the books grew from {size} to {after} entries about these orders"]
        result.report.add(TOUCHES_NOTHING, result.name, [*grown, *await _runs(deployed)])
        wanted = {"started": count, "duplicate": count, "conflict": 2 * CONFLICTS}
        wanted_anew = {"duplicate": 2 * count, "conflict": 2 * CONFLICTS}
        result.report.add(
            ALL_DUPLICATES, result.name, [*_differs(counted, wanted), *_differs(counted_anew, wanted_anew)]
        )
        letters = [before == CONFLICTS, again == 2 * CONFLICTS, at_last == 4 * CONFLICTS]
        said = [] if all(letters) else [f"dead letters: {before} before, {again} and {at_last} after"]
        result.report.add(CONFLICTS_BURIED, result.name, said)
        await runner.judge_all(result, deployed, paid)
        result.report.add(ENDS, result.name, ())
        result.remark = f"{3 * count} old records after their histories were gone"

    return drill


async def _paid_orders(runner: Runner, deployed: Deployment, count: int) -> list[tuple[PaidOrder, Paid]]:
    wechat, alipay = count - count // 2, count // 2
    orders = [*await runner.env.new_orders("wechat", wechat), *await runner.env.new_orders("alipay", alipay)]
    both: list[tuple[PaidOrder, Paid]] = []
    refused: dict[str, Any] = {}
    for number, order in enumerate(orders):
        is_refused = number % REFUNDED_SHARE == 0
        both.append((order, deployed.paid(order, end="refunded" if is_refused else "delivered")))
        refused |= {order.order_id: [REFUSED]} if is_refused else {}
    runner.paid += [paid for _, paid in both]
    await runner.env.control.order_faults("carrier", refused)
    return both


def _conflicts(env: Environment, orders: Sequence[PaidOrder]) -> list[PaidOrder]:
    """Same ID with another amount; same payment under another ID."""
    first, second = orders[0], orders[-1]
    dearer = [one.model_copy(update={"amount_fen": one.amount_fen + 1}) for one in (first, second)]
    renamed = [one.model_copy(update={"order_id": env.unique("X")}) for one in (first, second)]
    return dearer + renamed


async def _until_settled(deployed: Deployment, seconds: float) -> None:
    async def all_closed() -> bool:
        if await deployed.book.first_pass_count():
            return False
        counts = await deployed.book.counts()
        settled = counts.get("delivered", 0) + counts.get("refunded", 0)
        running = await deployed.client.count_workflows(
            f"TaskQueue = '{deployed.queue}' AND ExecutionStatus = 'Running'"
        )
        return bool(settled) and settled == sum(counts.values()) and not running.count

    await until(all_closed, "every order is settled and its run is closed", seconds)


async def _until_committed(topic: Topic, seconds: float) -> None:
    async def committed() -> bool:
        return (await topic.counts())[0]

    await until(committed, "all offsets are committed", seconds)


async def _letters(topic: Topic) -> int:
    letters = await topic.dead_letters()
    return sum(letter.reason == "conflict" for letter in letters)


async def _runs(deployed: Deployment) -> list[str]:
    found = (await deployed.client.count_workflows(f"TaskQueue = '{deployed.queue}'")).count
    return [f"{found} runs were started"] if found else []


def _differs(counted: dict[str, float], wanted: dict[str, int]) -> list[str]:
    there = {result: int(number) for result, number in counted.items() if number}
    return [] if there == wanted else [f"the bridge counted {there} instead of {wanted}"]


async def _forget(deployed: Deployment, orders: Sequence[PaidOrder], seconds: float) -> None:
    """`temporal workflow delete` for each; returns once the server knows none of them."""
    query = f"TaskQueue = '{deployed.queue}'"

    async def none_left() -> bool:
        return not (await deployed.client.count_workflows(query)).count

    deadline, left = time.monotonic() + 180 + seconds, [workflow_id(order.order_id) for order in orders]
    while left and time.monotonic() < deadline:
        for start in range(0, len(left), DELETES_AT_ONCE):
            await asyncio.gather(*(_delete(deployed, name) for name in left[start : start + DELETES_AT_ONCE]))
        with contextlib.suppress(NotShown):
            await until(none_left, "no history is left to see", DELETE_AGAIN_SECONDS)
        left = [run.id async for run in deployed.client.list_workflows(query)]
    if left:
        raise NotShown(f"{len(left)} histories are not deleted")
    for order in (*orders[:3], *orders[-3:]):
        await until(lambda order=order: _unknown(deployed, order), "the history is gone")


async def _delete(deployed: Deployment, name: str) -> None:
    execution = WorkflowExecution(workflow_id=name)
    request = DeleteWorkflowExecutionRequest(namespace=deployed.client.namespace, workflow_execution=execution)
    try:
        await deployed.client.workflow_service.delete_workflow_execution(request, retry=True)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _unknown(deployed: Deployment, order: PaidOrder) -> bool:
    try:
        await deployed.handle(order).describe()
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return False
