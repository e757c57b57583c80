"""Processes as contracts §8 wants them, started and signalled for real."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.limits import WAIT_SECONDS
from tests.runtime import environments

ROOT = Path(__file__).parents[2]


class Child:
    """A running `child.py` and what it said on stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def line(self, event: str) -> dict[str, object]:
        """The next line with this event; every line before must be JSON, too."""
        assert self.process.stderr is not None
        while text := await asyncio.wait_for(self.process.stderr.readline(), WAIT_SECONDS):
            self.lines.append(text.decode())
            record = json.loads(text)
            if record["event"] == event:
                return record
        raise AssertionError(f"no line {event!r} in {self.lines}")

    async def end(self) -> int:
        """The exit code."""
        _, rest = await asyncio.wait_for(self.process.communicate(), WAIT_SECONDS)
        self.lines += rest.decode().splitlines()
        assert self.process.returncode is not None
        return self.process.returncode


@contextlib.asynccontextmanager
async def child(behaviour: str, **environ: str) -> AsyncIterator[Child]:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TOPUP_HTTP_PORT": "0", **environments.bridge()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("child.py")),
        behaviour,
        env={**base, **environ},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Child(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def get(port: object, path: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://127.0.0.1:{port}{path}", timeout=WAIT_SECONDS)


async def until_ready(port: object) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while (await get(port, "/readyz")).status_code != 200:
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_process_tells_its_port_serves_its_health_and_stops_as_told(number):
    async with child("works") as process:
        listening = await process.line("listening")
        port = listening["port"]
        assert isinstance(port, int)
        assert port > 0
        await until_ready(port)
        assert (await get(port, "/healthz")).status_code == 200
        body = (await get(port, "/readyz")).json()
        assert body == {
            "ready": True,
            "checks": [{"name": "process", "required": True, "ok": True, "sentence": ""}],
        }
        metrics = await get(port, "/metrics")
        assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert "topup_records_total" in metrics.text
        assert (await get(port, "/hello")).text == "hello"
        process.process.send_signal(number)
        await process.line("finished")
        assert (await process.line("stopped"))["exit_code"] == 0
        assert await process.end() == 0


@pytest.mark.parametrize("command", ["worker", "bridge", "serve", "gateway", "codec-server"])
async def test_a_process_that_is_told_to_stop_while_it_still_imports_ends_well(command):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-m", "console", command),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"typer" not in (line := await asyncio.wait_for(process.stderr.readline(), WAIT_SECONDS)):
        assert line, "it ended before it was told"
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), WAIT_SECONDS)
    assert process.returncode == 0  # with the settings that are missing it would end with 2


async def test_a_process_that_waits_is_alive_unready_and_says_for_what():
    async with child("waits") as process:
        port = (await process.line("listening"))["port"]
        assert (await process.line("waiting"))["part"] == "the database"
        assert (await get(port, "/healthz")).status_code == 200
        answer = await get(port, "/readyz")
        assert answer.status_code == 503
        assert "the database" in answer.json()["checks"][0]["sentence"]
        process.process.terminate()
        assert await process.end() == 0


async def test_temporal_away_at_start_is_waited_for_and_sigterm_still_ends_well():
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts by its backlog, never answers: a frozen server
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        async with child("waits_for_temporal", TEMPORAL_ADDRESS=address) as process:
            port = (await process.line("listening"))["port"]
            assert (await get(port, "/readyz")).status_code == 503
            process.process.terminate()
            assert await process.end() == 0


async def test_an_unexpected_error_is_one_line_with_traceback_and_exit_1():
    async with child("fails") as process:
        failed = await process.line("failed")
        assert "nobody expected" in str(failed["sentence"])
        assert "Traceback" in str(failed["exception"])
        assert await process.end() == 1
        assert "LSGBC5342AG000001" not in "".join(process.lines)


async def test_nothing_but_the_product_decides_on_the_exit_code():
    async with child("gives_up") as process:
        assert await process.end() == 1


async def test_wrong_configuration_is_one_sentence_per_fault_and_exit_2():
    async with child("works", TOPUP_DATABASE_URL="mysql://x", TOPUP_KAFKA_BOOTSTRAP_SERVERS="") as process:
        assert await process.end() == 2
        named = sorted(line.split()[0] for line in process.lines)
        assert named == ["TOPUP_DATABASE_URL", "TOPUP_KAFKA_BOOTSTRAP_SERVERS"]


async def test_configuration_found_wrong_later_is_exit_2_too():
    async with child("finds_fault") as process:
        assert "TOPUP_X" in str((await process.line("configuration"))["sentence"])
        assert await process.end() == 2


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1", "no-such-host.invalid"])
async def test_a_port_or_an_address_that_cannot_be_had_is_one_sentence_and_exit_2(host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if host == "127.0.0.1" else 0
        async with child("works", TOPUP_HTTP_PORT=str(port), TOPUP_HTTP_HOST=host) as process:
            assert await process.end() == 2
            (line,) = process.lines
            assert "TOPUP_HTTP_HOST" in line
            assert "for example TOPUP_HTTP_" in line


async def test_work_that_does_not_end_is_ended_after_the_grace_period():
    async with child("never_ends") as process:
        await until_ready((await process.line("listening"))["port"])
        process.process.terminate()
        await process.line("grace period over")
        assert await process.end() == 1


async def test_a_second_interrupt_ends_a_process_that_is_stuck():
    async with child("is_stuck") as process:
        await until_ready((await process.line("listening"))["port"])
        process.process.send_signal(signal.SIGINT)
        await process.line("stopping")
        process.process.send_signal(signal.SIGINT)
        assert await process.end() == 130


async def test_threads_that_never_end_do_not_keep_the_process():
    async with child("leaves_threads") as process:
        assert await process.end() == 3


async def test_a_scaled_process_warns_at_start():
    async with child("works", TOPUP_TIME_SCALE="0.05") as process:
        assert "TOPUP_TIME_SCALE" in str((await process.line("configuration"))["sentence"])
