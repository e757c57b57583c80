"""Runs one cell: an order on its way, a fault at a point of it, a fresh process that goes on, the audit."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError

from adapters.order_book import OrderBook
from adapters.vault import Vault
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from tests.parts.process import Program
from tests.parts.reaper import process_tree, signal_all
from tests.reliability.audit import Books, Paid, Report, audit
from tests.reliability.cells import HOLD_SECONDS, Cell
from tests.reliability.crashing_process import Plan
from tests.reliability.doors import Door
from tests.reliability.world import PACKAGE, PII_KEY, PLATFORM, World, open_book
from workflows.policies import scaled
from workflows.steps import Start, TopUpInput, TopUpResult

LATENCY_SECONDS: Final = 60.0
LAG_SECONDS: Final = 15.0
WINDOW_SECONDS: Final = 300.0
"""Contracts §4, unscaled."""
FIRE_SECONDS: Final = 60.0
"""Until the order reaches its point: a process's start, and for a burn the whole horizon."""
HEAL_SECONDS: Final = 120.0
"""From the fault's end to the order's (reliability.md, "Figures")."""
TAKEN_OVER_SECONDS: Final = 13.0
"""After so long a frozen worker's task has gone to another: Temporal's limit is 10 s."""
SOON_SECONDS: Final = 6.0
ECHO_SECONDS: Final = 2.5
"""How long a thawed process is watched for late effects."""
FIRED: Final = "the planned fault fires"
ENDED: Final = "ended within 120 s after the fault"
AGREES: Final = "the order book agrees"


class CellError(Exception):
    """The cell did not come about: it shows nothing."""


@dataclass(slots=True)
class CellResult:
    """What a cell showed."""

    cell: Cell
    paid: Paid | None = None
    report: Report = field(default_factory=Report)
    seconds: float = 0.0
    healed_seconds: float = 0.0
    ends: frozenset[str] = frozenset()
    logs: str = ""


class Runner:
    """Runs cells on one world."""

    def __init__(self, world: World, client: Client, *, at_once: int) -> None:
        self.world = world
        self.client = client
        self.paid: list[Paid] = []
        self._places = asyncio.Semaphore(at_once)

    async def run(self, cell: Cell) -> CellResult:
        """One cell, when there is room for it. Never raises for what the product does."""
        async with self._places:
            result, began = CellResult(cell), time.monotonic()
            async with AsyncExitStack() as stack:
                run = await stack.enter_async_context(_open(self, cell))
                try:
                    await run.through(result)
                except CellError as error:
                    result.report.add(FIRED, run.order.order_id, [str(error)])
                    result.logs = run.logs()
                except TimeoutError as error:
                    result.report.add(ENDED, run.order.order_id, [str(error)])
                    result.logs = run.logs()
                else:
                    if result.report.violations:
                        result.logs = run.logs()
            result.seconds = time.monotonic() - began
            return result


@asynccontextmanager
async def _open(runner: Runner, cell: Cell) -> AsyncGenerator["_Run"]:
    world = runner.world
    order = await world.new_order(cell.story.provider)
    async with AsyncExitStack() as stack:
        changes: dict[str, str] = {}
        door: Door | None = None
        if cell.story.away:
            door = stack.enter_context(contextlib.closing(Door(world.url("carrier"))))
            changes["TOPUP_CARRIER_URL"] = door.url
        database = world.database(on_postgres=cell.on_postgres)
        queue = world.unique("queue-")
        environment = world.environment(queue=queue, database_url=database, scale=cell.scale, **changes)
        book = open_book(database)
        stack.push_async_callback(book.close)
        run = _Run(runner=runner, cell=cell, order=order, environment=environment, book=book, queue=queue, door=door)
        stack.callback(run.end_processes)
        yield run


def paid_of(order: PaidOrder, cell_scale: float, **circumstances: Any) -> Paid:
    """The auditor's view of a paid order under a time scale."""
    lag, latency = scaled(LAG_SECONDS, cell_scale), scaled(LATENCY_SECONDS, cell_scale)
    known: dict[str, Any] = {
        "order_id": order.order_id,
        "vin": order.vehicle.vin,
        "provider": order.payment.provider,
        "transaction_id": order.payment.transaction_id,
        "out_trade_no": order.payment.out_trade_no,
        "amount_fen": order.amount_fen,
        "currency": order.currency,
        "platforms": (PLATFORM,),
        "answered_seconds": lag,
        "unanswered_seconds": latency + lag,
        "burn_seconds": scaled(WINDOW_SECONDS, cell_scale) + lag,
    }
    return Paid(**(known | circumstances))


