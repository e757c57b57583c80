"""Temporal, Kafka or the database away: what is in hand waits, nothing is dead-lettered, nothing starts twice."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from devkit.servers.kafka import Kafka
from devkit.servers.postgres import Postgres
from devkit.servers.process import Process, free_port
from tests.bridge.conftest import Lane
from tests.bridge.test_bridge_delivery import ids, incomplete_below_the_commit

pytestmark = pytest.mark.real

AWAY_SECONDS = 40
FROZEN_BROKER_SECONDS = 15
"""Longer than a member's session."""


@pytest.fixture
async def thawed(kafka: Kafka, temporal_server: Process) -> AsyncIterator[None]:
    """Whatever happens, the shared servers go on after the test."""
    yield
    for part in (kafka, temporal_server):
        if part.ours:
            part.thaw()


@pytest.fixture
async def thawed_postgres(postgres: Postgres) -> AsyncIterator[Postgres]:
    yield postgres
    if postgres.ours:
        postgres.thaw()


def sentence(lane: Lane, bridge: Any, check: str) -> str:
    """What `/readyz` says about a check that fails; empty if it doesn't."""
    found = next(found for found in lane.readyz(bridge)["checks"] if found["name"] == check)
    return "" if found["ok"] else found["sentence"]


async def nothing_committed_is_incomplete(lane: Lane) -> None:
    """While no bridge runs that could start one; Temporal's list of runs may lag behind."""

    async def none() -> bool:
        return incomplete_below_the_commit(lane, await lane.started()) == []

    await lane.until(none, "every order below the committed offset has its run")


@pytest.mark.long
async def test_temporal_frozen_for_40_s_loses_and_doubles_nothing(make_lane: Any, thawed: None) -> None:
    lane, stopped, killed = [await make_lane() for _ in range(3)]
    bridge = await lane.ready_bridge()
    to_stop = await stopped.ready_bridge()
    to_kill = await killed.ready_bridge(TOPUP_BRIDGE_MAX_FIRST_PASS="20")
    for each in (lane, stopped):
        each.send(each.orders(700))
        await each.until_started(50)
    lane.temporal.freeze()
    thaw_at = asyncio.get_running_loop().time() + AWAY_SECONDS
    killed.send(killed.orders(100))
    await lane.until(lambda: sentence(lane, bridge, "temporal"), "/readyz names Temporal")
    await lane.until(lambda: lane.metrics(bridge, "topup_bridge_paused").get("temporal") == 1, "the consumer is paused")
    lane.send(lane.orders(100, first=700))
    await killed.until(
        lambda: killed.metrics(to_kill, "topup_bridge_first_pass_orders") == {"": 20}, "20 are claimed, none started"
    )
    to_kill.kill()
    assert await stopped.terminate(to_stop) == 0  # in time, though what it has in hand can't be finished
    assert sentence(lane, bridge, "kafka") == ""  # it polled on: no rebalance
    await asyncio.sleep(thaw_at - asyncio.get_running_loop().time())
    lane.temporal.thaw()

    await lane.until(lambda: lane.readyz(bridge)["ready"], "ready again")
    await lane.until_all_committed()
    await lane.until_started(800)
    assert await lane.started() == ids(lane, 800)
    assert lane.counts(bridge) == {"started": 800}
    assert lane.dead_letters() == []

    await nothing_committed_is_incomplete(stopped)
    await stopped.ready_bridge()
    await stopped.until_all_committed()
    await stopped.until_started(700)
    assert await stopped.started() == ids(stopped, 700)

    # Capacity that a killed bridge's claims take up lets exactly these pass, else it would be taken up for ever.
    await killed.ready_bridge(TOPUP_BRIDGE_MAX_FIRST_PASS="20")
    await killed.until_started(20)
    await asyncio.sleep(1)
    assert (await killed.started()).total() == 20


@pytest.mark.long
async def test_temporal_killed_and_started_again_loses_and_doubles_nothing(lane: Lane) -> None:
    bridge = await lane.ready_bridge()
    lane.send(lane.orders(800))
    await lane.until_started(100)
    lane.temporal.kill()
    await lane.until(lambda: sentence(lane, bridge, "temporal"), "/readyz names Temporal")
    lane.temporal.start()
    await lane.until_all_committed()
    await lane.until_started(800)  # its list of runs catches up after a start
    assert await lane.started() == ids(lane, 800)
    assert lane.counts(bridge) == {"started": 800}
    assert lane.dead_letters() == []


