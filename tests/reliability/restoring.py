"""A drill of docs/restore.md: the order book is restored from a backup while orders stand everywhere."""

import asyncio
import contextlib
import sqlite3
import subprocess
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.service import RPCError, RPCStatusCode

from adapters.order_book.book import OrderBook, UnknownOrder
from devkit.audit.books import End, Entry, Paid, Seen
from devkit.audit.rules import CLOCK_SECONDS
from devkit.servers.kafka import Kafka
from devkit.servers.postgres import Postgres
from devkit.servers.process import unique
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from orders.time_scale import scaled
from tests.reliability.bridging import Topic
from tests.reliability.cases import REFUSED
from tests.reliability.deployments import HEAL_SECONDS, LAG_SECONDS, LATENCY_SECONDS, Deployment, NotShown, until
from tests.reliability.environment import open_book
from tests.reliability.running import COMES_ABOUT, ENDS, Drill, Runner, Shown
from workflows import sweep

SCALE: Final = 0.05
ASKED_FIRST: Final = "after a restore everything is asked for before it is sent"
NOTHING_TWICE: Final = "what was settled before the restore has no second effect"
DELETED_SECONDS: Final = 120.0
SWEEP_EVERY_SECONDS: Final = 3.0
LONG_SECONDS: Final = 12.0
"""Longer than the way from here to the restore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of order, and where it must stand before the drill goes on.

    Attributes:
        reached: what the world or the book must show of it.
    """

    name: str
    end: End
    reached: Callable[[Seen, str], bool]
    carrier: Sequence[Mapping[str, Any]] = ()
    refund: Sequence[Mapping[str, Any]] = ()


def _settled(_: Seen, outcome: str) -> bool:
    return bool(outcome)


def _posted(seen: Seen, _: str) -> bool:
    return bool(seen.at_carrier("post"))


def _sold(seen: Seen, _: str) -> bool:
    return bool(seen.at_carrier("sold"))


def _refund_sent(seen: Seen, _: str) -> bool:
    return bool(seen.at_provider("refund_accepted"))


_SLOW: Final = {"kind": "async", "state": "inProgress", "then": "completed", "after_seconds": LONG_SECONDS}
_FAILS: Final = {"kind": "async", "state": "inProgress", "then": "failed", "after_seconds": LONG_SECONDS}
_LOST: Final = {"kind": "error", "act": False}
_PROCESSING: Final = {"kind": "processing", "seconds": LONG_SECONDS}
KINDS: Final = (
    Kind(name="delivered", end="delivered", reached=_settled),
    Kind(name="refunded", end="refunded", reached=_settled, carrier=(REFUSED,)),
    Kind(
        name="refunded by a second number",
        end="refunded",
        reached=_settled,
        carrier=(REFUSED,),
        refund=({"kind": "closed"},),
    ),
    Kind(name="in flight", end="delivered", reached=_posted, carrier=(_SLOW,)),
    Kind(name="in flight, will fail", end="refunded", reached=_posted, carrier=(_FAILS,)),
    Kind(name="sold, and not heard", end="delivered", reached=_sold, carrier=({"kind": "delay", "seconds": 2.5},)),
    Kind(name="posted, nothing done", end="either", reached=_posted, carrier=(_LOST, _LOST)),
    Kind(name="refunding", end="refunded", reached=_refund_sent, carrier=(REFUSED,), refund=(_PROCESSING,)),
)


@dataclass(frozen=True, slots=True)
class DrillOrder:
    """One order of the drill."""

    kind: Kind
    order: PaidOrder
    paid: Paid


