"""A door in front of a TCP server: forwards each connection, byte for byte.

In the demonstration it opens on the port where the legacy MQTT platform hung, so that the platform "comes back" with
its cars already connected behind it: a car that subscribes a moment too late would never hear of what was acknowledged
before.

`python -m devkit.stack.tcp_proxy --port 1884 --to 1885` runs until SIGTERM.
"""

import argparse
import asyncio
import contextlib
import signal

from devkit.stack.ports import LOOPBACK

CHUNK_BYTES = 65_536


async def serve(port: int, to_port: int) -> asyncio.Server:
    """Listen on `port` and forward to `to_port`, both on loopback."""

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind_reader, behind_writer = await asyncio.open_connection(LOOPBACK, to_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pour(reader, behind_writer), _pour(behind_reader, writer))

    return await asyncio.start_server(enter, LOOPBACK, port)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _until_signal(port: int, to_port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await serve(port, to_port)
    await stop.wait()
    server.close()


def main() -> None:
    """Forward until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m devkit.stack.tcp_proxy", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(_until_signal(options.port, options.to))


if __name__ == "__main__":
    main()
