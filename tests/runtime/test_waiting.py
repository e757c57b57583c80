import asyncio
import contextlib

import pytest

from runtime import waiting
from runtime.redaction import in_one_line
from runtime.waiting import Stopped, wait_for
from tests.limits import WAIT_SECONDS


class Lines:
    def __init__(self) -> None:
        self.seen: list[dict[str, object]] = []

    def warning(self, event: str, **members: object) -> None:
        self.seen.append({"event": event, **members})


@pytest.fixture
def lines(monkeypatch) -> Lines:
    log = Lines()
    monkeypatch.setattr(waiting, "_log", log)
    monkeypatch.setattr(waiting, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE_SECONDS", 0.002)
    return log


async def test_it_tries_until_the_part_is_there(lines):
    tries = 0

    async def attempt() -> str:
        nonlocal tries
        tries += 1
        if tries < 5:
            raise OSError("connection refused")
        return "connected"

    said: list[str] = []
    assert await wait_for("Kafka at k:1", attempt, asyncio.Event(), on_wait=said.append) == "connected"
    assert said == ["Kafka at k:1 is away (connection refused); start it, or correct its address."] * 4


async def test_there_is_a_line_at_once_and_then_one_per_interval(lines, monkeypatch):
    tries = 0

    async def attempt() -> None:
        nonlocal tries
        tries += 1
        if tries < 50:
            raise OSError("away")

    await wait_for("Temporal", attempt, asyncio.Event())
    assert len(lines.seen) == 1
    monkeypatch.setattr(waiting, "LINE_EVERY_SECONDS", 0.0)
    tries = 0
    await wait_for("Temporal", attempt, asyncio.Event())
    assert len(lines.seen) == 50
    assert lines.seen[0]["part"] == "Temporal"


async def test_a_part_that_hangs_is_tried_again(lines):
    tries = 0

    async def attempt() -> int:
        nonlocal tries
        tries += 1
        if tries == 1:
            await asyncio.Event().wait()
        return tries

    assert await wait_for("Temporal", attempt, asyncio.Event(), attempt_seconds=0.05) == 2
    assert lines.seen[0]["reason"] == "no answer in time"


@pytest.mark.parametrize("hangs", [True, False])
async def test_stop_ends_the_wait(lines, hangs):
    stop = asyncio.Event()

    async def attempt() -> None:
        asyncio.get_running_loop().call_soon(stop.set)
        if hangs:
            await asyncio.Event().wait()
        raise OSError("away")

    with pytest.raises(Stopped):
        await wait_for("Temporal", attempt, stop)


async def test_stop_does_not_wait_for_an_attempt_that_cannot_be_cancelled(lines):
    stop = asyncio.Event()
    release = asyncio.Event()

    async def attempt() -> None:
        stop.set()
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    with pytest.raises(Stopped):
        await asyncio.wait_for(wait_for("database", attempt, stop), WAIT_SECONDS)
    release.set()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("a\n  b"), "a b"),
        (TimeoutError(), "no answer in time"),
        (KeyError(), "KeyError"),
        (OSError("postgresql://u:p@h/d"), "postgresql://[secret]@h/d"),
        (OSError("x" * 1000), "x" * 300),
    ],
)
def test_an_error_is_one_short_line_without_secrets(error, expected):
    assert in_one_line(error) == expected
