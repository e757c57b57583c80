"""Temporal within one event loop: the SDK's own workflow runtime, fed by a server of a few pages.

The saga runs as it is, in `temporalio`'s workflow instance; this engine answers its commands as the server and the
SDK's core do: a workflow task stays open while a local activity runs, and what it did is lost with its worker; a
regular activity is retried by its policy, learns of no cancel, and may live on when nobody waits for it any more. What
it is to agree with is the real server, on which `real` plays the same plans. It uses internals of the SDK, which
`temporalio`'s version in the lock file keeps as they are.
"""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# The SDK's own parts are private and half typed.

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.common import MetricMeter, Priority, TypedSearchAttributes
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner
from temporalio.worker._workflow_instance import WorkflowInstance, WorkflowInstanceDetails

from runtime.temporal import DATA_CONVERTER
from tests.properties.virtual_loop import START

TASK_TIMEOUT_SECONDS = 10.0
"""What it takes the server to give a dead worker's workflow task to another."""
_CONVERTER = DATA_CONVERTER.payload_converter
_FAILURES = DATA_CONVERTER.failure_converter
_INFO = ActivityEnvironment.default_info()


class Unsound(Exception):
    """The saga did what would wedge or break a run on a server; the text says what."""


class AlreadyStarted(Exception):
    """A run of this workflow ID is open, or the policy refuses a second one."""


@dataclass
class Worker:
    """One worker process: `stopped` is set while it is frozen, for ever once it is killed."""

    number: int
    stopped: bool = False
    killed: bool = False
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    async def pass_on(self) -> None:
        """Goes on at once in a live process, when it thaws in a frozen one, and never in a dead one."""
        while self.stopped or self.killed:
            self.thawed.clear()
            await self.thawed.wait()


@dataclass
class Pending:
    """A regular activity that a run waits for."""

    seq: int
    id: str
    type: str
    arguments: Sequence[Payload]
    start_to_close: float
    schedule_to_close: float | None
    policy: Any
    scheduled_at: float
    attempt: int = 0
    token: int = 0
    running: bool = False
    cancel_requested: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list[asyncio.TimerHandle])


@dataclass
class Task:
    """An open workflow task: what would be lost with its worker."""

    jobs: list[WorkflowActivationJob]
    activations: list[WorkflowActivation] = field(default_factory=list[WorkflowActivation])
    commands: list[WorkflowCommand] = field(default_factory=list[WorkflowCommand])
    locals: int = 0
    lost: bool = False


@dataclass
class Run:
    """One run: its history as activations, and what it waits for."""

    workflow_id: str
    run_id: str
    arguments: Sequence[Payload]
    reopened: bool
    started_at: datetime
    history: list[list[WorkflowActivation]] = field(default_factory=list[list[WorkflowActivation]])
    inbox: list[WorkflowActivationJob] = field(default_factory=list[WorkflowActivationJob])
    instance: WorkflowInstance | None = None
    task: Task | None = None
    wake: bool = False
    pending: dict[int, Pending] = field(default_factory=dict[int, Pending])
    timers: dict[int, asyncio.TimerHandle] = field(default_factory=dict[int, asyncio.TimerHandle])
    updates: dict[str, "asyncio.Future[str]"] = field(default_factory=dict[str, "asyncio.Future[str]"])
    status: str = "running"
    result: Sequence[Payload] = ()


Attempted = Callable[[Callable[..., Awaitable[Any]], Sequence[Any], activity.Info, Worker, Run], Awaitable[Any]]


