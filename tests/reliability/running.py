"""Runs the cells: an order on its way, a fault at a point of it, a fresh process that goes on, the audit."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from devkit.audit.auditor import Report, audit_seen, audit_whole
from devkit.audit.books import Paid, Seen
from devkit.audit.files import broken_chains
from devkit.servers.process import Program
from orders.paid_order import PaidOrder
from tests.reliability.cells import HOLD_SECONDS, Cell
from tests.reliability.doors import Door
from tests.reliability.lanes import HEAL_SECONDS, LATENCY_SECONDS, Lane, NotShown, posted, thaw, until
from tests.reliability.world import World
from workflows.policies import scaled
from workflows.steps import TopUpResult

TAKEN_OVER_SECONDS: Final = 13.0
"""After so long a frozen worker's task has gone to another: Temporal's limit is 10 s."""
SOON_SECONDS: Final = 6.0
FROZEN_SECONDS: Final = 60.0
"""The longest freeze."""
ECHO_SECONDS: Final = 2.5
"""How long a thawed process is watched for late effects, beside what is scaled."""
COMES_ABOUT: Final = "the planned fault comes about"
UNTOUCHED_BOOKS: Final = "the books' chains are whole"
ENDS: Final = "ended within 120 s after the fault"
AGREES: Final = "the order book agrees"
_TARGETS: Final = {"post": "post", "get": "get", "cancel": "cancel", "send": "refund", "ask": "query"}


@dataclass(slots=True)
class Shown:
    """What a cell or a drill showed."""

    name: str
    report: Report = field(default_factory=Report)
    seconds: float = 0.0
    healed_seconds: float = 0.0
    ends: frozenset[str] = frozenset()
    logs: str = ""
    remark: str = ""
    """A figure worth reading, for the line that says how it went."""


Drill = Callable[["Runner", Shown, AsyncExitStack], Awaitable[None]]
"""Shows something on lanes that it opens with `runner.lane(stack, …)`."""


class Runner:
    """Runs cells and drills on one world."""

    def __init__(self, world: World, client: Client, *, at_once: int, mutant: str = "") -> None:
        self.world = world
        self.client = client
        self.mutant = mutant
        """The mistake that the processes of every lane make, unless a drill gives a lane another."""
        self.paid: list[Paid] = []
        """All paid orders of this world so far, for the audit of the whole."""
        self._lanes: dict[str, list[Lane]] = {}
        self._places = asyncio.Semaphore(at_once)

    async def cell(self, cell: Cell, *, mutant: str = "") -> Shown:
        """One cell of the matrix, with the product or with a mutant of it."""

        async def drill(_: Runner, result: Shown, stack: AsyncExitStack) -> None:
            await _through(self, cell, result, stack, mutant)

        return await self.drill(f"{cell.name} / {mutant}" if mutant else cell.name, drill)

    async def drill(self, name: str, drill: Drill) -> Shown:
        """Run it when there is room; what the product does wrong stands in the report."""
        async with self._places:
            result, began = Shown(name), time.monotonic()
            self._lanes[name] = []
            async with AsyncExitStack() as stack:
                try:
                    await drill(self, result, stack)
                except NotShown as error:
                    result.report.add(COMES_ABOUT, name, [str(error)])
                except TimeoutError as error:
                    result.report.add(ENDS, name, [str(error) or "timed out"])
                except Exception as error:  # noqa: BLE001 - one drill that fails must not end the others
                    result.report.add(COMES_ABOUT, name, [f"{type(error).__name__}: {error}"])
                if result.report.violations:
                    result.logs = "\n".join(lane.logs() for lane in self._lanes.pop(name))
            result.seconds = time.monotonic() - began
            return result

    def lane(self, name: str, stack: AsyncExitStack, **options: Any) -> Lane:
        """A lane that is closed with the stack."""
        lane = Lane(self.world, self.client, **options)
        lane.mutant = self.mutant
        return self.adopt(name, lane, stack)

    def adopt(self, name: str, lane: Lane, stack: AsyncExitStack) -> Lane:
        """A lane of another world, closed with the stack; its logs are kept if the drill breaks a rule."""
        self._lanes[name].append(lane)
        stack.push_async_callback(lane.close)
        return lane

    async def order(self, lane: Lane, provider: str, **circumstances: Any) -> tuple[PaidOrder, Paid]:
        """A new paid order of this lane, and the auditor's view of it."""
        order = await self.world.new_order(provider)
        paid = lane.paid(order, **circumstances)
        self.paid.append(paid)
        return order, paid

    async def judge(self, result: Shown, lane: Lane, paid: Paid, said: str = "") -> None:
        """Audit one order; then compare with the product's own tables."""
        seen = (await self.world.refresh()).about(paid)
        result.ends |= seen.ends
        result.report.merge(audit_seen([seen]))
        result.report.add(AGREES, paid.order_id, await lane.compare(seen, said))

    async def judge_all(self, result: Shown, lane: Lane, orders: Sequence[Paid]) -> list[Seen]:
        """Likewise many orders, with one walk through the books; what these hold about each."""
        every = (await self.world.refresh()).seen(orders)
        result.report.merge(audit_seen(every))
        for seen in every:
            result.ends |= seen.ends
            result.report.add(AGREES, seen.paid.order_id, await lane.compare(seen))
        return every


async def judge_whole(runner: Runner) -> Report:
    """What holds in total, once all jobs are done; and that nobody has altered the books."""
    report = audit_whole(runner.paid, await runner.world.refresh())
    report.add(UNTOUCHED_BOOKS, "", broken_chains(runner.world.simulators.books))
    return report


