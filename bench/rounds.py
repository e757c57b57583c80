"""One round: orders into Kafka, wait until the outside world has seen the end of each, measure, check."""

import asyncio
import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from kafka import KafkaAdminClient
from kafka.structs import TopicPartition
from temporalio.client import Client

from bench.checkouts import Checkout, this_checkout
from bench.environment import BRIDGE_AND_WORKER, EMBEDDED_API_VERSION, GROUP, PARTITIONS, DatabaseUse, Environment
from bench.history_cost import HistoryCost, mean_cost
from bench.machine import Memory, busy_seconds, spin_milliseconds
from bench.orders import BenchOrder, Trouble, make_orders, produce
from devkit.audit.auditor import Report, audit_seen, audit_undisturbed, audit_whole
from devkit.audit.books import Books, Paid, Seen
from devkit.audit.files import BookFiles, broken_chains
from devkit.simulation.control import SimulatorControl
from orders.identities import workflow_id

LOOK_SECONDS: Final = 0.25
SAY_SECONDS: Final = 5.0
STALLED_SECONDS: Final = 300.0
"""No order has come to an end for so long: the round has failed."""
SETTLE_SECONDS: Final = 60.0
"""Runs close and offsets are committed within this after the last effect."""
ADMIN_MS: Final = 10_000
HISTORIES: Final = 20
"""Runs of a round whose histories are counted."""


class RoundFailedError(Exception):
    """Orders did not come to their end, or a part ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What a round runs with.

    Attributes:
        settings: of the product, besides the environment's own.
        module: what runs its worker; `console` is the product's own command.
        processes: those of the product, by their command.
        checkout: whose source they run.
        tuned: whether Temporal runs with the deployment settings of docs/performance.md.
    """

    name: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    module: str = "console"
    processes: tuple[str, ...] = BRIDGE_AND_WORKER
    checkout: Checkout = field(default_factory=this_checkout)
    trouble: Trouble = field(default_factory=Trouble)
    tuned: bool = False


@dataclass(slots=True)
class Result:
    """What a round showed."""

    variant: str
    orders: int
    kind: str = ""
    """The measurement it belongs to."""
    seconds: float = 0.0
    """From right before the first record was sent to the last effect in the simulators' books."""
    half_seconds: float = 0.0
    """Until the first half of the orders was at its end: what a slow tail leaves out."""
    cpu_ms_per_order: dict[str, float] = field(default_factory=dict[str, float])
    foreign_percent: float = 0.0
    """Share of the pinned cores that others used during the round."""
    busy_percent: float = 0.0
    load_average: float = 0.0
    spin_ms: float = 0.0
    """CPU time of a fixed piece of work on these cores, before and after the round: the machine's own speed."""
    p50_seconds: float = 0.0
    p99_seconds: float = 0.0
    """From an order's record to its last effect, the wait behind all others included."""
    round_trips_per_order: float = 0.0
    """Of SQL, between the product's processes and the order book."""
    write_transactions_per_order: dict[str, float] = field(default_factory=dict[str, float])
    wal_bytes_per_order: dict[str, float] = field(default_factory=dict[str, float])
    """By PostgreSQL server."""
    history: HistoryCost = field(default_factory=HistoryCost)
    repeated_notices: int = 0
    memory: dict[int, dict[str, Memory]] = field(default_factory=dict[int, dict[str, Memory]])
    """By orders that had come to their end."""
    mismatches: list[str] = field(default_factory=list[str])

    @property
    def orders_per_second(self) -> float:
        """The rate of the whole round."""
        return self.orders / self.seconds


def mismatches(seen: Sequence[Seen], paid: Sequence[Paid], books: Books) -> list[str]:
    """Every effect that is not exactly right, in words.

    Args:
        seen: what the books hold about the orders of a round.
        paid: the orders of all rounds so far.
        books: of all rounds so far.
    """
    report = Report()
    for found in (audit_seen(seen), audit_whole(paid, books), audit_undisturbed(books)):
        report.merge(found)
    return [f"{one.order_id}: {one.sentence}".removeprefix(": ") for one in report.violations]


