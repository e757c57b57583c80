"""Orders as Temporal shows them, and what an operator sends to them.

Every call has a limit: without a worker a query or an update waits for ever (measured past 25 s).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import (
    Client,
    RPCTimeoutOrCancelledError,
    WorkflowExecution,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from console.exits import CommandFailed, Exit
from orders.foreign_runs import foreign_run_sentence, is_foreign
from orders.identities import goodwill_of, is_order_id, order_id_of, workflow_id
from runtime.payload_codec import UnreadablePayload
from runtime.redaction import in_one_line
from workflows import steps

CALL_SECONDS: Final = 10.0
"""A call to the server alone."""
LIST_SECONDS: Final = 60.0
"""A list of some thousand runs is a call for each thousand."""
WORKER_SECONDS: Final = 15.0
"""A call that a worker answers: a step under way may hold it up for some seconds."""
NEED_AN_OPERATOR: Final = f'{steps.NEEDS_OPERATOR.name} = true AND ExecutionStatus = "Running"'
_NO_WORKER: Final = (
    "No worker answered within {seconds:.0f} s: start one (`topup worker`) or look why it does not come along; {after}"
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of a list."""

    order_id: str
    status: str
    needs_operator: bool
    run: str
    """`running`, `completed`, `terminated`, …; `none`: Temporal has no run of it; `foreign`: what is open under its ID
    is another type's or another queue's; `foreign_closed`: it was, and is in no order's way any more."""
    package: str
    provider: str
    started_at: datetime
    reason: str = ""
    """What it waits for, as the order book has it; empty where the book was not asked."""
    stranded: bool = False
    """Paid, not settled, and nobody works on it: its run is closed or gone."""


class NobodyAnswers(CommandFailed):
    """Neither done nor refused: Temporal or the worker is away, so that the next order will fare no better."""


def order_id_from(text: str) -> str:
    """The order ID out of an order ID or a workflow ID (`topup/…`), as it is copied from the Web UI.

    The name of a goodwill refund (`T20230821183406000001/1`) stands for its run as an order ID does for an order's.
    """
    try:
        return text if is_order_id(text) or goodwill_of(text) else order_id_of(text)
    except ValueError:
        sentence = f"{text!r} is no order ID: it looks like T20230821183406000001 (or topup/T20230821183406000001)."
        raise CommandFailed(sentence, code=Exit.WRONG_USAGE) from None


async def listed(client: Client, task_queue: str, query: str, limit: int, *, open_only: bool = False) -> list[Listed]:
    """The newest of this deployment's orders that match a visibility query.

    Raises:
        CommandFailed: the query can't be read, or Temporal doesn't answer.
    """
    types = f'WorkflowType IN ("{steps.TOP_UP_ORDER}", "{steps.GOODWILL_REFUND}")'
    scope = f'{types} AND TaskQueue = "{task_queue}"'
    if open_only:
        scope += ' AND ExecutionStatus = "Running"'
    whole = f"{scope} AND ({query})" if query else scope
    found: list[Listed] = []
    try:
        async with asyncio.timeout(LIST_SECONDS):
            async for run in client.list_workflows(whole, limit=limit, rpc_timeout=timedelta(seconds=CALL_SECONDS)):
                # A query with a bracket of its own could reach beyond the scope: what it finds there is not ours.
                is_open = run.status == WorkflowExecutionStatus.RUNNING
                if not is_foreign(run, task_queue) and _is_an_orders(run.id) and (is_open or not open_only):
                    found.append(_listed(run))
    except (RPCError, TimeoutError) as error:
        raise failed(error, query) from error
    return found


def _is_an_orders(run_id: str) -> bool:
    """Whether it is a workflow ID of ours: one that only holds an order's ID would have a word sent to that order."""
    try:
        order_id_of(run_id)
    except ValueError:
        return False
    return True


