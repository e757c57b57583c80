"""Ends what a session (a stack, a run of tests, a benchmark) started, also when the session itself was killed.

A small process of its own waits at the end of a pipe. As long as the session lives, the pipe is open; when the session
ends, in whatever way, the kernel closes it, and the watchdog kills what is still registered. This holds where
PR_SET_PDEATHSIG does not: it does not depend on the thread that started a process, nor is it lost when a process
changes its user. What it watches is started by `registered_first`, so that no moment is left in which a killed session
leaves something behind.

Runs as a script without the project's modules: this file imports the standard library alone.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path


def process_tree(pid: int) -> list[int]:
    """The process and its descendants, parents first; its group isn't enough, as PostgreSQL's children leave it."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = _stat_fields(stat)
        if fields:
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for known in found:
        found.extend(children.get(known, []))
    return found


def started_at(pid: int) -> str | None:
    """The kernel's start time of the process: tells it from a later one with the same number. None if it is gone."""
    fields = _stat_fields(Path(f"/proc/{pid}/stat"))
    return fields[19] if fields and fields[0] != "Z" else None


def signal_all(pids: list[int], number: signal.Signals) -> None:
    """Send the signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def is_stopped(pid: int) -> bool:
    """Whether SIGSTOP has reached each of its threads, or the process has ended: until then some still answer."""
    states = [fields[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat") if (fields := _stat_fields(stat))]
    return all(state in "TtZX" for state in states)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Send the signal to what is left of the process group that this process began."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def registered_first(command: Sequence[str]) -> list[str]:
    """The command, begun only once a line came on standard input: a session that dies before has started nothing."""
    return ["/bin/sh", "-c", 'read -r registered && exec "$@" </dev/null', "sh", *command]


class ParentWatchdog:
    """The session's end of the pipe. Started at the first use; one for each session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, pid: int) -> None:
        """Kill this process and its descendants when the session ends."""
        self._tell({"watch": pid})

    def forget(self, pid: int) -> None:
        """The process has ended and is waited for."""
        self._tell({"forget": pid})

    def watch_folder(self, folder: Path) -> None:
        """Remove this folder when the session ends."""
        self._tell({"folder": str(folder)})

    def kill_children(self) -> list[str]:
        """Kill every descendant of this process but the watchdog itself; their command lines."""
        own = self._process.pid if self._process else None
        left = [pid for pid in process_tree(os.getpid())[1:] if pid != own and started_at(pid)]
        commands = [f"{pid}: {_command_line(pid)}" for pid in left]
        signal_all(left, signal.SIGKILL)
        return commands

    def close(self) -> None:
        """Have everything registered ended now, and wait until it is."""
        with self._lock:
            if self._process and self._process.stdin:
                self._process.stdin.close()
                self._process.wait(timeout=30)
            self._process = None

    def _tell(self, message: dict[str, int | str]) -> None:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C in the session's terminal must not end it first
                )
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()


def _stat_fields(stat: Path) -> list[str]:
    """Fields of /proc/PID/stat from the third (state) on; empty when the process is gone."""
    try:
        return stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _command_line(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return "(ended)"


def _main() -> None:
    watched: dict[int, str | None] = {}
    folders: list[str] = []
    for line in sys.stdin:
        message = json.loads(line)
        if "watch" in message:
            watched[message["watch"]] = started_at(message["watch"])
        elif "forget" in message:
            watched.pop(message["forget"], None)
        else:
            folders.append(message["folder"])
    for pid, start in watched.items():
        if started_at(pid) == start:  # without /proc neither is known: then its group is killed, which began with it
            signal_all(process_tree(pid), signal.SIGKILL)
            signal_group(pid, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _main()
