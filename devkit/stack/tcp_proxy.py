"""A TCP proxy in front of a server: closed at first (connections are refused), opened when told to.

In the demonstration it opens on the port where the legacy MQTT platform hung, so that the platform "comes back" with
its cars already connected behind it: a car that subscribes a moment too late would never hear of what was acknowledged
before.

`python -m devkit.stack.tcp_proxy --port 1884 --to 1885` runs until SIGTERM.
"""

import argparse
import asyncio
import contextlib
import signal
from urllib.parse import urlsplit

from devkit.servers.process import free_port
from devkit.stack.ports import LOOPBACK

CHUNK_BYTES = 65_536


class TcpProxy:
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
        self.url = f"{parts.scheme}://{LOOPBACK}:{self.port}"
        self._opening: asyncio.Task[asyncio.Server] | None = None
        self._passing: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Take connections from now on."""
        self._opening = asyncio.create_task(asyncio.start_server(self._take, LOOPBACK, self.port))

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
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                behind_reader, behind_writer = await asyncio.open_connection(*self._behind)
                await asyncio.gather(_pass_on(reader, behind_writer), _pass_on(behind_reader, writer))
        finally:
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _until_signal(port: int, to_port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    proxy = TcpProxy(f"tcp://{LOOPBACK}:{to_port}", port=port)
    proxy.open()
    await stop.wait()
    proxy.close()


def main() -> None:
    """Forward until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m devkit.stack.tcp_proxy", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(_until_signal(options.port, options.to))


if __name__ == "__main__":
    main()
