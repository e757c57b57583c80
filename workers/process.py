"""The worker process (`topup worker`, `python -m workers`): runs workflows and activities until it is told to stop."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import NoReturn

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from adapters.otlp.lines import name_traces
from configuration.processes import WorkerSettings
from runtime.clock import SystemClock
from runtime.process import ProcessContext, run
from runtime.temporal import wait_for_temporal
from runtime.temporal_metrics import TemporalRelay
from workers.composition import WORKFLOWS, Dependencies, open_dependencies
from workers.differences import CountingDifferences, count_differences
from workers.holding import ShowingHolds, counting_turned_away
from workers.measuring import MeasuringInterceptor, is_unexpected
from workers.pushing import Pusher
from workers.readiness import register_checks
from workers.steps_taken import StepsTaken
from workers.waiting import Watch
from workflows.policies import NOTIFY_PLATFORM, PLACE_ORDER
from workflows.steps import notices_queue

LOCAL_ACTIVITIES_AT_ONCE = 200
WORKFLOW_TASKS_AT_ONCE = 100
"""With more orders in their first pass a slow machine does not end each one's first task within Temporal's 10 s."""
EAGER_STARTS_AT_ONCE = 100
"""Slots beside these for runs that this very process starts: a first task comes with the answer to its start only where
a slot is free at that moment, and pollers that wait for one are served before. Without them two of three first tasks
went the long way through Temporal's queue as soon as the intake was full (measured, docs/performance.md)."""
SHUTDOWN_MARGIN = timedelta(seconds=5)
LONGEST_SHUTDOWN_SECONDS = (PLACE_ORDER.attempt_timeout(1.0) + SHUTDOWN_MARGIN).total_seconds()
"""How long a worker takes to end: a carrier's slowest answer is waited for."""


def main(environ: Mapping[str, str] | None = None) -> NoReturn:
    """Run the worker; see `runtime.process.run` for exit codes."""
    run(WorkerSettings, work, environ=environ)


async def work(context: ProcessContext[WorkerSettings]) -> int:
    """Wait for Temporal and the database, work, and stop gracefully: no call in hand is cancelled."""
    name_traces(context.settings)
    client = await wait_for_temporal(context.settings, context.stop, on_wait=context.health.starting, measured=True)
    async with open_dependencies(
        context.settings,
        lambda: client,
        CountingDifferences(context.metrics),
        StepsTaken(context.metrics),
        counting_turned_away(context.metrics),
    ) as dependencies:
        await context.wait_for("the order book's database", dependencies.book.ping)
        await run_workers(context, client, dependencies, context.stop)
    return 0


async def run_workers(
    context: ProcessContext[WorkerSettings],
    client: Client,
    dependencies: Dependencies,
    until: asyncio.Event,
    *,
    eager_start: bool = False,
) -> None:
    """Work until then, and end gracefully; `eager_start`: runs are started by this client, and begin here.

    Raises what a worker raises, which ends by itself only so.
    """
    logging.getLogger("temporalio.activity").addFilter(is_unexpected)
    register_checks(context, client, dependencies)
    background = _background_tasks(context, dependencies)
    tasks_at_once = WORKFLOW_TASKS_AT_ONCE + (EAGER_STARTS_AT_ONCE if eager_start else 0)
    orders = _orders_worker(context, client, dependencies, tasks_at_once)
    workers = (orders, _notices_worker(context, client, dependencies))
    running = [asyncio.create_task(worker.run()) for worker in workers]
    context.health.started()
    stopped = asyncio.create_task(until.wait())
    await asyncio.wait({*running, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in running:
        if task.done():
            task.result()
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)  # lays the duty down, while the book is open
    await asyncio.gather(*(worker.shutdown() for worker in workers))
    await dependencies.telecom.drain()


def _background_tasks(context: ProcessContext[WorkerSettings], dependencies: Dependencies) -> list[asyncio.Task[None]]:
    """What a worker does beside its work: count, watch the book while that is its duty, push, pass metrics on."""
    metrics, book = context.metrics, dependencies.book
    watching = Watch(book.duties, book.waiting, metrics, dependencies.notifier.platforms)
    work = [count_differences(dependencies.differences, metrics), watching.run(), TemporalRelay(metrics).run()]
    long_seconds = context.settings.hold_long_seconds
    work.append(ShowingHolds(book.holds, SystemClock(), metrics, long_seconds=long_seconds).run())
    if dependencies.pushing is not None:
        work.append(Pusher(book.duties, book.pushes, dependencies.pushing, metrics).run())
    if dependencies.tracer is not None:
        work.append(dependencies.tracer.run(metrics))
    return [asyncio.create_task(one) for one in work]


def _orders_worker(
    context: ProcessContext[WorkerSettings], client: Client, dependencies: Dependencies, tasks_at_once: int
) -> Worker:
    settings = context.settings
    return Worker(
        client,
        task_queue=settings.task_queue,
        workflows=WORKFLOWS,
        activities=dependencies.activities,
        workflow_runner=UnsandboxedWorkflowRunner(),  # 40 % less CPU (measured); tests replay in the sandbox
        interceptors=[MeasuringInterceptor(context.metrics)],
        deployment_config=_deployment(settings),
        max_concurrent_workflow_tasks=tasks_at_once,
        max_concurrent_activities=settings.worker_max_activities,
        max_concurrent_local_activities=LOCAL_ACTIVITIES_AT_ONCE,
        graceful_shutdown_timeout=PLACE_ORDER.attempt_timeout(settings.time_scale) + SHUTDOWN_MARGIN,
    )


def _notices_worker(context: ProcessContext[WorkerSettings], client: Client, dependencies: Dependencies) -> Worker:
    settings = context.settings
    return Worker(
        client,
        task_queue=notices_queue(settings.task_queue),
        activities=dependencies.notices,
        interceptors=[MeasuringInterceptor(context.metrics)],
        deployment_config=_deployment(settings),
        max_concurrent_activities=settings.worker_max_activities,
        graceful_shutdown_timeout=NOTIFY_PLATFORM.attempt_timeout(settings.time_scale),
    )


def _deployment(settings: WorkerSettings) -> WorkerDeploymentConfig | None:
    """Versioned where a build ID is set; AUTO_UPGRADE, because an order may wait for days (`docs/versions.md`)."""
    if not settings.worker_build_id:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.worker_deployment, settings.worker_build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )
