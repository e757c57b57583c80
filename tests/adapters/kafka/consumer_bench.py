"""The poll thread's steps by hand: a consumer loop on a fake member of the group, with a clock of its own."""

from types import SimpleNamespace
from typing import Any

from adapters.kafka.assignments import Record
from adapters.kafka.consumer_loop import ConsumerLoop
from adapters.kafka.progress import Progress
from runtime.metrics import Metrics
from tests.adapters.kafka.fakes import FakeConsumer, Partition


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += seconds


class Bench:
    def __init__(self, partitions: int = 2) -> None:
        self.settings: Any = SimpleNamespace(kafka_topic="orders", kafka_group="g", kafka_bootstrap_servers="k:1")
        self.metrics = Metrics()
        self.taken: list[Record] = []
        self.consumer = FakeConsumer("orders", partitions)
        self.loop = ConsumerLoop(
            self.settings,
            self.taken.extend,
            self.metrics,
            make_member=lambda _: self.consumer,
        )
        self.clock = Clock()
        self.loop._progress = Progress("orders", clock=self.clock)
        self.commits = self.loop.commits_of(self.consumer)
        self.loop.join(self.consumer, self.commits)

    def anew(self) -> None:
        """As the loop does it when a poll raised what only a new consumer cures."""
        self.loop._progress.note_rebuilt()
        self.loop._leave(self.consumer, self.commits)
        self.consumer.owned, self.consumer.paused_now = set(), set()
        self.commits = self.loop.commits_of(self.consumer)
        self.loop.join(self.consumer, self.commits)
        self.consumer.rebalance(0, 1)
        self.poll()

    def poll(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.poll_once(self.consumer, self.commits)

    def alerts(self, alert: str) -> float:
        return self.metrics.counter("topup_alerts_total").labels(alert)._value.get()

    def assignment(self, partition: int) -> Any:
        return self.loop.assignments.held()[Partition("orders", partition)]


def committed(bench: Bench) -> dict[int, int]:
    found: dict[int, int] = {}
    for commit in bench.consumer.commits:
        found.update({partition.partition: offset for partition, offset in commit.items()})
    return found
