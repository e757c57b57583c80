"""Every part killed and frozen in one run under load, on servers of this drill's own; then all is healed."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from devkit.audit.books import Paid
from devkit.servers.kafka import Kafka
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.postgres import Postgres
from devkit.servers.process import Process, Program
from devkit.servers.temporal import Temporal
from orders.errors import Unavailable
from orders.paid_order import PaidOrder
from tests.reliability.bridging import Topic
from tests.reliability.deployments import HEAL_SECONDS, Deployment, until
from tests.reliability.environment import Environment
from tests.reliability.personal_data_scan import (
    EVERY_CALL,
    NOTHING_PERSONAL,
    calls_missing,
    everything_left,
    found_in,
    secrets_of,
)
from tests.reliability.running import COMES_ABOUT, ENDS, Drill, Runner, Shown, judge_whole

SCALE: Final = 0.05
EVERYDAY: Final[Sequence[tuple[float, Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]]] = (
    (0.5, (), ()),
    (0.08, ({"kind": "refuse", "code": "SIM_SUSPENDED"},), ()),
    (0.05, ({"kind": "refuse", "code": "PACKAGE_NOT_ALLOWED"},), ({"kind": "processing", "seconds": 3},)),
    (0.04, ({"kind": "failed"},), ({"kind": "system_error"},)),
    (0.08, ({"kind": "delay", "seconds": 2},), ()),
    (0.08, ({"kind": "error"},), ()),
    (0.08, ({"kind": "error", "act": False},), ()),
    (0.05, ({"kind": "reset"},), ()),
    (0.04, ({"kind": "async", "state": "inProgress", "then": "completed", "after_seconds": 2},), ()),
)
"""Share, what the carrier does, what the provider does."""
DUPLICATES_SHARE: Final = 0.1
DOWN_SECONDS: Final = 3.0
FROZEN_SECONDS: Final = 14.0
"""Above every limit that notices a freeze: 5 s of the database, 10 s of Kafka's session and of a workflow task."""
COMMITTED: Final = "every record is committed, none is a dead letter, each order has one run"

Blow = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class _Stage:
    """The servers and the product's processes."""

    parts: Mapping[str, Process]
    deployed: Deployment
    workers: list[Program]
    bridges: list[Program]

    def blows(self) -> dict[str, Blow]:
        """Each part killed and started again, each frozen and thawed."""
        found: dict[str, Blow] = {}
        for name, part in self.parts.items():
            found[f"kill {name}"] = lambda part=part: _kill(part)
            found[f"freeze {name}"] = lambda part=part: _freeze(part)
        for name, programs in (("worker", self.workers), ("bridge", self.bridges)):
            found[f"kill {name}"] = lambda name=name, programs=programs: self._replace(name, programs)
            found[f"freeze {name}"] = lambda programs=programs: _freeze(programs[-1])
        return found

    async def _replace(self, name: str, programs: list[Program]) -> None:
        victim = programs.pop(0)
        await asyncio.to_thread(victim.kill)
        await asyncio.sleep(DOWN_SECONDS / 3)
        programs.append(await self.deployed.process(name))


async def _kill(part: Process) -> None:
    await asyncio.to_thread(part.kill)
    await asyncio.sleep(DOWN_SECONDS)
    await asyncio.to_thread(part.start)


async def _freeze(part: Process) -> None:
    part.freeze()
    await asyncio.sleep(FROZEN_SECONDS)
    with contextlib.suppress(Exception):  # killed by another blow meanwhile
        part.thaw()


