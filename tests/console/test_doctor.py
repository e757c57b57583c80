"""`topup doctor` on real servers: each thing that keeps a deployment from working is named, with its next step."""

import asyncio
import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.worker import Worker

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from configuration.processes import DoctorSettings, SetupSettings
from console import health, health_temporal, preparation, runs
from console.display import Step
from console.exits import CommandFailed, Exit
from console.runs import Listed
from devkit.servers.process import unique
from orders.dead_letter import KeptLetter, Names, Source
from runtime.clock import SystemClock
from runtime.settings import load
from tests.console.test_commands import said, topup
from tests.limits import WAIT_SECONDS
from tests.workflows.conftest import paid_order
from workers.composition import WORKFLOWS
from workflows.steps import notices_queue
from workflows.sweep import SCHEDULE_ID

pytestmark = pytest.mark.real
KEY = bytes(range(32))


@pytest.fixture(scope="module")
async def prepared(temporal_server, kafka, tmp_path_factory) -> AsyncIterator[dict[str, str]]:
    """The environment of a deployment after `topup setup`, with no process running yet."""
    name = unique("doctor")
    environment = {
        "TEMPORAL_ADDRESS": temporal_server.address,
        "TEMPORAL_NAMESPACE": name,
        "TOPUP_TASK_QUEUE": name,
        "TOPUP_DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('doctor') / 'topup.db'}",
        "TOPUP_PII_KEY": base64.b64encode(KEY).decode(),
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "TOPUP_KAFKA_TOPIC": f"{name}.orders",
        "TOPUP_KAFKA_DLQ_TOPIC": f"{name}.dlq",
        "TOPUP_KAFKA_GROUP": name,
        "TOPUP_KAFKA_PARTITIONS": "2",
        "TOPUP_TIME_SCALE": "0.01",
    }
    steps = await preparation.prepare(load(environment, SetupSettings), 30)
    assert all(step.ok for step in steps), steps
    return environment


def settings(environment: dict[str, str]) -> DoctorSettings:
    return load(environment, DoctorSettings)


async def found(environment: dict[str, str]) -> dict[str, Step]:
    return {step.part: step for step in await health.examine(settings(environment))}


async def connected(environment: dict[str, str]) -> Client:
    return await Client.connect(environment["TEMPORAL_ADDRESS"], namespace=environment["TEMPORAL_NAMESPACE"])


async def test_a_deployment_whose_processes_are_missing_is_told_to_start_them(prepared):
    steps = await found(prepared)
    well = (
        "database",
        "temporal",
        "search attributes",
        "schedule",
        "clock",
        "runs that fail",
        "kafka",
        "dead letters",
        "orders",
        "unmatched payments",
        "holds",
    )
    assert {part: steps[part].says for part in well if not steps[part].ok} == {}
    assert "agree" in steps["clock"].says
    queue = prepared["TOPUP_TASK_QUEUE"]
    assert steps["worker"] == Step("worker", ok=False, says=f"No worker polls {queue}: start one (`topup worker`).")
    assert f"No worker polls {notices_queue(queue)}" in steps["worker (notices)"].says
    assert not steps["bridge"].ok
    assert "Nobody" in steps["bridge"].says
    assert "partition 0, 1" in steps["bridge"].says
    assert "`topup bridge`" in steps["bridge"].says


async def test_a_worker_and_a_bridge_at_work_are_named(prepared):
    client = await connected(prepared)
    consumer: Any = KafkaConsumer(
        bootstrap_servers=prepared["TOPUP_KAFKA_BOOTSTRAP_SERVERS"],
        group_id=prepared["TOPUP_KAFKA_GROUP"],
        client_id="the-bridge",
        enable_auto_commit=False,
    )
    consumer.subscribe([prepared["TOPUP_KAFKA_TOPIC"]])
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            consumer.poll(300)

    polling = asyncio.create_task(asyncio.to_thread(poll))
    async with Worker(client, task_queue=prepared["TOPUP_TASK_QUEUE"], workflows=WORKFLOWS, identity="the-worker"):
        for _ in range(20):
            steps = await found(prepared)
            if steps["worker"].ok and steps["bridge"].ok:
                break
            await asyncio.sleep(0.3)
    assert "the-worker" in steps["worker"].says
    assert not steps["worker (notices)"].ok, "nobody polls the other queue"
    assert "2 partitions" in steps["bridge"].says
    assert "the-bridge" in steps["bridge"].says
    assert "0 records behind" in steps["bridge"].says
    over.set()
    await polling
    consumer.close()


