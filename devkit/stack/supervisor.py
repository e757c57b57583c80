"""Starts parts side by side, notices when one ends, and ends them all in order; for use from one event loop.

A part is a `devkit.servers.process.Process`. Each has a log file of its own, and nothing outlives the stack, even when
the stack is killed (`devkit.servers.parent_watchdog`).
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from devkit.servers.parent_watchdog import process_tree, signal_all
from devkit.servers.process import PartFailedError, Process, how_it_ended

POLL_SECONDS = 0.1
KILL_AFTER_SECONDS = 8.0
"""A part that has not ended this long after SIGTERM is killed; a worker's grace in the local stack is shorter."""


class Supervisor:
    """The processes of one stack.

    Args:
        logs: folder for one log file per part; the log of the start before is kept beside it as `*.log.1`.
    """

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._running: dict[str, Process] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._ended: asyncio.Queue[PartFailedError] = asyncio.Queue()

    async def start(self, *parts: Process) -> None:
        """Start parts side by side; returns when all are ready.

        Raises:
            PartFailedError: one of them ended instead, or was not ready in time.
        """
        async with contextlib.AsyncExitStack() as undo:
            tasks = [asyncio.create_task(self._start(part), name=f"start {part.name}") for part in parts]
            undo.push_async_callback(_cancelled, tasks)
            for done in asyncio.as_completed(tasks):
                await done

    async def ended(self) -> PartFailedError:
        """Wait until a part ends that nobody stopped; what to tell a person about it."""
        return await self._ended.get()

    async def stop(self, *names: str) -> None:
        """End parts in their own orderly way side by side, by force when they take too long. Unknown names: nothing."""
        await asyncio.gather(*(self._stop(name) for name in names if name in self._running))

    async def close(self, *order: Sequence[str]) -> None:
        """End everything: first the named groups one after the other, then the rest together."""
        for names in order:
            await self.stop(*names)
        await self.stop(*self._running)

    def kill(self) -> None:
        """End everything at once by SIGKILL, without waiting."""
        for part in self._running.values():
            if part.running:
                signal_all(process_tree(part.pid), signal.SIGKILL)

    async def _start(self, part: Process) -> None:
        part.rotate_log(self.logs / f"{part.name}.log")
        part.stop_timeout_seconds = KILL_AFTER_SECONDS
        self._running[part.name] = part
        spawning = asyncio.ensure_future(asyncio.to_thread(part.spawn))
        try:
            await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await spawning  # so that `close` finds it
            raise
        await _until_ready(part)
        self._watchers[part.name] = asyncio.create_task(self._watch(part), name=f"watch {part.name}")

    async def _watch(self, part: Process) -> None:
        while (code := part.exit_code) is None:  # noqa: ASYNC110 - a process that ends sets no event on every system
            await asyncio.sleep(POLL_SECONDS)
        if self._running.pop(part.name, None) is part:
            await self._ended.put(part.failed(how_it_ended(code)))

    async def _stop(self, name: str) -> None:
        part = self._running.pop(name)
        if watcher := self._watchers.pop(name, None):
            watcher.cancel()
        await asyncio.to_thread(part.stop)


async def _until_ready(part: Process) -> None:
    deadline = time.monotonic() + part.ready_timeout_seconds
    while True:
        part.require_running()
        try:
            await asyncio.to_thread(part.ask)
        except Exception as error:
            if time.monotonic() > deadline:
                raise part.not_ready(error) from error
            await asyncio.sleep(POLL_SECONDS)
        else:
            return


async def _cancelled(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
