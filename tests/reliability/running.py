"""Runs the cases: an order on its way, a fault at a point of it, a fresh process that goes on, the audit."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from devkit.audit.auditor import Report, audit_seen, audit_whole
from devkit.audit.books import Paid, Seen
from devkit.audit.files import broken_chains
from devkit.servers.process import Program
from devkit.stack.tcp_proxy import TcpProxy
from orders.paid_order import PaidOrder
from orders.time_scale import scaled
from tests.reliability.cases import HOLD_SECONDS, Case
from tests.reliability.deployments import HEAL_SECONDS, LATENCY_SECONDS, Deployment, NotShown, posted, thaw, until
from tests.reliability.environment import Environment
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
ENDS: Final = "ended after the fault"
AGREES: Final = "the order book agrees"
_TARGETS: Final = {"post": "post", "get": "get", "cancel": "cancel", "send": "refund", "ask": "query"}


@dataclass(slots=True)
class Shown:
    """What a case or a drill showed."""

    name: str
    report: Report = field(default_factory=Report)
    seconds: float = 0.0
    healed_seconds: float = 0.0
    ends: frozenset[str] = frozenset()
    logs: str = ""
    remark: str = ""
    """A figure worth reading, for the line that says how it went."""


Drill = Callable[["Runner", Shown, AsyncExitStack], Awaitable[None]]
"""Shows something on deployments that it opens with `runner.deployed(stack, …)`."""


class Runner:
    """Runs cases and drills on one env."""

    def __init__(self, env: Environment, client: Client, *, at_once: int, mutant: str = "") -> None:
        self.env = env
        self.client = client
        self.mutant = mutant
        """The mistake that the processes of every deployed make, unless a drill gives a deployment another."""
        self.paid: list[Paid] = []
        """All paid orders of this environment so far, for the audit of the whole."""
        self._deployments: dict[str, list[Deployment]] = {}
        self._places = asyncio.Semaphore(at_once)

    async def case(self, case: Case, *, mutant: str = "") -> Shown:
        """One case of the matrix, with the product or with a mutant of it."""

        async def drill(_: Runner, result: Shown, stack: AsyncExitStack) -> None:
            await _through(self, case, result, stack, mutant)

        return await self.drill(f"{case.name} / {mutant}" if mutant else case.name, drill)

    async def drill(self, name: str, drill: Drill) -> Shown:
        """Run it when there is room; what the product does wrong stands in the report."""
        async with self._places:
            result, began = Shown(name), time.monotonic()
            self._deployments[name] = []
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
                    result.logs = "\n".join(deployed.logs() for deployed in self._deployments.pop(name))
            result.seconds = time.monotonic() - began
            return result

    def deployed(self, name: str, stack: AsyncExitStack, **options: Any) -> Deployment:
        """A deployment that is closed with the stack."""
        deployed = Deployment(self.env, self.client, **options)
        deployed.mutant = self.mutant
        return self.adopt(name, deployed, stack)

    def adopt(self, name: str, deployed: Deployment, stack: AsyncExitStack) -> Deployment:
        """A deployment of another env, closed with the stack; its logs are kept if the drill breaks a rule."""
        self._deployments[name].append(deployed)
        stack.push_async_callback(deployed.close)
        return deployed

    async def order(self, deployed: Deployment, provider: str, **circumstances: Any) -> tuple[PaidOrder, Paid]:
        """A new paid order of this deployment, and the auditor's view of it."""
        order = await self.env.new_order(provider)
        paid = deployed.paid(order, **circumstances)
        self.paid.append(paid)
        return order, paid

    async def judge(self, result: Shown, deployed: Deployment, paid: Paid, said: str = "") -> None:
        """Audit one order; then compare with the product's own tables."""
        seen = (await self.env.refresh()).about(paid)
        result.ends |= seen.ends
        result.report.merge(audit_seen([seen]))
        result.report.add(AGREES, paid.order_id, await deployed.compare(seen, said))

    async def judge_all(self, result: Shown, deployed: Deployment, orders: Sequence[Paid]) -> list[Seen]:
        """Likewise many orders, with one walk through the books; what these hold about each."""
        every = (await self.env.refresh()).seen(orders)
        result.report.merge(audit_seen(every))
        for seen in every:
            result.ends |= seen.ends
            result.report.add(AGREES, seen.paid.order_id, await deployed.compare(seen))
        return every


async def judge_whole(runner: Runner) -> Report:
    """What holds in total, once all jobs are done; and that nobody has altered the books."""
    report = audit_whole(runner.paid, await runner.env.refresh())
    report.add(UNTOUCHED_BOOKS, "", broken_chains(runner.env.simulators.books))
    return report


