"""Activities and timers as the server and the SDK's core run them: retried by policy, timed out, cancelled, lost."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# The SDK's own parts are private and half typed.

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.testing import ActivityEnvironment

from runtime.temporal import DATA_CONVERTER
from tests.properties.fake_temporal.runs import Pending, Run, Task, Worker
from tests.properties.virtual_loop import START

CONVERTER = DATA_CONVERTER.payload_converter
_FAILURES = DATA_CONVERTER.failure_converter
_INFO = ActivityEnvironment.default_info()

Attempted = Callable[[Callable[..., Awaitable[Any]], Sequence[Any], activity.Info, Worker, Run], Awaitable[Any]]


class Attempts:
    """What a run has started, attempt by attempt; it tells the run by a job of its next workflow task.

    Args:
        activities: what a saga's activities are.
        attempt: runs one attempt of an activity; where the world puts its faults.
        seen: is handed every payload and sentence that would stand in a history.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        activities: Sequence[Callable[..., Awaitable[Any]]],
        attempt: Attempted,
        seen: Callable[[bytes], None],
    ) -> None:
        self._loop = loop
        self._activities: dict[str, tuple[Callable[..., Awaitable[Any]], list[type] | None]] = {}
        for function in activities:
            definition = activity._Definition.must_from_callable(function)
            assert definition.name is not None
            self._activities[definition.name] = (function, definition.arg_types)
        self._attempt = attempt
        self._seen = seen
        self._numbers = itertools.count(1)
        self.worker = Worker(1)
        self.attempts: set[asyncio.Task[Any]] = set()
        self.unsound: list[str] = []
        self.ended = False

    def _tell(self, run: Run, job: WorkflowActivationJob) -> None:
        raise NotImplementedError

    def _activate(self, run: Run, task: Task, jobs: Sequence[WorkflowActivationJob]) -> None:
        raise NotImplementedError

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
            policy=asked.retry_policy,
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
            _FAILURES.to_failure(error, CONVERTER, failure)
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
            payload = CONVERTER.to_payload(result)
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
                payload = CONVERTER.to_payload(done.result())
                self._seen(payload.data)
                result.completed.result.CopyFrom(payload)
            else:
                _FAILURES.to_failure(error, CONVERTER, result.failed.failure)
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
        values = CONVERTER.from_payloads(list(arguments), types)
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

    def _now(self) -> datetime:
        return (START + timedelta(seconds=self._loop.time())).astimezone(UTC)


def _seconds(duration: Duration) -> float:
    return duration.ToTimedelta().total_seconds()


def _timed_out(kind: "TimeoutType.ValueType") -> Failure:
    failure = Failure(message="activity timeout")
    failure.timeout_failure_info.timeout_type = kind
    return failure
