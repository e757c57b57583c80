"""One plan on the real Temporal server, whose clock is moved; the order book is a file.

A lost worker can't be had side by side with others here (`tests/reliability` kills and freezes real ones): an attempt
dies or freezes instead. Time jumps where the plan waits, for the product's clock and the run's timers alike.
"""

import asyncio
import contextlib
import itertools
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment, TimeSkipper, TimeSkippingConfig

from activities.reopening import Reopening
from adapters.carriers.tmf622.client import Tmf622Carrier
from adapters.order_book.book import Claim, OrderBook
from adapters.order_book.field_cipher import FieldCipher
from devkit.servers.temporal import Temporal
from orders.errors import Unavailable
from orders.paid_order import PaidOrder
from tests.properties.counterparties import REFERENCE, REFUSALS, Car, Carrier, Provider, wire
from tests.properties.fast import HeldBook, look, trail
from tests.properties.oracle import DUPLICATES, SOUND, Attempt, Judge, who
from tests.properties.search import Found, drawn
from tests.properties.strategies import Hand, Plan
from tests.workflows.conftest import paid_order
from tests.workflows.world import World
from workflows.steps import OperatorRequest

AT_ONCE = 16
SLACK_SECONDS = 3.0
LONGEST_STRIDE_SECONDS = 3600.0
LIVENESS_SECONDS = 1.5 * 86_400.0
STORY_SECONDS = 1200.0
MOST_REAL_SECONDS = 240.0
"""A plan that takes longer than this has ended nowhere."""
_numbers = itertools.count(1)


class MovedClock:
    """Real time, and what was skipped."""

    def __init__(self) -> None:
        self.skipped = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skipped


