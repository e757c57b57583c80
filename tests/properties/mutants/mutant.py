"""A wrong product as data, and how mistakes are made."""

# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false
# Mistakes are made inside the product's parts, whatever their types are.

import functools
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import pytest

import adapters.carriers.tmf622.client
import adapters.http
from orders import refund_rules
from orders.outcomes import RefundClosed
from tests.properties.strategies import Plan

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Mutant:
    """One mistake, the rules of which at least one must break, and a seed whose plans show it soon."""

    apply: Callable[[Patch], None]
    rules: tuple[str, ...]
    seed: int
    plan: Plan | None = None
    """Where drawn plans rarely show it: one that does, of the same kind."""

    def made(self) -> AbstractContextManager[Patch]:
        """The wrong product, until the end of the `with`."""
        return _made(self.apply)


class _made(AbstractContextManager[Patch]):  # noqa: N801 - used as a function
    def __init__(self, apply: Callable[[Patch], None]) -> None:
        self._patch = Patch()
        self._apply = apply

    def __enter__(self) -> Patch:
        self._apply(self._patch)
        return self._patch

    def __exit__(self, *_error: object) -> None:
        self._patch.undo()


MUTANTS: dict[str, Mutant] = {}


def mutant(
    name: str, *broken: str, seed: int = 1, plan: Plan | None = None
) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    def named(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        MUTANTS[name] = Mutant(apply, broken, seed, plan)
        return apply

    return named


def answers(patch: Patch, owner: Any, name: str, changed: Callable[[Any, Any], Any]) -> None:
    """An awaited method whose answer is another: `changed(answer, first argument)`."""
    real: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @functools.wraps(real)
    async def method(self: Any, *arguments: Any, **named: Any) -> Any:
        return changed(await real(self, *arguments, **named), arguments[0])

    patch.setattr(owner, name, method)


def refused(state: Any, now: Any, code: str = "MUTANT") -> Any:
    return replace(state, carrier_outcome="rejected", carrier_code=code, carrier_outcome_at=now)


def status_is_refusal(patch: Patch, statuses: range) -> None:
    send = adapters.carriers.tmf622.client.send

    async def refuses(*arguments: Any, **named: Any) -> Any:
        reply = await send(*arguments, **named)
        if isinstance(reply, adapters.http.Reply) and reply.status in statuses:
            order = b'{"id": "C-4711", "externalId": "TSAGA00000001", "state": "rejected"}'
            body = b"[" + order + b"]" if arguments[1].method == "GET" else order
            return adapters.http.Reply(200, reply.headers, body)
        return reply

    patch.setattr(adapters.carriers.tmf622.client, "send", refuses)


def seems_closed(patch: Patch, kind: type) -> None:
    real = refund_rules.record_refund_response

    def record(state: Any, now: Any, times: Any, answer: Any, **named: Any) -> Any:
        if isinstance(answer, kind) and named.get("of_send") is None:
            answer = RefundClosed()
        return real(state, now, times, answer, **named)

    patch.setattr(refund_rules, "record_refund_response", record)
