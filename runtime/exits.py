"""How a process ends. Also for short commands: whoever touched the Temporal SDK leaves through `exit_now`."""

import contextlib
import logging
import os
import resource
import signal
import sys
from typing import Final, NoReturn

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIGURATION: Final = 2
EXIT_INTERRUPTED: Final = 130


def leave_no_core() -> None:
    """From now on this process and its children leave no memory image when they crash: it holds keys and vehicles."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def end_on_sigterm() -> None:
    """From now on SIGTERM ends this process at once, with 0: it has nothing in hand yet."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(EXIT_OK))


def exit_now(code: int) -> NoReturn:
    """Flush logs and output, then end the process without the interpreter's own exit.

    There the Temporal SDK dies now and then (SIGABRT, SIGSEGV) or hangs, after work that went well; measured: never in
    190 ends of this kind. Children must be stopped before.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a closed pipe takes nothing any more
            stream.flush()
    os._exit(code)
