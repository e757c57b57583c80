"""What all parts have in common: a process that is started, asked whether it is ready, stopped, killed, frozen.

Used by tests and the benchmark as it is, and by the local stack through `devkit.stack.supervisor`.
"""

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
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from devkit.servers.parent_watchdog import (
    ParentWatchdog,
    is_stopped,
    process_tree,
    registered_first,
    signal_all,
    signal_group,
    started_at,
)
from devkit.servers.ready import accepts

LOG_TAIL_LINES = 20
LONGEST_LINE = 400
POLL_SECONDS = 0.05
FOREIGN = ("TOPUP_", "TEMPORAL_", "PG")
"""Variables of the caller's shell that must not reach a part: they may speak of real systems."""
# Below the range from which Linux takes ports for outgoing connections (32768 up): a part that is down for a while
# finds its own port free when it comes back.
PORT_RANGE = range(20_000, 32_000)

T = TypeVar("T")

watchdog = ParentWatchdog()
_session = secrets.token_hex(4)
_numbers = itertools.count(1)
_given_ports: set[int] = set()


class PartMissingError(Exception):
    """The part cannot be had on this machine. The text says what is missing and what to do."""


class PartFailedError(Exception):
    """The part did not start, did not answer or did not end. The text ends with the tail of its log.

    Attributes:
        name: of the part.
        restarts: it may simply be started again.
    """

    def __init__(self, sentence: str, *, name: str = "", restarts: bool = False) -> None:
        super().__init__(sentence)
        self.name = name
        self.restarts = restarts


class PartNotOursError(Exception):
    """The part runs outside (a TOPUP_TEST_* setting names it), so that a test must not kill or freeze it."""


def free_port() -> int:
    """A loopback TCP port that nothing listens on, and that this session has not given before."""
    while True:
        port = random.choice(PORT_RANGE)
        if port in _given_ports:
            continue
        if is_free(port):
            _given_ports.add(port)
            return port


