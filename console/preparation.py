"""`topup setup`: makes what the processes need, leaves what is there, and names what it could not make."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleUpdate,
    WorkflowHandle,
)
from temporalio.common import SearchAttributeIndexedValueType
from temporalio.service import RPCError, RPCStatusCode

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from configuration.processes import SetupSettings
from console.connecting import database_away, kafka_away, temporal_away
from console.display import Step
from orders.errors import TopUpError
from runtime.clock import SystemClock
from runtime.temporal import check, connect
from workflows import reconciliation, steps, sweep

RETENTION: Final = timedelta(days=30)
"""How long Temporal keeps closed runs for operators to look at; the order book, not this, guards against repeats."""
PAUSE_SECONDS: Final = 0.5
ATTEMPT_SECONDS: Final = 15.0
VISIBLE_SECONDS: Final = 20.0
"""A server's caches take some seconds to know a new namespace or search attribute."""
_TYPES: Final = {
    SearchAttributeIndexedValueType.KEYWORD: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    SearchAttributeIndexedValueType.BOOL: IndexedValueType.INDEXED_VALUE_TYPE_BOOL,
}


Work = Callable[[SetupSettings, list[str]], Awaitable[str]]
"""Makes what a part lacks and adds it to the list, which lives over several tries; returns a sentence."""


class CannotMake(Exception):
    """Waiting would not help; the text is a sentence."""


async def prepare(
    settings: SetupSettings, wait_seconds: float, process_role: str = "", kafka_users: str = ""
) -> list[Step]:
    """Prepare all parts side by side, each waited for up to `wait_seconds`; one step per part, in a fixed order.

    Args:
        settings: of the parts.
        wait_seconds: for each.
        process_role: the PostgreSQL role of the processes, where the database's owner prepares for them.
        kafka_users: processes and their principals (`adapters.kafka.rights.users`), who are given their rights.
    """

    async def database(settings: SetupSettings, made: list[str]) -> str:
        return await _database(settings, made, process_role)

    async def kafka(settings: SetupSettings, made: list[str]) -> str:
        return await _kafka(settings, made, kafka_users)

    deadline = time.monotonic() + wait_seconds
    parts: list[tuple[str, Work, Callable[[BaseException], str]]] = [
        ("database", database, partial(database_away, limit_seconds=ATTEMPT_SECONDS + VISIBLE_SECONDS)),
        ("temporal", _temporal, lambda error: temporal_away(settings, error)),
        ("kafka", kafka, lambda error: kafka_away(settings, error)),
    ]
    return await asyncio.gather(*(_prepare(part, work, away, settings, deadline) for part, work, away in parts))


async def _prepare(
    part: str,
    work: Work,
    away: Callable[[BaseException], str],
    settings: SetupSettings,
    deadline: float,
) -> Step:
    made: list[str] = []
    while True:
        try:
            return Step(
                part, ok=True, says=await asyncio.wait_for(work(settings, made), ATTEMPT_SECONDS + VISIBLE_SECONDS)
            )
        except CannotMake as error:
            return Step(part, ok=False, says=str(error))
        except Exception as error:  # noqa: BLE001 - every part's client has its own errors; all mean "away"
            if time.monotonic() + PAUSE_SECONDS > deadline:
                return Step(part, ok=False, says=str(error) if isinstance(error, TopUpError) else away(error))
        await asyncio.sleep(PAUSE_SECONDS)


async def _database(settings: SetupSettings, _made: list[str], process_role: str) -> str:
    # The schema holds no encrypted value, so `setup` needs no key of the vehicles' data.
    book = OrderBook.open(settings.database_url, FieldCipher(bytes(32)), SystemClock())
    try:
        await book.migrate()
        if not process_role:
            return "The order book's schema is up to date."
        try:
            await book.grant_to(process_role)
        except ValueError as error:
            raise CannotMake(f"--process-role {process_role} can't be given anything: {error}.") from error
    finally:
        await book.close()
    return (
        f"The order book's schema is up to date; {process_role} may work with it, and only add to its audit trail. "
        "Give the processes that role's URL, and keep the owner's for `topup setup`."
    )


async def _temporal(settings: SetupSettings, made: list[str]) -> str:
    client = await connect(settings)
    await check(client)
    made += await _ensure_namespace(client)
    made += await _ensure_search_attributes(client)
    wanted = sweep.schedule(settings.task_queue, settings.time_scale)
    made += await _ensure_schedule(client, sweep.SCHEDULE_ID, wanted, "the sweep's schedule")
    wanted = reconciliation.schedule(settings.task_queue)
    made += await _ensure_schedule(client, reconciliation.SCHEDULE_ID, wanted, "reconciliation's schedule")
    what = f"made {', '.join(made)}" if made else "all was there"
    return f"Namespace {client.namespace} with its search attributes and schedules: {what}."


