"""The wall clock, as the port `Clock` wants it."""

from datetime import UTC, datetime


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Now, aware, UTC."""
        return datetime.now(UTC)