class _Run:
    """One cell under way."""

    def __init__(
        self,
        *,
        runner: Runner,
        cell: Cell,
        order: PaidOrder,
        environment: Mapping[str, str],
        book: OrderBook,
        queue: str,
        door: Door | None,
    ) -> None:
        self._runner = runner
        self._world = runner.world
        self.cell = cell
        self.order = order
        self._environment = environment
        self._book = book
        self._queue = queue
        self._door = door
        self._marker = self._world.folder / f"{order.order_id}.fired"
        self._programs: list[Program] = []
        self._handle: WorkflowHandle[Any, Any] = runner.client.get_workflow_handle(
            workflow_id(order.order_id), result_type=TopUpResult
        )

    async def through(self, result: CellResult) -> None:
        """From claim to audit.

        Raises:
            CellError: the fault did not fire.
            TimeoutError: the order did not end.
        """
        cell = self.cell
        paid = paid_of(
            self.order,
            cell.scale,
            end=cell.end,
            zombies=cell.fault == "stop",
            given_up=cell.story.hand == "resolve",
        )
        self._runner.paid.append(paid)
        result.paid = paid
        await self._order_faults()
        await self._claim_and_start()
        crasher = await self._start_worker(crashing=True)
        hand = asyncio.create_task(self._play_the_hand())
        try:
            await self._until_fired(crasher)
            result.report.add(FIRED, self.order.order_id, ())
            fired_at = time.monotonic()
            ended = await self._heal(crasher)
            result.healed_seconds = time.monotonic() - fired_at
            result.report.add(ENDED, self.order.order_id, ())
        finally:
            hand.cancel()
        books = await self._world.refresh()
        result.ends = frozenset(books.seen([paid])[0].ends)
        result.report.merge(audit([paid], books))
        result.report.add(AGREES, self.order.order_id, await self._compare(ended, books, paid))

    # --- the way of the order ---

    async def _order_faults(self) -> None:
        carrier, refund = list(self.cell.story.carrier), list(self.cell.story.refund)
        if self.cell.is_http and self.cell.when == "middle":
            target = {"post": "post", "get": "get", "cancel": "cancel", "send": "refund", "ask": "query"}
            where, _, call = self.cell.point.partition(":")
            hold: dict[str, Any] = {"kind": "delay", "target": target[call]}
            when = "before" if self.cell.acts_late else "after"
            holds = [{**hold, "seconds": HOLD_SECONDS, "when": when}]
            if self.cell.passing > 1:
                holds.insert(0, {**hold, "seconds": 0, "when": when, "times": self.cell.passing - 1})
            (carrier if where == "carrier" else refund).extend(holds)
        await self._world.order_faults("carrier", self.order.order_id, carrier)
        await self._world.order_faults(self.order.payment.provider, self.order.payment.transaction_id, refund)

    async def _claim_and_start(self) -> None:
        await claim_and_start(self._runner.client, self._book, self.order, self._queue)

    async def _start_worker(self, *, crashing: bool) -> Program:
        if crashing:
            cell = self.cell
            plan = Plan(
                point=cell.point, when=cell.when, fault=cell.fault, passing=cell.passing, marker=str(self._marker)
            )
            command = [sys.executable, "-m", "tests.reliability.crashing_process", "worker", plan.text()]
        else:
            command = [sys.executable, "-m", "workers"]
        program = Program(f"worker-{self.order.order_id}", command, env=self._environment)
        self._programs.append(program)
        await asyncio.to_thread(program.start)
        return program

    async def _until_fired(self, crasher: Program) -> None:
        cell = self.cell

        def done() -> bool:
            match cell.fault:
                case "kill":
                    return self._marker.exists() and not crasher.running
                case "stop":
                    return self._marker.exists() and is_stopped(crasher.pid)
                case "lost":
                    return self._marker.exists()

        deadline = time.monotonic() + FIRE_SECONDS
        while not done():
            if time.monotonic() > deadline:
                raise CellError(f"{cell.point} was not passed {cell.passing} times within {FIRE_SECONDS:.0f} s")
            if not crasher.running and not self._marker.exists():
                raise CellError(f"the worker ended with {crasher.wait(1)} before the fault")
            await asyncio.sleep(0.05)
        if cell.fault == "kill" and (code := crasher.wait(1)) != -signal.SIGKILL:
            raise CellError(f"the worker ended with {code} instead of SIGKILL")

    async def _heal(self, crasher: Program) -> TopUpResult:
        """A fresh process goes on; a frozen one is thawed when the seed says, and watched."""
        if self._door is not None:
            self._door.open()
        if self.cell.fault == "lost":
            return await self._result()
        await self._start_worker(crashing=False)
        if self.cell.fault == "kill":
            return await self._result()
        match self.cell.thaw:
            case "settled":
                ended = await self._result()
                thaw(crasher)
            case "taken over" | "soon":
                await asyncio.sleep(TAKEN_OVER_SECONDS if self.cell.thaw == "taken over" else SOON_SECONDS)
                thaw(crasher)
                ended = await self._result()
        await asyncio.sleep(ECHO_SECONDS + scaled(LATENCY_SECONDS, self.cell.scale) * 0.2)
        return ended

    async def _result(self) -> TopUpResult:
        try:
            async with asyncio.timeout(HEAL_SECONDS):
                return await self._handle.result()
        except TimeoutError:
            record = await self._book.read(self.order.order_id)
            raise TimeoutError(f"no end within {HEAL_SECONDS:.0f} s; the order book says {record.entry}") from None

    async def _play_the_hand(self) -> None:
        """Cancel, or give an operator's word, once the order is at the carrier (or the fault came first)."""
        match self.cell.story.hand:
            case "cancel":
                await self._until_book(lambda books: self._at_carrier(books, "post"))
                await self._handle.cancel()
            case "resolve":
                await self._until_book(lambda books: self._at_carrier(books, "get"))
                accepted = next(one for one in self._seen().carrier if one.kind == "accepted")
                word = {
                    "operator": "Wang",
                    "note": f"Carrier says no: {accepted.data['id']}",
                    "outcome": "not_delivered",
                }
                await self._insist_on_update("resolve", word)
            case "":
                pass

    async def _insist_on_update(self, name: str, word: Mapping[str, str]) -> None:
        """The worker may die with the update in its hands: the same update again is the same update."""
        while True:
            with contextlib.suppress(RPCError, TimeoutError):
                try:
                    async with asyncio.timeout(20):
                        await self._handle.execute_update(  # pyright: ignore[reportUnknownMemberType] - SDK's own
                            name, dict(word), id="by-hand"
                        )
                except WorkflowUpdateFailedError:
                    return
                else:
                    return
            await asyncio.sleep(0.2)

    def _seen(self) -> Any:
        assert self._runner.paid
        mine = next(one for one in self._runner.paid if one.order_id == self.order.order_id)
        return self._world.books.seen([mine])[0]

    def _at_carrier(self, books: Books, kind: str) -> bool:
        return any(entry.kind == kind and entry.data["external_id"] == self.order.order_id for entry in books.carrier)

    async def _until_book(self, condition: Callable[[Books], bool]) -> None:
        while not condition(await self._world.refresh(at_most_every_seconds=0.2)):
            await asyncio.sleep(0.2)

    # --- the end ---

    async def _compare(self, ended: TopUpResult, books: Books, paid: Paid) -> list[str]:
        """The product's own tables, last: they must say what the world says."""
        record, notices = await self._book.read_with_notices(self.order.order_id)
        seen = books.seen([paid])[0]
        entry, ends, sentences = record.entry, seen.ends, list[str]()
        if {entry.outcome} != ends or {ended.outcome} != ends:
            sentences.append(f"the book says {entry.outcome}, the run {ended.outcome}, the world {sorted(ends)}")
        if entry.status != entry.outcome or entry.needs_operator or entry.first_pass:
            sentences.append(f"the book shows {entry.status}, needs_operator={entry.needs_operator}")
        posts = len(seen.at_carrier("post"))
        if posts > entry.posts:
            sentences.append(f"the carrier saw {posts} POSTs, the book granted {entry.posts}")
        untold = [f"{one.result} on {one.platform}: {one.state}" for one in notices if one.state != "acknowledged"]
        if untold or not notices:
            sentences.append(f"notices in the book: {untold or 'none'}")
        return sentences

    def logs(self) -> str:
        """What the processes wrote."""
        return "\n".join(f"--- {program.log_path}\n{program.log_tail(40)}" for program in self._programs)

    def end_processes(self) -> None:
        """Kill what still runs."""
        for program in self._programs:
            if program.running:
                thaw(program)
            program.close()


async def claim_and_start(client: Client, book: OrderBook, order: PaidOrder, queue: str) -> None:
    """What the bridge does with a record: claim, then start once."""
    await book.claim([order])
    start = Start(
        TopUpInput(
            order_id=order.order_id, package_id=PACKAGE, amount_fen=order.amount_fen, provider=order.payment.provider
        ),
        Vault(PII_KEY).vehicle_hash(order.vehicle.vin),
    )
    await client.start_workflow(**start.arguments(queue))


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP has taken effect."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] in ("T", "t")
    return False


def thaw(program: Program) -> None:
    """SIGCONT, if it is still there."""
    if program.running:
        signal_all(process_tree(program.pid), signal.SIGCONT)