def is_free(port: int) -> bool:
    """Whether nothing listens on the loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def unique(stem: str) -> str:
    """A name for a topic, group, database, task queue or workflow that no other test has, nor another session."""
    return f"{stem}-{_session}-{next(_numbers)}"


def temporary_folder(name: str) -> Path:
    """A new folder for data and logs, removed with the session at the latest."""
    folder = Path(tempfile.mkdtemp(prefix=f"topup-{name}-"))
    watchdog.watch_folder(folder)
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
    """One server process in a session of its own, with its data and log in a folder.

    Without a `folder` it has a temporary one, which `close()` removes. Ports and data stay the same over `kill()`,
    `stop()` and `restart()`; `close()` ends it.
    `start()` returns once the process has really answered a question. Not for use from two threads at once.

    A part that is not `ours` runs outside already: `start()` asks it once, and what would end or stop it raises
    PartNotOursError.
    """

    ready_timeout_seconds = 240.0
    """A JVM was not ready within 60 s on a busy machine (measured); a process that ends instead is told at once."""
    stop_timeout_seconds = 20.0
    restarts = False
    """Whether it may simply be started again when it ends by itself: it keeps nothing in memory that matters."""
    uid: int | None = None
    gid: int | None = None

    def __init__(self, name: str, *, ours: bool = True, folder: Path | None = None) -> None:
        self.name = name
        self.ours = ours
        self._is_temporary = folder is None
        self.folder = folder or temporary_folder(name)
        self.log_path = self.folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abc.abstractmethod
    def command(self) -> Sequence[str]:
        """The command line, the same at each start."""

    @abc.abstractmethod
    def ask(self) -> None:
        """Ask the process something that only a working one answers; raise while it doesn't."""

    def environment(self) -> Mapping[str, str]:
        """The environment of the process: the caller's, without what may speak of real systems."""
        return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}

    def prepare(self) -> None:  # noqa: B027 - most programs need nothing
        """What comes before each start, such as making the data folder the first time."""

    @property
    def running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._process is not None and self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """How the process ended by itself (negative: the signal that ended it); None while it runs or was stopped."""
        process = self._process
        if process is None or process.returncode is not None:
            return process.returncode if process else None
        if process.poll() is not None:
            signal_group(process.pid, signal.SIGKILL)  # its children don't outlive it
        return process.returncode

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
        self.spawn()
        self._wait_until_ready()
        return self

    def spawn(self) -> None:
        """Start the process; what it needs before that is prepared first."""
        if self.running:
            raise PartFailedError(f"{self.name} runs already, process {self.pid}", name=self.name)
        self.prepare()
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            process = self._process = subprocess.Popen(
                registered_first(self.command()),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment()),
                start_new_session=True,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.gid is None else [],
            )
        watchdog.watch(process.pid)
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"registered\n")
            process.stdin.close()

    def stop(self) -> None:
        """End the process in its own orderly way (SIGTERM), by SIGKILL when it doesn't; the data stay."""
        self._require_ours()
        if self._process is None:
            return
        if self.running:
            self.thaw()
            self._process.send_signal(signal.SIGTERM)
            self._ended_within(self.stop_timeout_seconds)
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
        watchdog.forget(self._process.pid)
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP to the process and its descendants: it holds its connections and answers nothing.

        Returns once it has taken effect: on a busy machine a broker acknowledged a record after the signal (seen).
        """
        deadline = time.monotonic() + self.ready_timeout_seconds
        while going := [pid for pid in process_tree(self.pid) if not is_stopped(pid)]:
            if time.monotonic() > deadline:
                raise self.failed("did not stop at SIGSTOP")
            signal_all(going, signal.SIGSTOP)
            time.sleep(0.002)

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
        if not self._ended_within(timeout_seconds):
            raise self.failed(f"did not end within {timeout_seconds:.0f} s")
        return self._process.returncode

    def close(self) -> None:
        """End the process; a temporary folder goes with its data and log."""
        if self.ours:
            self.kill()
        if self._is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def rotate_log(self, path: Path) -> None:
        """Write to this file from the next start on; the log of the start before is kept beside it as `*.log.1`."""
        self.log_path = path
        if path.exists():
            path.replace(path.with_suffix(".log.1"))

    def failed(self, what: str) -> PartFailedError:
        """The error that it has done this, with the end of its log."""
        tail = "\n".join(f"    {line[:LONGEST_LINE]}" for line in self.log_tail().splitlines()) or "    (empty)"
        sentence = f"{self.name} {what}; the last lines of {self.log_path}:\n{tail}"
        return PartFailedError(sentence, name=self.name, restarts=self.restarts)

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

    def _ended_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.running:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS / 2)
        return True

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_timeout_seconds
        while True:
            self.require_running()
            try:
                self.ask()
            except Exception as error:  # each part's client has its own errors; all mean "not yet"
                if time.monotonic() > deadline:
                    self.kill()
                    raise self.not_ready(error) from error
                time.sleep(POLL_SECONDS)
            else:
                return

    def require_running(self) -> None:
        """Raises PartFailedError if it has ended instead of getting ready."""
        if (code := self.exit_code) is not None:
            raise self.failed(f"{how_it_ended(code)} instead of getting ready")

    def not_ready(self, why: Exception) -> PartFailedError:
        """The error that it has not got ready in time."""
        reason = str(why) or type(why).__name__
        return self.failed(f"was not ready within {self.ready_timeout_seconds:.0f} s ({reason})")


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"


class Program(Process):
    """Any program: a worker, a bridge, a simulator.

    Args:
        env: its whole environment; the caller's where none is given.
        listens_on: a port that must take connections before it is ready.
        ready: raises while it does not answer yet. Without both, running is enough.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        listens_on: int | None = None,
        ready: Callable[[], object] | None = None,
        ready_timeout_seconds: float = Process.ready_timeout_seconds,
        restarts: bool = False,
        folder: Path | None = None,
    ) -> None:
        super().__init__(name, folder=folder)
        self.ready_timeout_seconds, self.restarts = ready_timeout_seconds, restarts
        self._command = command
        self._env = os.environ if env is None else env
        self._ready = ready or (accepts(listens_on) if listens_on is not None else None)

    def command(self) -> Sequence[str]:
        return self._command

    def environment(self) -> Mapping[str, str]:
        return self._env

    def ask(self) -> None:
        if self._ready is not None:
            self._ready()
