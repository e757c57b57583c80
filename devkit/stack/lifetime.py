"""A stack's life around some work: started, watched, always ended; Ctrl-C once ends in order, twice at once."""

import asyncio
import contextlib
import fcntl
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Generator
from pathlib import Path
from typing import Any, Final, TypeVar

from console.exits import CommandFailed, Exit
from devkit.servers.process import PartFailedError
from devkit.stack.local import LocalStack
from runtime.exits import exit_now
from runtime.telemetry import configure_logging

T = TypeVar("T")

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """Ctrl-C, SIGTERM or a closed terminal; the stack is stopped."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a stack's life to its end; unlike `asyncio.run` it doesn't wait for threads that still talk to a part."""
    return asyncio.new_event_loop().run_until_complete(work)


async def live(stack: LocalStack, work: Callable[[], Awaitable[int]], tell: Callable[[str], None]) -> int:
    """Start the stack, do the work, end the stack; the work's result.

    Raises:
        Interrupted: it was told to stop.
        CommandFailed: a part did not come up or ended by itself; the sentence has its log's last lines.
    """
    logs = stack.folder / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "topup.log").open("a") as log, _signals(stack) as told:
        configure_logging(stream=log, level=logging.WARNING)
        body = asyncio.ensure_future(_start_and_work(stack, work))
        try:
            await asyncio.wait((body, told), return_when=asyncio.FIRST_COMPLETED)
            if not body.done():
                raise Interrupted
            return body.result()
        except PartFailedError as failure:
            raise CommandFailed(str(failure)) from failure
        finally:
            tell("stopping")
            body.cancel()
            await asyncio.wait((body,))
            await stack.close()


async def _start_and_work(stack: LocalStack, work: Callable[[], Awaitable[int]]) -> int:
    await stack.start()
    return await work()


@contextlib.contextmanager
def _signals(stack: LocalStack) -> Generator["asyncio.Future[None]"]:
    """A future that the first signal settles; the second ends everything at once."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[None] = loop.create_future()

    def on_signal() -> None:
        if told.done():
            stack.supervisor.kill()
            exit_now(Exit.INTERRUPTED)
        told.set_result(None)

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        yield told
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def only_one(folder: Path) -> Generator[None]:
    """Hold a folder for one stack.

    Raises:
        CommandFailed: another stack has it, or it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise CommandFailed(
            f"{folder} can't be written ({error.strerror}): run this in a folder of your own."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(f"Another stack runs in {folder}: end it first, or use another --folder.") from None
        yield