async def _through(runner: Runner, case: Case, result: Shown, stack: AsyncExitStack, mutant: str) -> None:
    """One case, from claim to audit."""
    changes: dict[str, str] = {}
    proxy = stack.enter_context(contextlib.closing(TcpProxy(runner.env.url("carrier")))) if case.story.away else None
    if proxy is not None:
        changes["TOPUP_CARRIER_URL"] = proxy.url
    deployed = runner.deployed(result.name, stack, scale=case.scale, on_postgres=case.on_postgres, **changes)
    deployed.mutant = mutant
    order, paid = await runner.order(
        deployed,
        case.story.provider,
        end=case.end,
        zombies=case.fault == "stop",
        given_up=case.story.hand == "resolve",
    )
    await _order_faults(runner.env, case, order)
    await deployed.start(order)
    plan = deployed.plan(case.fault, case.when, case.point, case.passing)
    crasher = await deployed.process("worker", plan)
    hand = asyncio.create_task(_play_the_hand(deployed, case, order, paid))
    try:
        await deployed.until_fired(plan, crasher)
        result.report.add(COMES_ABOUT, result.name, ())
        if proxy is not None:
            proxy.open()
        fired_at = time.monotonic()
        ended = await _heal(deployed, case, order, crasher)
        result.healed_seconds = time.monotonic() - fired_at
        result.report.add(ENDS, result.name, ())
    except TimeoutError:
        await runner.judge(result, deployed, paid)  # what was done on the way counts, though there was no end
        raise
    finally:
        hand.cancel()
    await runner.judge(result, deployed, paid, ended.outcome)


async def _order_faults(env: Environment, case: Case, order: PaidOrder) -> None:
    """The story's faults; and where the fault sits in the middle of a request, the simulator holds that one."""
    faults = {"carrier": list(case.story.carrier), "refund": list(case.story.refund)}
    if case.is_http and case.when == "middle":
        where, _, call = case.point.partition(":")
        when = "before" if case.acts_late else "after"
        hold = {"kind": "delay", "target": _TARGETS[call], "when": when}
        if case.passing > 1:
            faults[where].append({**hold, "seconds": 0, "times": case.passing - 1})
        faults[where].append({**hold, "seconds": HOLD_SECONDS})
    await env.order_faults("carrier", order.order_id, faults["carrier"])
    await env.order_faults(order.payment.provider, order.payment.transaction_id, faults["refund"])


async def _heal(deployed: Deployment, case: Case, order: PaidOrder, crasher: Program) -> TopUpResult:
    """A fresh process goes on; a frozen one is thawed when the seed says, and watched."""
    if case.fault == "lost":
        return await deployed.result(order)
    if case.then:
        await _kill_again(deployed, case, order)
    await deployed.process("worker")
    if case.fault != "stop":
        return await deployed.result(order)
    match case.thaw:
        case "settled":
            await _settled_within(deployed, order, FROZEN_SECONDS)
            thaw(crasher)
            ended = await deployed.result(order)
        case "taken over" | "soon":
            await asyncio.sleep(TAKEN_OVER_SECONDS if case.thaw == "taken over" else SOON_SECONDS)
            thaw(crasher)
            ended = await deployed.result(order)
    await asyncio.sleep(ECHO_SECONDS + 0.2 * scaled(LATENCY_SECONDS, case.scale))
    return ended


async def _settled_within(deployed: Deployment, order: PaidOrder, seconds: float) -> None:
    """Wait for the end, but not for ever: the polls that a frozen worker has open may each swallow a task."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (await deployed.book.read(order.order_id)).state.outcome is None:
        await asyncio.sleep(0.3)
    await asyncio.sleep(1)


async def _kill_again(deployed: Deployment, case: Case, order: PaidOrder) -> None:
    """The next process is killed too, unless the order ends without passing that point again."""
    plan = deployed.plan("kill", "after", case.then)
    second = await deployed.process("worker", plan)
    ended = asyncio.create_task(deployed.result(order))
    while second.running and not ended.done():
        await asyncio.sleep(0.1)
    ended.cancel()


async def _play_the_hand(deployed: Deployment, case: Case, order: PaidOrder, paid: Paid) -> None:
    """Cancel, or give an operator's word, once the order is at the carrier."""
    match case.story.hand:
        case "cancel":
            await deployed.until_books(lambda books: posted(books, order, "post"), "a POST")
            await deployed.handle(order).cancel()
        case "resolve":
            await until(lambda: _asked(deployed, order), "the carrier was asked, and its answer booked", HEAL_SECONDS)
            books = await deployed.env.refresh()
            reference = books.about(paid).at_carrier("accepted")[0].data["id"]
            word = {"operator": "Wang", "note": f"Carrier says no: {reference}", "outcome": "not_delivered"}
            await insist_on_update(deployed, order, "resolve", word)
        case "":
            pass


async def _asked(deployed: Deployment, order: PaidOrder) -> bool:
    return any(event.kind == "query" for event in await deployed.book.events(order.order_id))


async def insist_on_update(deployed: Deployment, order: PaidOrder, name: str, word: Mapping[str, str]) -> None:
    """The worker may die with the update in its hands: the same update again is the same update."""
    while True:
        try:
            async with asyncio.timeout(20):
                await deployed.handle(order).execute_update(  # pyright: ignore[reportUnknownMemberType] - the SDK's own
                    name, dict(word), id="by-hand"
                )
        except WorkflowUpdateFailedError:
            return  # refused: what it asks for has happened
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return  # the run has closed: what it asks for has come about by itself
            await asyncio.sleep(0.2)
        except TimeoutError:
            await asyncio.sleep(0.2)
        else:
            return
