"""Drills for the audit trail: orders of every kind on their way, then what they have left is read and looked through.

Carrier and operators do their worst: the carrier's words hold the SIM and the phone number, poison records the VIN.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from adapters.order_book.book import Event, UnknownOrder
from devkit.audit.books import End, Paid
from devkit.audit.records import DeadLetter
from devkit.servers.kafka import Kafka
from orders.paid_order import PaidOrder
from tests.reliability.bridging import Topic, record_of
from tests.reliability.deployments import HEAL_SECONDS, Deployment, posted, until
from tests.reliability.environment import PACKAGE
from tests.reliability.personal_data_scan import (
    APPEND_ONLY,
    EVERY_CALL,
    EVERY_TRANSITION,
    NOTHING_PERSONAL,
    ONLY_GREW,
    calls_missing,
    changes_refused,
    everything_left,
    found_in,
    secrets_of,
    transitions_missing,
)
from tests.reliability.running import COMES_ABOUT, ENDS, Drill, Runner, Shown, insist_on_update

SCALE: Final = 0.05
Faults = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of order; `{iccid}` and the like in the faults stand for the order's own."""

    name: str
    end: End
    carrier: Faults = ()
    refund: Faults = ()
    provider: str = "wechat"
    hand: str = ""


KINDS: Final[Sequence[Kind]] = (
    Kind("delivered", "delivered"),
    Kind(
        "refused in words that name the SIM",
        "refunded",
        ({"kind": "refuse", "code": "SIM-{iccid}", "text": "SIM {iccid} of {vin}, phone {msisdn}"},),
    ),
    Kind("a state that names the SIM", "delivered", ({"kind": "unknown_state", "state": "held {iccid} {vin}"},)),
    Kind(
        "failed in words that name the phone", "refunded", ({"kind": "failed", "text": "{msisdn} {vin}"},), (), "alipay"
    ),
    Kind("answered with 500", "delivered", ({"kind": "error"},)),
    # On a slow machine its time may be over before another POST is allowed: then it is burnt, and refunded.
    Kind("posted again", "either", ({"kind": "error", "act": False},)),
    Kind("cut off", "delivered", ({"kind": "reset"},), (), "alipay"),
    Kind("slow to be looked at", "delivered", ({"kind": "error"}, {"kind": "delay", "target": "get", "seconds": 2.5})),
    Kind("cancelled", "refunded", ({"kind": "error", "act": False, "times": -1},), (), "wechat", "cancel"),
    Kind(
        "given up", "refunded", ({"kind": "async", "then": "partial", "after_seconds": 0.1},), (), "wechat", "resolve"
    ),
    Kind("refund closed", "refunded", ({"kind": "failed"},), ({"kind": "closed"},)),
    Kind("refund in doubt", "refunded", ({"kind": "failed"},), ({"kind": "system_error"},), "alipay"),
)


