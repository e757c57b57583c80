"""A deployment: an order book, a task queue and processes of the product of its own, on the shared servers."""

import asyncio
import contextlib
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
from temporalio.client import Client, WorkflowHandle

from adapters.order_book.book import ClaimResult
from adapters.order_book.field_cipher import FieldCipher
from devkit.audit.books import Books, Paid, Seen
from devkit.servers.parent_watchdog import process_tree, signal_all
from devkit.servers.process import Program
from orders.errors import Unavailable
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from orders.time_scale import scaled
from tests.limits import WAIT_SECONDS
from tests.reliability.crashing_process import Plan
from tests.reliability.environment import PACKAGE, PII_KEY, PLATFORM, Environment, open_book
from workflows.steps import Start, TopUpInput, TopUpResult

LATENCY_SECONDS: Final = 60.0
LAG_SECONDS: Final = 15.0
WINDOW_SECONDS: Final = 300.0
"""Contracts §4, unscaled."""
HEAL_SECONDS: Final = 300.0
"""Likewise for an order's end after the fault; how long it took is a figure of the run (docs/reliability.md)."""


class NotShown(Exception):
    """What was to be shown did not come about; the text says what is missing."""


class Deployment:
    """Close it at the end."""

    def __init__(
        self, env: Environment, client: Client, *, scale: float, on_postgres: bool = False, **changes: str
    ) -> None:
        self.env = env
        self.client = client
        self.scale = scale
        self.queue = env.unique("queue-")
        self.platforms: tuple[str, ...] = (PLATFORM,)
        self.mutant = ""
        """The mistake that this deployment's processes make (`tests.reliability.mutants`)."""
        database_url = env.database(on_postgres=on_postgres)
        self.settings = env.settings(queue=self.queue, database_url=database_url, scale=scale, **changes)
        self.book = open_book(database_url)
        self._marker = env.folder / f"{self.queue}.fired"
        self._programs: list[Program] = []

    # --- processes ---

    async def process(self, name: str, plan: Plan | None = None, **changes: str) -> Program:
        """A started `worker` or `bridge`: the production process, or with a fault in it. `changes`: settings."""
        module = {"worker": "workers", "bridge": "bridge"}[name]
        mutant = [self.mutant] if self.mutant else []
        crashing = ["tests.reliability.crashing_process", name, plan.text() if plan else "-", *mutant]
        command = [sys.executable, "-m", *(crashing if plan or mutant else [module])]
        program = Program(f"{name}-{self.queue}-{len(self._programs)}", command, env=self.settings | changes)
        self._programs.append(program)
        await asyncio.to_thread(program.start)
        return program

    def plan(self, fault: Any, when: Any, point: str, passing: int = 1, *, crowd: int = 0) -> Plan:
        """A fault whose firing this deployment can see."""
        return Plan(point=point, when=when, fault=fault, passing=passing, crowd=crowd, marker=str(self._marker))

    async def until_fired(self, plan: Plan, program: Program) -> None:
        """Wait for the fault, and for its effect.

        Raises:
            NotShown: the point was not reached, or the process ended in another way.
        """

        def done() -> bool:
            if not self._marker.exists():
                return False
            match plan.fault:
                case "kill" | "term":
                    return not program.running
                case "stop":
                    return is_stopped(program)
                case "lost":
                    return True

        deadline = time.monotonic() + WAIT_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise NotShown(f"{plan.point} was not passed {plan.passing} times within {WAIT_SECONDS:.0f} s")
            if not program.running and not self._marker.exists():
                raise NotShown(f"the process ended with {program.wait(1)} before the fault")
            await asyncio.sleep(0.05)
        wanted = {"kill": -signal.SIGKILL, "term": 0}
        if plan.fault in wanted and (code := program.wait(1)) != wanted[plan.fault]:
            raise NotShown(f"the process ended with {code} instead of {wanted[plan.fault]}")

    async def metrics(self, program: Program, name: str) -> dict[str, float]:
        """Label values (joined by commas) → value of one metric of a process that listens."""
        found: dict[str, float] = {}
        for line in (await self.scrape(program)).splitlines():
            if line.startswith((name + "{", name + " ")):
                labels, _, value = line.removeprefix(name).rpartition(" ")
                found[",".join(labels.split('"')[1::2])] = float(value)
        return found

    async def scrape(self, program: Program) -> str:
        """Its `/metrics`."""

        async def port() -> int | None:
            listening = re.search(r'"listening".*?"port": (\d+)', program.log_path.read_text(errors="replace"))
            return int(listening[1]) if listening else None

        address = f"http://127.0.0.1:{await until(port, f'{program.name} listens', 30)}/metrics"
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            return (await http.get(address)).text

    # --- orders ---

    async def start(self, order: PaidOrder, *, time_scale: float = 1.0) -> ClaimResult:
        """What the bridge does with a record: claim, then start once."""
        (claimed,) = await self.book.claim([order])
        await self.start_run(order, time_scale=time_scale)
        return claimed

    async def start_run(self, order: PaidOrder, *, time_scale: float = 1.0) -> None:
        """Start the run alone; unscaled, its own limits leave a busy machine time.

        Raises:
            WorkflowAlreadyStartedError: there is or was one.
        """
        start = Start(
            TopUpInput(
                order_id=order.order_id,
                package_id=PACKAGE,
                amount_fen=order.amount_fen,
                provider=order.payment.provider,
                time_scale=time_scale,
            ),
            FieldCipher(PII_KEY).vehicle_hash(order.vehicle.vin),
        )
        await self.client.start_workflow(**start.arguments(self.queue))

    def paid(self, order: PaidOrder, **circumstances: Any) -> Paid:
        """The auditor's view of an order of this deployment."""
        lag, latency = scaled(LAG_SECONDS, self.scale), scaled(LATENCY_SECONDS, self.scale)
        known: dict[str, Any] = {
            "order_id": order.order_id,
            "vin": order.vehicle.vin,
            "provider": order.payment.provider,
            "transaction_id": order.payment.transaction_id,
            "out_trade_no": order.payment.out_trade_no,
            "amount_fen": order.amount_fen,
            "currency": order.currency,
            "platforms": self.platforms,
            "answered_seconds": lag,
            "unanswered_seconds": latency + lag,
            "burn_seconds": scaled(WINDOW_SECONDS, self.scale) + lag,
        }
        return Paid(**(known | circumstances))

    def handle(self, order: PaidOrder) -> WorkflowHandle[Any, TopUpResult]:
        """The order's latest run."""
        return self.client.get_workflow_handle(workflow_id(order.order_id), result_type=TopUpResult)

    async def result(self, order: PaidOrder) -> TopUpResult:
        """The run's result.

        Raises:
            TimeoutError: none within `HEAL_SECONDS`; says where the order book has it.
        """
        try:
            async with asyncio.timeout(HEAL_SECONDS):
                return await self.handle(order).result()
        except TimeoutError:
            entry = (await self.book.read(order.order_id)).state
            raise TimeoutError(f"no end within {HEAL_SECONDS:.0f} s; the order book says {entry}") from None

    async def compare(self, seen: Seen, said: str = "") -> list[str]:
        """The product's own tables, last: they must say what the world says. `said`: the run's own outcome."""
        paid = seen.paid
        record, notices = await self.book.read_with_notices(paid.order_id)
        entry, ends, sentences = record.state, seen.ends, list[str]()
        if {entry.outcome} != ends or (said and {said} != ends):
            sentences.append(f"the book says {entry.outcome}, the run {said}, the world {sorted(ends)}")
        if entry.status != entry.outcome or entry.needs_operator or entry.first_pass:
            sentences.append(f"the book shows {entry.status}, needs_operator={entry.needs_operator}")
        posts = len(seen.at_carrier("post"))
        if posts > entry.posts and not paid.restored:
            sentences.append(f"the carrier saw {posts} POSTs, the book granted {entry.posts}")
        untold = [f"{one.result} on {one.platform}: {one.state}" for one in notices if one.state != "acknowledged"]
        if untold or not (notices or paid.restored):  # a backup may be of the moment between an end and its notice
            sentences.append(f"notices in the book: {untold or 'none'}")
        trails = await self.book.verify_trails(only=paid.order_id)
        return [*sentences, *(f"its audit trail: {flaw}" for flaw in trails.flaws.values())]

    # --- waiting, end ---

    async def until_books(self, condition: Callable[[Books], bool], what: str, seconds: float = WAIT_SECONDS) -> Books:
        """Wait until the world's books show something."""

        async def look() -> Books | None:
            books = await self.env.refresh(at_most_every_seconds=0.2)
            return books if condition(books) else None

        return await until(look, what, seconds)

    def logs(self, lines: int = 40) -> str:
        """What the processes wrote last."""
        return "\n".join(f"--- {program.name}\n{program.log_tail(lines)}" for program in self._programs)

    def whole_logs(self) -> list[tuple[str, bytes]]:
        """All that the processes wrote, by their names."""
        return [(program.name, program.log_path.read_bytes()) for program in self._programs]

    def running(self) -> list[Program]:
        """The processes that are there."""
        return [program for program in self._programs if program.running]

    async def close(self) -> None:
        """Kill what still runs."""
        for program in self._programs:
            thaw(program)
            await asyncio.to_thread(program.close)
        await self.book.close()


def posted(books: Books, order: PaidOrder, *kinds: str) -> bool:
    """Whether the carrier's book has such an entry about the order."""
    return any(entry.kind in kinds and entry.data["external_id"] == order.order_id for entry in books.carrier)


async def until(look: Callable[[], Awaitable[Any]], what: str, seconds: float = WAIT_SECONDS) -> Any:
    """Ask until the answer is true, and return it. An order book that is too busy to answer is asked again.

    Raises:
        NotShown: it was not, in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(Unavailable):
            if answer := await look():
                return answer
        await asyncio.sleep(0.2)
    raise NotShown(f"not within {seconds:.0f} s: {what}")


def is_stopped(program: Program) -> bool:
    """Whether SIGSTOP has taken effect."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{program.pid}/stat").read_text().rpartition(") ")[2][:1] in ("T", "t")
    return False


def thaw(program: Program) -> None:
    """SIGCONT, if it is still there."""
    if program.running:
        signal_all(process_tree(program.pid), signal.SIGCONT)
