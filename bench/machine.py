"""The machine as the benchmark sees it: cores, CPU time and memory of process trees, who else is busy. Linux only."""

import contextlib
import os
import platform
import time
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit.servers.parent_watchdog import process_tree

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_IDLE_FIELDS: Final = (3, 4)
"""idle and iowait in /proc/stat."""
_CPU_TIME_FIELDS: Final = slice(11, 15)
"""utime, stime, cutime, cstime in /proc/PID/stat, counted from the state on."""


SPINS: Final = 200_000


class TooFewCoresError(Exception):
    """The machine has fewer cores than asked for; the text says what to do."""


def choose_cores(count: int) -> tuple[int, ...]:
    """The first cores that this process may use.

    Raises:
        TooFewCoresError: there are fewer.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < count:
        raise TooFewCoresError(f"{count} cores are asked for and {len(allowed)} are there: give a smaller --cores.")
    return tuple(allowed[:count])


def driver_cores(pinned: Collection[int]) -> set[int]:
    """Where the benchmark itself runs: beside the pinned cores, or on them where there are no others."""
    return set(os.sched_getaffinity(0)) - set(pinned) or set(pinned)


@contextlib.contextmanager
def on_cores(cores: Collection[int]) -> Generator[None]:
    """What this thread starts within runs on these cores, for ever: children and their threads inherit it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def strays(root_pid: int, cores: Collection[int]) -> list[str]:
    """Threads of the tree that may run elsewhere; empty when the pinning holds."""
    found: list[str] = []
    for pid in process_tree(root_pid):
        for task in Path(f"/proc/{pid}/task").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if not os.sched_getaffinity(int(task.name)) <= set(cores):
                    found.append(f"{pid}/{task.name}")
    return found


def cpu_seconds(root_pid: int) -> float:
    """CPU time that the process and its descendants have used, ended and waited-for ones included."""
    ticks = 0
    for pid in process_tree(root_pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[_CPU_TIME_FIELDS])
    return ticks / _TICKS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of one process, in KiB. `pss_kib`: shared pages counted by their share."""

    rss_kib: int
    pss_kib: int


def memory(pid: int) -> Memory:
    """What the process holds now."""
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        sizes[name] = int(rest.split()[0])
    return Memory(sizes["Rss"], sizes["Pss"])


def busy_seconds(cores: Collection[int]) -> float:
    """How long these cores have been busy since the machine started, whoever used them."""
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu" and int(name[3:]) in cores:
            counted = [int(tick) for tick in ticks[:8]]
            total += sum(counted) - sum(counted[index] for index in _IDLE_FIELDS)
    return total / _TICKS_PER_SECOND


def spin_milliseconds(cores: Collection[int], times: int = 5) -> float:
    """CPU time of a fixed piece of Python work on these cores, the best of some: what the machine is worth just now."""
    took: list[float] = []
    with on_cores(cores):
        for _ in range(times):
            began = time.thread_time()
            total = 0
            for number in range(SPINS):
                total += number % 7
            took.append(time.thread_time() - began)
    return min(took) * 1000


def fsync_milliseconds(folder: Path, writes: int = 50) -> float:
    """Median time of an 8 KiB write that is on the disk when it returns."""
    path = folder / "fsync.probe"
    times: list[float] = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(writes):
            began = time.perf_counter()
            os.write(descriptor, bytes(8192))
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return sorted(times)[len(times) // 2] * 1000


def describe(cores: Sequence[int], folder: Path) -> dict[str, str]:
    """The machine in a few words."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    total_kib = int(Path("/proc/meminfo").read_text().split()[1])
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "processor": f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores; pinned to {list(cores)}",
        "memory": f"{total_kib / 1024**2:.1f} GiB",
        "system": f"Linux {platform.release()}, Python {platform.python_version()}",
        "disk": f"fdatasync of 8 KiB takes {fsync_milliseconds(folder):.2f} ms (median)",
        "load average": f"{load} before anything was started",
    }