async def _through(runner: Runner, cell: Cell, result: Shown, stack: AsyncExitStack, mutant: str) -> None:
    """One cell, from claim to audit."""
    changes: dict[str, str] = {}
    door = stack.enter_context(contextlib.closing(Door(runner.world.url("carrier")))) if cell.story.away else None
    if door is not None:
        changes["TOPUP_CARRIER_URL"] = door.url
    lane = runner.lane(result.name, stack, scale=cell.scale, on_postgres=cell.on_postgres, **changes)
    lane.mutant = mutant
    order, paid = await runner.order(
        lane,
        cell.story.provider,
        end=cell.end,
        zombies=cell.fault == "stop",
        given_up=cell.story.hand == "resolve",
    )
    await _order_faults(runner.world, cell, order)
    await lane.start(order)
    plan = lane.plan(cell.fault, cell.when, cell.point, cell.passing)
    crasher = await lane.process("worker", plan)
    hand = asyncio.create_task(_play_the_hand(lane, cell, order, paid))
    try:
        await lane.until_fired(plan, crasher)
        result.report.add(COMES_ABOUT, result.name, ())
        if door is not None:
            door.open()
        fired_at = time.monotonic()
        ended = await _heal(lane, cell, order, crasher)
        result.healed_seconds = time.monotonic() - fired_at
        result.report.add(ENDS, result.name, ())
    finally:
        hand.cancel()
    await runner.judge(result, lane, paid, ended.outcome)


async def _order_faults(world: World, cell: Cell, order: PaidOrder) -> None:
    """The story's faults; and where the fault sits in the middle of a request, the simulator holds that one."""
    faults = {"carrier": list(cell.story.carrier), "refund": list(cell.story.refund)}
    if cell.is_http and cell.when == "middle":
        where, _, call = cell.point.partition(":")
        when = "before" if cell.acts_late else "after"
        hold = {"kind": "delay", "target": _TARGETS[call], "when": when}
        if cell.passing > 1:
            faults[where].append({**hold, "seconds": 0, "times": cell.passing - 1})
        faults[where].append({**hold, "seconds": HOLD_SECONDS})
    await world.order_faults("carrier", order.order_id, faults["carrier"])
    await world.order_faults(order.payment.provider, order.payment.transaction_id, faults["refund"])


async def _heal(lane: Lane, cell: Cell, order: PaidOrder, crasher: Program) -> TopUpResult:
    """A fresh process goes on; a frozen one is thawed when the seed says, and watched."""
    if cell.fault == "lost":
        return await lane.result(order)
    if cell.then:
        await _kill_again(lane, cell, order)
    await lane.process("worker")
    if cell.fault != "stop":
        return await lane.result(order)
    match cell.thaw:
        case "settled":
            await _settled_within(lane, order, FROZEN_SECONDS)
            thaw(crasher)
            ended = await lane.result(order)
        case "taken over" | "soon":
            await asyncio.sleep(TAKEN_OVER_SECONDS if cell.thaw == "taken over" else SOON_SECONDS)
            thaw(crasher)
            ended = await lane.result(order)
    await asyncio.sleep(ECHO_SECONDS + 0.2 * scaled(LATENCY_SECONDS, cell.scale))
    return ended


async def _settled_within(lane: Lane, order: PaidOrder, seconds: float) -> None:
    """Wait for the end, but not for ever: the polls that a frozen worker has open may each swallow a task."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (await lane.book.read(order.order_id)).state.outcome is None:
        await asyncio.sleep(0.3)
    await asyncio.sleep(1)


async def _kill_again(lane: Lane, cell: Cell, order: PaidOrder) -> None:
    """The next process is killed too, unless the order ends without passing that point again."""
    plan = lane.plan("kill", "after", cell.then)
    second = await lane.process("worker", plan)
    ended = asyncio.create_task(lane.result(order))
    while second.running and not ended.done():
        await asyncio.sleep(0.1)
    ended.cancel()


async def _play_the_hand(lane: Lane, cell: Cell, order: PaidOrder, paid: Paid) -> None:
    """Cancel, or give an operator's word, once the order is at the carrier."""
    match cell.story.hand:
        case "cancel":
            await lane.until_books(lambda books: posted(books, order, "post"), "a POST")
            await lane.handle(order).cancel()
        case "resolve":
            await until(lambda: _asked(lane, order), "the carrier was asked, and its answer booked", HEAL_SECONDS)
            books = await lane.world.refresh()
            reference = books.about(paid).at_carrier("accepted")[0].data["id"]
            word = {"operator": "Wang", "note": f"Carrier says no: {reference}", "outcome": "not_delivered"}
            await insist_on_update(lane, order, "resolve", word)
        case "":
            pass


async def _asked(lane: Lane, order: PaidOrder) -> bool:
    return any(event.kind == "query" for event in await lane.book.events(order.order_id))


async def insist_on_update(lane: Lane, order: PaidOrder, name: str, word: Mapping[str, str]) -> None:
    """The worker may die with the update in its hands: the same update again is the same update."""
    while True:
        try:
            async with asyncio.timeout(20):
                await lane.handle(order).execute_update(  # pyright: ignore[reportUnknownMemberType] - the SDK's own
                    name, dict(word), id="by-hand"
                )
        except WorkflowUpdateFailedError:
            return  # refused: what it asks for has happened
        except (RPCError, TimeoutError):
            await asyncio.sleep(0.2)
        else:
            return
