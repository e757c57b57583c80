"""One plan, played within one process and one event loop: real saga, activities, carrier adapter and order book.

Time is virtual, so that a story of days takes milliseconds; the same plan always plays the same way.
"""

import asyncio
import contextvars
import functools
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any, Protocol

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.notifying import NotifyingActivities
from activities.order_desk import OrderDesk
from activities.recording import RecordingActivities
from activities.refunding import RefundingActivities
from activities.reopening import Reopening
from activities.telecom import TelecomActivities
from adapters.carriers.tmf622.client import Tmf622Carrier
from adapters.order_book.book import Claim, OrderBook
from adapters.order_book.field_cipher import FieldCipher
from orders.errors import Unavailable
from orders.paid_order import PaidOrder
from tests.properties.counterparties import REFERENCE, REFUSALS, Car, Carrier, Provider, wire
from tests.properties.fake_temporal.engine import Engine
from tests.properties.fake_temporal.runs import AlreadyStarted, Run, Worker
from tests.properties.oracle import DUPLICATES, SOUND, Attempt, Judge, grounds_kept, who
from tests.properties.sqlite_at_once import engine_over
from tests.properties.strategies import Hand, Plan
from tests.properties.virtual_loop import START, LoopClock, VirtualLoop
from tests.workflows.conftest import paid_order
from tests.workflows.world import TIMES
from workers.composition import activities_of
from workflows.steps import OperatorRequest, TopUpInput
from workflows.top_up_order import TopUpOrder

SWEEP_SECONDS = 600.0
STORY_SECONDS = 2500.0
"""How long faults may last after the last hand; then all is healed."""
LIVENESS_SECONDS = 1.5 * 86_400.0
AFTERLIFE_SECONDS = 6000.0
"""Whatever was frozen has thawed by then."""
stage: "contextvars.ContextVar[Story]" = contextvars.ContextVar("stage")
_ORDER = paid_order(1)
_OTHER_NAME = "TSAGA00000002"
_SECRETS = (_ORDER.vehicle.vin, _ORDER.vehicle.iccid, _ORDER.vehicle.msisdn or "-")
_QUERY = "SELECT * FROM orders WHERE order_id = ?"
_process: contextvars.ContextVar[Worker | None] = contextvars.ContextVar("process", default=None)


class Shelf:
    """SQLite in memory, set up once; each example finds it as new."""

    def __init__(self) -> None:
        def connect() -> sqlite3.Connection:
            return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

        self._template, self.connection = connect(), connect()
        self.connection.row_factory = None
        self.engine = engine_over(self.connection)
        loop = VirtualLoop()
        template = OrderBook(engine_over(self._template), FieldCipher(bytes(32)), LoopClock(loop))
        loop.run_until_complete(template.migrate())
        loop.close()

    def clear(self) -> None:
        """Forget the example before."""
        if self.connection.in_transaction:
            self.connection.rollback()
        self._template.backup(self.connection)


@functools.cache
def shelf() -> Shelf:
    """The process's own."""
    return Shelf()


