"""Partitions are paused by a hold, by what is in hand and by what can't be read, and polling goes on."""

from typing import Any

import pytest
from kafka.errors import CorruptRecordError, TopicAuthorizationFailedError

from adapters.kafka import limits
from adapters.kafka.broker_watch import TopicSnapshot
from adapters.kafka.unreadable import Undecodable, unreadable
from tests.adapters.kafka.consumer_bench import Bench
from tests.adapters.kafka.fakes import FakeConsumer, Partition


def test_a_pause_stops_all_and_polls_on_and_a_new_assignment_is_paused_again(bench: Bench) -> None:
    bench.loop.pause("temporal")
    bench.loop.pause("database")
    bench.consumer.append(0, 0)
    bench.poll()
    assert bench.consumer.paused_now == bench.consumer.owned
    bench.loop.resume("temporal")
    bench.consumer.lose()
    bench.consumer.rebalance(0, 1)
    bench.poll()
    assert bench.consumer.paused_now == bench.consumer.owned
    assert bench.taken == []
    bench.loop.resume("database")
    bench.poll()
    assert len(bench.taken) == 1


def test_a_partition_with_too_much_in_hand_is_paused_alone_and_goes_on_when_it_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_IN_FLIGHT", 4)
    monkeypatch.setattr(limits, "MIN_IN_FLIGHT_PER_PARTITION", 2)
    bench.consumer.append(0, 0, 1)
    bench.poll()
    bench.consumer.append(0, 2)
    bench.consumer.append(1, 0)
    bench.poll()
    assert bench.consumer.paused_now == {Partition("orders", 0)}
    assert [record.partition for record in bench.taken] == [0, 0, 1]
    assert bench.consumer.timeouts_ms[-1] == limits.POLL_UNDER_BACKPRESSURE_MS
    bench.taken[0].complete()
    bench.poll()
    assert bench.consumer.paused_now == set()
    assert len(bench.taken) == 4
    assert bench.consumer.timeouts_ms[-1] == limits.POLL_MS


def test_too_many_bytes_in_hand_pause_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_IN_FLIGHT_BYTES", 3)
    bench.consumer.append(0, 0, 1)
    bench.poll(2)
    assert bench.consumer.paused_now == bench.consumer.owned


@pytest.mark.parametrize(
    "error", [CorruptRecordError("structure"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), RuntimeError("lz4")]
)
def test_a_record_that_cannot_be_decoded_is_told_from_other_trouble(bench: Bench, error: Exception) -> None:
    bench.consumer.raises = error
    with pytest.raises(Undecodable):
        bench.poll()
    bench.consumer.raises = TopicAuthorizationFailedError({"orders"})
    with pytest.raises(TopicAuthorizationFailedError):
        bench.poll()


def test_an_unreadable_partition_stays_paused_and_unready_and_the_others_go_on(bench: Bench) -> None:
    bad = Partition("orders", 0)
    bench.loop._unreadable[bad] = "CorruptRecordError at offset 3"
    bench.consumer.lose()
    bench.consumer.rebalance(0, 1)
    assert bench.consumer.paused_now == {bad}  # before any poll could fetch it
    bench.consumer.append(0, 3)
    bench.consumer.append(1, 0)
    bench.poll()
    assert [record.partition for record in bench.taken] == [1]
    assert "Partition 0 of orders stands still" in (bench.loop.trouble() or "")
    bench.consumer.rebalance(1)
    assert bench.loop.trouble() is None  # it is another bridge's trouble now


def test_the_partition_that_cannot_be_read_is_found_by_asking_each_alone() -> None:
    made: list[FakeReader] = []

    def make() -> Any:
        made.append(FakeReader("orders", 3))
        return made[-1]

    positions = {Partition("orders", n): n for n in range(3)}
    assert unreadable(positions, make) == {Partition("orders", 1): "CorruptRecordError"}
    assert all(reader.closed for reader in made)
    assert [reader.asked for reader in made] == [[1], [2]]  # 0 has nothing to read; one that raised isn't used again


class FakeReader(FakeConsumer):
    def __init__(self, topic: str, partitions: int) -> None:
        super().__init__(topic, partitions)
        self.append(1, 1, 2)
        self.append(2, 2, 3)
        self.asked: list[int] = []

    def assign(self, partitions: list[Partition]) -> None:
        self.owned = set(partitions)

    def poll(self, timeout_ms: int, max_records: int | None = None) -> Any:
        assert not self.closed
        (partition,) = self.owned
        self.asked.append(partition.partition)
        assert self.positions[partition] == partition.partition
        if partition.partition == 1:
            raise CorruptRecordError("structure")
        return super().poll(timeout_ms, max_records)


def test_while_the_intake_is_paused_the_lag_is_what_kafka_says(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer hears of a partition's end with the records it fetches, so of a paused one no more."""
    monkeypatch.setattr(limits, "PROGRESS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(bench.consumer, "highwater", lambda _partition: 0)
    bench.loop.pause("temporal")
    bench.loop.observe(TopicSnapshot(None, {0: 70, 1: 0}))
    bench.poll(3)

    assert bench.metrics.gauge("topup_bridge_lag_records").labels("0")._value.get() == 70
    assert bench.metrics.gauge("topup_bridge_lag_records").labels("1")._value.get() == 0
