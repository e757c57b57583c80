"""For each section of the runbook: an order that is really stuck in that way, and what its commands must lead to."""

import asyncio
import contextlib
import json
import re
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from devkit.audit.auditor import audit
from devkit.servers.process import free_port
from devkit.stack.tcp_proxy import TcpProxy
from orders import carrier_rules
from orders.outcomes import Completed, Refused
from orders.paid_order import PaidOrder
from tests.console.operator_shell import OperatorShell, parsed, process_of, until
from tests.limits import WAIT_SECONDS
from tests.reliability.deployments import posted

Story = Callable[[OperatorShell, str], Awaitable[None]]
STORIES: dict[str, Story] = {}
PARTIAL = {"kind": "async", "then": "partial", "after_seconds": 0.1}
ACTED_AND_FAILED = {"kind": "error", "status": 500, "act": True}
ASK_LATER = [{"kind": "throttle", "target": "get", "retry_after_seconds": seconds} for seconds in (1, 60)]
"""The second hits the regular activity, which then waits for a minute."""
REFUSED = {"kind": "refuse", "code": "SIM_SUSPENDED"}
LONG_SECONDS = 25.0
"""A command and what follows from it take a few seconds, also on a busy machine."""


def story(section: str) -> Callable[[Story], Story]:
    def keep(tell: Story) -> Story:
        STORIES[section] = tell
        return tell

    return keep


def outcome_of(command: str) -> str:
    """What `resolve` says in this command."""
    found = re.search(r"--outcome (\w+)|\"outcome\": \"(\w+)\"", command)
    assert found
    return found[1] or found[2]


@story("Look first")
async def look(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, carrier=[PARTIAL])
    await shell.stuck(deployed, order, "parked", person=True)
    if "list" in command:

        async def seen() -> bool:
            return order.order_id in (await shell.run(command, deployed, order)).out

        await until(seen, f"{command} shows the order", WAIT_SECONDS)
        return
    done = await shell.run(command, deployed, order, code=None if command == "topup doctor" else 0)
    if command == "topup doctor":
        assert "order" in done.out
    else:
        assert "partial" in done.out
    if "--events" in command:
        assert "post_intent" in done.out
    elif "metadata" in command or command.startswith("topup orders show"):
        assert f"topup orders resolve {order.order_id} --outcome delivered" in " ".join(done.out.split())


@story("The carrier does not settle the order")
async def in_doubt(shell: OperatorShell, command: str) -> None:
    if "--query" in command:
        if " list " in command:
            await listed(shell, command, "in_doubt", carrier=[ACTED_AND_FAILED, *ASK_LATER])
        else:
            await in_doubt_batch(shell, command, [ACTED_AND_FAILED, *ASK_LATER])
        return
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, carrier=[ACTED_AND_FAILED, *ASK_LATER])
    await shell.stuck(deployed, order, "in_doubt", person=False)
    by_itself = await shell.waits(deployed, order, "telecom", LONG_SECONDS)
    await shell.run(command, deployed, order)
    await shell.ended(deployed, order, "delivered", before=by_itself)


async def listed(shell: OperatorShell, command: str, status: str, **faults: list[dict[str, Any]]) -> None:
    """A command that names the orders of a status, nobody being called for them."""
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, **faults)
    await shell.stuck(deployed, order, status, person=False)

    async def named() -> bool:
        return order.order_id in (await shell.run(command, deployed, order)).out

    await until(named, f"{command} names the order", WAIT_SECONDS)