def audit_trail_drill(
    kafka: Kafka | None, *, on_postgres: bool, mutant: str = "", kinds: Sequence[Kind] = KINDS
) -> Drill:
    """Orders of these kinds, through the bridge where there is a Kafka; then their trails, and all that they left."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        topic = await asyncio.to_thread(Topic, kafka, runner.env.unique("orders-")) if kafka else None
        settings = topic.settings if topic else {}
        deployed = runner.deployed(result.name, stack, scale=SCALE, on_postgres=on_postgres, **settings)
        deployed.mutant = mutant or deployed.mutant
        both = [await _paid_order(runner, deployed, kind) for kind in kinds]
        await deployed.process("worker")
        stranger = await runner.env.new_order("wechat")
        if topic is None:
            for order, _ in both:
                await deployed.start(order)
        else:
            await deployed.process("bridge")
            await topic.send_bytes(_records([order for order, _ in both], stranger))
        began = time.monotonic()
        async with _watched(deployed, [order for order, _ in both], result):
            hands = [_play(deployed, kind, order, paid) for kind, (order, paid) in zip(kinds, both, strict=True)]
            await asyncio.gather(*hands)
            for order, _ in both:
                await until(lambda order=order: _begun(deployed, order), "the order is claimed")
                await deployed.result(order)
        result.healed_seconds = time.monotonic() - began
        result.report.add(ENDS, result.name, ())
        await asyncio.sleep(1)
        await _judge_trails(runner, result, deployed, both)
        result.report.add(APPEND_ONLY, result.name, await changes_refused(deployed))
        letters = await _letters(topic, result) if topic else ()
        orders = [*(order for order, _ in both), stranger]
        left = await everything_left(deployed, orders, letters)
        result.report.add(NOTHING_PERSONAL, result.name, found_in(left, secrets_of(orders, deployed.settings)))
        result.remark = f"{len(left)} pieces, {sum(len(one.data) for one in left) / 1e6:.1f} MB looked through"

    return drill


async def _judge_trails(
    runner: Runner, result: Shown, deployed: Deployment, both: Sequence[tuple[PaidOrder, Paid]]
) -> None:
    for seen in await runner.judge_all(result, deployed, [paid for _, paid in both]):
        order_id = seen.paid.order_id
        events = await deployed.book.events(order_id)
        status = (await deployed.book.read(order_id)).state.status
        result.report.add(EVERY_CALL, order_id, calls_missing(seen, events))
        result.report.add(EVERY_TRANSITION, order_id, transitions_missing(status, events))


async def _paid_order(runner: Runner, deployed: Deployment, kind: Kind) -> tuple[PaidOrder, Paid]:
    order, paid = await runner.order(deployed, kind.provider, end=kind.end, given_up=kind.hand == "resolve")
    vehicle = order.vehicle

    def with_names(faults: Faults) -> Faults:
        text = json.dumps(list(faults))
        for name, value in (("vin", vehicle.vin), ("iccid", vehicle.iccid), ("msisdn", vehicle.msisdn or "")):
            text = text.replace("{" + name + "}", value)
        return json.loads(text)

    await runner.env.order_faults("carrier", order.order_id, with_names(kind.carrier))
    await runner.env.order_faults(kind.provider, order.payment.transaction_id, kind.refund)
    return order, paid


# --- what comes in beside the orders ---------------------------------------------------------------------------------


def _records(orders: Sequence[PaidOrder], stranger: PaidOrder) -> list[tuple[bytes | None, bytes | None]]:
    """The orders, a conflict, and poison of kinds whose errors might name what they hold."""
    good = [(order.order_id.encode(), record_of(order)) for order in orders]
    vin, iccid = stranger.vehicle.vin, stranger.vehicle.iccid
    other_car = orders[0].model_copy(update={"vehicle": stranger.vehicle})
    conflict = [(orders[0].order_id.encode(), record_of(other_car))]
    text = record_of(stranger).decode()
    poison = [
        text.replace(vin, vin.lower()),
        text.replace(iccid, iccid + "0"),
        text.replace('"vehicle"', f'"{vin}":1,"{vin}":2,"vehicle"'),
        text + vin,
        text.replace(PACKAGE, f"{iccid} {vin}"),
        text.replace(stranger.order_id, f"{stranger.order_id[:2]} {vin}"),
        text.replace('"wechat"', f'"{iccid}"'),
        text.replace("{", f'{{"{vin}":"{vin * 4000}",', 1),
    ]
    key = stranger.order_id.encode()
    return [*good, *conflict, *((key, value.encode()) for value in poison), (vin.encode(), text.encode())]


EXPECTED_LETTERS: Final = {"conflict": 1, "invalid": 8, "oversize": 1}


async def _letters(topic: Topic, result: Shown) -> Sequence[DeadLetter]:
    async def all_there() -> Sequence[DeadLetter]:
        letters = await topic.dead_letters()
        return letters if len(letters) >= sum(EXPECTED_LETTERS.values()) else ()

    letters: Sequence[DeadLetter] = await until(all_there, "the dead letters")
    reasons = {reason: sum(letter.reason == reason for letter in letters) for reason in EXPECTED_LETTERS}
    result.report.add(COMES_ABOUT, result.name, [] if reasons == EXPECTED_LETTERS else [f"dead letters: {reasons}"])
    return letters


# --- hands, watching -------------------------------------------------------------------------------------------------


async def _play(deployed: Deployment, kind: Kind, order: PaidOrder, paid: Paid) -> None:
    match kind.hand:
        case "cancel":
            await deployed.until_books(lambda books: posted(books, order, "post"), "a POST")
            await deployed.handle(order).cancel()
        case "resolve":
            await until(lambda: _parked(deployed, order), "the order is parked", HEAL_SECONDS)
            books = await deployed.env.refresh()
            reference = books.about(paid).at_carrier("accepted")[0].data["id"]
            word = {"operator": "Wang", "note": f"Carrier says no: {reference}", "outcome": "not_delivered"}
            await insist_on_update(deployed, order, "resolve", word)
        case _:
            pass


async def _parked(deployed: Deployment, order: PaidOrder) -> bool:
    return await _begun(deployed, order) and (await deployed.book.read(order.order_id)).state.status == "parked"


async def _begun(deployed: Deployment, order: PaidOrder) -> bool:
    with contextlib.suppress(UnknownOrder):
        await deployed.book.read(order.order_id)
        with contextlib.suppress(Exception):  # not started yet
            return bool(await deployed.handle(order).describe())
    return False


@contextlib.asynccontextmanager
async def _watched(deployed: Deployment, orders: Sequence[PaidOrder], result: Shown) -> AsyncGenerator[None]:
    """Each trail, read again and again: what was there before is there unchanged."""
    before: dict[str, list[Event]] = {}
    changed: list[str] = []

    async def look() -> None:
        for order in orders:
            now = await deployed.book.events(order.order_id)
            was = before.get(order.order_id, [])
            if now[: len(was)] != was:
                changed.append(f"the trail of {order.order_id} has changed")
            before[order.order_id] = now

    async def watch() -> None:
        while True:
            await look()
            await asyncio.sleep(1)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
    await look()
    result.report.add(ONLY_GREW, result.name, changed)