def _listed(run: WorkflowExecution) -> Listed:
    attributes = run.typed_search_attributes
    return Listed(
        order_id=run.id.removeprefix("topup/").removeprefix("goodwill/"),
        status=attributes.get(steps.STATUS, ""),
        needs_operator=attributes.get(steps.NEEDS_OPERATOR, False),
        run=run.status.name.lower() if run.status else "unknown",
        package=attributes.get(steps.PACKAGE, ""),
        provider=attributes.get(steps.PAYMENT_PROVIDER, ""),
        started_at=run.start_time.astimezone(UTC),
    )


async def latest_run(client: Client, order_id: str, task_queue: str) -> Listed | None:
    """The latest run under the order's ID; None: Temporal has none. Of one that is not the order's nothing is believed.

    Raises:
        CommandFailed: Temporal doesn't answer.
    """
    try:
        latest = await described(client.get_workflow_handle(workflow_id(order_id)))
    except (RPCError, TimeoutError) as error:
        if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise failed(error, order_id) from error
    if not is_foreign(latest, task_queue):
        return _listed(latest)
    is_open = latest.status == WorkflowExecutionStatus.RUNNING
    return Listed(
        order_id=order_id,
        status="",
        needs_operator=False,
        run="foreign" if is_open else "foreign_closed",
        package="",
        provider="",
        started_at=latest.start_time.astimezone(UTC),
        reason=foreign_run_sentence(order_id, so="What is open is not its own") if is_open else "",
    )


async def _own_run(
    client: Client, order_id: str, task_queue: str
) -> tuple[WorkflowExecution, WorkflowHandle[Any, Any]]:
    """The order's latest run, and a handle of this very run: what is sent goes to what was looked at.

    Raises:
        CommandFailed: the latest run under the order's ID is not the order's, or there is none.
    """
    name = workflow_id(order_id)
    try:
        latest = await described(client.get_workflow_handle(name))
    except (RPCError, TimeoutError) as error:
        raise failed(error, order_id) from error
    if is_foreign(latest, task_queue):
        raise CommandFailed(foreign_run_sentence(order_id, so="Nothing was sent"))
    return latest, client.get_workflow_handle(name, run_id=latest.run_id)


async def details(client: Client, order_id: str, task_queue: str) -> str:
    """What the order's run shows in the Web UI under "current details": Markdown; empty if it can't be had.

    Asked only where the run has just answered `status`, so a worker is there.
    """
    try:
        _, handle = await _own_run(client, order_id, task_queue)
        async with asyncio.timeout(WORKER_SECONDS):
            answer = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    except (RPCError, TimeoutError, WorkflowQueryFailedError, UnreadablePayload, CommandFailed):
        return ""
    return answer.current_details


async def status(client: Client, order_id: str, task_queue: str) -> Mapping[str, Any]:
    """What the order's run says about itself (query `status`).

    Raises:
        CommandFailed: there is no run of it, or no worker answered.
    """
    _, handle = await _own_run(client, order_id, task_queue)
    try:
        async with asyncio.timeout(WORKER_SECONDS):
            answer: object = await handle.query("status", rpc_timeout=timedelta(seconds=WORKER_SECONDS))
    except (RPCError, TimeoutError) as error:
        raise failed(error, order_id, after="Temporal has the order, so nothing is lost.") from error
    except UnreadablePayload as error:
        raise CommandFailed(str(error)) from error
    except WorkflowQueryFailedError as error:
        raise CommandFailed(f"The worker could not say where order {order_id} stands: {in_one_line(error)}") from error
    return cast("Mapping[str, Any]", answer) if isinstance(answer, Mapping) else {"state": str(answer)}