class Engine:
    """The server and the workers of one example.

    Args:
        saga: the workflow class.
        activities: what its activities are.
        attempt: runs one attempt of an activity; where the world puts its faults.
        seen: is handed every payload and sentence that would stand in a history.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        saga: type,
        activities: Sequence[Callable[..., Awaitable[Any]]],
        attempt: Attempted,
        seen: Callable[[bytes], None],
    ) -> None:
        self._loop = loop
        self._definition = workflow._Definition.must_from_class(saga)
        self._activities: dict[str, tuple[Callable[..., Awaitable[Any]], list[type] | None]] = {}
        for function in activities:
            definition = activity._Definition.must_from_callable(function)
            assert definition.name is not None
            self._activities[definition.name] = (function, definition.arg_types)
        self._attempt = attempt
        self._seen = seen
        self._numbers = itertools.count(1)
        self.runs: dict[str, Run] = {}
        self.all_runs: list[Run] = []
        self.worker = Worker(1)
        self.workers = [self.worker]
        self.attempts: set[asyncio.Task[Any]] = set()
        self.unsound: list[str] = []
        self.ended = False

    # --- what a client can do ---------------------------------------------------------------------------------

    def start(self, workflow_id: str, order: Any, *, reject_duplicate: bool) -> Run:
        """Start a run, unless one is open, or one was and the policy refuses a second."""
        there = self.runs.get(workflow_id)
        if there is not None and (there.status == "running" or reject_duplicate):
            raise AlreadyStarted
        return self._open(workflow_id, _CONVERTER.to_payloads([order]), reopened=bool(order.reopened))

    def cancel(self, run: Run) -> None:
        """Request the run's cancel."""
        if run.status == "running":
            job = WorkflowActivationJob()
            job.cancel_workflow.reason = "cancel"
            self._tell(run, job)

    def update(self, run: Run, name: str, word: Any) -> "asyncio.Future[str]":
        """Send an update; the future holds its answer, or raises with the refusal's sentence."""
        answer: asyncio.Future[str] = self._loop.create_future()
        if run.status != "running":
            answer.set_exception(ApplicationError("workflow execution already completed"))
            return answer
        identity = f"update-{next(self._numbers)}"
        job = WorkflowActivationJob()
        job.do_update.id = job.do_update.protocol_instance_id = identity
        job.do_update.name = name
        job.do_update.input.extend(_CONVERTER.to_payloads([word]))
        job.do_update.run_validator = True
        run.updates[identity] = answer
        self._tell(run, job)
        return answer

    def terminate(self, run: Run) -> None:
        """Close the run; its activities live on and nobody hears them."""
        if run.status == "running":
            self._close(run, "terminated")

    def delete(self, run: Run) -> None:
        """Forget the run altogether."""
        self.terminate(run)
        if self.runs.get(run.workflow_id) is run:
            del self.runs[run.workflow_id]

    def reset(self, run: Run, *, tasks: int) -> Run:
        """A new run that remembers the first `tasks` workflow tasks of `run`, which is terminated."""
        kept = [list(one) for one in run.history[: max(1, tasks)]]
        self.terminate(run)
        if not run.history:
            return self._open(run.workflow_id, run.arguments, reopened=run.reopened)
        again = self._open(run.workflow_id, run.arguments, reopened=run.reopened, begin=False)
        again.history = kept
        resolved, fired = set[int](), set[int]()
        for activation in itertools.chain.from_iterable(kept):
            resolved |= {job.resolve_activity.seq for job in activation.jobs if job.HasField("resolve_activity")}
            fired |= {job.fire_timer.seq for job in activation.jobs if job.HasField("fire_timer")}
        commands = self._replay(again)
        cancelled = {one.cancel_timer.seq for one in commands if one.HasField("cancel_timer")}
        for command in commands:
            if command.HasField("schedule_activity") and command.schedule_activity.seq not in resolved:
                self._schedule(again, command)
            elif command.HasField("start_timer") and command.start_timer.seq not in fired | cancelled:
                self._start_timer(again, command)
        for command in commands:
            if command.HasField("request_cancel_activity"):
                self._request_cancel(again, command.request_cancel_activity.seq)
        return again

    def lose_worker(self, *, thaws_after: float | None) -> Worker:
        """Kill the worker process (None), or freeze it for a while; another takes its place at once."""
        lost = self.worker
        lost.stopped = True
        if thaws_after is None:
            lost.killed = True
        else:
            self._loop.call_later(thaws_after, self.thaw, lost)
        self.worker = Worker(lost.number + 1)
        self.workers.append(self.worker)
        for run in self.runs.values():
            run.instance = None  # the next task replays the history, on the other worker
            if run.task is not None:
                run.task.lost = True
                run.inbox[:0] = run.task.jobs
                run.task = None
                self._loop.call_later(TASK_TIMEOUT_SECONDS, self._wake, run)
        return lost

    def thaw(self, worker: Worker) -> None:
        """Let a frozen worker go on."""
        if not worker.killed:
            worker.stopped = False
            worker.thawed.set()

    @property
    def quiet(self) -> bool:
        """Whether no run is open."""
        return all(run.status != "running" for run in self.runs.values())

    # --- workflow tasks ---------------------------------------------------------------------------------------

    def _open(self, workflow_id: str, arguments: Sequence[Payload], *, reopened: bool, begin: bool = True) -> Run:
        run = Run(workflow_id, f"run-{next(self._numbers)}", arguments, reopened, self._now())
        self.runs[workflow_id] = run
        self.all_runs.append(run)
        if begin:
            job = WorkflowActivationJob()
            job.initialize_workflow.workflow_type = self._definition.name or ""
            job.initialize_workflow.workflow_id = workflow_id
            job.initialize_workflow.arguments.extend(arguments)
            job.initialize_workflow.randomness_seed = 1
            self._tell(run, job)
        for payload in arguments:
            self._seen(payload.data)
        return run

    def _tell(self, run: Run, job: WorkflowActivationJob) -> None:
        run.inbox.append(job)
        if not run.wake:
            run.wake = True
            self._loop.call_soon(self._wake, run)

    def _wake(self, run: Run) -> None:
        run.wake = False
        if self.ended or run.status != "running" or run.task is not None or not run.inbox:
            return
        if run.instance is None and run.history:
            self._replay(run)
        jobs, run.inbox = run.inbox, []
        run.task = Task(jobs)
        self._activate(run, run.task, jobs)

    def _replay(self, run: Run) -> list[WorkflowCommand]:
        run.instance = self._instance(run)
        commands: list[WorkflowCommand] = []
        for activation in itertools.chain.from_iterable(run.history):
            again = WorkflowActivation()
            again.CopyFrom(activation)
            again.is_replaying = True
            commands += self._commands(run.instance, again)
        return commands

    def _activate(self, run: Run, task: Task, jobs: Sequence[WorkflowActivationJob]) -> None:
        if run.instance is None:
            run.instance = self._instance(run)
        activation = WorkflowActivation(run_id=run.run_id, jobs=jobs)
        activation.timestamp.FromDatetime(self._now())
        task.activations.append(activation)
        commands = self._commands(run.instance, activation)
        task.commands += commands
        for command in commands:
            if command.HasField("schedule_local_activity"):
                task.locals += 1
                self._start_local(run, task, command)
        if task.locals == 0:
            run.task = None
            run.history.append(task.activations)
            self._obey(run, task.commands)
            if run.inbox and not run.wake:
                run.wake = True
                self._loop.call_soon(self._wake, run)

    def _commands(self, instance: WorkflowInstance, activation: WorkflowActivation) -> list[WorkflowCommand]:
        outer = asyncio._get_running_loop()
        try:
            completion = instance.activate(activation)
        finally:
            asyncio._set_running_loop(outer)
        if completion.HasField("failed"):
            self.unsound.append(f"A workflow task failed: {completion.failed.failure.message}")
            raise Unsound(self.unsound[-1])
        return list(completion.successful.commands)

    def _obey(self, run: Run, commands: Sequence[WorkflowCommand]) -> None:
        for command in commands:
            match command.WhichOneof("variant"):
                case "schedule_activity":
                    self._schedule(run, command)
                case "request_cancel_activity":
                    self._request_cancel(run, command.request_cancel_activity.seq)
                case "start_timer":
                    self._start_timer(run, command)
                case "cancel_timer":
                    if (timer := run.timers.pop(command.cancel_timer.seq, None)) is not None:
                        timer.cancel()
                case "update_response":
                    self._answer_update(run, command)
                case "complete_workflow_execution":
                    run.result = [command.complete_workflow_execution.result]
                    self._close(run, "completed")
                case "fail_workflow_execution" | "cancel_workflow_execution":
                    self._close(run, "failed or cancelled")
                case "modify_workflow_properties" | "upsert_workflow_search_attributes" | _:
                    pass
            self._seen(command.SerializeToString())

    def _answer_update(self, run: Run, command: WorkflowCommand) -> None:
        response = command.update_response
        answer = run.updates.get(response.protocol_instance_id)
        if answer is None or answer.done():
            return
        if response.HasField("rejected"):
            answer.set_exception(ApplicationError(response.rejected.message))
        elif response.HasField("completed"):
            answer.set_result(str(_CONVERTER.from_payload(response.completed)))

    def _close(self, run: Run, status: str) -> None:
        run.status = status
        run.instance, run.task = None, None
        for timer in run.timers.values():
            timer.cancel()
        for pending in run.pending.values():
            for timer in pending.timers:
                timer.cancel()
        run.timers, run.pending = {}, {}
        for answer in run.updates.values():
            if not answer.done():
                answer.set_exception(ApplicationError("workflow execution already completed"))
                answer.exception()

    # --- timers and activities ----------------------------------------------------------------------------------

    def _start_timer(self, run: Run, command: WorkflowCommand) -> None:
        seq = command.start_timer.seq
        seconds = _seconds(command.start_timer.start_to_fire_timeout)
        self._seen(command.user_metadata.SerializeToString())

        def fire() -> None:
            if run.timers.pop(seq, None) is not None:
                job = WorkflowActivationJob()
                job.fire_timer.seq = seq
                self._tell(run, job)

        run.timers[seq] = self._loop.call_later(seconds, fire)

    def _schedule(self, run: Run, command: WorkflowCommand) -> None:
        asked = command.schedule_activity
        if any(other.id == asked.activity_id for other in run.pending.values()):
            self.unsound.append(f"Two pending activities have the ID {asked.activity_id}: the run is wedged.")
        whole = _seconds(asked.schedule_to_close_timeout) if asked.HasField("schedule_to_close_timeout") else None
        pending = Pending(
            seq=asked.seq,
            id=asked.activity_id,
            type=asked.activity_type,
            arguments=list(asked.arguments),
            start_to_close=_seconds(asked.start_to_close_timeout),
            schedule_to_close=whole,
            policy=asked.retry_policy,
            scheduled_at=self._loop.time(),
        )
        run.pending[asked.seq] = pending
        self._start_attempt(run, pending)
        if whole is not None:
            timer = self._loop.call_later(whole, self._give_up, run, pending)
            pending.timers.append(timer)

    def _give_up(self, run: Run, pending: Pending) -> None:
        if run.pending.get(pending.seq) is pending:
            self._resolve(run, pending, failure=_timed_out(TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE))

    def _request_cancel(self, run: Run, seq: int) -> None:
        pending = run.pending.get(seq)
        if pending is None:
            return
        pending.cancel_requested = True
        if not pending.running:  # in back-off, or between two attempts: the server cancels it at once
            self._resolve(run, pending, cancelled=True)

    def _start_attempt(self, run: Run, pending: Pending) -> None:
        if self.ended or run.pending.get(pending.seq) is not pending:
            return
        pending.attempt += 1
        pending.token = token = next(self._numbers)
        pending.running = True
        info = self._info(run, pending.id, pending.type, pending.attempt, is_local=False)
        task = self._run_attempt(run, pending.type, pending.arguments, info)

        def over(done: "asyncio.Task[Any]") -> None:
            if pending.token == token and not self.ended and not done.cancelled():
                timeout.cancel()
                self._attempt_over(run, pending, done)

        def timed_out() -> None:
            if pending.token == token:
                self._failed(run, pending, _timed_out(TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE), None)

        timeout = self._loop.call_later(pending.start_to_close, timed_out)
        pending.timers.append(timeout)
        task.add_done_callback(over)

    def _attempt_over(self, run: Run, pending: Pending, done: "asyncio.Task[Any]") -> None:
        if run.pending.get(pending.seq) is not pending:
            return
        error = done.exception()
        if error is None:
            self._resolve(run, pending, result=done.result())
        elif isinstance(error, Exception):
            failure = Failure()
            _FAILURES.to_failure(error, _CONVERTER, failure)
            self._seen(failure.SerializeToString())
            told = failure.application_failure_info
            again = told.next_retry_delay.ToTimedelta() if told.HasField("next_retry_delay") else None
            self._failed(run, pending, failure, again)

    def _failed(self, run: Run, pending: Pending, failure: Failure, again: timedelta | None) -> None:
        pending.running, pending.token = False, 0
        if run.pending.get(pending.seq) is not pending:
            return
        if pending.cancel_requested:
            self._resolve(run, pending, failure=failure)
            return
        policy = pending.policy
        wait = _seconds(policy.initial_interval) * policy.backoff_coefficient ** min(pending.attempt - 1, 50)
        if policy.HasField("maximum_interval"):
            wait = min(wait, _seconds(policy.maximum_interval))
        if again is not None:
            wait = again.total_seconds()
        pending.timers.append(self._loop.call_later(wait, self._start_attempt, run, pending))

    def _resolve(
        self,
        run: Run,
        pending: Pending,
        *,
        result: Any = None,
        failure: Failure | None = None,
        cancelled: bool = False,
    ) -> None:
        del run.pending[pending.seq]
        pending.token = 0
        for timer in pending.timers:
            timer.cancel()
        job = WorkflowActivationJob()
        job.resolve_activity.seq = pending.seq
        if cancelled or failure is not None:
            outer = Failure(message="Activity task failed")
            outer.activity_failure_info.activity_id = pending.id
            outer.activity_failure_info.activity_type.name = pending.type
            outer.activity_failure_info.retry_state = RetryState.RETRY_STATE_CANCEL_REQUESTED
            if cancelled:
                outer.cause.canceled_failure_info.SetInParent()
                job.resolve_activity.result.cancelled.failure.CopyFrom(outer)
            else:
                assert failure is not None
                outer.cause.CopyFrom(failure)
                job.resolve_activity.result.failed.failure.CopyFrom(outer)
        else:
            payload = _CONVERTER.to_payload(result)
            self._seen(payload.data)
            job.resolve_activity.result.completed.result.CopyFrom(payload)
        self._tell(run, job)

    def _start_local(self, run: Run, task: Task, command: WorkflowCommand) -> None:
        asked = command.schedule_local_activity
        info = self._info(run, asked.activity_id, asked.activity_type, 1, is_local=True)
        attempt = self._run_attempt(run, asked.activity_type, list(asked.arguments), info)
        job = WorkflowActivationJob()
        job.resolve_activity.seq = asked.seq
        job.resolve_activity.is_local = True
        result = job.resolve_activity.result

        def resolve() -> None:
            if not (task.lost or self.ended or run.task is not task):
                task.locals -= 1
                self._activate(run, task, [job])

        def over(done: "asyncio.Task[Any]") -> None:
            if done.cancelled() or result.WhichOneof("status") is not None:
                return
            timeout.cancel()
            if (error := done.exception()) is None:
                payload = _CONVERTER.to_payload(done.result())
                self._seen(payload.data)
                result.completed.result.CopyFrom(payload)
            else:
                _FAILURES.to_failure(error, _CONVERTER, result.failed.failure)
                self._seen(result.failed.failure.SerializeToString())
            resolve()

        def timed_out() -> None:
            if result.WhichOneof("status") is None:
                failure = result.failed.failure
                failure.activity_failure_info.activity_id = asked.activity_id
                failure.cause.CopyFrom(_timed_out(TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE))
                if not task.lost:
                    attempt.cancel()  # as the SDK's core does with a local activity that is late
                resolve()

        timeout = self._loop.call_later(_seconds(asked.start_to_close_timeout), timed_out)
        attempt.add_done_callback(over)

    def _run_attempt(
        self, run: Run, name: str, arguments: Sequence[Payload], info: activity.Info
    ) -> "asyncio.Task[Any]":
        function, types = self._activities[name]
        values = _CONVERTER.from_payloads(list(arguments), types)
        for payload in arguments:
            self._seen(payload.data)
        task = self._loop.create_task(self._attempted(function, values, info, run))
        self.attempts.add(task)
        task.add_done_callback(self._attempt_ended)
        return task

    def _attempt_ended(self, task: "asyncio.Task[Any]") -> None:
        self.attempts.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may wait for it any more

    async def _attempted(
        self, function: Callable[..., Awaitable[Any]], values: Sequence[Any], info: activity.Info, run: Run
    ) -> Any:
        environment = ActivityEnvironment()
        environment.info = info

        async def body() -> Any:
            return await self._attempt(function, values, info, worker, run)

        worker = self.worker
        return await environment.run(body)

    def _info(self, run: Run, identity: str, name: str, attempt: int, *, is_local: bool) -> activity.Info:
        return replace(
            _INFO,
            activity_id=identity,
            activity_type=name,
            attempt=attempt,
            is_local=is_local,
            started_time=self._now(),
            workflow_id=run.workflow_id,
            workflow_run_id=run.run_id,
        )

    def _instance(self, run: Run) -> WorkflowInstance:
        functions: Mapping[str, Any] = {
            "__temporal_get_metric_meter": lambda: MetricMeter.noop,
            "__temporal_assert_local_activity_valid": _is_there,
        }
        info = workflow.Info(
            attempt=1,
            continued_run_id=None,
            cron_schedule=None,
            execution_timeout=None,
            first_execution_run_id=run.run_id,
            headers={},
            namespace="default",
            original_execution_run_id=run.run_id,
            parent=None,
            root=None,
            priority=Priority.default,
            raw_memo={},
            retry_policy=None,
            run_id=run.run_id,
            run_timeout=None,
            search_attributes={},
            start_time=run.started_at,
            workflow_start_time=run.started_at,
            task_queue="topup-orders",
            task_timeout=timedelta(seconds=TASK_TIMEOUT_SECONDS),
            typed_search_attributes=TypedSearchAttributes.empty,
            workflow_id=run.workflow_id,
            workflow_type=self._definition.name or "",
        )
        return UnsandboxedWorkflowRunner().create_instance(
            WorkflowInstanceDetails(
                payload_converter_factory=DATA_CONVERTER._new_payload_converter,
                failure_converter_class=DATA_CONVERTER.failure_converter_class,
                interceptor_classes=[],
                defn=self._definition,
                info=info,
                randomness_seed=1,
                extern_functions=functions,
                disable_eager_activity_execution=False,
                worker_level_failure_exception_types=(),
                patch_activation_callback=None,
                last_completion_result=Payloads(),
                last_failure=None,
            )
        )

    def _now(self) -> datetime:
        return (START + timedelta(seconds=self._loop.time())).astimezone(UTC)


def _is_there(_name: str) -> None:
    """Every activity is there."""


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()


def _timed_out(kind: "TimeoutType.ValueType") -> Failure:
    failure = Failure(message="activity timeout")
    failure.timeout_failure_info.timeout_type = kind
    return failure
