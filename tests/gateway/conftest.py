"""The limits of the callback port for tests in this process: those that a test isn't about are out of its way."""

import pytest

import gateway.callbacks
import gateway.server
from tests.limits import WAIT_SECONDS


@pytest.fixture(autouse=True)
def no_limit_passes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for seconds makes no client of a test slow; a test that means a limit sets it."""
    monkeypatch.setattr(gateway.server, "HEAD_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(gateway.server, "BODY_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(gateway.callbacks, "ANSWER_SECONDS", WAIT_SECONDS)