async def test_a_paused_schedule_is_named_and_its_next_step_mends_it(prepared):
    client = await connected(prepared)
    await client.get_schedule_handle(SCHEDULE_ID).pause()

    step = (await found(prepared))["schedule"]
    assert not step.ok
    assert "paused" in step.says
    command = step.says.partition("`")[2].partition("`")[0].replace("…", "mended")
    programs = Path(sys.executable).parent
    await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", command],
        env=prepared | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        timeout=WAIT_SECONDS,
    )
    assert (await found(prepared))["schedule"].ok


async def test_a_namespace_that_nobody_has_set_up_lacks_schedule_and_search_attributes(prepared):
    name = unique("bare")
    client = await connected(prepared)
    request = RegisterNamespaceRequest(namespace=name)
    request.workflow_execution_retention_period.FromSeconds(86_400)
    await client.workflow_service.register_namespace(request)
    for _ in range(100):
        steps = await found(prepared | {"TEMPORAL_NAMESPACE": name})
        if "schedule" in steps and "no schedule" in steps["schedule"].says:
            break
        await asyncio.sleep(0.3)  # the server's caches learn of a namespace after a while
    assert "TopUpNeedsOperator" in steps["search attributes"].says
    for part in ("schedule", "search attributes"):
        assert not steps[part].ok
        assert "run `topup setup`" in steps[part].says


async def test_a_book_without_tables_or_of_an_older_version_is_named(prepared, tmp_path):
    bare = prepared | {"TOPUP_DATABASE_URL": f"sqlite:///{tmp_path / 'bare.db'}"}
    step = (await found(bare))["database"]
    assert not step.ok
    assert "no tables" in step.says
    assert "run `topup setup`" in step.says

    book = OrderBook.open(bare["TOPUP_DATABASE_URL"], FieldCipher(KEY), SystemClock())
    await book.migrate()
    async with book._transaction(write=True) as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    newest = (await book.look()).newest_version
    await book.close()
    step = (await found(bare))["database"]
    assert not step.ok
    assert "version 0000" in step.says
    assert newest in step.says