async def in_doubt_batch(shell: OperatorShell, command: str, faults: list[dict[str, Any]]) -> None:
    """Three orders in doubt; `--dry-run` names them, `--yes 3` frees them."""
    async with shell.lock("batch"):
        deployed = await shell.deployed("batch")
        orders = [await shell.order(deployed, carrier=faults) for _ in range(3)]
        by_itself = min([await shell.waits(deployed, order, "telecom", LONG_SECONDS) for order in orders])
        if faults[0].get("status") == 401:
            for order in orders:
                await shell.lift("carrier", order.order_id)  # the token is right again
        if "--dry-run" in command:

            async def all_shown() -> bool:
                done = await shell.run(command, deployed)
                return all(order.order_id in done.out for order in orders) and "--yes 3" in done.err

            await until(all_shown, "the orders are shown with their count", WAIT_SECONDS)
            assert all([(await shell.state(deployed, order)).outcome is None for order in orders])
            for order in orders:
                await deployed.handle(order).execute_update(
                    "retry_now", {"operator": "li", "note": "end of the dry run"}
                )
        else:

            async def three() -> bool:
                return (
                    "--yes 3" in (await shell.run(f"{command.split(' --yes', maxsplit=1)[0]} --dry-run", deployed)).err
                )

            await until(three, "visibility has all three", WAIT_SECONDS)
            await shell.run(command, deployed)
        for order in orders:
            await shell.ended(deployed, order, "delivered", before=by_itself)


@story("The carrier refuses us")
async def unauthorized(shell: OperatorShell, command: str) -> None:
    wrong_token = {"kind": "error", "status": 401, "act": False}
    gets = [{**wrong_token, "target": "get"}, {"kind": "throttle", "target": "get", "retry_after_seconds": 60}]
    await in_doubt_batch(shell, command, [ACTED_AND_FAILED | {"status": 401}, *gets])


@story("The carrier is silent")
async def silent(shell: OperatorShell, command: str) -> None:
    # 24 h in 8.6 s; the carrier's own times stay above the shortest wait there is (0.2 s).
    deployed = await shell.deployed(
        "silent",
        scale=0.0001,
        TOPUP_CARRIER_LONGEST_LATENCY_SECONDS="3600",
        TOPUP_CARRIER_COMPLETION_SECONDS="30000",
    )
    nothing = [{"kind": "hang", "act": False, "target": target, "times": -1} for target in ("post", "get", "cancel")]
    order = await shell.order(deployed, carrier=nothing, start=False)
    await deployed.start(order, time_scale=deployed.scale)
    await shell.stuck(deployed, order, "parked", person=True)
    assert "24 h" in (await deployed.handle(order).query("status"))["reason"]
    await shell.run(command, deployed, order)
    if outcome_of(command) == "delivered":
        await shell.ended(deployed, order, "delivered")
        return
    assert (await shell.state(deployed, order)).outcome is None, "nothing is refunded by an operator's word alone"
    await shell.lift("carrier", order.order_id)
    await shell.ended(deployed, order, "refunded")
    assert (await shell.state(deployed, order)).carrier_outcome == "cancelled"


@story("Partial")
async def partial(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, carrier=[PARTIAL])
    entry = await shell.stuck(deployed, order, "parked", person=True)
    shown = parsed(await shell.run("topup orders show $ORDER --json", deployed, order))
    assert shown["book"]["carrier_order_id"] == entry.carrier_order_id
    await shell.run(command.replace("CARRIER_ORDER", entry.carrier_order_id), deployed, order)
    await shell.ended(deployed, order, "delivered" if outcome_of(command) == "delivered" else "refunded")


@story("Contradicted")
async def contradicted(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, start=False)
    await deployed.book.claim([order])
    now = datetime.now(UTC)
    long_ago = now - timedelta(hours=1)
    sent = {"posts": 1, "body": b"{}", "completion_date": long_ago, "last_post_at": long_ago}
    for answer in (Refused(code="SIM_SUSPENDED"), Completed(carrier_order_id="C1")):
        await deployed.book.decide(
            order.order_id,
            lambda record, answer=answer: carrier_rules.record_response(replace(record.state, **sent), now, answer),
            kind="post",
            detail=lambda _: {},
        )
    await deployed.start_run(order)
    await shell.stuck(deployed, order, "parked", person=True)
    await shell.run(command, deployed, order)
    await shell.ended(deployed, order, "delivered" if outcome_of(command) == "delivered" else "refunded")


