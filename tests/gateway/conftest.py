"""The callback port in this process, with the limits that a test isn't about out of its way."""

from collections.abc import AsyncIterator

import pytest

import gateway.callbacks
import gateway.server
from tests.gateway.serving import Gateway
from tests.gateway.serving import gateway as gateway_process
from tests.limits import WAIT_SECONDS


@pytest.fixture(autouse=True)
def no_limit_passes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still for seconds makes no client of a test slow; a test that means a limit sets it."""
    monkeypatch.setattr(gateway.server, "HEAD_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(gateway.server, "BODY_SECONDS", WAIT_SECONDS)
    monkeypatch.setattr(gateway.callbacks, "ANSWER_SECONDS", WAIT_SECONDS)


@pytest.fixture
async def gate() -> AsyncIterator[Gateway]:
    """The gateway on a port of its own, Kafka played by a list."""
    async with gateway_process() as one:
        yield one