def restore_drill(kafka: Kafka, *, on_postgres: bool = False, forgets: bool = False, mode: bool = True) -> Drill:
    """Orders of every kind before the backup and after it; processes killed; the backup restored; all settle.

    Args:
        kafka: the broker.
        on_postgres: restored with `pg_restore` into a database of its own; else a copied SQLite file.
        forgets: Temporal's histories are deleted too.
        mode: whether `TOPUP_RESTORED_AT` is set. Without it the drill must find what goes out unasked.
    """

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        topic = await asyncio.to_thread(Topic, kafka, runner.env.unique("orders-"))
        deployed = runner.deployed(result.name, stack, scale=SCALE, **topic.settings)
        store = await _store(runner, deployed, on_postgres=on_postgres)
        worker, bridge = await deployed.process("worker"), await deployed.process("bridge")

        before = await _bring(runner, deployed, topic)
        backup = await asyncio.to_thread(store.backup)
        lost = await _bring(runner, deployed, topic)
        drill_orders = before + lost
        worker.kill()
        await asyncio.to_thread(bridge.stop)  # it leaves its group, so that the offsets can be set
        settled = {drill_order.order.order_id for drill_order in drill_orders if await _outcome(deployed, drill_order)}
        size = {seen.paid.order_id: _effects(seen) for seen in await _seen(runner, drill_orders)}
        result.report.add(COMES_ABOUT, result.name, [] if settled else ["nothing was settled before the restore"])

        await _open_book(deployed, await asyncio.to_thread(store.restore, backup))
        if forgets:
            await _forget(deployed, drill_orders)
        await topic.rewind()
        restored_at, healed_at = datetime.now(UTC), time.monotonic()
        if mode:
            deployed.settings["TOPUP_RESTORED_AT"] = restored_at.isoformat()
        await deployed.process("worker")
        await deployed.process("bridge")
        async with _sweeping(deployed):
            await until(
                lambda: _all_settled(deployed, drill_orders), "every order has an end in the book", HEAL_SECONDS
            )
            for drill_order in drill_orders:
                await _closed(deployed, drill_order)
        result.healed_seconds = time.monotonic() - healed_at
        result.report.add(ENDS, result.name, ())

        every = await runner.judge_all(result, deployed, [drill_order.paid for drill_order in drill_orders])
        for seen in every:
            name = seen.paid.order_id
            result.report.add(ASKED_FIRST, name, _unasked(seen, runner.env.books.money, restored_at))
            twice = name in settled and _effects(seen) != size[name]
            result.report.add(NOTHING_TWICE, name, ["it has effects of after the restore"] if twice else [])
        result.remark = f"{len(drill_orders)} orders, {len(settled)} of them settled before the restore"

    return drill


# --- what is brought about -------------------------------------------------------------------------------------------


async def _bring(runner: Runner, deployed: Deployment, topic: Topic) -> list[DrillOrder]:
    """An order of each kind at each provider, brought to where it must stand."""
    drill_orders: list[DrillOrder] = []
    for kind in KINDS:
        for provider in ("wechat", "alipay"):
            if provider == "alipay" and kind.refund:
                continue  # CLOSED and a slow PROCESSING are WeChat's
            order, paid = await runner.order(deployed, provider, end=kind.end, restored=True)
            await runner.env.order_faults("carrier", order.order_id, kind.carrier)
            await runner.env.order_faults(provider, order.payment.transaction_id, kind.refund)
            drill_orders.append(DrillOrder(kind, order, paid))
    await topic.send([drill_order.order for drill_order in drill_orders])

    async def all_reached() -> bool:
        every = await _seen(runner, drill_orders)
        outcomes = [await _outcome(deployed, drill_order) for drill_order in drill_orders]
        return all(
            drill_order.kind.reached(seen, outcome)
            for drill_order, seen, outcome in zip(drill_orders, every, outcomes, strict=True)
        )

    await until(all_reached, "orders stand everywhere", HEAL_SECONDS)
    return drill_orders


async def _outcome(deployed: Deployment, drill_order: DrillOrder) -> str:
    try:
        return (await deployed.book.read(drill_order.order.order_id)).state.outcome or ""
    except UnknownOrder:
        return ""


async def _closed(deployed: Deployment, drill_order: DrillOrder) -> None:
    """Its latest run is done with the notices too; what was settled in the backup may have none any more."""
    try:
        await deployed.result(drill_order.order)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _all_settled(deployed: Deployment, drill_orders: Sequence[DrillOrder]) -> bool:
    return all([await _outcome(deployed, drill_order) for drill_order in drill_orders])


async def _seen(runner: Runner, drill_orders: Sequence[DrillOrder]) -> list[Seen]:
    books = await runner.env.refresh(at_most_every_seconds=0.2)
    return books.seen([drill_order.paid for drill_order in drill_orders])


async def _forget(deployed: Deployment, drill_orders: Sequence[DrillOrder]) -> None:
    """Temporal forgets the orders too, open runs as well."""
    for drill_order in drill_orders:
        with contextlib.suppress(RPCError):
            await deployed.client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=deployed.client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id(drill_order.order.order_id)),
                )
            )

    async def gone() -> bool:
        found = await deployed.client.count_workflows(f"TaskQueue = '{deployed.queue}'")
        return not found.count

    await until(gone, "the histories are deleted", DELETED_SECONDS)


