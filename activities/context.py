"""What every activity needs of its attempt: local or regular, and how to fail so that an operator can read it."""

from datetime import timedelta
from typing import NoReturn, Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError


class Alert(Protocol):
    """Calls a person: a log line with `"alert": true` and a count in `topup_alerts_total{alert=kind}`."""

    def __call__(self, kind: str, **fields: str) -> None:
        """Say what happened, without personal data."""
        ...


def is_local() -> bool:
    """Whether this attempt is the local first try, which answers in doubt rather than waits."""
    return activity.info().is_local


def try_again(kind: str, sentence: str, *, after_seconds: float | None = None) -> NoReturn:
    """Fail this attempt so that the engine tries again, `after_seconds` from now (None: by the step's policy)."""
    raise ApplicationError(
        sentence, type=kind, next_retry_delay=None if after_seconds is None else timedelta(seconds=after_seconds)
    )
