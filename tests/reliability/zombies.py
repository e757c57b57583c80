"""Drills with a worker frozen right before its bytes leave, thawed when others have ended its orders.

The freeze sits behind the last look at the clock, where nothing of ours can stop the bytes any more: the thawed worker
sends them all. What keeps the money then is the carrier's burnt serial and the refund number (rule of money 10).
Temporal loses the frozen worker, as it loses a paused machine; else its open polls would keep tasks from the others
for a minute. The order book is PostgreSQL: a process that freezes within a transaction on SQLite locks everybody out.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Literal

from devkit.audit.books import End, Seen
from devkit.stack.tcp_proxy import TcpProxy
from orders.paid_order import PaidOrder
from orders.time_scale import scaled
from tests.reliability.cases import REFUSED
from tests.reliability.deployments import LATENCY_SECONDS, WINDOW_SECONDS, Deployment, NotShown, thaw, until
from tests.reliability.running import COMES_ABOUT, ECHO_SECONDS, ENDS, Drill, Runner, Shown

Before = Literal["POST, then burnt", "POST, then sold", "refund"]
KINDS: Final[Sequence[Before]] = ("POST, then burnt", "POST, then sold", "refund")
"""Before what it freezes, and what others make of the order meanwhile."""
ENDS_AS: Final[Mapping[Before, End]] = {
    "POST, then burnt": "either",  # what it had not in its hands when it froze is delivered
    "POST, then sold": "either",
    "refund": "refunded",
}
SCALES: Final[Mapping[Before, float]] = {"POST, then burnt": 0.05, "POST, then sold": 0.1, "refund": 0.1}
"""So large that no sender gives up while the crowd gathers."""
OTHERS_SECONDS: Final = 90.0
"""The longest freeze."""
LATE_AT_LEAST: Final = 3
"""So many of the orders must see late bytes, or nothing was shown; on a machine with time to spare all of them do."""


def zombie_drill(before: Before, crowd: int) -> Drill:
    """So many orders in the hands of one worker that freezes before they are sent; another one ends them."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        deployed = runner.deployed(result.name, stack, scale=SCALES[before], on_postgres=True)
        both = [await runner.order(deployed, "wechat", end=ENDS_AS[before], zombies=True) for _ in range(crowd)]
        for order, _ in both if before == "refund" else []:
            await runner.env.order_faults("carrier", order.order_id, [REFUSED])
        await asyncio.gather(*(deployed.start(order) for order, _ in both))
        plan = deployed.plan("stop", "before", "wire:refund" if before == "refund" else "wire:post", crowd=crowd)
        proxy = stack.enter_context(contextlib.closing(TcpProxy(f"grpc://{runner.env.temporal.address}")))
        proxy.open()
        zombie = await deployed.process("worker", plan, TEMPORAL_ADDRESS=f"127.0.0.1:{proxy.port}")
        await deployed.until_fired(plan, zombie)
        proxy.close()
        frozen_at = time.monotonic()
        if before == "POST, then burnt":  # too late for another POST of theirs
            await asyncio.sleep(scaled(WINDOW_SECONDS - LATENCY_SECONDS, deployed.scale) + 1)
        await deployed.process("worker")
        with contextlib.suppress(NotShown):  # the polls that the frozen worker has open may swallow a task
            await until(lambda: _all_ended(deployed, [order for order, _ in both]), "all have ended", OTHERS_SECONDS)
        over_at = len((await runner.env.refresh()).carrier)
        proxy.open()
        thaw(zombie)
        await asyncio.sleep(2 * ECHO_SECONDS)
        for order, _ in both:
            await deployed.result(order)
        result.healed_seconds = time.monotonic() - frozen_at
        result.report.add(ENDS, result.name, ())
        seen = await runner.judge_all(result, deployed, [paid for _, paid in both])
        late = sum(_late(one, before, over_at) for one in seen)
        few = [f"only {late} of {crowd} orders saw late bytes"] if late < LATE_AT_LEAST else []
        result.report.add(COMES_ABOUT, result.name, few)
        result.remark = f"{late} of {crowd} saw the thawed worker's bytes"

    return drill


async def _all_ended(deployed: Deployment, orders: Sequence[PaidOrder]) -> bool:
    return all([(await deployed.book.read(order.order_id)).state.outcome for order in orders])


def _late(seen: Seen, before: Before, over_at: int) -> bool:
    """Whether the thawed worker's bytes came after all was over."""
    if before == "refund":
        paid = [entry.at for entry in seen.at_provider("refunded")]
        return bool(paid) and any(entry.at > paid[0] for entry in seen.at_provider("refund"))
    return any(entry.seq > over_at for entry in seen.at_carrier("post"))
