"""`python -m counted NAME`: a process of the product that counts its SQL round trips while it works.

It stands apart from the package `bench`, so that it runs beside any checkout's own modules. The count is kept in the
file that `BENCH_ROUND_TRIPS` names, since the product ends its processes without a word. `BENCH_MODULE` is what runs
(the product's own command where it isn't set).
"""

import mmap
import os
import runpy
import struct
from collections.abc import Callable
from typing import Any

import asyncpg.connection  # pyright: ignore[reportMissingTypeStubs] - the package has none
import asyncpg.prepared_stmt  # pyright: ignore[reportMissingTypeStubs] - the package has none

FORMAT = struct.Struct("Q")
WAITS: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (asyncpg.connection.Connection, ("execute", "executemany", "prepare", "fetch", "fetchrow")),
    (asyncpg.prepared_stmt.PreparedStatement, ("fetch", "executemany")),
)
"""What the driver sends and waits for."""


def count_round_trips(count: Callable[[], None]) -> None:
    """Have `count` called for each."""
    for owner, names in WAITS:
        for name in names:
            setattr(owner, name, _counting(getattr(owner, name), count))


def _counting(call: Callable[..., Any], count: Callable[[], None]) -> Callable[..., Any]:
    def counting(*arguments: Any, **named: Any) -> Any:
        count()
        return call(*arguments, **named)

    return counting


def _counter(path: str) -> Callable[[], None]:
    with open(path, "w+b") as file:  # noqa: PTH123 - nothing but the standard library's quickest
        file.write(bytes(FORMAT.size))
        file.flush()
        shared = mmap.mmap(file.fileno(), FORMAT.size)

    def count() -> None:
        FORMAT.pack_into(shared, 0, FORMAT.unpack_from(shared, 0)[0] + 1)

    return count


if __name__ == "__main__":
    count_round_trips(_counter(os.environ["BENCH_ROUND_TRIPS"]))
    runpy.run_module(os.environ.get("BENCH_MODULE", "console"), run_name="__main__", alter_sys=True)
