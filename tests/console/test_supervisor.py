"""Nothing that a stack started outlives it, and a part that fails says so."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from devkit.servers.parent_watchdog import registered_first
from devkit.servers.process import PartFailedError, Program
from devkit.stack.ports import Ports
from devkit.stack.supervisor import Supervisor
from tests.limits import WAIT_SECONDS

GONE_SECONDS = WAIT_SECONDS


@pytest.fixture
async def supervisor(tmp_path):
    made = Supervisor(tmp_path / "logs")
    yield made
    await made.close()


def python(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *(str(argument) for argument in arguments)]


def written(path: Path):
    def look() -> None:
        if not path.exists() or not path.read_text():
            raise FileNotFoundError(f"{path.name} is not there")

    return look


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until_gone(*pids: int) -> list[int]:
    deadline = time.monotonic() + GONE_SECONDS
    while time.monotonic() < deadline and any(map(is_running, pids)):
        time.sleep(0.05)
    return [pid for pid in pids if is_running(pid)]


STUBBORN = """
    import os, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.replace(sys.argv[1] + ".new", sys.argv[1])
    time.sleep(300)
"""


def pids_in(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


async def test_a_part_is_ready_then_ends_in_its_own_orderly_way(supervisor, tmp_path):
    told = tmp_path / "told"
    code = """
        import pathlib, signal, sys, time
        def stop(*_):
            pathlib.Path(sys.argv[1]).write_text("in order")
            sys.exit(0)
        signal.signal(signal.SIGTERM, stop)
        pathlib.Path(sys.argv[2]).write_text("up")
        time.sleep(300)
    """
    await supervisor.start(Program("orderly", python(code, told, tmp_path / "up"), ready=written(tmp_path / "up")))
    await supervisor.stop("orderly")
    assert told.read_text() == "in order"


async def test_a_stubborn_part_and_its_children_are_killed(supervisor, tmp_path, monkeypatch):
    monkeypatch.setattr("devkit.stack.supervisor.KILL_AFTER_SECONDS", 0.5)
    up = tmp_path / "up"
    await supervisor.start(Program("stubborn", python(STUBBORN, up), ready=written(up)))
    await supervisor.stop("stubborn")
    assert wait_until_gone(*pids_in(up)) == []


async def test_a_part_that_ends_instead_of_getting_ready_is_told_with_its_last_lines(supervisor, tmp_path):
    code = "print('first line'); print('the disk is full'); raise SystemExit(3)"
    with pytest.raises(PartFailedError) as failed:
        await supervisor.start(Program("short-lived", python(code), ready=written(tmp_path / "never")))
    assert "short-lived ended with exit code 3 instead of getting ready" in str(failed.value)
    assert "the disk is full" in str(failed.value)


async def test_a_part_that_never_gets_ready_is_told_with_the_reason(supervisor, tmp_path):
    part = Program(
        "idle", python("import time; time.sleep(300)"), ready=written(tmp_path / "never"), ready_timeout_seconds=0.5
    )
    with pytest.raises(PartFailedError, match=r"idle was not ready within 0 s \(never is not there\)"):
        await supervisor.start(part)


async def test_a_program_that_is_not_there_is_told_by_name(supervisor, tmp_path):
    with pytest.raises(PartFailedError, match=r"(?s)absent ended with exit code 127.*no-such-program.*not found"):
        await supervisor.start(Program("absent", ["no-such-program"], ready=written(tmp_path / "never")))


async def test_a_part_that_is_killed_is_noticed_and_told(supervisor, tmp_path):
    up = tmp_path / "up"
    await supervisor.start(Program("victim", python(STUBBORN, up), ready=written(up), restarts=True))
    parent, child = pids_in(up)
    os.kill(parent, signal.SIGKILL)
    failure = await asyncio.wait_for(supervisor.ended(), GONE_SECONDS)
    assert (failure.name, failure.restarts) == ("victim", True)
    assert "victim was ended by signal 9" in str(failure)
    assert wait_until_gone(child) == []


STACK = """
    import asyncio, pathlib, sys
    from devkit.servers.process import Program
    from devkit.stack.supervisor import Supervisor

    async def main():
        supervisor = Supervisor(pathlib.Path(sys.argv[1]))
        command = [sys.executable, "-c", sys.argv[3], sys.argv[2]]
        await supervisor.start(Program("part", command, ready=pathlib.Path(sys.argv[2]).read_text))
        print("up", flush=True)
        await asyncio.sleep(300)

    asyncio.run(main())
"""


def test_nothing_outlives_a_stack_that_is_killed(tmp_path):
    up = tmp_path / "up"
    command = python(STACK, tmp_path / "logs", up, textwrap.dedent(STUBBORN))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as stack:
        assert stack.stdout.readline() == b"up\n"
        pids = pids_in(up)
        assert all(map(is_running, pids))
        stack.kill()
        stack.wait()
    assert wait_until_gone(*pids) == []


@pytest.mark.parametrize(("said", "begins"), [(b"registered\n", True), (b"", False)], ids=["registered", "died before"])
def test_a_part_begins_only_once_it_is_registered(tmp_path, said, begins):
    """A stack that is killed between the start of a part and its registration leaves nothing behind."""
    there = tmp_path / "there"
    subprocess.run(registered_first(["touch", str(there)]), input=said, check=False, timeout=30)
    assert there.exists() is begins


def test_a_usual_port_that_is_taken_is_replaced_and_told():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = Ports(usual=True)
        given = ports.take("Temporal", port)
    assert given != port
    assert ports.moved == [f"port {port} is taken, so Temporal listens on {given}"]


def test_no_port_is_given_twice():
    ports = Ports(usual=False)
    given = [ports.take("a part", 7233) for _ in range(200)]
    assert len(set(given)) == len(given)
