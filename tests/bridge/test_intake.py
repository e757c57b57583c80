"""The poll thread's steps, on a fake member of the group: caps, holds, commits, rebalances, jumps, wedges."""

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import (
    CommitFailedError,
    CorruptRecordError,
    KafkaConnectionError,
    LogTruncationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from kafka.structs import MemberState

import bridge.commits
import bridge.consumer
from bridge.commits import Commits
from bridge.consumer import Intake, TopicMissing, Wedged
from bridge.leases import Record
from bridge.unreadable import Undecodable, unreadable
from runtime.metrics import Metrics
from tests.bridge.fakes import FakeConsumer, Partition


class Bench:
    def __init__(self, partitions: int = 2) -> None:
        self.settings: Any = SimpleNamespace(kafka_topic="orders", kafka_group="g", kafka_bootstrap_servers="k:1")
        self.metrics = Metrics()
        self.taken: list[Record] = []
        self.consumer = FakeConsumer("orders", partitions)
        self.intake = Intake(
            self.settings,
            self.taken.extend,
            self.metrics,
            make_member=lambda _: self.consumer,
        )
        self.commits = Commits(self.consumer, self.intake.leases)
        self.intake.join(self.consumer, self.commits)

    def poll(self, times: int = 1) -> None:
        for _ in range(times):
            self.intake.poll_once(self.consumer, self.commits)

    def alerts(self, alert: str) -> float:
        return self.metrics.counter("topup_alerts_total").labels(alert)._value.get()

    def lease(self, partition: int) -> Any:
        return self.intake.leases.held()[Partition("orders", partition)]


@pytest.fixture(autouse=True)
def commit_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.commits, "COMMIT_EVERY_SECONDS", 0.0)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.consumer.rebalance(0, 1)
    return made


def committed(bench: Bench) -> dict[int, int]:
    found: dict[int, int] = {}
    for commit in bench.consumer.commits:
        found.update({partition.partition: offset for partition, offset in commit.items()})
    return found


def test_records_are_handed_over_as_they_are(bench: Bench) -> None:
    bench.consumer.append(1, 3, 4)
    bench.poll()
    assert [(r.topic, r.partition, r.offset, r.key, r.value) for r in bench.taken] == [
        ("orders", 1, 3, None, b"{}"),
        ("orders", 1, 4, None, b"{}"),
    ]


def test_only_what_is_complete_is_committed(bench: Bench) -> None:
    bench.consumer.append(0, 0, 1, 2)
    bench.poll()
    bench.taken[1].complete()
    bench.poll()
    assert committed(bench) == {0: 0, 1: 0}
    bench.taken[0].complete()
    bench.poll(2)
    assert committed(bench) == {0: 2, 1: 0}
    assert bench.lease(0).committed == 2


def test_one_commit_at_a_time_so_that_none_overtakes_another(bench: Bench) -> None:
    bench.consumer.answers_commits = False
    bench.consumer.append(0, 0, 1)
    bench.poll()
    for record in bench.taken:
        record.complete()
        bench.poll()
    assert len(bench.consumer.commits) == 1
    bench.consumer.answers_commits = True
    bench.poll()
    assert committed(bench)[0] == 2


def test_a_refused_commit_is_sent_again(bench: Bench) -> None:
    bench.consumer.commit_answer = CommitFailedError()
    bench.poll(2)
    count = len(bench.consumer.commits)
    bench.poll(3)
    assert len(bench.consumer.commits) > count
    bench.consumer.commit_answer = None
    bench.poll(3)
    count = len(bench.consumer.commits)
    bench.poll(3)
    assert len(bench.consumer.commits) == count


def test_with_nothing_in_flight_the_position_is_committed_so_that_the_lag_of_markers_ends(bench: Bench) -> None:
    bench.consumer.append(0, 0, 2)
    bench.poll()
    bench.consumer.positions[Partition("orders", 0)] = 5
    bench.taken[0].complete()
    bench.poll(2)
    assert committed(bench)[0] == 2
    bench.taken[1].complete()
    bench.poll(2)
    assert committed(bench)[0] == 5


def test_a_rebalance_commits_what_is_complete_and_what_comes_back_goes_on_where_it_was(bench: Bench) -> None:
    bench.consumer.append(0, 0, 1, 2)
    bench.poll()
    bench.taken[0].complete()
    bench.consumer.rebalance(0)
    assert committed(bench)[0] == 1
    bench.taken[1].complete()
    bench.poll(2)
    assert committed(bench)[0] == 2
    bench.taken[2].complete()
    bench.poll(2)
    assert committed(bench)[0] == 3
    assert len(bench.taken) == 3  # the client keeps its position: nothing comes a second time