class Story:
    """One order's world; `play` plays the plan and judges it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.loop = VirtualLoop()
        self.clock = LoopClock(self.loop)
        self.order = _ORDER
        self.judge = Judge(self.order.order_id, self.order.amount_fen, _SECRETS, START, self.loop.time)
        self.connection = shelf().connection
        self.cipher = FieldCipher(bytes(32))
        self.real_book = OrderBook(shelf().engine, self.cipher, self.clock)
        self.book = HeldBook(self.real_book, self)
        self.carrier = Carrier(plan, self)
        self.provider = Provider(plan, self, self.order.payment.merchant_id)
        self.car = Car(plan, self)
        self.engine = Engine(self.loop, TopUpOrder, self._activities(), self._attempt, self.judge.seen)
        self._met: dict[str, int] = {}
        self._faults = {(fault.at, fault.nth): fault for fault in plan.faults}
        self._at: list[Hand] = [hand for hand in plan.hands if hand.at]
        self._beside: set[asyncio.Task[Any]] = set()
        self.trail_read = 0

    # --- Stage ----------------------------------------------------------------------------------------------------

    def seconds(self) -> float:
        return self.loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._goes_on()

    async def silence(self) -> None:
        await self.sleep(10_000)

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        self.loop.call_later(seconds, what)

    async def boundary(self, name: str) -> None:
        self._met[name] = nth = self._met.get(name, 0) + 1
        for hand in [hand for hand in self._at if hand.at == name]:
            self._at.remove(hand)
            self.hand(hand.what)
            await asyncio.sleep(0)
        fault = self._faults.pop((name, nth), None)
        if fault is not None:
            self.judge.note(f"FAULT {fault.what} {name} {fault.seconds:g}")
            match fault.what:
                case "die":
                    await asyncio.Event().wait()
                case "freeze":
                    await self._frozen(fault.seconds)
                case "kill worker":
                    self.engine.lose_worker(thaws_after=None)
                case "freeze worker":
                    self.engine.lose_worker(thaws_after=fault.seconds)
                case "no book":
                    if "PUBLISH" not in name and name.split()[1].islower():
                        raise Unavailable("The order book's database doesn't answer: check it.")
        await self._goes_on()

    async def _frozen(self, seconds: float) -> None:
        """A frozen attempt hears no cancel either; it goes on where it was."""
        until = self.loop.time() + seconds
        while (left := until - self.loop.time()) > 0 and not self.engine.ended:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(left)

    async def _goes_on(self) -> None:
        process = _process.get()
        if process is not None:
            await process.pass_on()

    # --- the product ----------------------------------------------------------------------------------------------

    def _activities(self) -> Sequence[Callable[..., Awaitable[Any]]]:
        carrier = Tmf622Carrier(wire(self.carrier), url="http://carrier", token="token")
        desk = OrderDesk(
            book=self.book,
            clock=self.clock,
            alert=self.alert,
            times=TIMES,
            scale=1.0,
            platforms=self.car.platforms,
            local_first=self.plan.local_first,
        )
        telecom, recording = TelecomActivities(carrier, desk), RecordingActivities(desk)
        refunding = RefundingActivities({"wechat": self.provider}, desk)
        notifying = NotifyingActivities(self.car, self.book, self.alert, 1.0)
        client: Any = EngineClient(self)
        self.reopening = Reopening(
            lambda: client, self.real_book, self.clock, self.alert, task_queue="topup-orders", scale=1.0
        )
        return activities_of(telecom, recording, refunding, notifying, None)

    def alert(self, kind: str, **fields: str) -> None:
        self.judge.note(f"ALERT {kind} {fields.get('why', '')}")
        self.judge.seen(json.dumps([kind, fields]).encode())

    async def _attempt(
        self,
        function: Callable[..., Awaitable[Any]],
        values: Sequence[Any],
        info: activity.Info,
        worker: Worker,
        run: Run,
    ) -> Any:
        who.set(Attempt(run.run_id, run.reopened))
        _process.set(worker)
        stage.set(self)
        await worker.pass_on()
        try:
            result = await function(*values)
        except Exception as error:
            self.judge.note(f"  {info.activity_type} failed: {error}")
            raise
        await worker.pass_on()
        return result

    def look(self) -> None:
        self.trail_read = look(self.connection, self.order, self.judge, self.trail_read)

    # --- hands ----------------------------------------------------------------------------------------------------

    def hand(self, what: str) -> None:
        """Do it now; what takes time goes on beside."""
        self.judge.note(f"HAND {what}")
        run = self.engine.runs.get(f"topup/{self.order.order_id}")
        match what:
            case "record again":
                self._do(self.record(self.order, {Claim.NEW, Claim.UNSETTLED, Claim.SETTLED}))
            case "conflicting record":
                self._do(self.record(self.order.model_copy(update={"amount_fen": 1}), {Claim.CONFLICT}))
            case "payment under another order":
                self._do(self.record(self.order.model_copy(update={"order_id": _OTHER_NAME}), {Claim.CONFLICT}))
            case "sweep":
                self._do(self.sweep())
            case "reopen":
                self._do(self._reopen())
            case _ if run is not None:
                self._hand_on_run(what, run)
            case _:
                pass

    def _hand_on_run(self, what: str, run: Run) -> None:
        match what:
            case "cancel":
                self.engine.cancel(run)
            case "terminate":
                self.judge.disturbed = True
                self.engine.terminate(run)
            case "delete":
                self.judge.disturbed = True
                self.engine.delete(run)
            case "reset to start" | "reset to last":
                if run.status == "running" or self.judge.row.get("outcome") is None:
                    self.judge.disturbed = True
                    self.engine.reset(run, tasks=1 if what == "reset to start" else len(run.history) - 1)
            case "retry_now" | "refund_now" | "renotify":
                if what == "retry_now":
                    self.judge.retry_given()
                self._do(self._update(run, what, OperatorRequest(operator="li", note="as told")))
            case _:
                self._do(self._resolve(what, run))

    async def _resolve(self, what: str, run: Run) -> None:
        """An operator's word; it is true at the carrier or the provider when it is given."""
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
        await self._update(run, "resolve", word)

    async def _update(self, run: Run, name: str, word: OperatorRequest) -> None:
        try:
            sentence = await self.engine.update(run, name, word)
        except ApplicationError as error:
            sentence = str(error)
        self.judge.updated(name, sentence)

    async def record(self, order: PaidOrder, expected: set[Claim]) -> None:
        """What the bridge does with a record."""
        (claim,) = await self.real_book.claim([order])
        self.judge.check(DUPLICATES, claim.outcome in expected, f"{claim.outcome} is none of {expected}")
        if self.judge.row:
            self.judge.check(DUPLICATES, claim.outcome is not Claim.NEW, "claimed as new a second time")
        self.look()
        if claim.outcome in (Claim.NEW, Claim.UNSETTLED):
            with suppress(WorkflowAlreadyStartedError):
                self.begin(self.asked(reopened=False), reject_duplicate=True)

    def asked(self, *, reopened: bool) -> TopUpInput:
        order = self.order
        return TopUpInput(
            order_id=order.order_id,
            package_id=order.package_id,
            amount_fen=order.amount_fen,
            provider=order.payment.provider,
            reopened=reopened,
        )

    def begin(self, order: TopUpInput, *, reject_duplicate: bool) -> None:
        """Start a run, as the client does."""
        try:
            self.engine.start(f"topup/{order.order_id}", order, reject_duplicate=reject_duplicate)
        except AlreadyStarted as error:
            raise WorkflowAlreadyStartedError(order.order_id, "TopUpOrder") from error

    async def sweep(self) -> None:
        """What the schedule runs every 10 minutes."""
        environment = ActivityEnvironment()
        await environment.run(self.reopening.reopen_unsettled_orders)

    async def _reopen(self) -> None:
        await self.reopening.reopen(self.order.order_id)

    def _do(self, what: Any) -> None:
        task = self.loop.create_task(what)
        self._beside.add(task)
        task.add_done_callback(self._did)

    def _did(self, task: "asyncio.Task[Any]") -> None:
        self._beside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.judge.check(SOUND, False, f"a hand failed: {error!r}")

    # --- the whole ------------------------------------------------------------------------------------------------

    def play(self) -> Judge:
        """Play it to its end, and return the judge; a defect of the machinery itself is raised."""
        shelf().clear()
        try:
            self.loop.run_until_complete(self._until_broken())
        finally:
            self.engine.ended = True
            self._sweep_up()
        return self.judge

    async def _until_broken(self) -> None:
        """A wrong product may go on without end: what has broken a rule is over."""
        playing = self.loop.create_task(self._play())
        while not (playing.done() or self.judge.broken):
            soon = self.loop.time() < STORY_SECONDS
            await asyncio.wait({playing}, timeout=5.0 if soon else 500.0)
        if playing.done():
            playing.result()

    async def _play(self) -> None:
        await self.record(self.order, {Claim.NEW})
        sweeping = self.loop.create_task(self._sweeps())
        for hand in self.plan.hands:
            if not hand.at:
                await asyncio.sleep(hand.wait)
                self.hand(hand.what)
        await self._until(self._over, STORY_SECONDS)
        self._heal()
        operating = self.loop.create_task(self._operates())
        settled = await self._until(self._over, LIVENESS_SECONDS)
        operating.cancel()
        await asyncio.sleep(AFTERLIFE_SECONDS)
        if settled:
            await self.record(self.order, {Claim.SETTLED})
        sweeping.cancel()
        self._judge_the_end(settled=settled and self._over())

    def _judge_the_end(self, *, settled: bool) -> None:
        self.look()
        self.judge.at_the_end(settled=settled, platforms=self.car.platforms)
        self.judge.trail_at_the_end(trail(self.connection, self.order, 0))
        for what in self.engine.unsound:
            self.judge.check(SOUND, False, what)
        for run in self.engine.all_runs:
            well = run.status in ("completed", "terminated")
            if run.status == "completed" and settled:
                outcome = json.loads(run.result[0].data)["outcome"]
                well = outcome == self.judge.row["outcome"]
            self.judge.check(SOUND, well, f"{run.run_id} is {run.status}")

    def _over(self) -> bool:
        return self.judge.row.get("outcome") is not None and self.engine.quiet

    async def _until(self, over: Callable[[], bool], seconds: float) -> bool:
        until = self.loop.time() + seconds
        while not over():
            if self.loop.time() >= until or self.engine.unsound:
                return False
            await asyncio.sleep(10.0 if self.loop.time() < STORY_SECONDS else 100.0)
        return True

    def _heal(self) -> None:
        self.judge.note("HEALED")
        self.judge.platform_held_nothing_up(undisturbed=not (self.plan.faults or self.plan.hands))
        self._faults.clear()
        self._at.clear()
        self.carrier.heal()
        self.provider.heal()
        self.car.heal()
        for worker in self.engine.workers:
            self.engine.thaw(worker)

    async def _sweeps(self) -> None:
        while not self._over():
            await asyncio.sleep(SWEEP_SECONDS)
            await self.sweep()

    async def _operates(self) -> None:
        """An operator who looks at the orders that need one, asks outside, and says what is true."""
        while True:
            await asyncio.sleep(900.0)
            self.look()
            row, run = self.judge.row, self.engine.runs.get(f"topup/{self.order.order_id}")
            if run is None or run.status != "running":
                continue
            if row["refund_sequence"]:
                if self.provider.refuses:
                    await self._resolve("refunded", run)
            elif row["contradicted"]:
                await self._resolve("delivered" if self.carrier.state == "completed" else "not delivered", run)
            elif row["carrier_outcome"] is None and self.carrier.state in ("partial", "inProgress"):
                await self._resolve("not delivered, reference", run)

    def _sweep_up(self) -> None:
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()


