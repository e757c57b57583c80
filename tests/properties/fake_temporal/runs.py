"""Runs of the fake server, what they wait for, and the workers that play them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_commands import WorkflowCommand
from temporalio.worker._workflow_instance import WorkflowInstance


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
    policy: Any
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
