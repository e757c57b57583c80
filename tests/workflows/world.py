"""A worker of the real saga and activities, on the real server and a real order book, with the outside world faked."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import UpdateActivityOptionsRequest
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import TimeSkipper
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.notifying import NotifyingActivities
from activities.order_desk import OrderDesk
from activities.recording import RecordingActivities
from activities.refunding import RefundingActivities
from activities.telecom import TelecomActivities
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.worked_on import WorkedOn
from orders import operator_rules
from orders.paid_order import PaidOrder
from orders.state import CarrierTimes, OrderState
from tests.limits import WAIT_SECONDS
from tests.workflows.fakes import FakeCarrier, FakeNotifier, FakeProvider
from tests.workflows.flat import FakeFlatCarrier
from tests.workflows.virtual_time import VirtualClock, VirtualTime
from workers.composition import WORKFLOWS, activities_of
from workflows.steps import OperatorRequest, Start, TopUpInput, TopUpResult, TopUpState, notices_queue

TIMES = CarrierTimes(
    longest_latency=timedelta(seconds=60), visibility_lag=timedelta(seconds=15), completion_window=timedelta(minutes=5)
)

# As production runs it. In the sandbox, which loads the saga anew for each run, are the replays of all committed
# histories (test_replays.py), and the scenarios with every step regular, at length.
SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules("pydantic", "tests.workflows.virtual_time")
)


class World:
    """One order's world; `run` starts its workflow."""

    def __init__(self, env: TimeSkipper, book: OrderBook, order: PaidOrder, *, local_first: bool) -> None:
        self.env = env
        self.book = book
        self.order = order
        self.clock = VirtualClock()
        self.times = TIMES
        self.carrier = FakeCarrier(self.clock)
        self.flat = FakeFlatCarrier()
        self.wechat = FakeProvider()
        self.notifier = FakeNotifier()
        self.cipher = FieldCipher(bytes(32))
        self.local_first = local_first
        self.two_persons = False
        self.restored_at: datetime | None = None
        self.task_queue = f"topup-{order.order_id}"
        self.alerts: list[tuple[str, dict[str, str]]] = []
        self.handles: list[WorkflowHandle[Any, TopUpResult]] = []

    def alert(self, kind: str, **fields: str) -> None:
        self.alerts.append((kind, fields))

    def workers(self) -> tuple[Worker, Worker]:
        times = replace(self.times, restored_at=self.restored_at)
        carrier = self.carrier if times.can_be_asked else self.flat
        desk = OrderDesk(
            book=WorkedOn(self.book),
            clock=self.clock,
            alert=self.alert,
            times=times,
            scale=1.0,
            platforms=self.notifier.platforms,
            local_first=self.local_first,
            four_eyes=self.two_persons,
        )
        telecom, recording = TelecomActivities(carrier, desk), RecordingActivities(desk)
        refunding = RefundingActivities({"wechat": self.wechat}, desk)
        notifying = NotifyingActivities(self.notifier, WorkedOn(self.book), self.alert, 1.0)
        orders = Worker(
            self.env.client,
            task_queue=self.task_queue,
            workflows=WORKFLOWS,
            activities=activities_of(telecom, recording, refunding, notifying, None),
            workflow_runner=UnsandboxedWorkflowRunner() if self.local_first else SANDBOX,
            interceptors=[VirtualTime()],
            max_cached_workflows=self.cached,
        )
        notices = Worker(
            self.env.client,
            task_queue=notices_queue(self.task_queue),
            activities=[notifying.notify_vehicle],
            interceptors=[VirtualTime()],
        )
        return orders, notices

    cached = 1000

    async def work(self) -> None:
        """Start the worker (again)."""
        self._working = self.workers()
        for worker in self._working:
            await worker.__aenter__()

    async def rest(self) -> None:
        """Stop the worker; the server goes on."""
        for worker in self._working:
            await worker.__aexit__(None, None, None)

    async def again_with(self, *, two_persons: bool = False, restored_at: datetime | None = None) -> None:
        """Another worker, with other settings."""
        await self.rest()
        self.two_persons, self.restored_at = two_persons, restored_at
        await self.work()

    async def speak_flat(self) -> None:
        """Another worker, whose carrier can't be asked."""
        await self.rest()
        self.times = replace(self.times, can_be_asked=False)
        await self.work()

    async def start(self, *, reopened: bool = False) -> WorkflowHandle[Any, TopUpResult]:
        order = self.order
        if reopened:  # as `activities.reopening` does
            await self.book.decide(
                order.order_id,
                lambda stored: operator_rules.reopen(stored.state, self.clock.now()),
                kind="reopened",
                detail=lambda _: {},
            )
        asked = TopUpInput(
            order_id=order.order_id,
            package_id=order.package_id,
            amount_fen=order.amount_fen,
            provider=order.payment.provider,
            reopened=reopened,
        )
        start = Start(asked, self.cipher.vehicle_hash(order.vehicle.vin))
        handle = await self.env.client.start_workflow(**start.arguments(self.task_queue), result_type=TopUpResult)
        self.handles.append(handle)
        return handle

    async def forward(self, handle: WorkflowHandle[Any, TopUpResult], **delta: float) -> None:
        """Let the run's time pass."""
        await self.env.fast_forward(handle, timedelta(**delta))
        await asyncio.sleep(0.05)

    async def result(self, handle: WorkflowHandle[Any, TopUpResult], *, within: timedelta | None = None) -> TopUpResult:
        """The result; lets time pass in growing strides while there is none, up to `within`."""
        waiting = asyncio.create_task(handle.result())
        stride, passed = timedelta(seconds=5), timedelta(0)
        while within is not None and passed < within:
            done, _ = await asyncio.wait({waiting}, timeout=0.15)
            if done:
                break
            await self._quiet(handle)
            with contextlib.suppress(RPCError):  # it may have ended in this moment
                await self.env.fast_forward(handle, stride)
            passed, stride = passed + stride, stride * 1.5
        return await asyncio.wait_for(waiting, WAIT_SECONDS)

    @staticmethod
    async def _quiet(handle: WorkflowHandle[Any, TopUpResult]) -> None:
        """Wait until the worker has answered the run's open workflow task: one without a core is no slow carrier.

        A local step that hangs keeps it open as long as the step's own limit.
        """
        async with asyncio.timeout(WAIT_SECONDS):
            while (await handle.describe()).raw_description.HasField("pending_workflow_task"):
                await asyncio.sleep(0.05)

    async def status(self, handle: WorkflowHandle[Any, TopUpResult]) -> TopUpState:
        return await handle.query("status", result_type=TopUpState)

    async def until(self, handle: WorkflowHandle[Any, TopUpResult], state: str) -> TopUpState:
        """Wait (real time) until the run shows `state`."""
        async with asyncio.timeout(WAIT_SECONDS):
            while (status := await self.status(handle)).state != state:
                await asyncio.sleep(0.05)
            return status

    async def update(self, handle: WorkflowHandle[Any, TopUpResult], name: str, **word: str) -> str:
        return await handle.execute_update(name, OperatorRequest(**{"operator": "li", "note": "tested", **word}))

    async def details(self, handle: WorkflowHandle[Any, TopUpResult]) -> str:
        """The current details, as the Web UI shows them."""
        shown = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        return shown.current_details

    async def state(self) -> OrderState:
        return (await self.book.read(self.order.order_id)).state

    async def kinds(self) -> list[str]:
        return [event.kind for event in await self.book.events(self.order.order_id)]

    async def end_activity_within(
        self, handle: WorkflowHandle[Any, TopUpResult], activity_id: str, whole: timedelta
    ) -> None:
        """What `temporal activity update-options --schedule-to-close-timeout` does."""
        options = ActivityOptions()
        options.schedule_to_close_timeout.FromTimedelta(whole)
        await self.env.client.workflow_service.update_activity_options(
            UpdateActivityOptionsRequest(
                namespace=self.env.client.namespace,
                execution=WorkflowExecution(workflow_id=handle.id),
                id=activity_id,
                activity_options=options,
                update_mask=FieldMask(paths=["schedule_to_close_timeout"]),
                identity="tests",
            )
        )

    async def replay(self) -> None:
        """Every history that a test has made replays, in the sandbox-free way that production runs."""
        replayer = Replayer(
            workflows=WORKFLOWS,
            workflow_runner=UnsandboxedWorkflowRunner(),
            data_converter=self.env.client.data_converter,
            namespace=self.env.client.namespace,
            interceptors=[VirtualTime()],
        )
        for handle in self.handles:
            await replayer.replay_workflow(await handle.fetch_history())


@asynccontextmanager
async def new_world(
    env: TimeSkipper, folder: Path, order: PaidOrder, *, local_first: bool = True
) -> AsyncGenerator[World, None]:
    book = OrderBook.open(f"sqlite:///{folder}/book.db", FieldCipher(bytes(32)), VirtualClock())
    world = World(env, book, order, local_first=local_first)
    try:
        await world.book.migrate()
        await world.book.claim([order])
        await world.work()
        try:
            yield world
        finally:
            await world.rest()
        await world.replay()
    finally:
        await world.book.close()
