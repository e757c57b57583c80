"""Kafka away, silent, or without a topic: `/readyz` must know, and the consumer doesn't tell."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from adapters.kafka import limits
from adapters.kafka.broker_watch import BrokerWatch
from tests.limits import WAIT_SECONDS

SETTINGS: Any = SimpleNamespace(kafka_bootstrap_servers="k:1", kafka_api_version=None)
TOPICS = ("orders", "orders.dlq")


class FakeAdmin:
    def __init__(self) -> None:
        self.topics = {"orders", "orders.dlq"}
        self.answers = threading.Event()
        self.answers.set()
        self.error: Exception | None = None
        self.closed = False

    def describe_topics(self, topics: list[str]) -> list[dict[str, Any]]:
        assert self.answers.wait(WAIT_SECONDS)
        if self.error is not None:
            raise self.error
        return [{"name": name, "error_code": 0 if name in self.topics else 3} for name in topics]

    def close(self) -> None:
        self.closed = True


async def test_both_topics_there_is_no_trouble_and_a_missing_one_is_named() -> None:
    admin = FakeAdmin()
    watch = BrokerWatch(SETTINGS, TOPICS, make_admin=lambda _: admin)
    await watch.ask_once()
    assert watch.trouble is None
    admin.topics.remove("orders.dlq")
    await watch.ask_once()
    assert watch.trouble == "Kafka has no topic orders.dlq: run `topup setup`."


async def test_a_broker_that_is_away_is_asked_by_a_new_client() -> None:
    made = [FakeAdmin(), FakeAdmin()]
    made[0].error = OSError("refused")
    admins = list(made)
    watch = BrokerWatch(SETTINGS, TOPICS, make_admin=lambda _: admins.pop(0))
    await watch.ask_once()
    assert watch.trouble == "Kafka at k:1 is away (refused); start it, or correct its address."
    assert made[0].closed
    await watch.ask_once()
    assert watch.trouble is None


async def test_a_broker_that_does_not_answer_is_away_and_its_late_answer_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "WATCH_ANSWER_SECONDS", 0.05)
    admin = FakeAdmin()
    watch = BrokerWatch(SETTINGS, TOPICS, make_admin=lambda _: admin)
    admin.answers.clear()
    for _ in range(3):
        await watch.ask_once()
        assert "no answer in time" in (watch.trouble or "")
    admin.answers.set()
    monkeypatch.setattr(limits, "WATCH_ANSWER_SECONDS", WAIT_SECONDS)
    await watch.ask_once()
    assert watch.trouble is None
