import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

import pytest

from devkit.servers.kafka import Kafka
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.postgres import Postgres
from devkit.servers.temporal import Temporal
from tests.reliability.drill_mutants import DRILL_MUTANTS
from tests.reliability.matrix import Parts, representative, representative_names
from tests.reliability.mutants import MUTANTS
from tests.reliability.running import Runner, Shown
from tests.reliability.telltales import FEW_KINDS, TELLTALES
from tests.reliability.trails import trail_drill
from tests.reliability.world import World

AT_ONCE = 10
"""A job mostly waits (10 s for Temporal to give a dead worker's task to another); ten keep two cores busy."""


@pytest.fixture(scope="session")
async def runner(temporal_server: Temporal, mosquitto: Mosquitto, postgres: Postgres) -> AsyncIterator[Runner]:
    """The runner, on a world of this session."""
    world = World(temporal_server, mosquitto, postgres)
    await world.start()
    yield Runner(world, await temporal_server.connect(), at_once=AT_ONCE)
    await world.close()


@pytest.fixture(scope="session")
async def caught(
    request: pytest.FixtureRequest, temporal_server: Temporal, kafka: Kafka
) -> AsyncIterator[Mapping[str, "asyncio.Task[Shown]"]]:
    """The selected mutants, each in its cell, on a world of their own: their orders must not count."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = {item.callspec.params.get("mutant") for item in items if hasattr(item, "callspec")}
    broker = await asyncio.to_thread(Mosquitto().start)
    world = World(temporal_server, broker, None)
    await world.start()
    client = await temporal_server.connect()
    runner = Runner(world, client, at_once=len(MUTANTS) + len(TELLTALES))
    tasks = {
        name: asyncio.create_task(runner.cell(mutant.cell, mutant=name))
        for name, mutant in MUTANTS.items()
        if name in wanted
    }
    for name in TELLTALES:
        if name in wanted:
            drill = trail_drill(None, on_postgres=False, mutant=name, kinds=FEW_KINDS)
            tasks[name] = asyncio.create_task(runner.drill(name, drill))
    for name, mutant in DRILL_MUTANTS.items():
        if name in wanted:
            apart = Runner(world, client, at_once=1, mutant=name)
            tasks[name] = asyncio.create_task(apart.drill(name, mutant.drill(kafka)))
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await world.close()
    broker.close()


@pytest.fixture(scope="session")
async def jobs(
    request: pytest.FixtureRequest, runner: Runner, kafka: Kafka
) -> AsyncIterator[Mapping[str, "asyncio.Task[Shown]"]]:
    """The selected jobs, all under way side by side, by name."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = {item.callspec.params.get("job") for item in items if hasattr(item, "callspec")}
    old_platform = await asyncio.to_thread(Mosquitto().start)
    all_jobs = representative(Parts(kafka, old_platform))
    assert set(all_jobs) == set(representative_names())
    tasks = {name: asyncio.ensure_future(job(runner)) for name, job in all_jobs.items() if name in wanted}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    old_platform.close()
