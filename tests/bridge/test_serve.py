"""`topup serve`: bridge and worker in one process, on real parts."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator

import pytest

from configuration.processes import ServeSettings
from devkit.servers.process import Program, free_port
from orders.identities import workflow_id
from runtime.settings import load
from tests.bridge.conftest import UNMATCHED, Lane
from tests.limits import WAIT_SECONDS
from tests.runtime import environments

pytest.importorskip("confluent_kafka", reason="the embedded Kafka comes with the extra `local`")


def serving(lane: Lane, *, carrier_port: int = 0, **changes: str) -> Program:
    """One that is started; the MQTT platform of its settings is away, and the carrier where it has no port."""
    port, carrier = free_port(), f"http://127.0.0.1:{carrier_port or free_port()}"
    settings = {
        **environments.worker(),
        **lane.environment(TOPUP_HTTP_PORT=str(port), TOPUP_CARRIER_URL=carrier, **changes),
        "TOPUP_MQTT_BROKERS": json.dumps([{"name": "cars", "url": f"mqtt://127.0.0.1:{free_port()}"}]),
    }
    program = Program(
        "serve",
        [sys.executable, "-m", "console", "serve"],
        env=settings,
        listens_on=port,
        ready_timeout_seconds=WAIT_SECONDS,
    )
    lane.bridges.append(program)
    lane.ports[id(program)] = port
    program.start()
    return program


async def came_at_once(lane: Lane, order_id: str) -> bool:
    """Whether the run's first task came with the answer to its start."""
    history = await lane.client.get_workflow_handle(workflow_id(order_id)).fetch_history()
    return history.events[0].workflow_execution_started_event_attributes.eager_execution_accepted


async def test_one_process_claims_starts_and_works_and_ends_in_order(embedded_lane: Lane) -> None:
    """The run's first task comes with the answer to its start; on SIGTERM all that was claimed is started."""
    lane = embedded_lane
    program = serving(lane, TOPUP_KAFKA_API_VERSION="2.3", TOPUP_KAFKA_UNMATCHED_TOPIC=UNMATCHED)
    await lane.until(lambda: lane.readyz(program)["ready"], "it is ready")
    orders = lane.orders(20)
    lane.send(orders)
    await lane.until_all_committed()

    await lane.until(lambda: bool(lane.metrics(program, "topup_step_seconds_count")), "steps are worked on")
    checks = {check["name"]: check["required"] for check in lane.readyz(program)["checks"]}
    assert {name for name, required in checks.items() if required} == {
        "process", "kafka", "temporal", "database", "dead_letters",
    }  # fmt: skip
    assert {"gate", "carrier", "wechat", "alipay", "mqtt:cars"} <= checks.keys()
    assert lane.counts(program) == {"started": len(orders)}
    assert all([await came_at_once(lane, str(order.key, "ascii")) for order in orders[:3] if order.key])
    os.kill(program.pid, signal.SIGTERM)
    assert await asyncio.to_thread(program.wait, WAIT_SECONDS) == 0
    assert sum((await lane.started()).values()) == await lane.claimed() == len(orders)


async def test_an_intake_that_is_full_of_orders_at_a_slow_carrier_leaves_each_first_task_a_slot(
    embedded_lane: Lane,
) -> None:
    """Who waits for a slot is served before a start: were there none free, most first tasks would go by the queue."""
    lane = embedded_lane
    async with silent() as carrier_port:
        gate = {"TOPUP_BRIDGE_MAX_FIRST_PASS": str(ServeSettings.model_fields["bridge_max_first_pass"].default)}
        kafka = {"TOPUP_KAFKA_API_VERSION": "2.3", "TOPUP_KAFKA_UNMATCHED_TOPIC": UNMATCHED}
        program = serving(lane, carrier_port=carrier_port, **gate, **kafka)
        await lane.until(lambda: lane.readyz(program)["ready"], "it is ready")
        orders = lane.orders(int(gate["TOPUP_BRIDGE_MAX_FIRST_PASS"]) + 10)
        lane.send(orders)
        await lane.until_all_committed()
        assert all([await came_at_once(lane, str(order.key, "ascii")) for order in orders if order.key])
        program.kill()


@contextlib.asynccontextmanager
async def silent() -> AsyncGenerator[int]:
    """The port of a carrier that takes every order and never answers."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            pass
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def test_it_reads_what_both_read_and_says_what_both_would() -> None:
    both = environments.worker() | environments.bridge()
    settings = load({name: text for name, text in both.items() if name != "TOPUP_RECORD_KEY"}, ServeSettings)
    assert settings.http_port == 8081
    assert any("TOPUP_RECORD_KEY is not set" in warning for warning in settings.warnings)