@story("No money at the provider")
async def held(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, carrier=[REFUSED], refund=[{"kind": "not_enough", "times": -1}])
    await shell.stuck(deployed, order, "refunding", person=True)
    by_itself = await shell.waits(deployed, order, "refund", LONG_SECONDS)
    await shell.lift("wechat", order.payment.transaction_id)
    await shell.run(command, deployed, order)
    await shell.ended(deployed, order, "refunded", before=by_itself)


@story("The provider denies the refund")
async def denied(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, carrier=[REFUSED], refund=[{"kind": "abnormal"}])
    await shell.stuck(deployed, order, "parked", person=True)
    by_itself = await shell.waits(deployed, order, "refund", LONG_SECONDS)
    if "resolve" not in command:
        async with httpx.AsyncClient(trust_env=False) as http:  # the merchant's hand
            settled = await http.post(f"{shell.env.url('wechat')}/refunds/R{order.order_id}/settle")
            settled.raise_for_status()
    await shell.run(command, deployed, order)
    await shell.ended(deployed, order, "refunded", before=by_itself)
    entry = await shell.state(deployed, order)
    assert ("4711" in entry.provider_refund_id) == ("resolve" in command)


_waiting_for_keys: list[PaidOrder] = []
UNCONFIGURED_COMMANDS = 2


@story("Provider or merchant not configured")
async def unconfigured(shell: OperatorShell, command: str) -> None:
    ours = shell.env.settings(queue="", database_url="", scale=1)
    keys = {name: value for name, value in ours.items() if name.startswith("TOPUP_ALIPAY_") and name[-3:] != "URL"}
    deployed = await shell.deployed("unconfigured", **dict.fromkeys(keys, ""))
    order = await shell.order(deployed, provider="alipay", carrier=[REFUSED])
    entry = await shell.stuck(deployed, order, "refunding", person=True)
    assert "not configured on this worker" in entry.reason
    by_itself = await shell.waits(deployed, order, "refund", LONG_SECONDS)
    _waiting_for_keys.append(order)

    async def restart_with_the_keys() -> None:
        while len(_waiting_for_keys) < UNCONFIGURED_COMMANDS:
            await asyncio.sleep(0.1)
        await asyncio.to_thread(process_of(deployed).stop)
        deployed.settings |= keys
        await deployed.process("worker")

    with contextlib.suppress(TimeoutError):  # the other command is not among the selected tests
        await asyncio.wait_for(shell.once("keys", restart_with_the_keys), 1000)
    await shell.run(command, deployed, order)
    await shell.ended(deployed, order, "refunded", before=by_itself)