@pytest.mark.long
async def test_a_broker_frozen_for_longer_than_the_session_loses_and_doubles_nothing(lane: Lane, thawed: None) -> None:
    bridge = await lane.ready_bridge()
    lane.send(lane.orders(1500))
    await lane.until_started(100)
    lane.kafka.freeze()
    frozen_at = asyncio.get_running_loop().time()
    await lane.until(lambda: "is away" in sentence(lane, bridge, "kafka"), "/readyz names Kafka")
    await asyncio.sleep(FROZEN_BROKER_SECONDS - (asyncio.get_running_loop().time() - frozen_at))
    lane.kafka.thaw()
    await lane.until(lambda: lane.readyz(bridge)["ready"], "ready again")
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 1500)
    counts = lane.counts(bridge)
    assert counts["started"] == 1500
    assert counts.total() == 1500  # a record that came again was counted already


@pytest.mark.long
async def test_a_broker_killed_and_started_again_loses_and_doubles_nothing(lane: Lane) -> None:
    bridge = await lane.ready_bridge()
    lane.send([*lane.orders(800), *(lane.order(n, amount_fen=0) for n in range(2000, 2020))])
    await lane.until_started(100)
    lane.kafka.kill()
    await lane.until(lambda: "is away" in sentence(lane, bridge, "kafka"), "/readyz names Kafka")
    lane.kafka.start()
    await lane.until(lambda: lane.readyz(bridge)["ready"], "ready again")
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 800)
    assert lane.counts(bridge) == {"started": 800, "invalid": 20}
    letters = {(letter.key, letter.value) for letter in lane.dead_letters()}
    assert letters == {(o.key, o.value) for o in (lane.order(n, amount_fen=0) for n in range(2000, 2020))}


@pytest.mark.long
async def test_a_bridge_frozen_for_longer_than_its_session_goes_on_beside_the_one_that_took_over(lane: Lane) -> None:
    lane.send(lane.orders(1500))
    frozen, other = lane.bridge(), lane.bridge()
    await lane.until(lambda: lane.counts(frozen).total() > 50, "it works")
    frozen.freeze()
    await lane.until(lambda: len(lane.readyz_partitions(other)) == 3, "the other one has all partitions")
    frozen.thaw()
    await lane.until_all_committed()
    await lane.until_started(1500)
    assert await lane.started() == ids(lane, 1500)
    for bridge in (frozen, other):
        assert await lane.terminate(bridge) == 0


@pytest.mark.long
async def test_the_database_away_loses_and_doubles_nothing(make_lane: Any, thawed_postgres: Postgres) -> None:
    postgres = thawed_postgres
    lane = await make_lane(database_url=postgres.create_database())
    bridge = await lane.ready_bridge()
    lane.send(lane.orders(1000))
    await lane.until_started(100)
    postgres.freeze()
    await lane.until(lambda: sentence(lane, bridge, "database"), "/readyz names the database")
    await asyncio.sleep(8)  # longer than a transaction may take
    assert sentence(lane, bridge, "kafka") == ""
    postgres.thaw()
    await lane.until(lambda: lane.readyz(bridge)["ready"], "ready again")
    await lane.until_started(300)
    postgres.kill()
    await lane.until(lambda: sentence(lane, bridge, "database"), "/readyz names the database")
    postgres.start()
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 1000)
    assert lane.counts(bridge) == {"started": 1000}
    assert lane.dead_letters() == []


@pytest.mark.slow
async def test_a_bridge_without_its_topic_says_to_run_setup_and_begins_when_it_is_there(make_lane: Any) -> None:
    lane = await make_lane(topics=False)
    bridge = lane.bridge()
    await lane.until(lambda: "run `topup setup`" in sentence(lane, bridge, "kafka"), "/readyz says what to do")
    lane.kafka.create_topic(lane.topic, 3)
    await lane.until(lambda: f"no topic {lane.dlq}" in sentence(lane, bridge, "kafka"), "the other one is missing")
    lane.kafka.create_topic(lane.dlq, 3)
    await lane.until(lambda: lane.readyz(bridge)["ready"], "ready")


@pytest.mark.slow
async def test_a_bridge_whose_kafka_is_away_waits_unready_and_ends_with_0(lane: Lane) -> None:
    bridge = lane.bridge(TOPUP_KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    await lane.until(lambda: "is away" in sentence(lane, bridge, "kafka"), "/readyz names Kafka")
    assert not lane.readyz(bridge)["ready"]
    assert await lane.terminate(bridge) == 0
    assert "Traceback" not in bridge.log_tail(1000)


@pytest.mark.slow
async def test_no_more_orders_come_in_than_there_is_capacity_for(lane: Lane) -> None:
    lane.send(lane.orders(200))
    bridge = await lane.ready_bridge(TOPUP_BRIDGE_MAX_FIRST_PASS="20")
    await lane.until_started(20)
    await asyncio.sleep(2)
    assert (await lane.started()).total() == 20
    assert lane.readyz(bridge)["ready"]
    assert lane.metrics(bridge, "topup_bridge_paused")["gate"] == 1
