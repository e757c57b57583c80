import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

import pytest

from devkit.servers.kafka import Kafka
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.postgres import Postgres
from devkit.servers.temporal import Temporal
from tests.reliability.audit_trail import audit_trail_drill
from tests.reliability.environment import Environment
from tests.reliability.matrix import Parts, representative, representative_names
from tests.reliability.mutants.drills import DRILL_MUTANTS
from tests.reliability.mutants.leaks import FEW_KINDS, LEAK_MUTANTS
from tests.reliability.mutants.matrix import MUTANTS
from tests.reliability.running import Runner, Shown

AT_ONCE = 10
"""A job mostly waits (10 s for Temporal to give a dead worker's task to another); ten keep two cores busy."""


@pytest.fixture(scope="session")
async def runner(temporal_server: Temporal, mosquitto: Mosquitto, postgres: Postgres) -> AsyncIterator[Runner]:
    """The runner, in an environment of this session."""
    env = Environment(temporal_server, mosquitto, postgres)
    await env.start()
    yield Runner(env, await temporal_server.connect(), at_once=AT_ONCE)
    await env.close()


@pytest.fixture(scope="session")
async def caught(
    request: pytest.FixtureRequest, temporal_server: Temporal, kafka: Kafka
) -> AsyncIterator[Mapping[str, "asyncio.Task[Shown]"]]:
    """The selected mutants, each in its case, in an environment of their own: their orders must not count."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = {item.callspec.params.get("mutant") for item in items if hasattr(item, "callspec")}
    broker = await asyncio.to_thread(Mosquitto().start)
    env = Environment(temporal_server, broker, None)
    await env.start()
    client = await temporal_server.connect()
    runner = Runner(env, client, at_once=len(MUTANTS) + len(LEAK_MUTANTS))
    tasks = {
        name: asyncio.create_task(runner.case(mutant.case, mutant=name))
        for name, mutant in MUTANTS.items()
        if name in wanted
    }
    for name in LEAK_MUTANTS:
        if name in wanted:
            drill = audit_trail_drill(None, on_postgres=False, mutant=name, kinds=FEW_KINDS)
            tasks[name] = asyncio.create_task(runner.drill(name, drill))
    for name, mutant in DRILL_MUTANTS.items():
        if name in wanted:
            apart = Runner(env, client, at_once=1, mutant=name)
            tasks[name] = asyncio.create_task(apart.drill(name, mutant.drill(kafka)))
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await env.close()
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
