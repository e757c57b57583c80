"""Watches over one part of the stack: the part ends when the stack ends, in whatever way the stack ends.

The stack starts `python parent_watchdog.py COMMAND…` instead of COMMAND. Standard input is a pipe whose other end only
the stack holds: when the stack is gone, even by SIGKILL, the kernel closes it, and the watchdog kills the part's
process group. It needs no `prctl`, so it also works where Linux' PR_SET_PDEATHSIG does not exist, and it takes a part's
children with it.

Runs as a script and imports the standard library alone: its start costs some 20 ms.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
from types import FrameType

COULD_NOT_START = 127
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KILL_SIGNAL = signal.SIGQUIT
"""To the watchdog: kill the part now."""


class ParentWatchdog:
    """One part in a process group of its own."""

    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._part: subprocess.Popen[bytes] | None = None
        self._asked: int | None = None
        """A signal that came before the part was there."""

    def hold(self) -> int:
        """Run the part until it ends; its exit code. Killed when stdin is closed."""
        wake, waker = os.pipe()
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        for number in (signal.SIGCHLD, *STOP_SIGNALS, KILL_SIGNAL):
            signal.signal(number, self._on_signal)
        try:
            part = self._part = subprocess.Popen(  # noqa: S603 - the command is the stack's own
                self._command, stdin=subprocess.DEVNULL, process_group=0
            )
        except OSError as error:
            print(f"cannot start {self._command[0]}: {error.strerror}", file=sys.stderr)
            return COULD_NOT_START
        if self._asked is not None:
            self._signal(self._asked)
        while os.waitid(os.P_PID, part.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            readable, _, _ = select.select([0, wake], [], [])
            if wake in readable:
                os.read(wake, 512)
            if 0 in readable and not os.read(0, 512):
                break
        # Before the part is reaped its number can't belong to anyone else, so this never hits a stranger.
        self._signal(signal.SIGKILL)
        code = part.wait()
        return code if code >= 0 else 128 - code

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        self._asked = signal.SIGKILL if number == KILL_SIGNAL else number
        self._signal(self._asked)

    def _signal(self, number: int) -> None:
        if self._part is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._part.pid, number)


if __name__ == "__main__":
    sys.exit(ParentWatchdog(sys.argv[1:]).hold())
