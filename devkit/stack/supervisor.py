"""Starts parts as processes, waits until they are ready, notices when one ends, and ends them all in order.

Each part has a log file of its own and runs under `devkit.stack.parent_watchdog`: nothing outlives the stack, even
when the stack is killed.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devkit.stack import parent_watchdog

LOG_TAIL_LINES = 12
READY_POLL_SECONDS = 0.1
KILL_AFTER_SECONDS = 8.0
"""A part that has not ended this long after SIGTERM is killed; a worker's grace in the local stack is shorter."""


class PartFailed(Exception):
    """A part did not start or ended by itself. The text is a sentence, then the last lines of its log.

    Attributes:
        restarts: it may simply be started again.
    """

    def __init__(self, part: "Part", sentence: str) -> None:
        super().__init__(sentence)
        self.name = part.name
        self.restarts = part.restarts


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the stack.

    Attributes:
        ready: raises while the part does not answer yet; called again and again.
        restarts: whether it is started again when it ends by itself (it keeps nothing in memory that matters).
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], Awaitable[None]]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    ready_timeout_seconds: float = 40.0
    restarts: bool = False


@dataclass(slots=True)
class _Running:
    part: Part
    process: asyncio.subprocess.Process
    stopping: bool = False


class Supervisor:
    """The processes of one stack. For use from one event loop.

    Args:
        logs: folder for one log file per part; the log of the start before is kept beside it as `*.log.1`.
        environment: what every part gets besides its own variables.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self.logs = logs
        self._environment = environment
        self._running: dict[str, _Running] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._ended: asyncio.Queue[PartFailed] = asyncio.Queue()
        self._leash_end, self._our_end = os.pipe()

    async def start(self, *parts: Part) -> None:
        """Start parts side by side; returns when all are ready.

        Raises:
            PartFailed: one of them ended instead, or was not ready in time.
        """
        self.logs.mkdir(parents=True, exist_ok=True)
        async with contextlib.AsyncExitStack() as undo:
            tasks = [asyncio.create_task(self._start(part), name=f"start {part.name}") for part in parts]
            undo.push_async_callback(_cancelled, tasks)
            for done in asyncio.as_completed(tasks):
                await done

    def log_path(self, name: str) -> Path:
        """Where a part's output goes."""
        return self.logs / f"{name}.log"

    def log_tail(self, name: str, lines: int = LOG_TAIL_LINES) -> str:
        """The last lines of a part's log, indented for a terminal."""
        with contextlib.suppress(OSError):
            text = self.log_path(name).read_text(errors="replace").splitlines()[-lines:]
            return "\n".join(f"    {line[:400]}" for line in text) or "    (empty)"
        return "    (no log)"

    async def ended(self) -> PartFailed:
        """Wait until a part ends that nobody stopped; what to tell a person about it."""
        return await self._ended.get()

    async def stop(self, *names: str) -> None:
        """End parts in their own orderly way side by side, by force when they take too long. Unknown names: nothing."""
        await asyncio.gather(*(self._stop(self._running[name]) for name in names if name in self._running))

    async def close(self, *order: Sequence[str]) -> None:
        """End everything: first the named groups one after the other, then the rest together."""
        for names in order:
            await self.stop(*names)
        await self.stop(*self._running)
        self.kill()

    def kill(self) -> None:
        """End everything at once by SIGKILL, without waiting: the leashes do it when their pipe closes."""
        for descriptor in (self._our_end, self._leash_end):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    async def _start(self, part: Part) -> None:
        path = self.log_path(part.name)
        if path.exists():
            path.replace(path.with_suffix(".log.1"))
        with path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", parent_watchdog.__file__, *part.command,
                stdin=self._leash_end, stdout=log, stderr=asyncio.subprocess.STDOUT,
                env={**self._environment, **part.environment}, start_new_session=True,
            )  # fmt: skip
        running = self._running[part.name] = _Running(part, process)
        await self._wait_until_ready(running)
        self._watchers[part.name] = asyncio.create_task(self._watch(running), name=f"watch {part.name}")

    async def _wait_until_ready(self, running: _Running) -> None:
        part, process = running.part, running.process
        deadline = time.monotonic() + part.ready_timeout_seconds
        while True:
            if process.returncode is not None:
                raise self._failed(part, f"{_how(process.returncode)} instead of getting ready")
            try:
                await asyncio.wait_for(part.ready(), READY_POLL_SECONDS * 20)
            except Exception as error:
                if time.monotonic() > deadline:
                    why = str(error) or type(error).__name__
                    limit = part.ready_timeout_seconds
                    raise self._failed(part, f"was not ready within {limit:.0f} s ({why})") from error
                await asyncio.sleep(READY_POLL_SECONDS)
            else:
                return

    async def _watch(self, running: _Running) -> None:
        code = await running.process.wait()
        if not running.stopping:
            self._running.pop(running.part.name, None)
            await self._ended.put(self._failed(running.part, _how(code)))

    async def _stop(self, running: _Running) -> None:
        running.stopping = True
        process = running.process
        for number in (signal.SIGTERM, parent_watchdog.KILL_SIGNAL):
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), KILL_AFTER_SECONDS)
                break
        self._running.pop(running.part.name, None)

    def _failed(self, part: Part, what: str) -> PartFailed:
        path = self.log_path(part.name)
        return PartFailed(part, f"{part.name} {what}; the last lines of {path}:\n{self.log_tail(part.name)}")


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _how(code: int) -> str:
    code = code if code >= 0 else 128 - code
    return f"was ended by signal {code - 128}" if code > 128 else f"ended with exit code {code}"  # noqa: PLR2004 - the shell's convention
