"""Starts the run of a claimed order in Temporal, once (contracts §3)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from bridge import policies
from orders.errors import TopUpError, Unavailable
from orders.foreign_runs import foreign_run_sentence, is_foreign
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from runtime.redaction import in_one_line
from workflows.steps import Start, TopUpInput


class ForeignRun(TopUpError):
    """A run that is not the order's stands under its ID.

    The order is in the book: the sweep starts it once that run is closed.

    Attributes:
        seen_at: when it was looked for.
    """

    def __init__(self, sentence: str, seen_at: datetime) -> None:
        super().__init__(sentence)
        self.seen_at = seen_at


class Starter:
    """Starts runs.

    Args:
        client: Temporal's.
        task_queue: the workers'.
        vehicle_hash: what stands for a VIN in search attributes.
        time_scale: `TOPUP_TIME_SCALE`, which the runs go by.
        eager_start: a worker of this very client gets a run's first task with the answer, if it has a slot for it;
            else, and where the server does not, the task goes by the queue as always.
    """

    def __init__(
        self,
        client: Client,
        task_queue: str,
        vehicle_hash: Callable[[str], str],
        *,
        time_scale: float = 1.0,
        eager_start: bool = False,
    ) -> None:
        self._client = client
        self._task_queue = task_queue
        self._vehicle_hash = vehicle_hash
        self._time_scale = time_scale
        self._eager_start = eager_start

    async def start(self, order: PaidOrder) -> bool:
        """Start the order's run; False if there is or was one already, which is success too.

        Raises:
            ForeignRun: what stands under its ID is another type's run or another queue's.
            Unavailable: it isn't known whether it was started: start it again.
        """
        start = Start(
            TopUpInput(
                order_id=order.order_id,
                package_id=order.package_id,
                amount_fen=order.amount_fen,
                provider=order.payment.provider,
                time_scale=self._time_scale,
            ),
            self._vehicle_hash(order.vehicle.vin),
        )
        try:
            await self._client.start_workflow(
                **start.arguments(self._task_queue),
                request_eager_start=self._eager_start,
                rpc_timeout=timedelta(seconds=policies.START_SECONDS),
            )
        except WorkflowAlreadyStartedError:
            await self._see_that_it_is_ours(order.order_id)
            return False
        except (RPCError, RuntimeError, OSError, TimeoutError) as error:
            raise _unavailable(error) from error
        return True

    async def _see_that_it_is_ours(self, order_id: str) -> None:
        handle = self._client.get_workflow_handle(workflow_id(order_id))
        seen_at = datetime.now(UTC)
        try:
            there = await handle.describe(rpc_timeout=timedelta(seconds=policies.START_SECONDS))
        except (RPCError, RuntimeError, OSError, TimeoutError) as error:
            if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
                return  # deleted since: an order without an end is the sweep's
            raise _unavailable(error) from error
        if is_foreign(there, self._task_queue):
            raise ForeignRun(foreign_run_sentence(order_id), seen_at)


def _unavailable(error: Exception) -> Unavailable:
    return Unavailable(
        f"Temporal doesn't start runs ({in_one_line(error)}): start it, or correct TEMPORAL_ADDRESS; if it "
        "names a search attribute or a namespace, run `topup setup`."
    )
