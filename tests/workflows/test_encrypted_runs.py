"""Runs whose payloads are encrypted, on the real server: what it keeps, and what people and later keys can do.

One run after another's key: begun in clear, gone on with under a key, ended under the next one; reset; replayed.
"""

import asyncio
import base64
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import UpdateWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.testing import TimeSkipper, TimeSkippingConfig
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from console import runs
from console.exits import CommandFailed
from devkit.servers import temporal
from devkit.servers.process import Program, free_port
from devkit.servers.temporal import Temporal
from runtime.payload_codec import key_id
from runtime.temporal import data_converter
from tests.limits import WAIT_SECONDS
from tests.workflows.conftest import paid_order
from tests.workflows.fakes import Post
from tests.workflows.world import World, new_world
from workers.composition import WORKFLOWS

pytestmark = pytest.mark.real

KEY, NEXT = bytes(range(32)), bytes(range(1, 33))
TOKEN = "li's-own-token-of-32-characters"
NOTE = "canary-note-4711"
ROOT = Path(__file__).parents[2]


def base64_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


async def clock(server: Temporal, key: bytes | None, *old: bytes) -> TimeSkipper:
    client = await Client.connect(server.address, data_converter=data_converter(key, old))
    return TimeSkipper(client, config=TimeSkippingConfig(enabled=False))


@pytest.fixture(scope="module")
async def codec_server() -> AsyncIterator[str]:
    """`topup codec-server` as a process; its address."""
    port = free_port()
    settings = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "TOPUP_HTTP_PORT": str(port),
        "TOPUP_CODEC_KEY": base64_of(KEY),
        "TOPUP_CODEC_OLD_KEYS": base64_of(NEXT),
        "TOPUP_CODEC_TOKENS": json.dumps({"li": TOKEN}),
    }
    program = Program("codec-server", [sys.executable, "-m", "console", "codec-server"], env=settings)
    address = f"http://127.0.0.1:{port}"
    await asyncio.to_thread(program.start)
    async with asyncio.timeout(WAIT_SECONDS), httpx.AsyncClient() as http:
        while True:
            try:
                if (await http.get(f"{address}/readyz")).status_code == 200:
                    break
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    yield address
    os.kill(program.pid, signal.SIGTERM)
    assert await asyncio.to_thread(program.wait, WAIT_SECONDS) == 0
    program.close()


