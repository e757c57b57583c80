"""What every activity needs of its attempt: local or regular, and how to fail so that an operator can read it."""

import time
from datetime import timedelta
from typing import NoReturn, Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from workflows.policies import LOCAL_ANSWER_SECONDS


class Alert(Protocol):
    """Calls a person: a log line with `"alert": true` and a count in `topup_alerts_total{alert=kind}`."""

    def __call__(self, kind: str, **fields: str) -> None:
        """Say what happened, without personal data."""
        ...


class Journal(Protocol):
    """Says of each step that an order takes that it was taken."""

    def __call__(self, event: str, order_id: str, **fields: object) -> None:
        """One line, without personal data. Raises nothing."""
        ...


def quiet(event: str, order_id: str, **fields: object) -> None:
    """A journal that nobody reads."""
    del event, order_id, fields


def is_local() -> bool:
    """Whether this attempt is the local first try, which answers in doubt rather than waits."""
    return activity.info().is_local


class AttemptTimeout:
    """How long this attempt waits for one answer: the local try gives up before the engine would end it.

    So a call that had no answer in time stands in the audit trail like any other; then the attempt fails, and the
    regular one waits as long as the other side may take.
    """

    def __init__(self, limit_seconds: float) -> None:
        self.seconds = min(limit_seconds, LOCAL_ANSWER_SECONDS) if is_local() else limit_seconds
        self._cut_short = self.seconds < limit_seconds
        self._began = time.monotonic()

    @property
    def ran_out(self) -> bool:
        """Whether the call ended at the shorter limit, so that a longer wait may bring an answer."""
        return self._cut_short and time.monotonic() - self._began >= self.seconds


def raise_retryable(kind: str, sentence: str, *, after_seconds: float | None = None) -> NoReturn:
    """Fail this attempt so that the engine tries again, `after_seconds` from now (None: by the step's policy)."""
    raise ApplicationError(
        sentence, type=kind, next_retry_delay=None if after_seconds is None else timedelta(seconds=after_seconds)
    )