@story("Cancel and refund")
async def cancel(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("fast", scale=0.02)
    order = await shell.order(deployed, carrier=[{"kind": "error", "act": False, "times": -1}])
    await shell.stuck(deployed, order, "in_doubt", person=False)
    await shell.run(command, deployed, order)
    await shell.ended(deployed, order, "refunded")
    entry = await shell.state(deployed, order)
    assert (entry.carrier_outcome, entry.carrier_code) == ("cancelled", "CANCELLED"), (
        "by itself it would be NOT_FOUND_AND_BURNT"
    )
    [asked] = await shell.events(deployed, order, "refund_now" if "refund" in command else "cancel_requested")
    assert ("ticket 4711" in asked.detail["note"]) == (not command.startswith("temporal workflow cancel"))


@story("A notice is pending")
async def notice(shell: OperatorShell, command: str) -> None:
    proxy = TcpProxy(shell.env.mosquitto.url)
    deployed = await shell.deployed(
        f"notices {command}", TOPUP_MQTT_BROKERS=json.dumps([{"name": "cars", "url": proxy.url}])
    )
    order = await shell.order(deployed)
    await shell.waits(deployed, order, "notify-delivered-cars", 24)
    proxy.open()
    url = f"http://127.0.0.1:{deployed.settings['TOPUP_HTTP_PORT']}/readyz"

    async def back() -> bool:
        async with httpx.AsyncClient(trust_env=False) as http:
            checks = (await http.get(url)).json()["checks"]
        return all(check["ok"] for check in checks)

    await until(back, "the platform is back", WAIT_SECONDS)
    by_itself = await shell.waits(deployed, order, "notify-delivered-cars", 5)
    await shell.run(command, deployed, order)

    async def told() -> bool:
        return [one.state for one in await deployed.book.notices(order.order_id)] == ["acknowledged"]

    await until(told, "the car is told", WAIT_SECONDS)
    assert time.monotonic() < by_itself, "it may have gone out by itself"
    await asyncio.wait_for(deployed.handle(order).result(), WAIT_SECONDS)
    proxy.close()


@story("The car was not told")
async def untold(shell: OperatorShell, command: str) -> None:
    proxy = TcpProxy(shell.env.mosquitto.url)
    deployed = await shell.deployed(
        f"untold {command}", TOPUP_MQTT_BROKERS=json.dumps([{"name": "cars", "url": proxy.url}])
    )
    order = await shell.order(deployed)
    await shell.waits(deployed, order, "notify-delivered-cars", 1)
    await shell.run("temporal workflow terminate -w topup/$ORDER --reason accident", deployed, order)
    proxy.open()
    await shell.run(command, deployed, order)

    async def told() -> bool:
        return [one.state for one in await deployed.book.notices(order.order_id)] == ["acknowledged"]

    await until(told, "the car is told", WAIT_SECONDS)
    assert (await asyncio.wait_for(deployed.handle(order).result(), WAIT_SECONDS)).outcome == "delivered"
    books = await shell.env.refresh()
    assert audit([deployed.paid(order)], books).violations == []
    proxy.close()


@story("Nobody works on it")
async def nobody(shell: OperatorShell, command: str) -> None:
    async with shell.lock("stranded"):
        deployed = await shell.deployed("stranded", scale=0.05)
        orders = [await shell.order(deployed, carrier=[PARTIAL]) for _ in range(3)]
        for order in orders:
            await shell.stuck(deployed, order, "parked", person=True)
            await shell.run("temporal workflow terminate -w topup/$ORDER --reason accident", deployed, order)
        await asyncio.sleep(60 * 0.05)  # the bridge's grace
        if "--yes" in command or "--stranded" not in command:
            await shell.run(command, deployed, orders[0])
        else:
            seen = await shell.run(command, deployed)
            assert all(order.order_id in seen.out for order in orders)
            assert "nobody works on it" in " ".join(seen.out.split())
        rest = orders[1:] if command == "topup orders reopen $ORDER" else [] if "--yes" in command else orders
        for order in rest:
            await shell.run("topup orders reopen $ORDER", deployed, order)
        for order in orders:
            await shell.stuck(deployed, order, "parked", person=True)
            assert "running" in (await shell.run("topup orders show $ORDER", deployed, order)).out
            word = {"operator": "li", "note": "ticket 4711", "outcome": "delivered"}
            await deployed.handle(order).execute_update("resolve", word)
            await shell.ended(deployed, order, "delivered")


@story("The saga fails")
async def fails(shell: OperatorShell, command: str) -> None:
    await shell.run(command, await shell.deployed("stranded", scale=0.05))


@story("A worker hangs")
async def hangs(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed(f"hangs {command}", scale=0.1)
    worker = process_of(deployed)
    if command.startswith("temporal task-queue describe"):

        async def polls() -> bool:
            return f"{worker.pid}@" in (await shell.run(command, deployed)).out

        await until(polls, "the worker is seen to poll", WAIT_SECONDS)
        return
    order = await shell.order(deployed, carrier=[{"kind": "delay", "seconds": 3}])

    async def on_its_way() -> bool:
        return posted(await shell.env.refresh(), order, "post")

    await until(on_its_way, "the POST is on its way", WAIT_SECONDS)
    worker.freeze()
    deployed.settings["TOPUP_HTTP_PORT"] = str(free_port())  # the frozen one holds its own
    await deployed.process("worker")
    await shell.run(command.replace("PID", str(worker.pid)), deployed)
    assert worker.wait(WAIT_SECONDS) == -signal.SIGKILL
    await shell.ended(deployed, order, "delivered")
    assert (await shell.state(deployed, order)).posts == 1
