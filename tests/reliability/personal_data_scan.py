"""What a run leaves behind: an audit trail of every call and every transition, and nowhere a car's or a SIM's name.

Personal data is looked for as bytes in everything that the product writes: the whole database (files or every row),
Temporal's histories and its own database, logs, metrics, headers of dead letters, what commands print.
"""

import asyncio
import base64
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - the package has none
from temporalio.client import Client

from adapters.order_book.book import Event
from devkit.audit.books import Seen
from devkit.audit.records import DeadLetter
from devkit.simulation.processes import CARRIER_TOKEN
from orders import lifecycle
from orders.paid_order import PaidOrder
from tests.reliability.commands import topup_cli
from tests.reliability.deployments import Deployment
from tests.reliability.environment import PII_KEY

POSTGRES: Final[Any] = asyncpg
TABLES: Final = ("orders", "order_events", "notices")
SECRET_SETTINGS: Final = ("TOPUP_WECHAT_API_V3_KEY", "TOPUP_WECHAT_PRIVATE_KEY", "TOPUP_ALIPAY_PRIVATE_KEY")
EVERY_CALL: Final = "every call to the outside stands in the audit trail"
EVERY_TRANSITION: Final = "every transition stands in the audit trail, and is legal"
APPEND_ONLY: Final = "the database refuses to change the audit trail"
ONLY_GREW: Final = "the audit trail only grew"
NOTHING_PERSONAL: Final = "no personal data and no secret in what a run leaves"


# --- the audit trail -------------------------------------------------------------------------------------------------

_CALLS: Final[Mapping[str, tuple[str, str]]] = {
    "POST": ("post", "post_intent"),
    "GET": ("get", "query"),
    "cancel": ("cancel", "burn_intent"),
    "refund": ("refund", "refund_send"),
    "refund query": ("query", "refund_query"),
}
"""What a call is in the books of the outside world, and its line in the trail."""


_INTENTS: Final = frozenset({"POST", "cancel", "refund"})
"""Calls whose line stands before they leave, so that it stands though the process was killed."""


def calls_missing(seen: Seen, events: Sequence[Event], *, killed: bool = False) -> Iterator[str]:
    """Calls that the outside world has seen and the trail has not. `killed`: processes were, so only intents count."""
    outside = Counter(entry.kind for entry in (*seen.carrier, *seen.money))
    lines = Counter(event.kind for event in events if _is_a_call(event))
    for call, (there, here) in _CALLS.items():
        if outside[there] > lines[here] and not (killed and call not in _INTENTS):
            yield f"the outside world has seen {outside[there]} × {call}, the trail has {lines[here]} × {here}"
    if killed:
        return
    for broker, result in {(entry.data["broker"], entry.data["result"]) for entry in seen.notices}:
        if not any(event.kind == f"notice_{result}" and broker in event.detail for event in events):
            yield f"the notice {result} on {broker} is not in the trail"


def _is_a_call(event: Event) -> bool:
    """An intent's line is one only where the right was given."""
    match event.kind:
        case "post_intent":
            return "post" in event.detail
        case "burn_intent":
            return "burn" in event.detail
        case "refund_send":
            return bool(event.detail.get("leaves"))
        case _:
            return True


def transitions_missing(status: str, events: Sequence[Event]) -> Iterator[str]:
    """Where the trail's own story is broken: its first line, each step, its last word."""
    if not events or events[0].kind != "claimed":
        yield "the trail does not begin with the claim"
    now: Any = "placing"
    for event in events:
        moved = event.detail.get("status")
        if moved is None or moved == now:
            continue
        try:
            lifecycle.move(now, moved)
        except lifecycle.IllegalTransition:
            yield f"from {now} to {moved} is no legal transition"
        now = moved
    if now != status:
        yield f"the trail ends with {now}, the order is {status}"


async def changes_refused(deployed: Deployment) -> list[str]:
    """What the database lets one do to the trail that it should not."""
    url = deployed.settings["TOPUP_DATABASE_URL"]
    statements = ["UPDATE order_events SET kind = 'x'", "DELETE FROM order_events"]
    if url.startswith("sqlite:"):
        replaced = "INSERT OR REPLACE INTO order_events SELECT id, order_id, at, 'x', detail, hash FROM order_events"
        return await asyncio.to_thread(_sqlite_allows, _sqlite_path(url), [*statements, replaced])
    return await _postgres_allows(url, [*statements, "TRUNCATE order_events"])


