"""`python -m tests.reliability.flat_chaos`: orders at a carrier that can't be asked, while workers die and freeze.

The carrier sells or not and says so or not; workers are killed and frozen all the while, runs terminated and reopened.
One operator asks the carrier's own book, and says what stands there. At the end each order must have had at most one
POST and one sale, and must be either sold or paid back, once. Exit code 0: so it is. 1: a rule was broken.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack

from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from adapters.order_book.field_cipher import FieldCipher
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.parent_watchdog import process_tree, signal_all
from devkit.servers.process import Program
from devkit.servers.temporal import Temporal
from orders.errors import Unavailable
from orders.paid_order import PaidOrder
from simulators.carrier_flat import card_sha256
from tests.reliability.deployments import Deployment, thaw
from tests.reliability.environment import PACKAGE, PII_KEY, Environment
from workflows.steps import Start, TopUpInput

SCALE = 0.05
"""Latency 3 s, and 4.1 s until `not_delivered` counts. The simulator's delays are not scaled, and below the latency."""
FAULTS = [
    [],
    [],
    [{"kind": "receipt", "code": "10000", "act": False}],
    [{"kind": "receipt", "code": "11001", "act": True}],
    [{"kind": "receipt", "code": "80000", "act": False}],
    [{"kind": "hang", "act": True}],
    [{"kind": "hang", "act": False}],
    [{"kind": "reset"}],
    [{"kind": "error", "status": 502, "act": False}],
    [{"kind": "malformed", "body": "not_json"}],
    [{"kind": "delay", "seconds": 2.5}],
    [{"kind": "delay", "seconds": 2.5}, {"kind": "hang", "act": True}],
    [{"kind": "delay", "seconds": 2.5, "when": "after"}],
]


