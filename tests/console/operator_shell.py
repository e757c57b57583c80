"""An operator's shell with the commands, beside deployments of the real product with orders that are stuck in them."""

import asyncio
import contextlib
import json
import os
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client

from adapters.order_book.book import Event
from devkit.servers.kafka import Kafka
from devkit.servers.process import Program, free_port
from orders.paid_order import PaidOrder
from orders.state import OrderState
from tests.reliability.deployments import Deployment
from tests.reliability.environment import Environment

ROOT = Path(__file__).resolve().parents[2]
STUCK_SECONDS = 150.0
FREE_SECONDS = 150.0
COMMAND_SECONDS = 90.0
SHELLS_AT_ONCE = 4


class NotSeen(AssertionError):
    """What was to be seen was not, in time."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        return self.out + self.err


class OperatorShell:
    """Lanes by name, each opened at its first use. Close it at the end."""

    def __init__(self, env: Environment, client: Client, kafka: Kafka | None) -> None:
        self.env = env
        self.client = client
        self._kafka = kafka
        self._deployments: dict[str, asyncio.Task[Deployment]] = {}
        self._stack = AsyncExitStack()
        self._shells = asyncio.Semaphore(SHELLS_AT_ONCE)
        self._bin = env.folder / "bin"
        self._once: dict[str, asyncio.Task[None]] = {}
        self.locks: dict[str, asyncio.Lock] = {}

    async def close(self) -> None:
        await self._stack.aclose()

    @property
    def kafka(self) -> Kafka:
        assert self._kafka is not None
        return self._kafka

    # --- deployments ---

    async def deployed(self, name: str, *, scale: float = 1.0, workers: int = 1, **changes: str) -> Deployment:
        """The deployed of this name, with its worker."""

        async def opened() -> Deployment:
            port = str(free_port())
            deployed = Deployment(self.env, self.client, scale=scale, **{"TOPUP_HTTP_PORT": port, **changes})
            self._stack.push_async_callback(deployed.close)
            for _ in range(workers):
                await deployed.process("worker")
            return deployed

        if name not in self._deployments:
            self._deployments[name] = asyncio.create_task(opened())
        return await asyncio.shield(self._deployments[name])

    async def once(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Something that several orders wait for, done by the first of them."""
        if name not in self._once:
            self._once[name] = asyncio.ensure_future(work())
        await asyncio.shield(self._once[name])

    def lock(self, name: str) -> asyncio.Lock:
        return self.locks.setdefault(name, asyncio.Lock())

    # --- orders ---

    async def order(
        self,
        deployed: Deployment,
        *,
        provider: str = "wechat",
        carrier: Sequence[Mapping[str, Any]] = (),
        refund: Sequence[Mapping[str, Any]] = (),
        start: bool = True,
    ) -> PaidOrder:
        """A paid order of this deployment on its way, with the outside world's faults."""
        order = await self.env.new_order(provider)
        await self.env.order_faults("carrier", order.order_id, carrier)
        await self.env.order_faults(provider, order.payment.transaction_id, refund)
        if start:
            await deployed.start(order)
        return order

    async def lift(self, simulator: str, key: str) -> None:
        """End a fault."""
        await self.env.control.lift_faults(simulator, key)

    async def state(self, deployed: Deployment, order: PaidOrder) -> OrderState:
        return (await deployed.book.read(order.order_id)).state

    async def events(self, deployed: Deployment, order: PaidOrder, kind: str) -> list[Event]:
        return [event for event in await deployed.book.events(order.order_id) if event.kind == kind]

    async def stuck(self, deployed: Deployment, order: PaidOrder, status: str, *, person: bool) -> OrderState:
        """Wait until the book and the run's query both show it stuck there."""

        async def there() -> OrderState | None:
            entry = await self.state(deployed, order)
            if (entry.status, entry.needs_operator) != (status, person):
                return None
            with contextlib.suppress(Exception):  # the run may be at work
                shown = await deployed.handle(order).query("status")
                return entry if shown["state"] == status else None
            return None

        return await until(there, f"{order.order_id} is {status}", STUCK_SECONDS)

    async def waits(self, deployed: Deployment, order: PaidOrder, activity_id: str, seconds: float) -> float:
        """Wait until the activity's next try by itself is at least so far off; when that is (monotonic)."""

        async def far_off() -> float | None:
            described = await deployed.handle(order).describe()
            for pending in described.raw_description.pending_activities:
                if pending.activity_id == activity_id and pending.HasField("next_attempt_schedule_time"):
                    left = pending.next_attempt_schedule_time.ToSeconds() - time.time()
                    if left >= seconds:
                        return time.monotonic() + left
            return None

        return await until(far_off, f"{activity_id} of {order.order_id} waits", STUCK_SECONDS)

    async def ended(self, deployed: Deployment, order: PaidOrder, outcome: str, *, before: float | None = None) -> None:
        """The order comes free, with this outcome.

        Args:
            before: the moment at which it would have gone on by itself (monotonic).
        """

        async def settled() -> OrderState | None:
            entry = await self.state(deployed, order)
            return entry if entry.outcome is not None else None

        entry = await until(settled, f"{order.order_id} comes free", FREE_SECONDS)
        at = time.monotonic()
        assert entry.outcome == outcome, (order.order_id, entry)
        assert before is None or at < before, f"{order.order_id} may have gone on by itself"

    # --- the shell ---

    async def run(
        self, text: str, deployed: Deployment, order: PaidOrder | None = None, *, code: int | None = 0
    ) -> Done:
        """Run it as an operator does: pasted into a shell with the deployment's settings."""
        environment = deployed.settings | {
            "PATH": f"{self._shell_folder()}:{os.environ['PATH']}",
            "ORDER": order.order_id if order else "none",
        }
        async with self._shells:
            process = await asyncio.create_subprocess_exec(
                "bash",
                "-c",
                text.replace("topup-orders", deployed.queue),
                cwd=ROOT,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
        done = Done(process.returncode or 0, out.decode(), err.decode())
        assert code is None or done.code == code, f"{text}: {done}"
        return done

    def _shell_folder(self) -> Path:
        """`topup` and `temporal` on the PATH."""
        if not self._bin.exists():
            self._bin.mkdir()
            topup = self._bin / "topup"
            topup.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m console "$@"\n')
            topup.chmod(topup.stat().st_mode | stat.S_IXUSR)
            (self._bin / "temporal").symlink_to(Path(sys.executable).parent / "temporal")
        return self._bin


async def until(look: Callable[[], Awaitable[Any]], what: str, seconds: float) -> Any:
    """Ask until the answer is something, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (answer := await look()) is not None and answer is not False:
            return answer
        await asyncio.sleep(0.2)
    raise NotSeen(f"not within {seconds:.0f} s: {what}")


def parsed(done: Done) -> Any:
    """The JSON that a command printed."""
    return json.loads(done.out)


def process_of(deployed: Deployment, number: int = 0) -> Program:
    """The deployed's process, in the order of their starts."""
    return deployed._programs[number]
