"""The poll thread itself: it stops and commits, is freed where a poll spins, and its end is the process's."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from adapters.kafka import limits
from adapters.kafka.consumer_loop import ConsumerLoop
from tests.adapters.kafka.consumer_bench import Bench
from tests.limits import WAIT_SECONDS

pytestmark = pytest.mark.usefixtures("commit_each_time")


def test_a_stop_commits_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    poll = bench.consumer.poll

    def joined(timeout_ms: int, max_records: int | None = None) -> Any:
        if not bench.consumer.owned:
            bench.consumer.rebalance(0)
        found = poll(timeout_ms, max_records)
        for record in bench.taken:
            record.complete()
        bench.loop._stopping.set()
        return found

    bench.consumer.poll = joined
    bench.consumer.append(0, 0, 1)
    bench.loop.start()
    assert bench.loop.stop(WAIT_SECONDS)
    for record in bench.taken:
        record.complete()
    assert bench.consumer.closed
    assert bench.loop.assignments.held() == {}


def test_a_stop_with_a_broker_that_does_not_answer_ends_all_the_same() -> None:
    bench = Bench()
    bench.consumer.answers_commits = False
    bench.loop.start()
    assert bench.loop.stop(WAIT_SECONDS)
    assert bench.consumer.closed


def test_a_poll_that_spins_is_freed_and_counts_as_undecodable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STUCK_POLL_SECONDS", 0.1)
    bench = Bench()
    polls = 0

    def spin(timeout_ms: int, max_records: int | None = None) -> Any:
        nonlocal polls
        polls += 1
        while polls == 1:
            pass
        bench.loop._stopping.set()
        return {}

    bench.consumer.poll = spin
    bench.loop.start()
    until(lambda: bench.loop._in_poll_since is not None)
    until(lambda: (bench.loop.watch_once(), polls > 1)[1])
    assert bench.loop.stop(WAIT_SECONDS)


def test_a_poll_thread_that_ended_by_itself_ends_the_process() -> None:
    bench = Bench()
    loop = ConsumerLoop(bench.settings, bench.taken.extend, bench.metrics)
    loop._thread = threading.Thread(target=lambda: None)
    loop.start()
    loop._thread.join()
    with pytest.raises(RuntimeError, match="poll thread ended"):
        loop.watch_once()


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