async def update(client: Client, order_id: str, task_queue: str, name: str, message: Mapping[str, str]) -> str:
    """Send an update and wait until it was carried out; what the run says to it.

    Raises:
        CommandFailed: refused (the validator's sentence), no such run of the order, or no worker answered.
    """
    _, handle = await _own_run(client, order_id, task_queue)
    try:
        async with asyncio.timeout(WORKER_SECONDS):
            answer: object = await handle.execute_update(  # pyright: ignore[reportUnknownMemberType] - of its name alone
                name, dict(message), rpc_timeout=timedelta(seconds=WORKER_SECONDS)
            )
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        raise CommandFailed(cause.message if isinstance(cause, ApplicationError) else str(cause)) from error
    except UnreadablePayload as error:
        sentence = f"{error} The worker has answered: see with `topup orders show {order_id}` what became of it."
        raise CommandFailed(sentence) from error
    except (RPCError, RPCTimeoutOrCancelledError, TimeoutError) as error:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise asyncio.CancelledError from error  # Ctrl-C, which the SDK makes an error of its own (measured)
        after = f"see with `topup orders show {order_id}` whether it was taken before you send it again."
        raise failed(error, order_id, after=after) from error
    return str(answer) if isinstance(answer, str) and answer else f"{name} is under way for order {order_id}."


async def cancel(client: Client, order_id: str, task_queue: str, reason: str) -> str:
    """Ask the run to cancel; what that means now.

    Raises:
        CommandFailed: there is no open run of the order to cancel.
    """
    run, handle = await _own_run(client, order_id, task_queue)
    # The server takes a cancel of a closed run too, and says nothing (measured).
    if run.status != WorkflowExecutionStatus.RUNNING:
        how = run.status.name.lower() if run.status else "not running"
        raise CommandFailed(
            f"The run of order {order_id} is {how}; a cancel would change nothing. See `topup orders show {order_id}`."
        )
    try:
        await handle.cancel(reason=reason, rpc_timeout=timedelta(seconds=CALL_SECONDS))
    except (RPCError, TimeoutError) as error:
        raise failed(error, order_id) from error
    return (
        f"Order {order_id} is being cancelled: it is refunded once the carrier has confirmed that it will never "
        f"deliver it; if it is delivered already, it stays delivered. Where two persons are demanded, a cancel does "
        f"nothing: two operators give `topup orders refund {order_id}`. "
        f"Follow it with `topup orders show {order_id}`."
    )


async def described(handle: WorkflowHandle[Any, Any]) -> WorkflowExecution:
    """The latest run's description, within the limit."""
    async with asyncio.timeout(CALL_SECONDS):
        return await handle.describe(rpc_timeout=timedelta(seconds=CALL_SECONDS))


def failed(error: RPCError | RPCTimeoutOrCancelledError | TimeoutError, about: str, after: str = "") -> CommandFailed:
    """The one place where an answer of Temporal becomes a sentence."""
    code = error.status if isinstance(error, RPCError) else RPCStatusCode.DEADLINE_EXCEEDED
    text = " ".join(str(error).split())[:300]
    match code:
        case RPCStatusCode.NOT_FOUND if "completed" in text:
            return CommandFailed(
                f"The run of order {about} is closed, so there is nothing to be done in it. See `topup orders show "
                f"{about}`; if the order is not settled, `topup orders reopen {about}` takes it up again."
            )
        case RPCStatusCode.NOT_FOUND:
            return CommandFailed(
                f"Temporal has no run for order {about}: it has forgotten it, or it never was. If the order book has "
                f"it unsettled, `topup orders reopen {about}` takes it up again."
            )
        case RPCStatusCode.INVALID_ARGUMENT:
            return CommandFailed(f"Temporal can't do that: {text}.", code=Exit.WRONG_USAGE)
        case RPCStatusCode.DEADLINE_EXCEEDED | RPCStatusCode.CANCELLED if after:
            return NobodyAnswers(_NO_WORKER.format(seconds=WORKER_SECONDS, after=after))
        case RPCStatusCode.FAILED_PRECONDITION if after:
            return NobodyAnswers(f"{text}. {after}")
        case _:
            return NobodyAnswers(f"Temporal does not answer ({text or 'no answer in time'}); is it running?")
