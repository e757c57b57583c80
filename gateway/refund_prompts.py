"""A refund notice makes the order's waiting run ask the provider now (contracts §7). Nothing is lost without it.

The run asks by itself anyway, so a prompt is best effort: it delays no answer, needs no Temporal to be there, and is
counted where nobody waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, Literal

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from orders.foreign_runs import is_foreign
from orders.identities import REFUND_NOTICE, workflow_id
from runtime.metrics import Metrics
from runtime.redaction import in_one_line
from runtime.telemetry import get_logger

SIGNAL_SECONDS: Final = 5.0
MAX_WAITING: Final = 10_000
Result = Literal["prompted", "unavailable", "no_run"]
RESULTS: Final[tuple[Result, ...]] = ("prompted", "unavailable", "no_run")
"""Of several orders that a notice may be about, the first of these counts."""

_log = get_logger(__name__)


class RefundPrompts:
    """Sends prompts in the background, one after the other.

    Args:
        connect: a client of Temporal; asked for at the first prompt, and again until there is one.
        task_queue: the orders'; a run on another one that has an order's ID is told nothing.
        metrics: `topup_refund_prompts_total`.
    """

    def __init__(self, connect: Callable[[], Awaitable[Client]], task_queue: str, metrics: Metrics) -> None:
        self._connect = connect
        self._task_queue = task_queue
        self._client: Client | None = None
        self._waiting: dict[tuple[str, ...], None] = {}
        self._something = asyncio.Event()
        self._count = metrics.counter("topup_refund_prompts_total")
        for result in RESULTS:
            self._count.labels(result)

    def offer(self, order_ids: Sequence[str]) -> None:
        """Prompt the runs of these orders soon; none = the refund is none of ours. Returns at once."""
        if not order_ids:
            self._count.labels("no_run").inc()
        elif tuple(order_ids) in self._waiting:
            self._count.labels("prompted").inc()  # the one that waits will do
        elif len(self._waiting) >= MAX_WAITING:
            self._count.labels("unavailable").inc()
        else:
            self._waiting[tuple(order_ids)] = None
            self._something.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._something.wait()
            while self._waiting:
                order_ids = next(iter(self._waiting))
                del self._waiting[order_ids]
                results = {await self._prompt(order_id) for order_id in order_ids}
                self._count.labels(next(result for result in RESULTS if result in results)).inc()
            self._something.clear()

    async def _prompt(self, order_id: str) -> Result:
        try:
            if self._client is None:
                self._client = await self._connect()
            name, limit = workflow_id(order_id), timedelta(seconds=SIGNAL_SECONDS)
            latest = await self._client.get_workflow_handle(name).describe(rpc_timeout=limit)
            if is_foreign(latest, self._task_queue):
                return "no_run"
            await self._client.get_workflow_handle(name, run_id=latest.run_id).signal(REFUND_NOTICE, rpc_timeout=limit)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return "no_run"
            return self._unavailable(order_id, error)
        except Exception as error:  # noqa: BLE001 - whatever keeps Temporal away: the run asks by itself
            return self._unavailable(order_id, error)
        return "prompted"

    def _unavailable(self, order_id: str, error: Exception) -> Result:
        _log.warning(
            "refund prompt not sent",
            order_id=order_id,
            sentence=f"Temporal can't be told of a refund notice ({in_one_line(error)}); the run asks by itself.",
        )
        return "unavailable"
