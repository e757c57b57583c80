"""The real broker is the session's (tests/conftest.py); each test has topics and a group of its own on it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from adapters.kafka import limits
from configuration.processes import DoctorSettings
from runtime.settings import load
from tests.adapters.kafka.consumer_bench import Bench
from tests.adapters.kafka.lane import KafkaLane
from tests.runtime.environments import bridge


@pytest.fixture(scope="session", autouse=True)
def quiet_client() -> None:
    """A broker that is away on purpose fills the report of a failed test with the client's complaints."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@pytest.fixture
async def make_lane(request: pytest.FixtureRequest) -> Callable[..., Awaitable[KafkaLane]]:
    async def make(*, partitions: int = 3, topics: bool = True, kafka: Any = None) -> KafkaLane:
        lane = KafkaLane(kafka=kafka or request.getfixturevalue("kafka"), partitions=partitions)
        if topics:
            lane.create_topics()
        return lane

    return make


@pytest.fixture
async def lane(make_lane: Callable[..., Awaitable[KafkaLane]]) -> KafkaLane:
    return await make_lane()


@pytest.fixture
def settings_of() -> Callable[[Mapping[str, str]], Any]:
    return lambda environ: load({**bridge(), **environ}, DoctorSettings)


@pytest.fixture
def commit_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each poll may commit: no test waits for the moment of the next."""
    monkeypatch.setattr(limits, "COMMIT_EVERY_SECONDS", 0.0)


@pytest.fixture
def bench(commit_each_time: None) -> Bench:
    """A member that has both partitions and commits after each poll."""
    made = Bench()
    made.consumer.rebalance(0, 1)
    return made
