"""A goodwill refund, carried out: the saga of an order that begins refused, under a type and an ID of its own (ADR 10).

So nothing that looks at the orders' runs takes the money that is given back for an order's end.
"""

from temporalio import workflow

from workflows import steps
from workflows.steps import TopUpInput, TopUpResult
from workflows.top_up_order import TopUpOrder


@workflow.defn(name=steps.GOODWILL_REFUND)
class GoodwillRefund(TopUpOrder):
    """Takes one goodwill refund to its end; the order book says at once that no carrier is to be asked."""

    @workflow.init
    def __init__(self, order: TopUpInput) -> None:
        super().__init__(order)

    @workflow.run
    async def run(self, order: TopUpInput) -> TopUpResult:
        """As every order's run."""
        return await super().run(order)
