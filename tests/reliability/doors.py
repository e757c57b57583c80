"""A TCP door to another address: closed at first (connections are refused), opened when told to."""

import asyncio
import contextlib
from typing import Final
from urllib.parse import urlsplit

from devkit.servers.process import free_port

READ_BYTES: Final = 65_536


class Door:
    """Passes bytes to `url` once it is open. Used on one event loop.

    Args:
        url: with host and port.
        port: where it opens; a free one if not given.
    """

    def __init__(self, url: str, *, port: int | None = None) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._behind = (parts.hostname, parts.port)
        self.port = port or free_port()
        self.url = f"{parts.scheme}://127.0.0.1:{self.port}"
        self._opening: asyncio.Task[asyncio.Server] | None = None
        self._passing: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Take connections from now on."""
        self._opening = asyncio.create_task(asyncio.start_server(self._take, "127.0.0.1", self.port))

    def close(self) -> None:
        """Refuse connections again, and drop those that there are."""
        if self._opening is not None and self._opening.done():
            self._opening.result().close()
        for task in self._passing:
            task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        task.add_done_callback(self._passing.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            behind_reader, behind_writer = await asyncio.open_connection(*self._behind)
            await asyncio.gather(_pass_on(reader, behind_writer), _pass_on(behind_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(READ_BYTES):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