def _sqlite_allows(path: Path, statements: Sequence[str]) -> list[str]:
    allowed: list[str] = []
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        for statement in statements:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.execute(statement)
                allowed.append(f"SQLite allows {statement}")
            except sqlite3.DatabaseError as error:
                if "append-only" not in str(error):
                    allowed.append(f"{statement} failed for another reason: {error}")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
    finally:
        connection.close()
    return allowed


async def _postgres_allows(url: str, statements: Sequence[str]) -> list[str]:
    allowed: list[str] = []
    connection = await POSTGRES.connect(url)
    try:
        for statement in statements:
            transaction = connection.transaction()
            await transaction.start()
            try:
                await connection.execute(statement)
                allowed.append(f"PostgreSQL allows {statement}")
            except POSTGRES.PostgresError as error:
                if "append-only" not in str(error):
                    allowed.append(f"{statement} failed for another reason: {error}")
            finally:
                await transaction.rollback()
    finally:
        await connection.close()
    return allowed


# --- personal data ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Left:
    """Something that a run has left: where, and its bytes."""

    place: str
    data: bytes


def secrets_of(orders: Iterable[PaidOrder], settings: Mapping[str, str]) -> dict[bytes, str]:
    """What must be nowhere, in the spellings in which it might be: bytes → what it is."""
    clear: dict[str, str] = {CARRIER_TOKEN: "the carrier's token", base64.b64encode(PII_KEY).decode(): "TOPUP_PII_KEY"}
    for name in SECRET_SETTINGS:
        if value := settings.get(name):
            longest_line = max(value.splitlines(), key=len)  # of a key in PEM one is enough
            clear[longest_line] = name
    for order in orders:
        vehicle = order.vehicle
        clear |= {vehicle.vin: "a VIN", vehicle.vin.lower(): "a VIN", vehicle.iccid: "an ICCID"}
        if vehicle.msisdn:
            clear[vehicle.msisdn] = "a phone number"
    spelled: dict[bytes, str] = {}
    for text, what in clear.items():
        data = text.encode()
        spelled |= {data: what, data.hex().encode(): f"{what} in hex"}
    return spelled


def found_in(left: Iterable[Left], secrets: Mapping[bytes, str]) -> list[str]:
    """One sentence for each place and kind of secret."""
    return sorted(
        {f"{one.place} holds {what}" for one in left for secret, what in secrets.items() if secret in one.data}
    )


async def everything_left(
    deployed: Deployment, orders: Sequence[PaidOrder], dead_letters: Sequence[DeadLetter] = ()
) -> list[Left]:
    """All that this deployment's processes have written, here and on the servers."""
    left = [one async for one in _from_temporal(deployed.client, deployed.queue)]
    left += [Left(f"the log of {name}", data) for name, data in deployed.whole_logs()]
    left += await _from_database(deployed.settings["TOPUP_DATABASE_URL"])
    left += [
        Left("the headers of a dead letter", name.encode() + b"=" + value)
        for letter in dead_letters
        for name, value in letter.headers
        if name.startswith("topup-dlq-")
    ]
    for program in deployed.running():
        left.append(Left(f"the metrics of {program.name}", (await deployed.scrape(program)).encode()))
    for order in orders[:3]:
        left.append(
            Left("topup orders show", (await topup_cli(deployed, "orders", "show", order.order_id)).text.encode())
        )
    return left


async def _from_temporal(client: Client, queue: str) -> AsyncIterator[Left]:
    async for run in client.list_workflows(f"TaskQueue = '{queue}'"):
        yield Left("a run's memo, attributes and summary", run.raw_info.SerializeToString())
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        described = await handle.describe()
        yield Left("a run's description", described.raw_description.SerializeToString())
        async for event in handle.fetch_history_events():
            yield Left("a run's history", event.SerializeToString())


async def _from_database(url: str) -> list[Left]:
    if url.startswith("sqlite:"):
        path = _sqlite_path(url)
        return [Left("the order book's file", part.read_bytes()) for part in path.parent.glob(f"{path.name}*")]
    connection = await POSTGRES.connect(url)
    try:
        rows = [(table, await connection.fetch(f"SELECT row::text FROM {table} AS row")) for table in TABLES]
    finally:
        await connection.close()
    return [Left(f"a row of {table}", row[0].encode()) for table, found in rows for row in found]


def _sqlite_path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))
