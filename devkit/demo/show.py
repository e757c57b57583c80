"""The demonstration itself: the incident, a mixed load with every fault, the money's day, and the audit."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from console.connecting import temporal_client
from devkit.audit.auditor import Violation
from devkit.audit.books import Entry
from devkit.demo.kafka_records import StrayWriter
from devkit.demo.money import Money, MoneysDay
from devkit.demo.observing import Observer
from devkit.demo.operating import Operator
from devkit.demo.plan import (
    Merchant,
    Plan,
    PlannedOrder,
    StrayRecord,
    plan_incident,
    plan_late,
    plan_load,
)
from devkit.demo.scenarios import INCIDENT, LATE, LOAD
from devkit.demo.screen import Screen
from devkit.demo.verdict import POISON, Verdict, with_strangers, with_violations
from devkit.demo.watching import lines
from devkit.simulation.control import SimulatorControl
from devkit.stack.local import LocalStack
from devkit.stack.mqtt_parts import CARS, LEGACY

TURNS_PER_SECOND: Final = 25.0
ORDERS_AT_ONCE: Final = 80
"""So many may be open at a time. In scaled time a machine that can't keep up would pass for a carrier that can't, and
orders would rightly be refunded that their scenario wants delivered."""
ROOM_SECONDS: Final = 10.0
CARS_SECONDS: Final = 20.0
"""Within this the simulated cars must have connected to the MQTT platforms."""
INCIDENT_SECONDS: Final = 30.0
LEGACY_BACK_SECONDS: Final = 5.0
"""So long into the load the legacy platform comes back."""
LATE_SECONDS: Final = 20.0
LOAD_SECONDS: Final = 75.0
"""The limit for the last order of the load; some 30 s are needed on two cores."""
STUCK_SECONDS: Final = 8.0
"""Every order has ended and nothing has moved for so long: what is wrong now stays wrong."""
IN_TIME: Final = "compensated at once, whatever another platform does"
QUIET_SECONDS: Final = 2.0
"""After all is as expected: time for an effect too many to show."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line chose."""

    orders: int
    seed: int
    time_scale: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demonstration came to: the audit over the outside world's books, and the books compared."""

    verdict: Verdict
    money: Money