def test_a_partition_that_went_away_counts_nothing_later_and_is_read_again_when_it_returns(bench: Bench) -> None:
    bench.consumer.append(0, 0, 1, 2)
    bench.poll()
    bench.taken[0].complete()
    bench.consumer.rebalance(1)
    bench.taken[1].complete()
    bench.poll(2)
    assert committed(bench)[0] == 1
    bench.consumer.rebalance(0, 1)
    bench.poll(2)
    assert committed(bench)[0] == 1
    assert [record.offset for record in bench.taken] == [0, 1, 2, 1, 2]
    assert [record.lease.read_again for record in bench.taken] == [True] * 3 + [False] * 2


def test_lost_partitions_commit_nothing_and_are_read_again_from_the_commit_on(bench: Bench) -> None:
    bench.consumer.append(0, 0, 1)
    bench.poll(2)
    bench.taken[0].complete()
    before = list(bench.consumer.commits)
    bench.consumer.lose()
    assert bench.consumer.commits == before
    bench.consumer.rebalance(0, 1)
    bench.poll()
    assert [record.offset for record in bench.taken] == [0, 1, 0, 1]


def test_a_hold_pauses_all_and_polls_on_and_a_new_assignment_is_paused_again(bench: Bench) -> None:
    bench.intake.hold("temporal")
    bench.intake.hold("database")
    bench.consumer.append(0, 0)
    bench.poll()
    assert bench.consumer.paused_now == bench.consumer.owned
    bench.intake.release("temporal")
    bench.consumer.lose()
    bench.consumer.rebalance(0, 1)
    bench.poll()
    assert bench.consumer.paused_now == bench.consumer.owned
    assert bench.taken == []
    bench.intake.release("database")
    bench.poll()
    assert len(bench.taken) == 1


def test_a_partition_with_too_much_in_hand_is_paused_alone_and_goes_on_when_it_is_done(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.consumer, "MAX_IN_FLIGHT", 4)
    monkeypatch.setattr(bridge.consumer, "MIN_IN_FLIGHT_PER_PARTITION", 2)
    bench.consumer.append(0, 0, 1)
    bench.poll()
    bench.consumer.append(0, 2)
    bench.consumer.append(1, 0)
    bench.poll()
    assert bench.consumer.paused_now == {Partition("orders", 0)}
    assert [record.partition for record in bench.taken] == [0, 0, 1]
    assert bench.consumer.timeouts_ms[-1] == bridge.consumer.POLL_UNDER_PRESSURE_MS
    bench.taken[0].complete()
    bench.poll()
    assert bench.consumer.paused_now == set()
    assert len(bench.taken) == 4
    assert bench.consumer.timeouts_ms[-1] == bridge.consumer.POLL_MS


def test_too_many_bytes_in_hand_pause_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.consumer, "MAX_IN_FLIGHT_BYTES", 3)
    bench.consumer.append(0, 0, 1)
    bench.poll(2)
    assert bench.consumer.paused_now == bench.consumer.owned


def test_a_group_without_commits_begins_at_the_earliest_record(bench: Bench) -> None:
    partition = Partition("orders", 0)
    bench.consumer.first[partition] = 7
    bench.consumer.append(0, 7)
    bench.consumer.positions[partition] = 99
    bench.consumer.raises = NoOffsetForPartitionError({partition})
    bench.poll(2)
    assert [record.offset for record in bench.taken] == [7]
    assert bench.alerts("records_deleted_unread") == 0


def test_records_that_retention_deleted_unread_raise_an_alert_and_those_in_hand_still_count(bench: Bench) -> None:
    partition = Partition("orders", 0)
    bench.consumer.append(0, 0, 1)
    bench.poll()
    bench.consumer.logs[partition].clear()
    bench.consumer.first[partition] = 50
    bench.consumer.append(0, 50)
    bench.consumer.raises = OffsetOutOfRangeError({partition: 2})
    bench.poll(2)
    assert bench.alerts("records_deleted_unread") == 1
    assert [record.offset for record in bench.taken] == [0, 1, 50]
    for record in bench.taken:
        record.complete()
    bench.poll(2)
    assert committed(bench)[0] == 51


@pytest.mark.parametrize(
    "error",
    [OffsetOutOfRangeError({Partition("orders", 0): 10}), LogTruncationError({Partition("orders", 0): None})],
    ids=["out of range", "truncated"],
)
def test_a_log_that_was_cut_is_read_from_its_beginning_with_an_alert(bench: Bench, error: Exception) -> None:
    partition = Partition("orders", 0)
    bench.consumer.append(0, 8, 9)
    bench.poll()
    bench.consumer.logs[partition].clear()
    bench.consumer.append(0, 0, 1)
    bench.consumer.raises = error
    bench.poll(2)
    assert bench.alerts("log_truncated") == 1
    assert [record.offset for record in bench.taken] == [8, 9, 0, 1]
    assert not any(record.lease.read_again for record in bench.taken)  # what was cut off comes no more
    for record in bench.taken:
        record.complete()
    bench.poll(2)
    assert committed(bench)[0] == 2


