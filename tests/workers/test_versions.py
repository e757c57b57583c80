"""Worker deployment versioning (docs/versions.md): an order that waits moves on to the version that is made current."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devkit.audit.auditor import audit
from devkit.servers import temporal
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import free_port
from devkit.servers.temporal import Temporal
from tests.limits import WAIT_SECONDS
from tests.reliability.deployments import Deployment, NotShown, until
from tests.reliability.environment import Environment

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
async def env(temporal_server: Temporal, mosquitto: Mosquitto) -> AsyncIterator[Environment]:
    env = Environment(temporal_server, mosquitto, None)
    await env.start()
    yield env
    await env.close()


async def cli(env: Environment, *words: str) -> Any:
    """The `temporal` program's answer."""
    program = await asyncio.create_subprocess_exec(
        temporal.find(), *words, "--address", env.temporal.address, "-o", "json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ),
    )  # fmt: skip
    out, err = await program.communicate()
    assert program.returncode == 0, err.decode()
    return json.loads(out) if out.strip().startswith((b"{", b"[")) else out.decode()


async def make_current(env: Environment, deployment: str, build: str) -> None:
    """As docs/versions.md says; the version is known once its worker polls."""

    async def known() -> bool:
        try:
            await cli(
                env, "worker", "deployment", "set-current-version",
                "--deployment-name", deployment, "--build-id", build, "-y",
            )  # fmt: skip
        except AssertionError:
            return False
        return True

    await until(known, f"version {build} is current", WAIT_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize("before", ["", "1"], ids=["from unversioned", "from the version before"])
async def test_an_order_that_waits_moves_on_to_the_version_made_current(env: Environment, before: str) -> None:
    client = await env.temporal.connect()
    deployed = Deployment(env, client, scale=0.05)
    deployment = deployed.queue
    try:
        # A worker that can't reach the carrier: the order waits in its hands.
        deployed.settings["TOPUP_WORKER_DEPLOYMENT"] = deployment
        real_url = deployed.settings["TOPUP_CARRIER_URL"]
        deployed.settings["TOPUP_CARRIER_URL"] = f"http://127.0.0.1:{free_port()}"
        if before:
            deployed.settings["TOPUP_WORKER_BUILD_ID"] = before
        old = await deployed.process("worker")
        if before:
            await make_current(env, deployment, before)
        order = await env.new_order("wechat")
        await deployed.start(order)

        async def waits() -> bool:
            described = await deployed.handle(order).describe()
            return any(one.attempt > 1 for one in described.raw_description.pending_activities)

        await until(waits, "the order waits for the carrier", WAIT_SECONDS)

        deployed.settings["TOPUP_WORKER_BUILD_ID"] = "2"
        deployed.settings["TOPUP_CARRIER_URL"] = real_url
        await deployed.process("worker")
        await make_current(env, deployment, "2")
        os.kill(old.pid, signal.SIGTERM)
        assert await asyncio.to_thread(old.wait, 40) == 0
        assert (await deployed.result(order)).outcome == "delivered"

        versioning = (await deployed.handle(order).describe()).raw_description.workflow_execution_info.versioning_info
        assert versioning.deployment_version.build_id == "2"
        assert versioning.behavior == 2, "AUTO_UPGRADE"
        books = await env.refresh()
        assert audit([deployed.paid(order)], books).violations == []
    except (NotShown, TimeoutError) as error:
        raise AssertionError(f"{error}\n{deployed.logs()}") from error
    finally:
        await deployed.close()