class Rounds:
    """Runs rounds on one environment, one after the other.

    Args:
        say: told a sentence now and then.
    """

    def __init__(self, environment: Environment, say: Callable[[str], None]) -> None:
        self._environment = environment
        self._say = say
        self._files = BookFiles(environment.simulators.books)
        self._run = int(time.time()) % 100_000_000
        self._made = 0
        self._sent: dict[str, int] = {}
        """Records, by topic."""
        self._paid: list[Paid] = []
        """All orders of all rounds so far."""
        self._producing: threading.Thread | None = None

    async def run(
        self,
        variant: Variant,
        count: int,
        *,
        memory_at: Sequence[int] = (),
        label: str | None = None,
        every_seconds: float = 0.0,
    ) -> Result:
        """One round with the product that runs now; a record every so many seconds, or all at once.

        Raises:
            RoundFailedError: it did not come to its end.
        """
        orders = await self._orders(count, variant.trouble)
        result = Result(variant.name, count, load_average=os.getloadavg()[0])
        environment, cores = self._environment, self._environment.choices.cores
        place = environment.place(variant.checkout)
        self._sent[place.topic] = self._sent.get(place.topic, 0) + count
        if 0 in memory_at:
            result.memory[0] = environment.memory()
        spin_before = await asyncio.to_thread(spin_milliseconds, cores)
        databases, round_trips = environment.database_use(), environment.round_trips()
        cpu_before, busy_before, wall_before = environment.cpu_seconds(), busy_seconds(cores), time.monotonic()
        sent = await self._produced(orders, place.topic, every_seconds)
        await self._until_terminal(orders, result, memory_at, label or variant.name)
        wall, busy = time.monotonic() - wall_before, busy_seconds(cores) - busy_before
        ours = sum(after - cpu_before.get(name, 0.0) for name, after in environment.cpu_seconds().items())
        client = await Client.connect(environment.temporal_address, namespace=place.namespace)
        await self._settled(client, place.topic)
        cpu = environment.cpu_seconds()
        result.round_trips_per_order = (environment.round_trips() - round_trips) / count
        _note_databases(result, databases, environment.database_use())
        seen = self._files.look().seen([order.paid(environment.platforms) for order in orders])
        _note_times(result, seen, orders, sent)
        result.cpu_ms_per_order = {name: (cpu[name] - cpu_before.get(name, 0.0)) * 1000 / count for name in cpu}
        result.busy_percent = 100 * busy / (wall * len(cores))
        result.foreign_percent = max(0.0, 100 * (busy - ours) / (wall * len(cores)))
        result.spin_ms = (spin_before + await asyncio.to_thread(spin_milliseconds, cores)) / 2
        some = [workflow_id(order.order_id) for order in orders[:: max(1, count // HISTORIES)]]
        result.history = await mean_cost(client, some)
        result.mismatches = mismatches(seen, self._paid, self._files.books)
        result.repeated_notices = sum(len(one.notices) - len(one.told) for one in seen)
        return result

    def verify_books(self) -> None:
        """Check the hash chains of all books.

        Raises:
            RoundFailedError: one was altered.
        """
        if broken := broken_chains(self._environment.simulators.books):
            raise RoundFailedError("; ".join(broken))

    async def _orders(self, count: int, trouble: Trouble) -> list[BenchOrder]:
        orders = make_orders(self._run, self._made, count, trouble, self._environment.merchants)
        self._made += count
        self._paid += [order.paid(self._environment.platforms) for order in orders]
        async with SimulatorControl(self._environment.simulators.urls) as control:
            for provider in ("wechat", "alipay"):
                payments = {
                    order.transaction_id: {
                        "amount_fen": order.amount_fen,
                        "out_trade_no": order.order_id,
                        "merchant_id": order.merchant_id,
                    }
                    for order in orders
                    if order.refused and order.provider == provider
                }
                await control.register_payments(provider, payments)
            faults = {order.order_id: [order.carrier_fault] for order in orders if order.carrier_fault}
            await control.order_faults("carrier", faults)
        return orders

    async def _produced(self, orders: Sequence[BenchOrder], topic: str, every_seconds: float) -> list[float]:
        """Start to send; the list gets the moment of each record as it is sent."""
        sent: list[float] = []
        failures: list[BaseException] = []
        started = threading.Event()
        environment = self._environment
        version = EMBEDDED_API_VERSION if environment.choices.embedded_kafka else None

        def note(moment: float) -> None:
            sent.append(moment)
            started.set()

        def work() -> None:
            try:
                produce(
                    environment.bootstrap_servers,
                    topic,
                    orders,
                    note,
                    every_seconds=every_seconds,
                    api_version=version,
                )
            except BaseException as error:  # noqa: BLE001 - carried over to the caller
                failures.append(error)
                started.set()

        self._producing = threading.Thread(target=work, name="producer", daemon=True)
        self._producing.start()
        await asyncio.to_thread(started.wait)
        if failures:
            raise RoundFailedError(f"Kafka did not take the records: {failures[0]}") from failures[0]
        return sent

    async def _until_terminal(
        self, orders: Sequence[BenchOrder], result: Result, memory_at: Sequence[int], label: str
    ) -> None:
        open_orders = {order.order_id: order.paid(self._environment.platforms) for order in orders}
        due = sorted(at for at in memory_at if 0 < at <= len(orders))
        began = last_news = last_said = time.monotonic()
        while open_orders:
            await asyncio.sleep(LOOK_SECONDS)
            books = self._files.look()
            for order_id in [name for name, paid in open_orders.items() if books.about(paid).is_complete]:
                del open_orders[order_id]
                last_news = time.monotonic()
            done = len(orders) - len(open_orders)
            while due and done >= due[0]:
                held = result.memory[due.pop(0)] = self._environment.memory()
                sizes = ", ".join(f"{name} {memory.pss_kib / 1024:.0f} MiB" for name, memory in held.items())
                self._say(f"{label}: after {done} orders {sizes} (PSS)")
            now = time.monotonic()
            if now - last_said >= SAY_SECONDS:
                last_said = now
                self._say(f"{label}: {done} of {len(orders)} orders at their end, {done / (now - began):.0f}/s")
            if fallen := self._environment.fallen():
                raise RoundFailedError(fallen)
            if now - last_news > STALLED_SECONDS:
                some = ", ".join(list(open_orders)[:5])
                raise RoundFailedError(f"{len(open_orders)} orders have no end ({some}, …) and nothing moves any more.")

    async def _settled(self, client: Client, topic: str) -> None:
        """All runs are closed and all offsets committed: what comes later belongs to the next round."""
        deadline = time.monotonic() + SETTLE_SECONDS
        query = "WorkflowType = 'TopUpOrder' AND ExecutionStatus = 'Running'"
        while (running := (await client.count_workflows(query)).count) and time.monotonic() < deadline:  # noqa: ASYNC110 - it is seen by looking
            await asyncio.sleep(LOOK_SECONDS)
        if running:
            raise RoundFailedError(f"{running} runs are still open {SETTLE_SECONDS:.0f} s after the last effect.")
        while (left := await asyncio.to_thread(self._uncommitted, topic)) and time.monotonic() < deadline:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(LOOK_SECONDS)
        if left:
            raise RoundFailedError(f"The bridge has not committed {left} records.")

    def _uncommitted(self, topic: str) -> int:
        options: dict[str, Any] = {"api_version": (2, 3)} if self._environment.choices.embedded_kafka else {}
        admin = cast("Any", KafkaAdminClient)(
            bootstrap_servers=self._environment.bootstrap_servers, request_timeout_ms=ADMIN_MS, **options
        )
        with contextlib.closing(admin):
            partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
            offsets: Mapping[Any, Any] = admin.list_group_offsets({GROUP: partitions})[GROUP]
        committed = sum(at.offset for at in offsets.values() if at.offset > 0)
        return self._sent[topic] - committed


def _note_times(result: Result, seen: Sequence[Seen], orders: Sequence[BenchOrder], sent: Sequence[float]) -> None:
    ended = {one.paid.order_id: one.last_effect_at.timestamp() for one in seen if one.last_effect_at}
    result.seconds = max(ended.values()) - sent[0]
    result.half_seconds = statistics.median(ended.values()) - sent[0]
    took = sorted(ended[order.order_id] - at for order, at in zip(orders, sent, strict=True) if order.order_id in ended)
    result.p50_seconds = took[len(took) // 2]
    result.p99_seconds = took[min(len(took) - 1, int(len(took) * 0.99))]


def _note_databases(result: Result, before: Mapping[str, DatabaseUse], after: Mapping[str, DatabaseUse]) -> None:
    for name, use in after.items():
        transactions = use.write_transactions - before[name].write_transactions
        result.write_transactions_per_order[name] = transactions / result.orders
        result.wal_bytes_per_order[name] = (use.wal_bytes - before[name].wal_bytes) / result.orders
