"""A running local stack: sample orders now and then, what happens to orders on the screen, fallen parts up again."""

import asyncio
import random
import time
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from console.exits import CommandFailed
from devkit.audit.books import Entry
from devkit.demo.kafka_records import read_topics
from devkit.demo.plan import Merchant, Plan, plan_sample
from devkit.demo.scenarios import LOAD
from devkit.demo.screen import Screen
from devkit.demo.watching import lines
from devkit.simulation.control import SimulatorControl
from devkit.stack.local import LocalStack

LOOK_SECONDS: Final = 0.5
MINUTE_SECONDS: Final = 60.0
UP_AGAIN_SECONDS: Final = 30.0
"""A part that ends twice within this is broken; starting it again would only hide it."""
LETTERS_SECONDS: Final = 5.0
LAST_WORDS_SECONDS: Final = 1.0
UNATTENDED: Final = frozenset({"balance", "goodwill"})
"""What no command beside the stack could do, as only a fault's end helps, or what is nothing without an operator."""
FOR_SAMPLES: Final = tuple(
    scenario
    for scenario in LOAD
    if not scenario.conflicts and not scenario.stolen and scenario.operator not in UNATTENDED
)


class Everyday:
    """What `topup dev` does once its stack is up.

    Args:
        orders_per_minute: sample orders, plain ones and ones with faults; 0 = none.
    """

    def __init__(self, stack: LocalStack, screen: Screen, orders_per_minute: int) -> None:
        self._stack = stack
        self._screen = screen
        self._orders_per_minute = orders_per_minute
        self._random = random.Random()  # noqa: S311 - sample orders, no key
        environment = stack.environment
        self._merchant = Merchant(environment["TOPUP_WECHAT_MCHID"], environment["TOPUP_ALIPAY_SELLER_ID"])

    async def run(self) -> None:
        """For ever.

        Raises:
            CommandFailed: a part ended that can't simply be started again.
        """
        try:
            async with SimulatorControl(self._stack.urls) as control, asyncio.TaskGroup() as group:
                group.create_task(self._keep_up())
                for work in (self._show(control), self._count_dead_letters(), self._send_samples(control)):
                    group.create_task(_with_last_words(work))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures

    async def _show(self, control: SimulatorControl) -> None:
        await control.read_news()  # what the books have from earlier starts is no news
        while True:
            self._tell(await control.read_news())
            await asyncio.sleep(LOOK_SECONDS)

    def _tell(self, news: dict[str, Sequence[Entry]]) -> None:
        for at, order_id, what in lines(news):
            self._screen.event(at, order_id, what)

    async def _count_dead_letters(self) -> None:
        known = 0
        while True:
            settings = self._stack.settings
            [letters] = await asyncio.to_thread(read_topics, settings, settings.kafka_dlq_topic)
            count = len(letters)
            if count > known:
                self._screen.say(f"{count - known} new dead letters: see them with `topup dlq list`")
            known = count
            await asyncio.sleep(LETTERS_SECONDS)

    async def _keep_up(self) -> None:
        """Start the product's processes again when they end, as in production: none keeps in memory what matters."""
        last: dict[str, float] = {}
        while True:
            failure = await self._stack.supervisor.ended()
            self._screen.say(str(failure))
            again_too_soon = time.monotonic() - last.get(failure.name, -UP_AGAIN_SECONDS) < UP_AGAIN_SECONDS
            if not failure.restarts or again_too_soon:
                raise CommandFailed(f"The local stack can't go on without {failure.name}.")
            last[failure.name] = time.monotonic()
            await self._stack.restart(failure.name)
            self._screen.say(f"{failure.name} is up again")

    async def _send_samples(self, control: SimulatorControl) -> None:
        while self._orders_per_minute:
            await self._send_sample(control)
            await asyncio.sleep(MINUTE_SECONDS / self._orders_per_minute)

    async def _send_sample(self, control: SimulatorControl) -> None:
        scenario = self._random.choice(FOR_SAMPLES)
        order_id = f"T{datetime.now(UTC):%Y%m%d%H%M%S}{self._random.randrange(1_000_000):06d}"
        plan: Plan = plan_sample(scenario, order_id, self._random.randrange(2**32), self._merchant)
        order = plan.orders[0]
        now = f"{datetime.now(UTC):%H:%M:%S.%f}"[:12]
        self._screen.event(now, order_id, f"paid; {scenario.name}: {scenario.says}")
        await control.order_faults("carrier", plan.carrier_faults)
        await control.order_faults("backend", plan.backend_faults)
        await control.order_faults(order.provider, plan.payment_faults(order.provider))
        attachments = await control.place_orders(plan.placed)
        carried = attachments[order_id] if scenario.proof == "attachment" else None
        await control.pay(order.provider, order.payment(carried, self._stack.callback_url(order.provider)))


async def _with_last_words(work: Coroutine[Any, Any, None]) -> None:
    """A part that ended says more than who missed it: let it speak first."""
    try:
        await work
    except CommandFailed:
        await asyncio.sleep(LAST_WORDS_SECONDS)
        raise
