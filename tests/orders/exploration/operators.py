"""Operators, at any moment: what they say is true when they say it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from orders import operator_rules
from orders.state import CANCELLED, RESOLVED_BY_OPERATOR
from tests.orders.exploration.book import Book
from tests.orders.exploration.world import REFERENCE, Moves, World


class Operators(Book):
    """`cancel`, `resolve`, `retry_now`."""

    def _operators(self, world: World) -> Moves:
        now, state = self.now(world), self.states[world.row]
        words: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []
        if not state.cancel_reason:
            words.append(("cancel", operator_rules.request_cancel, (CANCELLED,)))
        if world.sold:
            words.append(("delivered", operator_rules.resolve_delivered, (now, self.times(world))))
        elif not state.resolution_note and world.carrier in ("in flight", "hangs"):  # elsewhere it is a cancel
            note = f"{REFERENCE} is given up" if world.carrier == "hangs" else "not delivered so far"
            words.append(("not delivered", operator_rules.request_cancel, (RESOLVED_BY_OPERATOR, note)))
        for name, rule, arguments in words:
            after, _ = self.decide(world, rule, *arguments)
            if after.row != world.row:
                yield f"operator: {name}", after
        yield from self._operators_of_the_refund(world)

    def _operators_of_the_refund(self, world: World) -> Moves:
        now, state = self.now(world), self.states[world.row]
        on_its_way = any(kind == "refund" for kind, _ in world.late) or any(
            attempt.kind == "refund" and attempt.step == "send" for attempt in world.attempts
        )
        if not state.paid_another_way and not on_its_way and not {"processing", "success"} & set(world.provider):
            after, refusal = self.decide(world, operator_rules.resolve_refunded, "bank transfer")
            if not refusal:
                yield "operator: paid by bank", after._replace(bank=world.bank + 1)
        if state.refund_denied:
            after, _ = self.decide(world, operator_rules.request_retry, now + timedelta(seconds=2))
            if after.row != world.row:
                yield "operator: retry", after._replace(denied=())