class Chaos:
    """One deployed, its workers, an operator."""

    def __init__(self, deployed: Deployment, seed: int, workers: int) -> None:
        self.deployed = deployed
        self.chance = random.Random(seed)
        self.workers = workers
        self.counts: Counter[str] = Counter()
        self.orders: dict[str, PaidOrder] = {}
        self.over = False

    async def run(self, orders: int, seconds: float) -> list[str]:
        """Load, faults, heal, wait, audit. Returns the rules that were broken."""
        env = self.deployed.env
        for order in await env.new_orders("wechat", orders):
            self.orders[order.order_id] = order
        plans = {order.vehicle.iccid: self.chance.choice(FAULTS) for order in self.orders.values()}
        await env.control.order_faults("carrier", plans)
        programs = [await self.deployed.process("worker") for _ in range(self.workers)]
        operator = asyncio.create_task(self._operate())
        load = asyncio.create_task(self._load(seconds * 0.8))
        await self._harm(programs, seconds)
        await load
        await self._until_settled()
        self.over = True
        await operator
        return await self._audit()

    async def _load(self, seconds: float) -> None:
        for order in self.orders.values():
            await self._start(order)
            await asyncio.sleep(seconds / len(self.orders))

    async def _start(self, order: PaidOrder) -> None:
        """As the bridge does: again, while a frozen worker holds the database."""
        while True:
            with contextlib.suppress(WorkflowAlreadyStartedError):
                try:
                    await self.deployed.start(order)
                except Unavailable:
                    continue
            return

    async def _harm(self, programs: list[Program], seconds: float) -> None:
        """Kill or freeze a worker, terminate a run; a killed worker is replaced."""
        until = time.monotonic() + seconds
        frozen: list[tuple[float, Program]] = []
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(0.5, 2.5))
            for at, program in [one for one in frozen if one[0] <= time.monotonic()]:
                thaw(program)
                frozen.remove((at, program))
            victim = self.chance.randrange(len(programs))
            if any(program is programs[victim] for _, program in frozen):
                continue
            harm = self.chance.choice(["kill", "kill", "freeze", "terminate", "cancel"])
            self.counts[harm] += 1
            match harm:
                case "kill":
                    signal_all(process_tree(programs[victim].pid), signal.SIGKILL)
                    programs[victim] = await self.deployed.process("worker")
                case "freeze":
                    signal_all(process_tree(programs[victim].pid), signal.SIGSTOP)
                    frozen.append((time.monotonic() + self.chance.uniform(1, 8), programs[victim]))
                case _:
                    order = self.chance.choice(list(self.orders.values()))
                    with contextlib.suppress(RPCError):  # not started yet, or ended
                        handle = self.deployed.handle(order)
                        await (handle.terminate("chaos") if harm == "terminate" else handle.cancel())
        for _, program in frozen:
            thaw(program)

    # --- the operator ---

    async def _operate(self) -> None:
        """Reopen what nobody works on; resolve what is parked by what the carrier's book says then."""
        while not self.over:
            for order in list(self.orders.values()):
                with contextlib.suppress(Exception):  # a worker is away, the order not started yet: next time
                    await self._look_after(order)
            await asyncio.sleep(0.5)

    async def _look_after(self, order: PaidOrder) -> None:
        entry = (await self.deployed.book.read(order.order_id)).state
        if entry.outcome is not None:
            return
        described = await self.deployed.handle(order).describe()
        if described.status is not None and described.status.name != "RUNNING":
            with contextlib.suppress(WorkflowAlreadyStartedError):
                await self._reopen(order)
            return
        if entry.status != "parked":
            return
        sold = (await self._sold()).get(card_sha256(order.vehicle.iccid), 0)
        outcome = "delivered" if sold else "not_delivered"
        word = {"operator": "li", "note": "the desk says so", "outcome": outcome}
        try:
            async with asyncio.timeout(5):
                await self.deployed.handle(order).execute_update(  # pyright: ignore[reportUnknownMemberType] - the SDK's own
                    "resolve", word
                )
            self.counts[f"the operator says {outcome}"] += 1
        except WorkflowUpdateFailedError:
            self.counts["the operator is refused"] += 1

    async def _reopen(self, order: PaidOrder) -> None:
        again = TopUpInput(
            order_id=order.order_id,
            package_id=PACKAGE,
            amount_fen=order.amount_fen,
            provider=order.payment.provider,
            reopened=True,
        )
        start = Start(again, FieldCipher(PII_KEY).vehicle_hash(order.vehicle.vin))
        await self.deployed.client.start_workflow(**start.arguments(self.deployed.queue))
        self.counts["reopened"] += 1

    # --- the end ---

    async def _until_settled(self) -> None:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            entries = [(await self.deployed.book.read(order_id)).state for order_id in self.orders]
            if all(entry.outcome is not None for entry in entries):
                return
            await asyncio.sleep(1)

    async def _sold(self) -> Counter[str]:
        books = await self.deployed.env.refresh(at_most_every_seconds=0.3)
        return Counter(entry.data["card_sha256"] for entry in books.carrier if entry.kind == "flat_sold")

    async def _audit(self) -> list[str]:
        await asyncio.sleep(SCALE * 90)  # whatever is still to act has acted
        sold, broken = await self._sold(), list[str]()
        books = self.deployed.env.books
        posts = Counter(entry.data["card_sha256"] for entry in books.carrier if entry.kind == "flat_post")
        paid_back = Counter(entry.data["out_trade_no"] for entry in books.money if entry.kind == "refunded")
        for order_id, order in self.orders.items():
            card = card_sha256(order.vehicle.iccid)
            entry = (await self.deployed.book.read(order_id)).state
            self.counts[str(entry.outcome)] += 1
            self.counts["posts"] += posts[card]
            ends = {"delivered": (1, 0), "refunded": (0, 1)}
            if posts[card] > 1 or ends.get(str(entry.outcome)) != (sold[card], paid_back[order_id]):
                effects = f"{posts[card]} POSTs, sold {sold[card]}, paid back {paid_back[order_id]}"
                broken.append(f"{order_id}: {effects}, the book says {entry.outcome}: {entry.status}, {entry.reason}")
        return broken


async def _run(options: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        temporal, mosquitto = Temporal().start(), Mosquitto().start()
        stack.callback(temporal.close)
        stack.callback(mosquitto.close)
        env = Environment(temporal, mosquitto, None)
        stack.push_async_callback(env.close)
        await env.start()
        deployed = Deployment(env, await temporal.connect(), scale=SCALE, TOPUP_CARRIER_DIALECT="flat")
        stack.push_async_callback(deployed.close)
        chaos = Chaos(deployed, options.seed, options.workers)
        broken = await chaos.run(options.orders, options.seconds)
    sys.stdout.write("\n".join([*broken, f"{dict(chaos.counts)}", f"{len(broken)} broken", ""]))
    return 1 if broken else 0


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.flat_chaos", description=__doc__)
    parser.add_argument("--orders", type=int, default=200, help="how many orders")
    parser.add_argument("--seconds", type=float, default=60, help="how long things go wrong")
    parser.add_argument("--workers", type=int, default=2, help="worker processes")
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