@asynccontextmanager
async def _sweeping(deployed: Deployment) -> AsyncGenerator[None]:
    """The sweep, more often than its schedule would."""

    async def sweep_for_ever() -> None:
        while True:
            with contextlib.suppress(Exception):
                await deployed.client.execute_workflow(
                    sweep.SWEEP, id=f"sweep-{deployed.queue}", task_queue=deployed.queue
                )
            await asyncio.sleep(SWEEP_EVERY_SECONDS)

    task = asyncio.create_task(sweep_for_ever())
    try:
        yield
    finally:
        task.cancel()


# --- what must hold --------------------------------------------------------------------------------------------------


def _effects(seen: Seen) -> tuple[int, int]:
    """What must not grow once an order is settled."""
    return len(seen.at_carrier("post", "cancel")), len(seen.at_provider("refund"))


def _unasked(seen: Seen, money: Sequence[Entry], restored_at: datetime) -> Iterator[str]:
    """The first POST after the restore follows an empty `GET` that counts, each refund number a query of its own.

    `money`: the providers' whole books; a query of a refund that isn't there names no payment.
    """
    counts_from = restored_at + timedelta(seconds=scaled(LATENCY_SECONDS, SCALE) + scaled(LAG_SECONDS, SCALE))
    counts_from -= timedelta(seconds=CLOCK_SECONDS)
    carrier = [entry for entry in seen.carrier if entry.at > restored_at]
    first = next((entry for entry in carrier if entry.kind == "post"), None)
    if first is not None and not any(
        get.kind == "get" and get.seq < first.seq and get.at >= counts_from for get in carrier
    ):
        yield f"POST {first.seq} was sent after the restore without a GET that counts"
    refunds = [entry for entry in seen.money if entry.at > restored_at and entry.kind == "refund"]
    queries = [entry for entry in money if entry.at > restored_at and entry.kind == "query"]
    for number in {entry.data["refund_no"] for entry in refunds}:
        sent = next(entry for entry in refunds if entry.data["refund_no"] == number)
        if not any(query.at < sent.at and query.data["refund_no"] == number for query in queries):
            yield f"refund {number} was sent after the restore without a query"


# --- backups ---------------------------------------------------------------------------------------------------------


class SqliteStore:
    """`sqlite3 FILE ".backup COPY"` while the processes run; the copy put in the file's place."""

    def __init__(self, database_url: str) -> None:
        self._path = Path(database_url.removeprefix("sqlite:///"))

    def backup(self) -> Path:
        """A copy of this moment."""
        copy = self._path.with_suffix(".backup")
        with closing(sqlite3.connect(self._path)) as here, closing(sqlite3.connect(copy)) as there:
            here.backup(there)
        return copy

    def restore(self, copy: Path) -> str:
        """Put it in service; its URL."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        copy.rename(self._path)
        return f"sqlite:///{self._path}"


class PostgresStore:
    """`pg_dump` while the processes run, `pg_restore` into a new database."""

    def __init__(self, postgres: Postgres, database_url: str, folder: Path) -> None:
        self._postgres = postgres
        self._url = database_url
        self._file = folder / unique("backup")

    def backup(self) -> Path:
        """A dump of this moment."""
        self._run("pg_dump", "--format=custom", f"--file={self._file}", self._url)
        return self._file

    def restore(self, copy: Path) -> str:
        """Put it in service in another database; its URL."""
        url = self._postgres.create_database()
        self._run("pg_restore", "--exit-on-error", f"--dbname={url}", str(copy))
        return url

    def _run(self, *command: str) -> None:
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        except FileNotFoundError:
            raise NotShown(f"{command[0]} is not installed (Debian's postgresql-client has it)") from None
        if done.returncode:
            raise NotShown(f"{command[0]}: {done.stderr}")


async def _store(runner: Runner, deployed: Deployment, *, on_postgres: bool) -> SqliteStore | PostgresStore:
    if not on_postgres:
        return SqliteStore(deployed.settings["TOPUP_DATABASE_URL"])
    postgres = runner.env.postgres
    if postgres is None:
        raise NotShown("there is no PostgreSQL")
    url = await asyncio.to_thread(postgres.create_database)
    await _open_book(deployed, url)
    await deployed.book.migrate()
    return PostgresStore(postgres, url, runner.env.folder)


async def _open_book(deployed: Deployment, url: str) -> OrderBook:
    await deployed.book.close()
    deployed.settings["TOPUP_DATABASE_URL"] = url
    deployed.book = open_book(url)
    return deployed.book
