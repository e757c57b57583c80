"""`topup orders goodwill`: two persons' commands decide, the run is started once, and nothing follows from a repeat."""

import asyncio
import base64
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from console import main
from orders import carrier_rules, refund_rules
from orders.identities import workflow_id
from orders.outcomes import Completed
from runtime.clock import SystemClock
from tests.adapters.book_process import KEY, paid_order
from tests.orders.states import TIMES

CLOCK = SystemClock()
Shell = Callable[..., Any]


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[OrderBook]:
    opened = OrderBook.open(f"sqlite:///{tmp_path}/book.db", FieldCipher(KEY), CLOCK)
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture
async def order_id(book: OrderBook) -> str:
    """Of a delivered order."""
    name = f"T{secrets.token_hex(8)}"
    await book.claim([paid_order(name)])
    for rule in (
        lambda stored: carrier_rules.record_response(stored.state, CLOCK.now(), Completed(carrier_order_id="C1")),
        lambda stored: refund_rules.settle(stored.state, CLOCK.now(), TIMES),
    ):
        await book.decide(name, rule, kind="test", detail=lambda _: {})
    return name


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Runs a command with the environment of an operator; its exit code, and what it says."""
    monkeypatch.setenv("TOPUP_DATABASE_URL", f"sqlite:///{tmp_path}/book.db")
    monkeypatch.setenv("TOPUP_PII_KEY", base64.b64encode(KEY).decode())

    async def run(*arguments: str, **environment: str) -> tuple[int, str]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = await asyncio.to_thread(main.run, ["orders", *arguments])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def words(order_id: str, operator: str, amount_fen: int = 500, reason: str = "ticket 4711") -> tuple[str, ...]:
    return ("goodwill", order_id, "--amount-fen", f"{amount_fen}", "--reason", reason, "--operator", operator)


@pytest.mark.slow
@pytest.mark.real
async def test_two_persons_commands_start_one_run_and_repeats_and_refusals_start_none(
    order_id: str, book: OrderBook, shell: Shell, temporal_client: Client
):
    server = {
        "TEMPORAL_ADDRESS": temporal_client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": temporal_client.namespace,
        "TOPUP_TASK_QUEUE": f"orders-{order_id}",
    }
    for _ in range(2):
        code, said = await shell(*words(order_id, "li"), **server)
        assert (code, "li proposes 500 fen until" in said) == (0, True), said
    _, said = await shell("show", order_id)
    assert "goodwill 1: 500 fen, proposed, by li: ticket 4711" in said

    code, said = await shell(*words(order_id, "wang"), "--json")

    assert (code, json.loads(said)["became"], json.loads(said)["goodwill"]) == (0, "confirmed", 1)
    handle = temporal_client.get_workflow_handle(workflow_id(f"{order_id}/1"))
    run = await handle.describe()
    assert (run.workflow_type, run.status) == ("GoodwillRefund", WorkflowExecutionStatus.RUNNING)
    for operator in ("li", "wang"):
        code, said = await shell(*words(order_id, operator))
        assert (code, "That is goodwill 1" in said) == (0, True), said
    assert (await handle.describe()).run_id == run.run_id
    for refused, why in (
        (words(order_id, "li", 9401, "ticket 4712"), "is under way"),
        (("goodwill", order_id, "--give-up", "1", "--reason", "x"), "has not definitely refused"),
        (("goodwill", order_id, "--give-up", "2", "--reason", "x"), "has no goodwill refund 2"),
    ):
        code, said = await shell(*refused)
        assert (code, why in said) == (1, True), said
    _, said = await shell("show", f"{order_id}/1", "--json")
    assert [one["stands"] for one in json.loads(said)["goodwill"]] == ["refunding"]
    details = [event.detail for event in await book.events(order_id) if event.kind == "goodwill"]
    told = [(one["operator"], one.get("two_persons", "refused")) for one in details]
    assert told == [("li", "proposed")] * 2 + [("wang", "confirmed what li proposed"), ("li", "refused")]
    await handle.terminate()


async def test_what_is_decided_stands_though_temporal_is_away_and_the_sweep_is_named(
    order_id: str, book: OrderBook, shell: Shell
):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{probe.getsockname()[1]}"
        await shell(*words(order_id, "li"), TEMPORAL_ADDRESS=nowhere)

        code, said = await shell(*words(order_id, "wang"))

    assert (code, "the sweep starts its run within 10 min" in said) == (0, True), said
    assert [one.stands for one in await book.goodwill.of(order_id)] == ["refunding"]


async def test_while_the_book_comes_from_a_backup_nothing_is_given(order_id: str, book: OrderBook, shell: Shell):
    code, said = await shell(*words(order_id, "li"), TOPUP_RESTORED_AT="2026-11-23T10:00:00Z")

    assert (code, "may have forgotten what was given back" in said) == (1, True), said
    assert await book.goodwill.of(order_id) == []
