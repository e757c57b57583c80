"""Time as a port, so that tests can move it."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall-clock time."""

    def now(self) -> datetime:
        """Now, aware, UTC."""
        ...
