"""How a step of the saga is run: once locally, then regular until it is done; watched, and open to an operator's nudge.

One local activity at a time in a run, always: with two, a replay can hand one's result to the other (sdk-python issues
1578 and 1881).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as LimitReached

from workflows.policies import BOOK, StepPolicy

R = TypeVar("R", bound=BaseModel)


async def nothing() -> None:
    """What follows when a stage is only a label."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A labelled stretch of waiting: what the timer says, how long, and what follows when it is over."""

    label: str
    seconds: float
    then: Callable[[], Awaitable[None]] = nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Generic[R]):
    """One step: what is called, with what, under which policy, and how the Web UI names it."""

    name: str
    arg: Any
    result: type[R]
    policy: StepPolicy
    summary: str
    activity_id: str | None = None
    local: bool = True
    task_queue: str | None = None
    """Where its regular activity runs; None: where the run does."""


class Steps:
    """Runs the steps of one run.

    Attributes:
        scale: `TOPUP_TIME_SCALE`, as the run has read it from its first step.
        local_first: likewise; false runs every step as a regular activity.
    """

    def __init__(self) -> None:
        self.scale = 1.0
        self.local_first = True
        self._one_local = asyncio.Lock()
        self._nudges = 0

    def nudge(self) -> None:
        """Something has changed: whoever waits looks again at once."""
        self._nudges += 1

    async def record(self, name: str, arg: Any, result: type[R]) -> R:
        """A step in the order book alone: local, else regular until the book is back."""
        step = Step(name=name, arg=arg, result=result, policy=BOOK, summary="order book")
        done = await self.try_locally(step)
        while done is None:
            done = _result(step, await self._start(step))
        return done

    async def ask(self, step: Step[R], stage: Callable[[], Stage]) -> R | None:
        """A step in the outside world. None: nudged, or ended by an operator's hand; look at the whole again.

        While it is pending, a timer is labelled as `stage` says: that label is what the Web UI shows of the trouble.
        """
        if (done := await self.try_locally(step)) is not None:
            return done
        seen = self._nudges
        handle = self._start(step)
        await self._watch(partial(_over, handle, lambda: self._nudges != seen), stage)
        if not handle.done():
            handle.cancel()
        try:
            return _result(step, await handle)
        except ActivityError:
            return None

    async def insist(self, step: Step[R], again: Callable[[], int]) -> R:
        """A regular step until it ends, started anew whenever `again` changes.

        Raises:
            ActivityError: its policy has an end, and that came first.
        """
        while True:
            seen = again()
            handle = self._start(step)
            await workflow.wait_condition(partial(_over, handle, lambda before=seen: again() != before))
            if not handle.done():
                handle.cancel()
            try:
                if (done := _result(step, await handle)) is not None:
                    return done
            except ActivityError:
                if again() == seen:
                    raise

    async def pause(self, seconds: float, label: str) -> None:
        """Wait, shown under `label` on the workflow's page, or until nudged."""
        seen = self._nudges
        await _until(lambda: self._nudges != seen, timedelta(seconds=seconds), label)

    async def _watch(self, over: Callable[[], bool], stage: Callable[[], Stage]) -> None:
        while True:
            now = stage()
            if await _until(over, timedelta(seconds=now.seconds), now.label):
                return
            await now.then()

    async def try_locally(self, step: Step[R]) -> R | None:
        """The local first try alone. None: it failed, or the step has none."""
        if not (self.local_first and step.local and step.policy.local_seconds):
            return None
        async with self._one_local:
            try:
                return await workflow.execute_local_activity(
                    step.name,
                    step.arg,
                    result_type=step.result,
                    start_to_close_timeout=step.policy.local_timeout(),
                    retry_policy=RetryPolicy(maximum_attempts=1),
                    summary=step.summary,
                )
            except (ActivityError, ApplicationError, LimitReached):
                # One that raises arrives bare, one that timed out wrapped, and bare in a replay (measured).
                return None

    def _start(self, step: Step[Any]) -> "workflow.ActivityHandle[Any]":
        return workflow.start_activity(
            step.name,
            step.arg,
            activity_id=step.activity_id,
            task_queue=step.task_queue,
            start_to_close_timeout=step.policy.attempt_timeout(self.scale),
            schedule_to_close_timeout=step.policy.whole_timeout(),
            retry_policy=step.policy.retry(self.scale),
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            summary=step.summary,
        )


def _result(step: Step[R], said: object) -> R | None:
    """What a regular activity has said. None: an operator's `activity complete` held something else; ask again.

    Decoded here, because a result that the SDK can't decode fails the workflow's task again and again (measured).
    """
    try:
        return step.result.model_validate(said)
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
