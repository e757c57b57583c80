"""The demonstration plays the operator where the simulators' faults need one, and says so in words."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from temporalio.client import Client

from console import runs
from console.exits import CommandFailed
from devkit.demo.plan import PlannedOrder
from devkit.simulation.control import SimulatorControl

OPERATOR: Final = "demo"
LOOK_SECONDS: Final = 0.5
TRIES: Final = 5
NAMES: Final = {"wechat": "WeChat Pay", "alipay": "Alipay"}


class Operator:
    """A person with access to the merchant platforms and the `topup` command.

    Args:
        say: told what the operator does.
    """

    def __init__(
        self, client: Client, control: SimulatorControl, orders: Sequence[PlannedOrder], say: Callable[[str], None]
    ) -> None:
        self._client = client
        self._control = control
        self._say = say
        self._poor = [order for order in orders if order.scenario.operator == "balance"]
        self._abnormal = [order for order in orders if order.scenario.operator == "abnormal"]

    async def work(self) -> None:
        """Do what there is to do, then return."""
        await asyncio.gather(self._top_up_balances(), *(self._settle(order) for order in self._abnormal))

    async def _top_up_balances(self) -> None:
        waiting = list(self._poor)
        for order in waiting:
            await self._until_needed(order)
        if not waiting:
            return
        providers = " and ".join(sorted({NAMES[order.provider] for order in waiting}))
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
            f"operator: refund {number} is ABNORMAL; settles it at {NAMES[order.provider]} and resolves the order"
        )
        await self._control.settle_refund(order.provider, number)
        note = f"settled in the merchant platform, refund {number}"
        await self._update(order, "resolve", {"operator": OPERATOR, "note": note, "outcome": "refunded"})

    async def _until_needed(self, order: PlannedOrder) -> None:
        """Until the order itself says that it needs a person; it must not say so before money was asked for."""
        while True:
            if order.seen(self._control.books).at_provider("refund"):
                try:
                    status: Mapping[str, Any] = await runs.status(self._client, order.order_id)
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
                await runs.update(self._client, order.order_id, name, message)
            except CommandFailed as failure:
                said = failure.sentences[0]
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return
            if order.seen(self._control.books).at_provider("refunded"):  # done already, whoever did it
                return
        self._say(f"operator: {name} for {order.order_id} was refused: {said}")
