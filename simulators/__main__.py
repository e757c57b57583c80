"""`python -m simulators …`: start the outside world."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from simulators.book import Book
from simulators.carrier import Carrier
from simulators.serving import listen, serve, stop_signal
from simulators.wire import Pace


def main(argv: Sequence[str] | None = None) -> int:
    """Start what the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulators")
    parser.add_argument("what")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--book", type=Path)
    parser.add_argument("--no-fsync", action="store_true")
    parser.add_argument("--time-scale", type=float, default=1)
    parser.add_argument("--token", default="carrier-token")
    options = parser.parse_args(argv)
    return asyncio.run(_run(options))


async def _run(o: argparse.Namespace) -> int:
    stop = stop_signal()
    await serve(Carrier(Book(o.book, fsync=not o.no_fsync), Pace(o.time_scale), o.token), listen(o.host, o.port), stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