class Demonstration:
    """One run on a started stack; `run` returns what the audit and the reconciliation found."""

    def __init__(self, stack: LocalStack, screen: Screen, options: Options) -> None:
        self._stack = stack
        self._screen = screen
        self._options = options
        environment = stack.environment
        self._merchant = Merchant(environment["TOPUP_WECHAT_MCHID"], environment["TOPUP_ALIPAY_SELLER_ID"])
        self._began_at = datetime.now(UTC)
        self._shown: set[str] = set()
        self._in_passing: list[Violation] = []

    async def run(self) -> Outcome:
        """Incident, load, the money's day, audit."""
        async with SimulatorControl(self._stack.urls) as control:
            observer = Observer(control, self._stack, self._on_news)
            await control.until_cars_listen(CARS_SECONDS)
            async with _beside(observer.watch()):
                await self._incident(control, observer)
                await self._load(control, observer)
                money = await self._reconcile(observer)
            await observer.look()
            await observer.look_at_topics()
        verdict = with_violations(observer.verdict(), INCIDENT.name, self._in_passing)
        return Outcome(with_strangers(verdict, money.violations), money)

    async def _incident(self, control: SimulatorControl, observer: Observer) -> None:
        plan = plan_incident(self._options.seed, self._merchant)
        order = plan.orders[0]
        self._screen.title("1. The incident")
        scale = self._options.time_scale
        self._screen.say(
            f"one payment, of which WeChat Pay tells three times; the carrier takes 40 s (here {40 * scale:g} s) and "
            "then fails; the legacy MQTT platform hangs"
        )
        self._shown = {order.order_id}
        await self._hand_in(control, observer, plan)

        def compensated() -> bool:
            return _notices_on(observer, order, CARS) == {"failed", "refunded"} and _refunds(observer, order) > 0

        if not await observer.until(compensated, INCIDENT_SECONDS):
            sentence = f"it was not refunded and told on the live platform within {INCIDENT_SECONDS:g} s"
            self._in_passing.append(Violation(IN_TIME, order.order_id, sentence))
        carrier_orders = len(order.seen(observer.books).at_carrier("accepted"))
        told, waiting = _notices_on(observer, order, CARS), _notices_on(observer, order, LEGACY)
        self._screen.say(
            f"seen: {carrier_orders} carrier order, {_refunds(observer, order)} refund, the car told "
            f"{' and '.join(sorted(told)) or 'nothing'} on the live platform, {len(waiting)} notices on the one that "
            "hangs; no operator was needed"
        )
        self._shown = set()

    async def _load(self, control: SimulatorControl, observer: Observer) -> None:
        plan = plan_load(self._options.seed, self._options.orders, self._merchant)
        late = plan_late(self._options.seed, self._merchant).orders[0]
        self._screen.title("2. A mixed load with every fault")
        self._screen.say(
            f"{len(plan.orders)} payments in {len(LOAD)} scenarios, {len(plan.strays)} stray records beside them; one "
            f"more whose callback never comes; watch them in the Web UI: {self._stack.web_ui}"
        )
        attachments = await control.place_orders({late.order_id: late.at_backend})
        await control.pay(late.provider, late.payment(attachments[late.order_id], None))
        client = await temporal_client(self._stack.settings)
        queue = self._stack.settings.task_queue
        operator = Operator(client, self._stack.topup, control, plan.orders, self._screen.say, task_queue=queue)
        async with _beside(operator.work()), _beside(self._bring_legacy_back()), _beside(self._show_progress(observer)):
            await self._hand_in(control, observer, plan)

            def over() -> bool:
                nothing_moves = operator.is_done and observer.quiet_seconds > STUCK_SECONDS
                return (nothing_moves and observer.counts().open == 0) or observer.verdict().ok

            await observer.until(over, LOAD_SECONDS)
            await asyncio.sleep(QUIET_SECONDS)
        self._screen.progress_ends()
        left = observer.counts().open
        self._screen.say(f"{left} orders are still open" if left else "every order came to an end")

    async def _reconcile(self, observer: Observer) -> Money:
        """Three mornings later, by a clock that is ahead: every bill that could show something is there."""
        late = plan_late(self._options.seed, self._merchant).orders[0]
        self._screen.title("3. The money's day")
        self._screen.say("three mornings later: both providers' bills, the order book and the carrier's statement")
        day = MoneysDay(self._stack.environment, self._began_at, self._screen.say)
        await day.judge_bills()
        observer.orders.append(late)
        platforms = set(self._stack.platforms)

        def delivered() -> bool:
            return {name for name, result in late.seen(observer.books).told if result == "delivered"} == platforms

        await observer.until(delivered, LATE_SECONDS)
        self._screen.say(f"{late.order_id}, of which no callback ever came, was found in the bill and delivered")
        return await day.judge(observer.books)

    async def _hand_in(self, control: SimulatorControl, observer: Observer, plan: Plan) -> None:
        """Customers order and pay, faults are ordered, and somebody writes to Kafka beside the gateway."""
        await control.order_faults("carrier", plan.carrier_faults)
        await control.order_faults("backend", plan.backend_faults)
        for provider in ("wechat", "alipay"):
            await control.order_faults(provider, plan.payment_faults(provider))
        attachments = await control.place_orders(plan.placed)
        observer.orders += plan.orders
        orders = {order.order_id: order for order in plan.orders}
        paid: set[str] = set()
        writer = await asyncio.to_thread(StrayWriter, self._stack.bridge_settings) if plan.strays else None
        waiting: list[StrayRecord] = []
        for turn in plan.turns:
            if isinstance(turn, StrayRecord):
                waiting.append(turn)
            else:
                carried = attachments[turn.order_id] if turn.scenario.proof == "attachment" else None
                await control.pay(turn.provider, turn.payment(carried, self._stack.callback_url(turn.provider)))
                paid.add(turn.order_id)
            waiting = await self._write_strays(writer, waiting, observer, orders)
            await asyncio.sleep(1 / TURNS_PER_SECOND)
            await observer.until(partial(_has_room, observer, paid), ROOM_SECONDS)
        while waiting:
            await asyncio.sleep(1 / TURNS_PER_SECOND)
            waiting = await self._write_strays(writer, waiting, observer, orders)
        if writer is not None:
            await asyncio.to_thread(writer.close)

    @staticmethod
    async def _write_strays(
        writer: StrayWriter | None,
        waiting: Sequence[StrayRecord],
        observer: Observer,
        orders: Mapping[str, PlannedOrder],
    ) -> list[StrayRecord]:
        """Those that go with an order wait until its own record stands in Kafka; what is left."""
        left: list[StrayRecord] = []
        for record in waiting:
            if record.goes_with and not observer.heard_of(orders[record.goes_with]):
                left.append(record)
            elif writer is not None:
                observer.strays.append(await asyncio.to_thread(writer.write, record))
        return left

    async def _bring_legacy_back(self) -> None:
        await asyncio.sleep(LEGACY_BACK_SECONDS)
        await self._stack.bring_legacy_back()
        self._screen.say("the legacy MQTT platform is back: its cars get the notices that waited")

    async def _show_progress(self, observer: Observer) -> None:
        while True:
            self._screen.progress(observer.counts(), self._stack.web_ui)
            await asyncio.sleep(0.5)

    def _on_news(self, news: dict[str, Sequence[Entry]]) -> None:
        for at, order_id, what in lines(news):
            if order_id in self._shown:
                self._screen.event(at, order_id, what)


def expectation(scenario: str) -> str:
    """What a scenario is about and what must come of its orders, in words."""
    for known in (INCIDENT, *LOAD, LATE):
        if known.name == scenario:
            return f"{known.says}; every order must end {known.end}"
    if scenario == POISON:
        return "every record that is no order becomes a dead letter, byte for byte, and starts nothing"
    return "bills, order book, statement and the simulators' own books agree to the fen, and hold nothing else"


def _has_room(observer: Observer, paid: set[str]) -> bool:
    return len(paid - observer.ended()) < ORDERS_AT_ONCE


def _notices_on(observer: Observer, order: PlannedOrder, platform: str) -> set[str]:
    return {result for name, result in order.seen(observer.books).told if name == platform}


def _refunds(observer: Observer, order: PlannedOrder) -> int:
    return len(order.seen(observer.books).at_provider("refunded"))


@contextlib.asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run something beside the body: its error ends the body, the body's end ends it."""
    body = asyncio.current_task()
    assert body is not None
    failed: list[BaseException] = []

    def ended(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            failed.append(error)
            body.cancel()

    task = asyncio.create_task(work)
    task.add_done_callback(ended)
    try:
        yield
    except asyncio.CancelledError:
        if failed:
            body.uncancel()
            raise failed[0] from None
        raise
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
