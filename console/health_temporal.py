"""What `topup doctor` asks Temporal: does it have what the orders need, does anybody work, is its clock ours?"""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, PollActivityTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from console import runs
from console.display import Step
from console.exits import CommandFailed, Exit
from runtime.settings.groups import OrdersAccess
from workflows import steps, sweep
from workflows.steps import notices_queue

POLL_SECONDS: Final = 60.0
"""How long the server lets a poll wait: a worker that is alive has polled since, give or take."""
HUNG_SECONDS: Final = POLL_SECONDS + 30.0
CLOCK_SECONDS: Final = 2.0
"""A difference above this is worth mending: completion dates are compared with other systems' clocks."""
CLOCK_QUEUE: Final = "topup-doctor-clock"
LATE_SWEEPS: Final = 3
FAILING: Final = "TemporalReportedProblems IS NOT NULL"
"""Runs whose workflow task fails again and again, as Temporal's visibility has them, some minutes late."""
MOST_FAILING: Final = 1_000
NAMED_FAILING: Final = 3
_TYPES: Final = {
    "workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}


async def search_attributes(client: Client) -> str | Step:
    """Those that the lists of orders need."""
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        found = set((await client.operator_service.list_search_attributes(request)).custom_attributes)
    except RPCError as error:
        if error.status not in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED):
            raise
        return "This key may not list them; `topup setup` has made them, or has said so."
    missing = [key.name for key in steps.SEARCH_ATTRIBUTES if key.name not in found]
    if missing:
        return _wrong("search attributes", f"Temporal has no search attribute {', '.join(missing)}: run `topup setup`.")
    return "All are there."


async def schedule(client: Client, settings: OrdersAccess) -> str | Step:
    """The sweep that takes up orders which nobody works on."""
    name = sweep.SCHEDULE_ID
    try:
        found = await client.get_schedule_handle(name).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return _wrong("schedule", f"Temporal has no schedule {name}: run `topup setup`.")
        raise
    if found.schedule.state.paused:
        return _wrong(
            "schedule",
            f"The schedule {name} is paused, so nobody takes up orders whose run is gone: `temporal schedule toggle "
            f'--schedule-id {name} --unpause --reason "…"`.',
        )
    if getattr(found.schedule.action, "task_queue", None) != settings.task_queue:
        return _wrong("schedule", f"The schedule {name} serves another task queue: run `topup setup` here.")
    late = timedelta(seconds=LATE_SWEEPS * sweep.interval_seconds(settings.time_scale))
    last = max((action.started_at for action in found.info.recent_actions), default=found.info.created_at)
    if last < datetime.now(UTC) - late - timedelta(minutes=1):
        return _wrong(
            "schedule",
            f"The sweep last started at {last:%Y-%m-%d %H:%M} UTC: see its runs (`temporal workflow list --query "
            f"'WorkflowType=\"{sweep.SWEEP}\"'`); one that hangs holds up the next.",
        )
    return f"The sweep started last at {last:%Y-%m-%d %H:%M:%S} UTC."


async def pollers(client: Client, settings: OrdersAccess) -> list[Step]:
    """Who works, on each of the task queues."""
    queue = settings.task_queue
    orders = [*await _pollers(client, queue, "workflow"), *await _pollers(client, queue, "activity")]
    notices = await _pollers(client, notices_queue(queue), "activity")
    return [_poller_step("worker", queue, orders), _poller_step("worker (notices)", notices_queue(queue), notices)]


async def failing(client: Client, settings: OrdersAccess) -> str | Step:
    """Orders whose saga fails; nothing is wrong where the server knows no such attribute."""
    try:
        found = await runs.listed(client, settings.task_queue, FAILING, MOST_FAILING, open_only=True)
    except CommandFailed as failure:
        if failure.code is Exit.WRONG_USAGE:  # the query can't be read: the attribute is younger than this server
            return "This server does not tell which runs fail; `temporal_workflow_task_execution_failed_total` does."
        raise
    if not found:
        return "There is none."
    count = f"{len(found)} or more" if len(found) == MOST_FAILING else str(len(found))
    named = ", ".join(one.order_id for one in found[:NAMED_FAILING])
    return _wrong(
        "runs that fail",
        f"There are {count} ({named}{', …' if len(found) > NAMED_FAILING else ''}): a worker can't go on with them; "
        'its log line "Failing workflow task" says why. A key that it lacks: give it to all; a new version: roll it '
        "back; see docs/runbook.md, The saga fails.",
    )


async def clock(client: Client) -> str | Step:
    """Compare clocks: the server notes when this very command has begun to poll a queue that nobody else uses."""
    asked_at = datetime.now(UTC)
    poll = PollActivityTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=CLOCK_QUEUE), identity=f"doctor-{asked_at.timestamp()}"
    )
    polling = asyncio.create_task(client.workflow_service.poll_activity_task_queue(poll, timeout=timedelta(seconds=5)))
    try:
        for _ in range(30):
            seen = [one for one in await _pollers(client, CLOCK_QUEUE, "activity") if one.identity == poll.identity]
            if seen:
                return _clock_step(_at(seen[0]), asked_at, datetime.now(UTC))
            await asyncio.sleep(0.1)
    finally:
        polling.cancel()
        with contextlib.suppress(RPCError, asyncio.CancelledError):
            await polling
    return "Could not be compared: the server does not show this command's own poll."


def _clock_step(theirs: datetime, from_: datetime, until: datetime) -> str | Step:
    """The server's moment lies between two of ours, if the clocks agree."""
    ahead = max((theirs - until).total_seconds(), 0) - max((from_ - theirs).total_seconds(), 0)
    if abs(ahead) > CLOCK_SECONDS:
        return _wrong("clock", skewed("Temporal", ahead))
    return "Temporal's clock and this machine's agree."


def skewed(whose: str, ahead_seconds: float) -> str:
    """The sentence for clocks that differ."""
    return (
        f"{whose}'s clock is {abs(ahead_seconds):.0f} s {'ahead of' if ahead_seconds > 0 else 'behind'} this machine's:"
        " let NTP set both; completion dates are compared with the carrier's clock."
    )


async def _pollers(client: Client, queue: str, kind: str) -> Sequence[PollerInfo]:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=_TYPES[kind]
    )
    return (await client.workflow_service.describe_task_queue(request)).pollers


def _poller_step(part: str, queue: str, found: Sequence[PollerInfo]) -> Step:
    if not found:
        return _wrong(part, f"No worker polls {queue}: start one (`topup worker`).")
    latest: dict[str, datetime] = {}
    for poller in found:
        latest[poller.identity] = max(_at(poller), latest.get(poller.identity, _at(poller)))
    now = datetime.now(UTC)
    silent = {name: at for name, at in latest.items() if (now - at).total_seconds() > HUNG_SECONDS}
    if len(silent) == len(latest):
        newest = max(latest.values())
        return _wrong(
            part, f"Nobody has polled {queue} since {newest:%H:%M:%S} UTC: kill hung workers, start new ones."
        )
    alive = ", ".join(sorted(set(latest) - set(silent)))
    gone = f"; stopped or hung (then kill it): {', '.join(sorted(silent))}" if silent else ""
    return Step(part, ok=True, says=f"Polled within {HUNG_SECONDS:.0f} s by {alive}{gone}.")


def _at(poller: PollerInfo) -> datetime:
    return poller.last_access_time.ToDatetime(UTC)


def _wrong(part: str, sentence: str) -> Step:
    return Step(part, ok=False, says=sentence)
