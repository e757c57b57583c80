"""An MQTT broker with nothing installed but pip: amqtt, in a process of its own.

It speaks MQTT 3.1.1 only, and what it acknowledges for an absent subscriber is lost (measured): good for a first run
with a live vehicle, nothing more.

`python -m devkit.stack.embedded_mqtt --port 1883` runs until SIGTERM; each further `--port` is a broker of its own.
"""

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence

from amqtt.broker import Broker  # pyright: ignore[reportMissingTypeStubs]  # it ships none

from devkit.stack.ports import LOOPBACK


def broker_on(port: int) -> Broker:
    """A broker that lets everyone in, on loopback; not yet started."""
    return Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )


async def _until_signal(ports: Sequence[int]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    brokers = [broker_on(port) for port in ports]
    for broker in brokers:
        await broker.start()
    await stop.wait()
    for broker in brokers:
        await broker.shutdown()


def main() -> None:
    """Run the brokers until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m devkit.stack.embedded_mqtt", description=__doc__)
    parser.add_argument("--port", type=int, required=True, action="append")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_until_signal(options.port))


if __name__ == "__main__":
    main()
