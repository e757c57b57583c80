"""The server and the workers of one example: runs, workflow tasks, and what a client can do."""

# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# The SDK's own parts are private and half typed.

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.exceptions import ApplicationError
from temporalio.worker._workflow_instance import WorkflowInstance

from tests.properties.fake_temporal.attempts import CONVERTER, Attempted, Attempts
from tests.properties.fake_temporal.instance import TASK_TIMEOUT_SECONDS, instance_of
from tests.properties.fake_temporal.runs import AlreadyStarted, Run, Task, Unsound, Worker


class Engine(Attempts):
    """The server and the workers of one example.

    Args:
        saga: the workflow class; the other arguments are those of `Attempts`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        saga: type,
        activities: Sequence[Callable[..., Awaitable[Any]]],
        attempt: Attempted,
        seen: Callable[[bytes], None],
    ) -> None:
        super().__init__(loop, activities, attempt, seen)
        self._definition = workflow._Definition.must_from_class(saga)
        self.runs: dict[str, Run] = {}
        self.all_runs: list[Run] = []
        self.workers = [self.worker]

    # --- what a client can do ---------------------------------------------------------------------------------

    def start(self, workflow_id: str, order: Any, *, reject_duplicate: bool) -> Run:
        """Start a run, unless one is open, or one was and the policy refuses a second."""
        there = self.runs.get(workflow_id)
        if there is not None and (there.status == "running" or reject_duplicate):
            raise AlreadyStarted
        return self._open(workflow_id, CONVERTER.to_payloads([order]), reopened=bool(order.reopened))

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
        job.do_update.input.extend(CONVERTER.to_payloads([word]))
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
        run.instance = instance_of(run, self._definition)
        commands: list[WorkflowCommand] = []
        for activation in itertools.chain.from_iterable(run.history):
            again = WorkflowActivation()
            again.CopyFrom(activation)
            again.is_replaying = True
            commands += self._commands(run.instance, again)
        return commands

    def _activate(self, run: Run, task: Task, jobs: Sequence[WorkflowActivationJob]) -> None:
        if run.instance is None:
            run.instance = instance_of(run, self._definition)
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
            answer.set_result(str(CONVERTER.from_payload(response.completed)))

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
