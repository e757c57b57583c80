"""How a step of the saga is run: once locally, then regular until it is done; watched, and woken by changes.

One local activity at a time in a run, always: with two, a replay can hand one's result to the other (sdk-python issues
1578 and 1881).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as LimitReached

from workflows.steps import Step

A = TypeVar("A", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)


async def nothing() -> None:
    """What follows when a wait's label is only a label."""


@dataclass(frozen=True, slots=True)
class WaitLabel:
    """A labelled stretch of waiting: what the timer says, how long, and what follows when it is over."""

    text: str
    seconds: float
    then: Callable[[], Awaitable[None]] = nothing


class StepRunner:
    """Runs the steps of one run.

    Attributes:
        local_first: whether steps are tried locally first, as the worker of the first step wants it.
    """

    def __init__(self, order_id: str, scale: float) -> None:
        self.local_first = True
        self._order_id = order_id
        self._scale = scale
        self._one_local = asyncio.Lock()
        self._wakes = 0
        self._acted_on = 0

    def begin(self) -> None:
        """The saga is about to look at the order: whatever has woken it so far is acted on by that."""
        self._acted_on = self._wakes

    def wake(self) -> None:
        """Something has changed: whoever waits looks again at once."""
        self._wakes += 1

    async def record(self, step: Step[A, R], arg: A) -> R:
        """A step in the order book alone: local, else regular until the book is back."""
        done = await self.try_locally(step, arg)
        while done is None:
            done = _result(step, await self._start(step, arg))
        return done

    async def ask(self, step: Step[A, R], arg: A, label: Callable[[], WaitLabel], *, locally_first: bool) -> R | None:
        """A step in the outside world. None: woken, or ended by an operator's hand; look at the whole again.

        While it is pending, a timer is labelled as `label` says: that is what the Web UI shows of the trouble.
        """
        if locally_first and (done := await self.try_locally(step, arg)) is not None:
            return done
        handle = self._start(step, arg)
        await self._watch(partial(_over, handle, self._is_woken), label)
        if not handle.done():
            handle.cancel()
        try:
            return _result(step, await handle)
        except ActivityError:
            return None

    async def until_done(
        self, step: Step[A, R], arg: A, again: Callable[[], int], *, activity_id: str, task_queue: str
    ) -> R:
        """A regular step until it ends, started anew whenever `again` changes.

        Raises:
            ActivityError: its policy has an end, and that came first.
        """
        while True:
            seen = again()
            handle = self._start(step, arg, activity_id=activity_id, task_queue=task_queue)
            await workflow.wait_condition(partial(_over, handle, lambda before=seen: again() != before))
            if not handle.done():
                handle.cancel()
            try:
                if (done := _result(step, await handle)) is not None:
                    return done
            except ActivityError:
                if again() == seen:
                    raise

    async def pause(self, seconds: float, label: str) -> bool:
        """Wait, shown under `label` on the workflow's page, or until woken; whether it was."""
        return await _until(self._is_woken, timedelta(seconds=seconds), label)

    def _is_woken(self) -> bool:
        return self._wakes != self._acted_on

    async def try_locally(self, step: Step[A, R], arg: A) -> R | None:
        """The local first try alone. None: it failed, or the step has none."""
        if not (self.local_first and step.policy.local_seconds):
            return None
        async with self._one_local:
            try:
                return await workflow.execute_local_activity(
                    step.name,
                    arg,
                    result_type=step.gives,
                    start_to_close_timeout=step.policy.local_timeout(),
                    retry_policy=RetryPolicy(maximum_attempts=1),
                    summary=self._summary(step),
                )
            except (ActivityError, ApplicationError, LimitReached):
                # One that raises arrives bare, one that timed out wrapped, and bare in a replay (measured).
                return None

    async def _watch(self, over: Callable[[], bool], label: Callable[[], WaitLabel]) -> None:
        while True:
            now = label()
            if await _until(over, timedelta(seconds=now.seconds), now.text):
                return
            await now.then()

    def _start(
        self, step: Step[A, R], arg: A, *, activity_id: str | None = None, task_queue: str | None = None
    ) -> "workflow.ActivityHandle[Any]":
        return workflow.start_activity(
            step.name,
            arg,
            activity_id=activity_id or step.activity_id,
            task_queue=task_queue,
            start_to_close_timeout=step.policy.attempt_timeout(self._scale),
            schedule_to_close_timeout=step.policy.whole_timeout(),
            retry_policy=step.policy.retry(self._scale),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=self._summary(step),
        )

    def _summary(self, step: Step[Any, Any]) -> str:
        return f"{step.says}, {self._order_id}"


def _result(step: Step[Any, R], said: object) -> R | None:
    """What a regular activity has said. None: an operator's `activity complete` held something else; ask again.

    Decoded here, because a result that the SDK can't decode fails the workflow's task again and again (measured).
    """
    try:
        return step.gives.model_validate(said)
    except ValidationError:
        return None


def _over(handle: "workflow.ActivityHandle[Any]", changed: Callable[[], bool]) -> bool:
    return handle.done() or changed()


async def _until(done: Callable[[], bool], within: timedelta, label: str) -> bool:
    try:
        await workflow.wait_condition(done, timeout=within, timeout_summary=label)
    except TimeoutError:
        return False
    return True
