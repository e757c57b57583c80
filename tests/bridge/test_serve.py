"""`topup serve`: bridge and worker in one process, on real parts."""

import asyncio
import json
import os
import signal
import sys

import pytest
from temporalio.api.history.v1 import HistoryEvent

from configuration.processes import ServeSettings
from devkit.servers.process import Program, free_port
from orders.identities import workflow_id
from runtime.settings import load
from tests.bridge.conftest import UNMATCHED, Lane
from tests.limits import WAIT_SECONDS
from tests.runtime import environments

pytest.importorskip("confluent_kafka", reason="the embedded Kafka comes with the extra `local`")


def serving(lane: Lane, **changes: str) -> Program:
    """One that is started; the carrier and the MQTT platform of its settings are away."""
    port = free_port()
    settings = {
        **environments.worker(),
        **lane.environment(TOPUP_HTTP_PORT=str(port), TOPUP_CARRIER_URL=f"http://127.0.0.1:{free_port()}", **changes),
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


async def first_event(lane: Lane, order_id: str) -> HistoryEvent:
    history = await lane.client.get_workflow_handle(workflow_id(order_id)).fetch_history()
    return history.events[0]


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
    first = [await first_event(lane, str(order.key, "ascii")) for order in orders[:3] if order.key]
    assert all(event.workflow_execution_started_event_attributes.eager_execution_accepted for event in first)
    os.kill(program.pid, signal.SIGTERM)
    assert await asyncio.to_thread(program.wait, WAIT_SECONDS) == 0
    assert sum((await lane.started()).values()) == await lane.claimed() == len(orders)


def test_it_reads_what_both_read_and_says_what_both_would() -> None:
    both = environments.worker() | environments.bridge()
    settings = load({name: text for name, text in both.items() if name != "TOPUP_RECORD_KEY"}, ServeSettings)
    assert settings.http_port == 8081
    assert any("TOPUP_RECORD_KEY is not set" in warning for warning in settings.warnings)