class Ahead:
    """A clock that is an hour ahead."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)


@pytest.mark.parametrize("on", ["sqlite", "postgres"])
async def test_a_databases_clock_is_compared_with_ours(on, request, tmp_path):
    url = f"sqlite:///{tmp_path / 'b.db'}" if on == "sqlite" else request.getfixturevalue("postgres").create_database()
    book = OrderBook.open(url, FieldCipher(KEY), SystemClock())
    await book.migrate()
    assert abs((await book.look()).clock_ahead_seconds) < 2
    await book.close()
    ahead = OrderBook.open(url, FieldCipher(KEY), Ahead())
    assert (await ahead.look()).clock_ahead_seconds == pytest.approx(-3600, abs=2)
    await ahead.close()


@pytest.mark.parametrize(("seconds", "says"), [(-1, ""), (1, ""), (-100, "100 s behind"), (100, "100 s ahead of")])
def test_temporals_clock_is_wrong_only_when_no_delay_explains_it(seconds, says):
    began = datetime(2026, 1, 1, tzinfo=UTC)
    theirs = began + timedelta(seconds=seconds)
    step = health_temporal._clock_step(theirs, began, began + timedelta(milliseconds=300))
    if says:
        assert isinstance(step, Step)
        assert not step.ok
        assert says in step.says
        assert "NTP" in step.says
    else:
        assert isinstance(step, str)


async def test_topics_that_are_missing_or_too_small_are_named_with_what_to_set(prepared, kafka):
    missing = prepared | {"TOPUP_KAFKA_DLQ_TOPIC": unique("missing")}
    step = (await found(missing))["kafka"]
    assert not step.ok
    assert f"has no topic {missing['TOPUP_KAFKA_DLQ_TOPIC']}: run `topup setup`" in step.says

    small = unique("small")
    kafka.create_topic(small)
    step = (await found(prepared | {"TOPUP_KAFKA_DLQ_TOPIC": small}))["kafka"]
    assert not step.ok
    assert "max.message.bytes=1114124" in step.says, "Kafka's default and 64 KiB"


async def test_dead_letters_and_unmatched_payments_call_a_person_until_the_last_is_ended(prepared):
    environment = prepared | {"TOPUP_DATABASE_URL": prepared["TOPUP_DATABASE_URL"].replace("topup.db", "letters.db")}
    book = OrderBook.open(environment["TOPUP_DATABASE_URL"], FieldCipher(KEY), SystemClock())
    await book.migrate()
    letters = [KeptLetter(Source("t", 0, offset, 0), f"0:{offset}", "invalid", "", "", Names()) for offset in (1, 2)]
    await book.kept.keep([], letters, {})
    steps = await found(environment)
    assert steps["unmatched payments"].ok
    for letter, left in zip(letters, (2, 1), strict=True):
        step = (await found(environment))["dead letters"]
        assert not step.ok
        assert step.says.startswith(f"There are {left}: see `topup dlq list --open`")
        await book.letters.end(letter, "discarded", "li", "a test")
    assert (await found(environment))["dead letters"].ok
    await book.close()


def failing_runs(*order_ids: str) -> list[Listed]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return [Listed(one, "placing", False, "running", "P", "wechat", at) for one in order_ids]


async def test_runs_that_fail_are_counted_and_named_and_a_server_that_cannot_tell_is_well(prepared, monkeypatch):
    asked: list[tuple[str, bool]] = []
    answers: list[Any] = [
        failing_runs("T1", "T2", "T3", "T4"),
        failing_runs("T1"),
        [],
        CommandFailed("invalid query: TemporalReportedProblems is not a valid search attribute", code=Exit.WRONG_USAGE),
    ]

    async def listed(_client: object, _queue: str, query: str, _limit: int, *, open_only: bool = False) -> list[Listed]:
        asked.append((query, open_only))
        answer = answers.pop(0)
        if isinstance(answer, CommandFailed):
            raise answer
        return answer

    monkeypatch.setattr(health_temporal.runs, "listed", listed)
    client: Any = None
    many, one, none, unknown = [await health_temporal.failing(client, settings(prepared)) for _ in range(4)]

    assert asked == [("TemporalReportedProblems IS NOT NULL", True)] * 4
    assert isinstance(many, Step)
    assert isinstance(one, Step)
    assert not many.ok
    assert many.says.startswith("There are 4 (T1, T2, T3, …): a worker can't go on with them")
    assert "There are 1 (T1): " in one.says
    assert "docs/runbook.md, The saga fails" in one.says
    assert none == "There is none."
    assert isinstance(unknown, str)


async def test_a_server_that_lacks_an_attribute_refuses_the_query_as_doctor_expects(prepared):
    client = await connected(prepared)
    with pytest.raises(CommandFailed) as refused:
        await runs.listed(client, prepared["TOPUP_TASK_QUEUE"], "NobodyKnowsThis IS NOT NULL", 1, open_only=True)
    assert refused.value.code is Exit.WRONG_USAGE


async def test_what_is_slow_is_called_slow_with_the_limit_and_never_away(prepared, monkeypatch):
    async def hangs(*_: object) -> None:
        raise TimeoutError  # as the limit of the whole question does

    monkeypatch.setattr(OrderBook, "look", hangs)
    monkeypatch.setattr(health, "unsettled", hangs)
    steps = await found(prepared)

    assert "does not answer within 15 s: look at its load, its locks" in steps["database"].says
    assert "could not be compared within 15 s: one of them is slow" in steps["orders"].says
    for part in ("database", "orders"):
        assert not steps[part].ok
        assert "start it" not in steps[part].says


@pytest.mark.slow
async def test_paid_orders_that_nobody_works_on_and_those_that_need_a_person_are_counted(prepared):
    environment = prepared | {"TOPUP_DATABASE_URL": prepared["TOPUP_DATABASE_URL"].replace("topup.db", "two.db")}
    book = OrderBook.open(environment["TOPUP_DATABASE_URL"], FieldCipher(KEY), SystemClock())
    await book.migrate()
    orders = [paid_order(number) for number in (90_000_001, 90_000_002)]
    await book.claim(orders)
    await asyncio.sleep(0.8)  # the grace of an order that was claimed just now, scaled
    try:
        steps = await found(environment)
        assert "2 are paid and not settled yet, the oldest since" in steps["orders"].says
        assert (steps["orders nobody works on"].ok, steps["orders that need a person"].ok) == (False, True)
        assert "There are 2: see `topup orders reopen --stranded --dry-run`" in steps["orders nobody works on"].says

        listed = await asyncio.to_thread(topup, "orders", "list", "--stranded", "--json", environment=environment)
        assert {one["order_id"] for one in json.loads(listed.stdout)} == {order.order_id for order in orders}
        shown = await asyncio.to_thread(topup, "orders", "show", orders[0].order_id, environment=environment)
        assert "nobody works on it" in " ".join(shown.stdout.split())
        assert orders[0].vehicle.vin not in shown.stdout
    finally:
        await book.close()


@pytest.mark.slow
async def test_doctor_ends_with_1_when_anything_is_wrong_and_says_so_as_json(prepared):
    done = await asyncio.to_thread(topup, "doctor", "--json", environment=prepared)
    assert done.returncode == 1
    assert said(done) == ""
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert {step["part"] for step in answer["steps"] if not step["ok"]} >= {"bridge", "carrier", "mqtt"}