async def cli(server: Temporal, *words: str) -> str:
    """What the `temporal` program prints, and how it ended, as `exit 1: …`."""
    program = await asyncio.create_subprocess_exec(
        temporal.find(), *words, "--address", server.address,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    out, _ = await program.communicate()
    return out.decode() if program.returncode == 0 else f"exit {program.returncode}: {out.decode()}"


async def kept(handle: Any) -> str:
    """All that the server keeps of the run, decoded as far as base64 goes."""
    history = await handle.fetch_history()
    return "".join(str(event) for event in history.events) + str((await handle.describe()).raw_description)


async def move_to(world: World, env: TimeSkipper) -> None:
    """The order's next worker, with another client."""
    await world.rest()
    world.env = env
    await world.work()
    world.handles = [env.client.get_workflow_handle(handle.id) for handle in world.handles]


@pytest.mark.slow
async def test_a_run_begun_in_clear_goes_on_under_a_key_and_ends_under_the_next(
    time_skipping_server: Temporal, tmp_path: Path
):
    server = time_skipping_server
    async with new_world(await clock(server, None, KEY), tmp_path, paid_order()) as world:
        world.carrier.plan = [Post(state="partial")]
        await world.until(await world.start(), "parked")

        await move_to(world, await clock(server, KEY))
        handle = world.handles[0]
        await world.update(handle, "retry_now", note=NOTE)
        assert NOTE not in await kept(handle)
        assert "binary/encrypted" in await kept(handle)

        await move_to(world, await clock(server, NEXT, KEY))
        handle = world.handles[0]
        # A command without the key says which one is missing, and where to put it.
        blind = (await clock(server, KEY)).client
        for ask in (
            runs.status(blind, world.order.order_id, world.task_queue),
            runs.update(blind, world.order.order_id, world.task_queue, "retry_now", {"operator": "li", "note": NOTE}),
        ):
            with pytest.raises(CommandFailed, match=rf"key '{key_id(NEXT)}'.*TOPUP_CODEC_OLD_KEYS"):
                await ask
        await world.until(handle, "parked")
        await world.update(handle, "resolve", outcome="delivered", note=NOTE)
        assert (await handle.result())["outcome"] == "delivered"
        assert NOTE not in await kept(handle)
        assert [
            event.detail["note"] for event in await world.book.events(world.order.order_id) if event.detail.get("note")
        ]

        # `new_world` replays it with both keys; without the old one, a sentence says which setting is missing.
        without = Replayer(
            workflows=WORKFLOWS,
            workflow_runner=UnsandboxedWorkflowRunner(),
            data_converter=data_converter(NEXT),
            namespace="default",
        )
        with pytest.raises(RuntimeError, match="TOPUP_CODEC_OLD_KEYS"):
            await without.replay_workflow(await handle.fetch_history())


@pytest.mark.slow
async def test_people_use_web_ui_and_command_through_the_codec_server(
    time_skipping_server: Temporal, tmp_path: Path, codec_server: str
):
    server = time_skipping_server
    through = ("--codec-endpoint", codec_server, "--codec-auth", f"Bearer {TOKEN}")
    async with new_world(await clock(server, KEY), tmp_path, paid_order()) as world:
        world.carrier.plan = [Post(state="partial")]
        handle = await world.start()
        await world.until(handle, "parked")

        shown = await cli(server, "workflow", "show", "-w", handle.id, "-o", "json", *through)
        assert base64.b64encode(world.order.order_id.encode()).decode() in shown or world.order.order_id in shown
        assert "binary/encrypted" not in shown
        blind = await cli(server, "workflow", "show", "-w", handle.id, "-o", "json")
        assert base64_of(b"binary/encrypted") in blind

        said = json.dumps({"operator": "li", "note": NOTE})
        words = ("workflow", "update", "execute", "-w", handle.id, "--name", "retry_now", "--input", said)
        assert "Asking again now" in await cli(server, *words, *through)
        refused = await cli(server, *words[:-1], json.dumps({"operator": "li"}), *through)
        assert "exit 1" in refused
        assert "Say who you are and why" in refused

        answer = await update_as_the_web_ui_does(world, codec_server, {"operator": "wu", "note": NOTE})
        assert answer == ["Asking again now."]
        asked = [event.detail for event in await world.book.events(world.order.order_id) if event.detail.get("note")]
        assert {detail["operator"] for detail in asked} == {"li"}, "who is signed in, whatever was typed"
        assert NOTE not in str((await handle.describe()).raw_description)

        # A reset replays under the key, and the order goes on by what the book holds.
        again = await cli(server, "workflow", "reset", "-w", handle.id, "-t", "LastWorkflowTask", "--reason", "tested")
        assert "exit" not in again
        await world.until(world.env.client.get_workflow_handle(handle.id), "parked")
        resolved = (
            "--name",
            "resolve",
            "--input",
            json.dumps({"operator": "li", "note": NOTE, "outcome": "delivered"}),
        )
        assert "Recorded: delivered" in await cli(server, *words[:5], *resolved, *through)
        result = await world.env.client.get_workflow_handle(handle.id).result()
        assert result["outcome"] == "delivered"
        world.handles = [world.env.client.get_workflow_handle(handle.id)]


async def update_as_the_web_ui_does(world: World, codec: str, request: dict[str, str]) -> list[Any]:
    """It has the arguments encoded, sends what it gets, and has the answer decoded."""
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Namespace": "default", "Origin": "http://127.0.0.1:8233"}
    plain = {"metadata": {"encoding": base64_of(b"json/plain")}, "data": base64_of(json.dumps(request).encode())}
    async with httpx.AsyncClient(headers=headers) as http:
        encoded = await http.post(f"{codec}/encode?preserveStorageRefs=true", json={"payloads": [plain]})
        client = world.env.client
        sent = await client.workflow_service.update_workflow_execution(
            UpdateWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=world.handles[0].id),
                wait_policy=WaitPolicy(lifecycle_stage=3),  # pyright: ignore[reportArgumentType] - completed
                request=Request(
                    meta=Meta(update_id="from-the-web-ui", identity="ui"),
                    input=Input(name="retry_now", args=ParseDict(encoded.json(), Payloads())),
                ),
            )
        )
        answer = MessageToDict(sent.outcome.success)
        assert "Asking again" not in str(answer)
        decoded = await http.post(f"{codec}/decode?preserveStorageRefs=true", json=answer)
    return [json.loads(base64.b64decode(payload["data"])) for payload in decoded.json()["payloads"]]
