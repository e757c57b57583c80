"""A legacy MQTT platform that hangs: takes connections and bytes, answers nothing, ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from simulators.serving import announce

READ_BYTES = 65_536


class HungBroker:
    """The TCP server; its connections stay open until the other side gives up or the process ends."""

    name = "hung-broker"

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, sock: socket.socket, stop: asyncio.Event) -> None:
        """Listen until `stop` is set."""
        server = await asyncio.start_server(self._swallow, sock=sock)
        announce(self.name, sock)
        await stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()

    async def _swallow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while await reader.read(READ_BYTES):
                pass
        writer.close()
