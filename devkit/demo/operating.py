"""The demonstration plays the operator where the simulators' faults need one, and says so in words."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from temporalio.client import Client

from console import runs
from console.exits import CommandFailed
from devkit.demo.plan import PlannedOrder
from devkit.demo.watching import PROVIDER_NAMES
from devkit.simulation.control import SimulatorControl

OPERATOR: Final = "demo"
ANOTHER: Final = "another"
LOOK_SECONDS: Final = 0.5
TRIES: Final = 5
Topup = Callable[[Sequence[str], str], Awaitable[tuple[int, str]]]


class Operator:
    """A person with access to the merchant platforms and the `topup` command.

    Args:
        topup: runs a `topup` command with this on its standard input; its exit code and standard error.
        say: told what the operator does.
    """

    def __init__(
        self,
        client: Client,
        topup: Topup,
        control: SimulatorControl,
        orders: Sequence[PlannedOrder],
        say: Callable[[str], None],
        *,
        task_queue: str,
    ) -> None:
        self.is_done = False
        """Whether there is nothing left to do."""
        self._client = client
        self._task_queue = task_queue
        self._topup = topup
        self._control = control
        self._say = say
        self._poor = [order for order in orders if order.scenario.operator == "balance"]
        self._unmatched = [order for order in orders if order.scenario.operator == "adopt"]
        self._generous = [order for order in orders if order.goodwill_fen]
        self._abnormal = [order for order in orders if order.scenario.operator == "abnormal"]

    async def work(self) -> None:
        """Do what there is to do, then return."""
        await asyncio.gather(
            self._top_up_balances(),
            *(self._settle(order) for order in self._abnormal),
            *(self._adopt(order) for order in self._unmatched),
            *(self._give_back(order) for order in self._generous),
        )
        self.is_done = True

    async def _top_up_balances(self) -> None:
        waiting = list(self._poor)
        for order in waiting:
            await self._until_needed(order)
        if not waiting:
            return
        providers = " and ".join(sorted({PROVIDER_NAMES[order.provider] for order in waiting}))
        self._say(f"operator: {len(waiting)} refunds wait for money; tops up the merchant's balance at {providers}")
        for order in waiting:
            await self._control.lift_faults(order.provider, order.transaction_id)
        for order in waiting:
            await self._update(order, "retry_now", {"operator": OPERATOR, "note": "balance topped up"})

    async def _settle(self, order: PlannedOrder) -> None:
        """The order must have heard of ABNORMAL first: else it finds the refund settled and asks nobody."""
        await self._until_needed(order)
        number = f"R{order.order_id}"
        self._say(
            f"operator: refund {number} is ABNORMAL; settles it at {PROVIDER_NAMES[order.provider]}, resolves the order"
        )
        await self._control.settle_refund(order.provider, number)
        note = f"settled in the merchant platform, refund {number}"
        await self._update(order, "resolve", {"operator": OPERATOR, "note": note, "outcome": "refunded"})

    async def _adopt(self, order: PlannedOrder) -> None:
        """The customer has shown a receipt, and the shop knows what he had ordered."""
        payment = f"{order.provider}:{order.transaction_id}"
        while not self._is_told(order):  # noqa: ASYNC110 - what is seen comes by looking
            await asyncio.sleep(LOOK_SECONDS)
        self._say(f"operator: nobody knows what {payment} was for; finds out and adopts it as an order")
        words = ("payments", "adopt", payment, "--package", order.package_id, "--operator", OPERATOR)
        note = ("--note", "the customer has shown a receipt")
        await self._command((*words, *note), json.dumps(order.vehicle), what=f"adopting {payment}")

    async def _give_back(self, order: PlannedOrder) -> None:
        """Two persons, each by a command of their own: the first one's word alone moves nothing."""
        while not order.seen(self._control.books).told:  # noqa: ASYNC110 - what is seen comes by looking
            await asyncio.sleep(LOOK_SECONDS)
        fen = order.goodwill_fen
        self._say(f"operator: {order.order_id} was delivered, and two persons give {fen} fen of its price back")
        words = ("orders", "goodwill", order.order_id, "--amount-fen", str(fen), "--reason", "a day without network")
        for operator in (OPERATOR, ANOTHER):
            await self._command((*words, "--operator", operator), what=f"goodwill by {operator}")

    async def _command(self, words: Sequence[str], stdin: str = "", *, what: str) -> None:
        """As a person would: again, where it was refused. Whether it mattered in the end the audit tells."""
        said = ""
        for _ in range(TRIES):
            code, said = await self._topup(words, stdin)
            if code == 0:
                return
            await asyncio.sleep(LOOK_SECONDS)
        self._say(f"operator: {what} was refused: {said.strip()}")

    def _is_told(self, order: PlannedOrder) -> bool:
        return any(entry.data["stored"] for entry in order.seen(self._control.books).at_provider("notice"))

    async def _until_needed(self, order: PlannedOrder) -> None:
        """Until the order itself says that it needs a person; it must not say so before money was asked for."""
        while True:
            if order.seen(self._control.books).at_provider("refund"):
                try:
                    status: Mapping[str, Any] = await runs.status(self._client, order.order_id, self._task_queue)
                except CommandFailed:
                    status = {}
                if status.get("needs_operator"):
                    return
            await asyncio.sleep(LOOK_SECONDS)

    async def _update(self, order: PlannedOrder, name: str, message: dict[str, str]) -> None:
        """As a person would: again, where nobody answered. Whether it mattered in the end the audit tells."""
        said = ""
        for _ in range(TRIES):
            try:
                await runs.update(self._client, order.order_id, self._task_queue, name, message)
            except CommandFailed as failure:
                said = failure.sentences[0]
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return
            if order.seen(self._control.books).at_provider("refunded"):  # done already, whoever did it
                return
        self._say(f"operator: {name} for {order.order_id} was refused: {said}")
