"""One action on one or on many orders: some at a time, with progress, and a result for each."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from console.display import out, print_json, shown
from console.exits import CommandFailed, Exit, say
from console.runs import NobodyAnswers

AT_ONCE: Final = 10
"""Orders acted on at a time: a batch must not crowd out the orders that go on by themselves."""
GIVE_UP_AFTER: Final = 3
"""After so many orders in a row that nobody answered for, the rest is not tried."""
SHOW_SECONDS: Final = 5.0
EXAMPLES: Final = 10

Action = Callable[[str], Awaitable[str]]
"""Acts on one order; what was done, or `CommandFailed` with why not."""


@dataclass(frozen=True, slots=True)
class Acted:
    """What became of one order's action."""

    order_id: str
    ok: bool
    says: str


class Batch:
    """Acts on orders. `results` holds what is done so far, also when it is interrupted."""

    def __init__(self, orders: Sequence[str], action: Action) -> None:
        self.orders = orders
        self.results: list[Acted] = []
        self._action = action
        self._waiting = iter(orders)
        self._unanswered = 0
        self._shown_at = time.monotonic()

    async def run(self) -> None:
        """All orders, some at a time, in order. A refusal ends nothing; a Temporal that is away ends it."""
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(self.orders))):
                group.create_task(self._work())

    async def _work(self) -> None:
        for order_id in self._waiting:
            if self._unanswered >= GIVE_UP_AFTER:
                self._note(Acted(order_id, ok=False, says="not tried: nobody answered for the orders before it"))
                continue
            try:
                says = await self._action(order_id)
            except NobodyAnswers as failure:
                self._unanswered += 1
                self._note(Acted(order_id, ok=False, says=failure.sentences[0]))
            except CommandFailed as failure:
                self._unanswered = 0
                self._note(Acted(order_id, ok=False, says=failure.sentences[0]))
            else:
                self._unanswered = 0
                self._note(Acted(order_id, ok=True, says=says))

    def _note(self, acted: Acted) -> None:
        self.results.append(acted)
        if len(self.orders) > 1 and time.monotonic() - self._shown_at > SHOW_SECONDS:
            self._shown_at = time.monotonic()
            say(f"{len(self.results)} of {len(self.orders)} orders.")


async def act(orders: Sequence[str], action: Action, *, one: bool, as_json: bool) -> Exit:
    """Run the action on all of them and print what became of each.

    Args:
        orders: order IDs.
        action: what to do.
        one: a single order was named: the answer is one sentence, or one JSON object.
        as_json: print JSON.
    """
    batch = Batch(orders, action)
    if not one:
        say(f"{len(orders)} orders, {AT_ONCE} at a time.")
    try:
        await batch.run()
    except asyncio.CancelledError:  # Ctrl-C
        if not one:
            _print(batch.results, as_json=as_json)
        say(f"interrupted: {len(batch.results)} of {len(orders)} orders have an answer; the others may have been sent.")
        raise
    except ExceptionGroup as failures:  # a defect: the first says it
        raise failures.exceptions[0] from failures
    if one:
        _print_one(batch.results[0], as_json=as_json)
    else:
        _print(batch.results, as_json=as_json)
    return Exit.OK if all(acted.ok for acted in batch.results) else Exit.NOT_OK


def _print_one(acted: Acted, *, as_json: bool) -> None:
    if as_json:
        print_json({"order_id": acted.order_id, "ok": acted.ok, "says": acted.says})
    elif acted.ok:
        out.print(shown(acted.says), soft_wrap=True)
    else:
        say(acted.says)


def _print(results: Sequence[Acted], *, as_json: bool) -> None:
    refused = [acted for acted in results if not acted.ok]
    if as_json:
        print_json(
            {
                "ok": not refused,
                "done": len(results) - len(refused),
                "refused": len(refused),
                "orders": [{"order_id": one.order_id, "ok": one.ok, "says": one.says} for one in results],
            }
        )
        return
    said = Counter(_without_id(acted) for acted in results if acted.ok)
    for sentence, count in said.most_common(EXAMPLES):
        out.print(f"{count} done: {shown(sentence)}", soft_wrap=True)
    for acted in refused:
        out.print(f"{acted.order_id} not done: {shown(acted.says)}", soft_wrap=True)
    out.print(f"{len(results) - len(refused)} done, {len(refused)} not done.")


def _without_id(acted: Acted) -> str:
    """The sentence with the order's name out of it, so that equal ones count together."""
    return acted.says.replace(acted.order_id, "…")