async def _ensure_namespace(client: Client) -> list[str]:
    describe = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(describe)
    except RPCError as error:
        if error.status == RPCStatusCode.PERMISSION_DENIED:
            return []
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    else:
        return []
    retention = Duration()
    retention.FromTimedelta(RETENTION)
    request = RegisterNamespaceRequest(namespace=client.namespace, workflow_execution_retention_period=retention)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status == RPCStatusCode.ALREADY_EXISTS:
            return []
        raise CannotMake(
            f"Temporal has no namespace {client.namespace} and refuses to make it ({error.message}): have it made, or "
            "set TEMPORAL_NAMESPACE to one that is there."
        ) from error
    await _until(lambda: client.workflow_service.describe_namespace(describe))
    return [f"the namespace {client.namespace}"]


async def _ensure_search_attributes(client: Client) -> list[str]:
    found = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    wanted = {key.name: _TYPES[key.indexed_value_type] for key in steps.SEARCH_ATTRIBUTES}
    for name, kind in wanted.items():
        there = found.custom_attributes.get(name)
        if there is not None and there != kind:
            raise CannotMake(
                f"Temporal has the search attribute {name} with another type: remove it with `temporal operator "
                f"search-attribute remove --name {name}` in namespace {client.namespace}, then run `topup setup` again."
            )
    missing = {name: kind for name, kind in wanted.items() if name not in found.custom_attributes}
    if missing:
        request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        try:
            await client.operator_service.add_search_attributes(request)
        except RPCError as error:
            if error.status != RPCStatusCode.ALREADY_EXISTS:
                raise CannotMake(
                    f"Temporal refuses to make the search attributes {', '.join(missing)} ({error.message}): have them "
                    "made with `temporal operator search-attribute create`, or use a key that may."
                ) from error
    query = " AND ".join([f"{name} IS NULL" for name in wanted])
    await _until(lambda: client.count_workflows(query))
    return [f"the search attributes {', '.join(missing)}"] if missing else []


async def _ensure_schedule(client: Client, schedule_id: str, wanted: Schedule, what: str) -> list[str]:
    """A schedule (contracts §3, §10); one with another pace or queue is corrected."""
    try:
        await client.create_schedule(schedule_id, wanted)
    except ScheduleAlreadyRunningError:
        pass
    else:
        return [what]
    handle = client.get_schedule_handle(schedule_id)
    found = await handle.describe()
    there, queue = found.schedule, getattr(wanted.action, "task_queue", None)
    same_queue = getattr(there.action, "task_queue", None) == queue
    same_time = (there.spec.intervals, there.spec.time_zone_name) == (wanted.spec.intervals, wanted.spec.time_zone_name)
    if not (same_queue and same_time):
        await handle.update(lambda known: ScheduleUpdate(_corrected(known.description.schedule, wanted)))
    for run in found.info.running_actions:
        if isinstance(run, ScheduleActionExecutionStartWorkflow):
            await _end_on_another_queue(client.get_workflow_handle(run.workflow_id), queue)
    return [] if same_queue and same_time else [f"{what} anew"]


async def _end_on_another_queue(run: WorkflowHandle[Any, Any], queue: str | None) -> None:
    """A run that waits where nobody works any more has no end, and while it is open the schedule starts no other."""
    try:
        if (await run.describe()).task_queue != queue:
            await run.terminate(reason=f"The schedule serves the task queue {queue} now.")
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:  # it has closed by itself
            raise


def _corrected(there: Schedule, wanted: Schedule) -> Schedule:
    """Our pace and action; whether it is paused stays the operator's."""
    return replace(there, action=wanted.action, spec=wanted.spec, policy=wanted.policy)


async def _kafka(settings: SetupSettings, made: list[str], users: str) -> str:
    from adapters.kafka import rights, topics  # noqa: PLC0415 - read when it is used

    given = ""
    try:
        made += await asyncio.to_thread(topics.ensure_topics, settings)
        if users:
            given = f" {await asyncio.to_thread(rights.grant, settings, rights.users(users))}."
    except topics.CannotCreate as error:
        raise CannotMake(str(error)) from error
    except ValueError as error:
        raise CannotMake(f"--kafka-users {error}.") from error
    what = f"made {' and '.join(made)}" if made else "all were there"
    names = f"{settings.kafka_topic}, {settings.kafka_dlq_topic} and {settings.kafka_unmatched_topic}"
    return f"Topics {names}: {what}.{given}"


async def _until(question: Callable[[], Awaitable[object]]) -> None:
    """Ask until the server's caches know what was just made."""
    deadline = time.monotonic() + VISIBLE_SECONDS
    while True:
        try:
            await question()
        except RPCError as error:
            if time.monotonic() > deadline or error.status not in (
                RPCStatusCode.NOT_FOUND,
                RPCStatusCode.INVALID_ARGUMENT,
            ):
                raise
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