def test_a_lost_connection_is_no_reason_to_leave_the_group(bench: Bench) -> None:
    bench.consumer.raises = KafkaConnectionError("gone")
    bench.poll(2)
    assert not bench.consumer.closed


def test_a_partition_that_has_records_and_gives_none_needs_a_new_consumer_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge.consumer, "LOOK_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(bridge.consumer, "STALLED_SECONDS", 0.0)
    monkeypatch.setattr(bench.consumer, "highwater", lambda partition: 5 if partition.partition == 0 else 0)
    bench.poll()
    with pytest.raises(Wedged, match="gave nothing"):
        bench.poll(2)
    bench.consumer.lose()
    bench.consumer.rebalance(0, 1)
    bench.poll(3)  # an open transaction looks the same: once is enough


def test_a_topic_that_is_missing_says_to_run_setup() -> None:
    bench = Bench()
    bench.consumer.logs.clear()
    with pytest.raises(TopicMissing):
        bench.intake.join(bench.consumer, bench.commits)
    bench.intake._say(TopicMissing())
    assert "run `topup setup`" in (bench.intake.trouble() or "")


def test_a_topic_that_vanishes_is_noticed(bench: Bench) -> None:
    bench.consumer.rebalance()
    bench.consumer.logs.clear()
    with pytest.raises(TopicMissing):
        bench.poll()


def test_a_group_that_does_not_get_stable_needs_a_new_consumer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.consumer.state = MemberState.REBALANCING
    bench.poll()
    assert "rebalancing" in (bench.intake.trouble() or "")
    monkeypatch.setattr(bridge.consumer, "UNSTABLE_SECONDS", 0.0)
    with pytest.raises(Wedged):
        bench.poll()


def test_a_rebalance_that_ends_in_time_is_no_wedge(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.consumer.state = MemberState.REBALANCING
    bench.poll()
    bench.consumer.state = MemberState.STABLE
    bench.poll()
    monkeypatch.setattr(bridge.consumer, "UNSTABLE_SECONDS", 0.0)
    bench.poll()
    assert bench.intake.trouble() is None


def test_offsets_that_go_back_in_one_assignment_need_a_new_consumer(bench: Bench) -> None:
    bench.consumer.append(0, 5)
    bench.poll()
    bench.consumer.logs[Partition("orders", 0)][0].offset = 4
    bench.consumer.positions[Partition("orders", 0)] = 0
    with pytest.raises(ValueError, match="came after"):
        bench.poll()


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
    bench.intake._unreadable[bad] = "CorruptRecordError at offset 3"
    bench.consumer.lose()
    bench.consumer.rebalance(0, 1)
    assert bench.consumer.paused_now == {bad}  # before any poll could fetch it
    bench.consumer.append(0, 3)
    bench.consumer.append(1, 0)
    bench.poll()
    assert [record.partition for record in bench.taken] == [1]
    assert "Partition 0 of orders stands still" in (bench.intake.trouble() or "")
    bench.consumer.rebalance(1)
    assert bench.intake.trouble() is None  # it is another bridge's trouble now


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


def test_a_stop_commits_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    poll = bench.consumer.poll

    def joined(timeout_ms: int, max_records: int | None = None) -> Any:
        if not bench.consumer.owned:
            bench.consumer.rebalance(0)
        found = poll(timeout_ms, max_records)
        for record in bench.taken:
            record.complete()
        bench.intake._stopping.set()
        return found

    bench.consumer.poll = joined
    bench.consumer.append(0, 0, 1)
    bench.intake.start()
    assert bench.intake.stop(10)
    for record in bench.taken:
        record.complete()
    assert bench.consumer.closed
    assert bench.intake.leases.held() == {}


def test_a_stop_with_a_broker_that_does_not_answer_ends_all_the_same() -> None:
    bench = Bench()
    bench.consumer.answers_commits = False
    bench.intake.start()
    assert bench.intake.stop(10)
    assert bench.consumer.closed


def test_a_poll_that_spins_is_freed_and_counts_as_undecodable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge.consumer, "STUCK_SECONDS", 0.1)
    bench = Bench()
    polls = 0

    def spin(timeout_ms: int, max_records: int | None = None) -> Any:
        nonlocal polls
        polls += 1
        while polls == 1:
            pass
        bench.intake._stopping.set()
        return {}

    bench.consumer.poll = spin
    bench.intake.start()
    until(lambda: bench.intake._in_poll_since is not None)
    until(lambda: (bench.intake.watch_once(), polls > 1)[1])
    assert bench.intake.stop(10)


def test_a_poll_thread_that_ended_by_itself_ends_the_process() -> None:
    bench = Bench()
    intake = Intake(bench.settings, bench.taken.extend, bench.metrics)
    intake._thread = threading.Thread(target=lambda: None)
    intake.start()
    intake._thread.join()
    with pytest.raises(RuntimeError, match="poll thread ended"):
        intake.watch_once()


def until(condition: Callable[[], Any], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