class RealStory:
    """One order's world on the server."""

    def __init__(self, env: TimeSkipper, folder: Path, plan: Plan) -> None:
        self.plan = plan
        self.clock = MovedClock()
        self.start = self.clock.now()
        number = 50_000_000 + next(_numbers)
        self.order = paid_order(number)
        vehicle = self.order.vehicle
        secrets = (vehicle.vin, vehicle.iccid, vehicle.msisdn or "-")
        self.judge = Judge(self.order.order_id, self.order.amount_fen, secrets, self.start, self.seconds)
        self.judge.slack_seconds = SLACK_SECONDS
        file = folder / f"{number}.db"
        self.real_book = OrderBook.open(f"sqlite:///{file}", FieldCipher(bytes(32)), self.clock)
        self._file = file
        self.carrier = Carrier(plan, self)
        self.provider = Provider(plan, self, self.order.payment.merchant_id)
        self.car = Car(plan, self)
        self.world: Any = _StoryWorld(env, self)
        client: Any = env.client
        self.reopening = Reopening(
            lambda: client, self.real_book, self.clock, self.alert, task_queue=self.world.task_queue, scale=1.0
        )
        self.trail_read = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order_of_due = itertools.count()
        self._met: dict[str, int] = {}
        self._faults = {(fault.at, fault.nth): fault for fault in plan.faults}
        self._at: list[Hand] = [hand for hand in plan.hands if hand.at]
        self._healed = False
        self._handles: list[Any] = []

    # --- Stage ----------------------------------------------------------------------------------------------------

    def seconds(self) -> float:
        return (self.clock.now() - self.start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        here = min(seconds, 1.7)
        await asyncio.sleep(here)
        self._pass(seconds - here)

    async def silence(self) -> None:
        self._pass(60.0)
        raise httpx.ReadTimeout("no answer")

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self._due.append((self.seconds() + seconds, next(self._order_of_due), what))

    async def boundary(self, name: str) -> None:
        self._met[name] = nth = self._met.get(name, 0) + 1
        for hand in [hand for hand in self._at if hand.at == name]:
            self._at.remove(hand)
            await self.hand(hand.what, updates=False)
        fault = self._faults.pop((name, nth), None)
        if fault is None:
            return
        self.judge.note(f"FAULT {fault.what} {name} {fault.seconds:g}")
        match fault.what:
            case "no book" if "PUBLISH" not in name and name.split()[1].islower():
                raise Unavailable("The order book's database doesn't answer: check it.")
            case "freeze" | "freeze worker":
                until = self.seconds() + fault.seconds
                for _ in range(100):  # at most 5 s: the server waits for a running attempt
                    if self.seconds() >= until or self._healed:
                        break
                    await asyncio.sleep(0.05)
            case "no book":
                pass
            case _:
                raise RuntimeError("The worker died here.")

    def look(self) -> None:
        if who.get() is None and activity.in_activity():  # an attempt begins with the book
            run_id = activity.info().workflow_run_id or ""
            mine = {handle.result_run_id for handle in self._handles}
            who.set(Attempt(run_id, reopened=run_id not in mine))
        self.trail_read = look(self.connection, self.order, self.judge, self.trail_read)

    def alert(self, kind: str, **fields: str) -> None:
        self.judge.note(f"ALERT {kind} {fields.get('why', '')}")
        self.judge.seen(json.dumps([kind, fields]).encode())

    def _pass(self, seconds: float) -> None:
        self.clock.skipped += timedelta(seconds=max(seconds, 0.0))
        now = self.seconds()
        due, self._due = [one for one in self._due if one[0] <= now], [one for one in self._due if one[0] > now]
        for _, _, what in sorted(due, key=lambda one: one[:2]):
            what()

    # --- hands ----------------------------------------------------------------------------------------------------

    async def hand(self, what: str, *, updates: bool = True) -> None:
        """Do it. Updates are not sent from within an attempt: a local one would wait for itself."""
        self.judge.note(f"HAND {what}")
        order = self.order
        with contextlib.suppress(RPCError):
            match what:
                case "record again":
                    await self.record(order, {Claim.NEW, Claim.UNSETTLED, Claim.SETTLED})
                case "conflicting record":
                    await self.record(order.model_copy(update={"amount_fen": 1}), {Claim.CONFLICT})
                case "payment under another order":
                    await self.record(order.model_copy(update={"order_id": "TOTHER00000001"}), {Claim.CONFLICT})
                case "sweep":
                    await ActivityEnvironment().run(self.reopening.reopen_unsettled_orders)
                case "reopen":
                    await self.reopening.reopen(order.order_id)
                case _ if self._handles:
                    await self._hand_on_run(what, updates=updates)
                case _:
                    pass

    async def _hand_on_run(self, what: str, *, updates: bool) -> None:
        match what:
            case "cancel":
                await self._latest().cancel()
            case "terminate" | "delete" | "reset to start" | "reset to last":
                self.judge.disturbed = True
                await self._latest().terminate("an accident")
                if what == "delete":
                    await self._delete()
            case _ if updates:
                await self._say(what)
            case _:
                pass

    async def _delete(self) -> None:
        execution = WorkflowExecution(workflow_id=f"topup/{self.order.order_id}")
        client = self.world.env.client
        request = DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
        await client.workflow_service.delete_workflow_execution(request)

    def _latest(self) -> Any:
        return self.world.env.client.get_workflow_handle(f"topup/{self.order.order_id}")

    async def _say(self, what: str) -> None:
        if what in ("retry_now", "refund_now", "renotify"):
            if what == "retry_now":
                self.judge.retry_given()
            await self._update(what, OperatorRequest(operator="li", note="as told"))
            return
        truth = self.carrier.state
        ends_never = truth == "partial" or (truth == "inProgress" and self.plan.fate.then == "hangs")
        match what:
            case "delivered" if truth == "completed":
                word = OperatorRequest(operator="li", note="the carrier says so", outcome="delivered")
            case "not delivered" if truth in ("", *REFUSALS) or not self.judge.row["contradicted"]:
                word = OperatorRequest(operator="li", note="the carrier has nothing", outcome="not_delivered")
            case "not delivered, reference" if ends_never or truth in REFUSALS:
                self.carrier.given_up = self.judge.given_up = self.judge.heard_refusal = True
                word = OperatorRequest(operator="li", note=f"{REFERENCE} is given up", outcome="not_delivered")
            case "refunded" if self.provider.refuses:
                word = OperatorRequest(operator="li", note="BANK-1", outcome="refunded")
            case _:
                return
        await self._update("resolve", word)

    async def _update(self, name: str, word: OperatorRequest) -> None:
        try:
            sentence = await asyncio.wait_for(self._latest().execute_update(name, word), 20)
        except WorkflowUpdateFailedError as error:
            sentence = str(error.cause)
        except TimeoutError:
            return
        self.judge.updated(name, sentence)

    async def record(self, order: PaidOrder, expected: set[Claim]) -> None:
        """What the bridge does with a record."""
        (claim,) = await self.real_book.claim([order])
        self.judge.check(DUPLICATES, claim.outcome in expected, f"{claim.outcome} is none of {expected}")
        self.look()
        if claim.outcome in (Claim.NEW, Claim.UNSETTLED):
            with contextlib.suppress(WorkflowAlreadyStartedError):
                self._handles.append(await self.world.start())

    # --- the whole ------------------------------------------------------------------------------------------------

    async def play(self) -> Judge:
        """Play the plan to its end."""
        await self.real_book.migrate()
        self.connection = sqlite3.connect(self._file, isolation_level=None)
        await self.world.work()
        try:
            async with asyncio.timeout(MOST_REAL_SECONDS):
                await self._play()
        except TimeoutError:
            self.judge.at_the_end(settled=False, platforms=())
        finally:
            await self.world.rest()
            self.connection.close()
            await self.real_book.close()
        return self.judge

    async def _play(self) -> None:
        await self.record(self.order, {Claim.NEW})
        for hand in self.plan.hands:
            if not hand.at:
                await self._forward(hand.wait)
                await self.hand(hand.what)
        await self._until_over(STORY_SECONDS)
        self.judge.note("HEALED")
        self._healed = True
        self._faults.clear()
        self._at.clear()
        for side in (self.carrier, self.provider, self.car):
            side.heal()
        settled = await self._until_over(LIVENESS_SECONDS, operating=True)
        if settled:
            await self.record(self.order, {Claim.SETTLED})
        self.judge.at_the_end(settled=settled, platforms=self.car.platforms)
        self.judge.trail_at_the_end(trail(self.connection, self.order, 0))
        await self._judge_run()

    async def _judge_run(self) -> None:
        with contextlib.suppress(RPCError):
            latest = await self._latest().describe()
            status = latest.status
            well = status in (WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.TERMINATED)
            self.judge.check(SOUND, well, f"the last run is {status}")
            async for event in self._latest().fetch_history_events():
                self.judge.seen(event.SerializeToString())

    async def _until_over(self, seconds: float, *, operating: bool = False) -> bool:
        until, stride = self.seconds() + seconds, 5.0
        while True:
            await asyncio.sleep(0.15)
            self.look()
            status = await self._status()
            if self.judge.row["outcome"] is not None and status is not WorkflowExecutionStatus.RUNNING:
                return True
            if self.seconds() >= until:
                return False
            if status is not WorkflowExecutionStatus.RUNNING and self.seconds() > 100:
                await self.hand("sweep")
            if operating:
                await self._operate()
            await self._forward(stride)
            stride = min(stride * 1.5, LONGEST_STRIDE_SECONDS)

    async def _status(self) -> WorkflowExecutionStatus | None:
        with contextlib.suppress(RPCError):
            return (await self._latest().describe()).status
        return None

    async def _forward(self, seconds: float) -> None:
        self._pass(seconds)
        with contextlib.suppress(RPCError, TimeoutError):
            await asyncio.wait_for(
                self.world.env.fast_forward(self._latest(), timedelta(seconds=max(seconds, 0.001))), 15
            )

    async def _operate(self) -> None:
        row, truth = self.judge.row, self.carrier.state
        with contextlib.suppress(RPCError):
            if row["refund_sequence"]:
                if self.provider.refuses and row["refund_denied"]:
                    await self._say("refunded")
            elif row["contradicted"]:
                await self._say("delivered" if truth == "completed" else "not delivered")
            elif row["carrier_outcome"] is None and truth in ("partial", "inProgress") and row["needs_operator"]:
                await self._say("not delivered, reference")


class _StoryWorld(World):
    """The workers of the saga's stories, with this outside world."""

    def __init__(self, env: TimeSkipper, story: RealStory) -> None:
        super().__init__(env, story.real_book, story.order, local_first=story.plan.local_first)
        parts: Any = self
        parts.book = HeldBook(story.real_book, story, asyncio.Lock())
        parts.clock = story.clock
        parts.alert = story.alert
        parts.carrier = Tmf622Carrier(wire(story.carrier), url="http://carrier", token="token")
        parts.wechat, parts.notifier = story.provider, story.car


async def play_side_by_side(env: TimeSkipper, folder: Path, plans: list[Plan], until: float) -> list[Found]:
    """Each plan's verdict; those that would begin after `until` (monotonic) are left out."""
    places = asyncio.Semaphore(AT_ONCE)
    done: list[Found] = []

    async def one(plan: Plan) -> None:
        async with places:
            if time.monotonic() > until:
                return
            judge = await RealStory(env, folder, plan).play()
            found = Found(examples=1, tally=judge.tally)
            if judge.broken:
                found.plan, found.broken, found.story = plan, judge.broken, judge.log
            done.append(found)

    await asyncio.gather(*(one(plan) for plan in plans))
    return done


def play_many(seed: int, examples: int, until: float) -> Iterator[Found]:
    """Plans on a server of their own, in groups."""
    server = Temporal(in_memory=True, time_skipping=True)
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
            env = TimeSkipper(runner.run(server.connect()), config=TimeSkippingConfig(enabled=False))
            plans: list[Plan] = []
            drawn(seed, examples, plans.append)
            for start in range(0, len(plans), 4 * AT_ONCE):
                group = plans[start : start + 4 * AT_ONCE]
                for found in runner.run(play_side_by_side(env, Path(folder), group, until)):
                    found.seed = seed
                    yield found
    finally:
        server.close()