def chaos_drill(count: int, *, seed: int, every_seconds: float, only: str = "") -> Drill:
    """So many orders while each part is killed and frozen, one blow after the other, some at a time.

    Args:
        count: orders, spread over the blows.
        seed: draws their order and what the outside world does.
        every_seconds: from one blow to the next; a freeze lasts longer, so that they overlap.
        only: blows whose name contains it.
    """

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        draw = random.Random(seed)
        parts = await _servers(stack)
        env = Environment(parts["temporal"], parts["mosquitto"], parts["postgres"])
        stack.push_async_callback(env.close)
        await env.start()
        own = Runner(env, await parts["temporal"].connect(), at_once=1)
        topic = await asyncio.to_thread(Topic, parts["kafka"], env.unique("orders-"))
        settings = {**topic.settings, "TOPUP_BRIDGE_MAX_FIRST_PASS": "200"}
        deployed = runner.adopt(
            result.name, Deployment(env, own.client, scale=SCALE, on_postgres=True, **settings), stack
        )
        both = await paid_orders(own, deployed, count, draw, zombies=True)
        stage = _Stage(
            parts,
            deployed,
            [await deployed.process("worker"), await deployed.process("worker")],
            [await deployed.process("bridge"), await deployed.process("bridge")],
        )
        blows = [blow for blow in stage.blows().items() if only in blow[0]]
        draw.shuffle(blows)
        began = time.monotonic()
        await asyncio.gather(
            _load(topic, [order for order, _ in both], draw, len(blows) * every_seconds),
            *(_later(number * every_seconds, blow) for number, (_, blow) in enumerate(blows)),
        )
        healed_at = time.monotonic()
        result.report.add(COMES_ABOUT, result.name, ())
        await _until_all_ended(deployed, count)
        result.healed_seconds = time.monotonic() - healed_at
        result.report.add(ENDS, result.name, ())
        await asyncio.sleep(2)
        for seen in await own.judge_all(result, deployed, [paid for _, paid in both]):
            events = await deployed.book.events(seen.paid.order_id)
            result.report.add(EVERY_CALL, seen.paid.order_id, calls_missing(seen, events, killed=True))
        left = await everything_left(deployed, [order for order, _ in both])
        secrets = secrets_of([order for order, _ in both], deployed.settings)
        result.report.add(NOTHING_PERSONAL, result.name, await asyncio.to_thread(found_in, left, secrets))
        result.report.add(COMMITTED, result.name, await _adds_up(topic, deployed, count))
        result.report.merge(await judge_whole(own))
        result.remark = (
            f"{count} orders, {len(blows)} blows in {healed_at - began:.0f} s, "
            f"all ended {result.healed_seconds:.0f} s after the last"
        )

    return drill


async def _servers(stack: AsyncExitStack) -> dict[str, Any]:
    found: dict[str, Any] = {
        "temporal": Temporal(),
        "postgres": Postgres(),
        "kafka": Kafka(),
        "mosquitto": Mosquitto(),
    }
    for part in found.values():
        stack.callback(part.close)
    await asyncio.gather(*(asyncio.to_thread(part.start) for part in found.values()))
    return found


async def paid_orders(
    runner: Runner, deployed: Deployment, count: int, draw: random.Random, *, zombies: bool = False
) -> list[tuple[PaidOrder, Paid]]:
    """Orders of both providers, with what goes wrong every day."""
    orders = await runner.env.new_orders("wechat", count - count // 2)
    orders += await runner.env.new_orders("alipay", count // 2)
    draw.shuffle(orders)
    shares = [share for share, _, _ in EVERYDAY]
    faults: dict[str, dict[str, Any]] = {"carrier": {}, "wechat": {}, "alipay": {}}
    for order in orders:
        _, carrier, refund = draw.choices(EVERYDAY, shares)[0]
        if carrier:
            faults["carrier"][order.order_id] = list(carrier)
        if refund:
            faults[order.payment.provider][order.payment.transaction_id] = list(refund)
    for simulator, plans in faults.items():
        await runner.env.control.order_faults(simulator, plans)
    both = [(order, deployed.paid(order, zombies=zombies)) for order in orders]
    runner.paid += [paid for _, paid in both]
    return both


async def _load(topic: Topic, orders: Sequence[PaidOrder], draw: random.Random, seconds: float) -> None:
    """Each order's record, some of them twice, spread over the time; a send that fails is made again."""
    records = [*orders, *draw.sample(orders, int(len(orders) * DUPLICATES_SHARE))]
    group = max(1, int(len(records) / max(seconds, 1)))
    for start in range(0, len(records), group):
        while True:
            try:
                await topic.send(records[start : start + group])
            except Exception:  # noqa: BLE001 - Kafka is away; a record that was taken in all the same is a duplicate
                await asyncio.sleep(1)
            else:
                break
        await asyncio.sleep(1)


async def _later(seconds: float, blow: Blow) -> None:
    await asyncio.sleep(seconds)
    await blow()


async def _until_all_ended(deployed: Deployment, count: int) -> None:
    async def all_ended() -> bool:
        try:
            counts = await deployed.book.counts()
        except Unavailable:
            return False
        settled = counts.get("delivered", 0) + counts.get("refunded", 0)
        if settled != count:
            return False
        running = await deployed.client.count_workflows(
            f"TaskQueue = '{deployed.queue}' AND ExecutionStatus = 'Running'"
        )
        return not running.count

    await until(all_ended, "every order is settled and told", HEAL_SECONDS)


async def _adds_up(topic: Topic, deployed: Deployment, count: int) -> list[str]:
    async def committed() -> bool:
        return (await topic.counts())[0]

    await until(committed, "all offsets are committed")
    dead = (await topic.counts())[1]
    runs = (await deployed.client.count_workflows(f"TaskQueue = '{deployed.queue}'")).count
    return [f"{dead} dead letters, {runs} runs of {count} orders"] if dead or runs != count else []