def look(connection: sqlite3.Connection, order: PaidOrder, judge: Judge, after: int) -> int:
    """Hand the judge what the database holds now; returns the number of the trail's last line."""
    cursor = connection.execute(_QUERY, (order.order_id,))
    row = dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
    count = "SELECT count(*) FROM orders WHERE transaction_id = ?"
    rows = connection.execute(count, (order.payment.transaction_id,)).fetchone()[0]
    lines = trail(connection, order, after)
    judge.booked(row, rows, lines)
    return lines[-1][0] if lines else after


def trail(connection: sqlite3.Connection, order: PaidOrder, after: int) -> list[tuple[Any, ...]]:
    """The audit trail after a line, as the database holds it."""
    query = "SELECT id, at, kind, detail FROM order_events WHERE order_id = ? AND id > ? ORDER BY id"
    return connection.execute(query, (order.order_id, after)).fetchall()


class Held(Protocol):
    """Whose book it is."""

    async def boundary(self, name: str) -> None:
        """An attempt comes to a boundary."""
        ...

    def look(self) -> None:
        """A transaction has ended."""
        ...


class HeldBook:
    """The real order book, with a boundary on each side of every transaction.

    `one` makes a transaction and the look at it one step, where they are not so by themselves.
    """

    def __init__(self, book: OrderBook, story: Held, one: "AbstractAsyncContextManager[None] | None" = None) -> None:
        self._book = book
        self._story = story
        self._one = one or nullcontext()

    async def _held(self, kind: str, call: Callable[[], Awaitable[Any]]) -> Any:
        await self._story.boundary(f"before {kind}")
        async with self._one:
            try:
                return await call()
            finally:
                self._story.look()

    async def read(self, order_id: str) -> Any:
        record = await self._held("read", lambda: self._book.read(order_id))
        await self._story.boundary("after read")
        return record

    async def decide(self, order_id: str, rule: Any, *, kind: str, detail: Any) -> Any:
        answer = await self._held(kind, lambda: self._book.decide(order_id, rule, kind=kind, detail=detail))
        await self._story.boundary(f"after {kind}")
        return answer

    async def append(self, order_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """A line of the trail is no ground to send anything on."""
        with grounds_kept():
            await self._held(kind, lambda: self._book.append(order_id, kind, detail))
        await self._story.boundary(f"after {kind}")

    async def read_with_notices(self, order_id: str) -> Any:
        return await self._held("read_with_notices", lambda: self._book.read_with_notices(order_id))

    async def write_notices(self, order_id: str, result: Any, states: Mapping[str, tuple[str, str]]) -> None:
        await self._held("notices", lambda: self._book.write_notices(order_id, result, states))


class EngineClient:
    """As much of `temporalio.client.Client` as reopening an order needs."""

    def __init__(self, story: Story) -> None:
        self._story = story

    def get_workflow_handle(self, workflow_id: str) -> "Described":
        return Described(self._story.engine, workflow_id)

    async def start_workflow(self, **arguments: Any) -> None:
        rejects = arguments["id_reuse_policy"] is WorkflowIDReusePolicy.REJECT_DUPLICATE
        self._story.begin(arguments["arg"], reject_duplicate=rejects)


class Described:
    workflow_type, task_queue = "TopUpOrder", "topup-orders"

    def __init__(self, engine: Engine, workflow_id: str) -> None:
        self._engine = engine
        self._workflow_id = workflow_id
        self.status: WorkflowExecutionStatus | None = None

    async def describe(self) -> "Described":
        run = self._engine.runs.get(self._workflow_id)
        if run is None:
            raise RPCError("workflow not found", RPCStatusCode.NOT_FOUND, b"")
        running = run.status == "running"
        self.status = WorkflowExecutionStatus.RUNNING if running else WorkflowExecutionStatus.TERMINATED
        return self


def play(plan: Plan) -> Judge:
    """Play one plan in this process."""
    return Story(plan).play()
