"""What all parts have in common: a process that a test starts, stops, kills, freezes and starts again."""

import abc
import asyncio
import contextlib
import itertools
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from devkit.servers.reaper import Reaper, process_tree, signal_all, started_at

LOG_TAIL_LINES = 30
POLL_SECONDS = 0.05
# Below the range from which Linux takes ports for outgoing connections (32768 up): a part that is down for a while
# finds its own port free when it comes back.
PORT_RANGE = range(20_000, 32_000)

T = TypeVar("T")

reaper = Reaper()
_session = secrets.token_hex(4)
_numbers = itertools.count(1)
_given_ports: set[int] = set()


class PartMissingError(Exception):
    """The part cannot be had on this machine. The text says what is missing and what to do."""


class PartFailedError(Exception):
    """The part did not start, did not answer or did not end. The text ends with the tail of its log."""


class PartNotOursError(Exception):
    """The part runs outside (a TOPUP_TEST_* setting names it), so that a test must not kill or freeze it."""


def free_port() -> int:
    """A loopback TCP port that nothing listens on, and that this session has not given before."""
    while True:
        port = random.choice(PORT_RANGE)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                _given_ports.add(port)
                return port


def unique(stem: str) -> str:
    """A name for a topic, group, database, task queue or workflow that no other test has, nor another session."""
    return f"{stem}-{_session}-{next(_numbers)}"


def temporary_folder(name: str) -> Path:
    """A new folder for data and logs, removed with the session at the latest."""
    folder = Path(tempfile.mkdtemp(prefix=f"topup-{name}-"))
    reaper.watch_folder(folder)
    return folder


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine to its end on an event loop and a thread of its own: works inside a running loop too."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - carried over to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=body, name="part-question")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


class Process(abc.ABC):
    """One server process in a session of its own, with its data and log in a temporary folder.

    Ports and data stay the same over `kill()`, `stop()` and `restart()`; `close()` ends it and removes the data.
    `start()` returns once the process has really answered a question. Not for use from two threads at once.

    A part that is not `ours` runs outside already: `start()` asks it once, and what would end or stop it raises
    PartNotOursError.
    """

    ready_timeout_seconds = 60.0
    stop_timeout_seconds = 20.0
    uid: int | None = None
    gid: int | None = None

    def __init__(self, name: str, *, ours: bool = True) -> None:
        self.name = name
        self.ours = ours
        self.folder = temporary_folder(name)
        self.log_path = self.folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> Sequence[str]:
        """The command line, the same at each start."""

    @abc.abstractmethod
    def ask(self) -> None:
        """Ask the process something that only a working one answers; raise while it doesn't."""

    def environment(self) -> Mapping[str, str]:
        """The environment of the process."""
        return os.environ

    def prepare(self) -> None:  # noqa: B027 - most programs need nothing
        """What comes before each start, such as making the data folder the first time."""

    @property
    def running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Number of the running process."""
        self._require_ours()
        if self._process is None:
            raise PartFailedError(f"{self.name} is not started")
        return self._process.pid

    def start(self) -> Self:
        """Start the process and wait until it answers."""
        if not self.ours:
            self._ask_outside()
            return self
        if self.running:
            raise PartFailedError(f"{self.name} runs already, process {self.pid}")
        self.prepare()
        self._spawn()
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """End the process in its own orderly way (SIGTERM), by SIGKILL when it doesn't; the data stay."""
        self._require_ours()
        if self._process is None:
            return
        if self.running:
            self.thaw()
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.stop_timeout_seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the process and all its descendants; returns when they are gone. The data stay."""
        self._require_ours()
        if self._process is None:
            return
        pids = process_tree(self._process.pid) if self.running else []
        starts = {pid: started_at(pid) for pid in pids}
        signal_all(pids, signal.SIGKILL)
        self._process.wait(self.stop_timeout_seconds)
        deadline = time.monotonic() + self.stop_timeout_seconds
        while any(start and started_at(pid) == start for pid, start in starts.items()):
            if time.monotonic() > deadline:
                raise PartFailedError(f"{self.name}: children of process {self._process.pid} outlived SIGKILL")
            time.sleep(POLL_SECONDS)
        reaper.forget(self._process.pid)
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP to the process and its descendants: it holds its connections and answers nothing."""
        signal_all(process_tree(self.pid), signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: undo `freeze()`."""
        signal_all(process_tree(self.pid), signal.SIGCONT)

    def restart(self) -> Self:
        """Stop the process if it runs, and start it again on the same ports and data."""
        self.stop()
        return self.start()

    def wait(self, timeout_seconds: float) -> int:
        """Wait for the process to end by itself; its exit code (negative: the signal that ended it)."""
        if self._process is None:
            raise PartFailedError(f"{self.name} is not started")
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise self._failed(f"did not end within {timeout_seconds:.0f} s") from None

    def close(self) -> None:
        """End the process and remove its data and log."""
        if self.ours:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_tail(self, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of what the process wrote on standard output and error, over all its starts."""
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_ours(self) -> None:
        if not self.ours:
            raise PartNotOursError(f"{self.name} runs outside this session: a test must not end or freeze it")

    def _ask_outside(self) -> None:
        try:
            self.ask()
        except Exception as error:
            raise PartFailedError(
                f"{self.name}, which a TOPUP_TEST_* setting names, does not answer: {error}"
            ) from error

    def _spawn(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment()),
                start_new_session=True,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.gid is None else [],
            )
        reaper.watch(self._process.pid)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_timeout_seconds
        while True:
            if not self.running:
                raise self._failed(f"ended with exit code {self.wait(0)} instead of getting ready")
            try:
                self.ask()
            except Exception as error:  # each part's client has its own errors; all mean "not yet"
                if time.monotonic() > deadline:
                    self.kill()
                    raise self._failed(f"was not ready within {self.ready_timeout_seconds:.0f} s ({error})") from error
                time.sleep(POLL_SECONDS)
            else:
                return

    def _failed(self, what: str) -> PartFailedError:
        return PartFailedError(f"{self.name} {what}. The end of its log:\n{self.log_tail()}")


class Program(Process):
    """Any program under a test's control: a worker, a bridge, a simulator.

    `listens_on` is a port that must take connections before `start()` returns; without it, running is enough.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, listens_on: int | None = None
    ) -> None:
        super().__init__(name)
        self._command = command
        self._env = os.environ if env is None else env
        self._listens_on = listens_on

    def command(self) -> Sequence[str]:
        return self._command

    def environment(self) -> Mapping[str, str]:
        return self._env

    def ask(self) -> None:
        if self._listens_on is not None:
            socket.create_connection(("127.0.0.1", self._listens_on), timeout=1).close()
