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

from adapters.kafka import limits
from adapters.kafka.assignments import Record
from adapters.kafka.broker_watch import TopicSnapshot
from adapters.kafka.consumer_loop import ConsumerLoop, TopicMissing
from adapters.kafka.progress import Progress, Stalled, TopicRecreated
from adapters.kafka.unreadable import Undecodable, unreadable
from runtime.metrics import Metrics
from tests.adapters.kafka.fakes import FakeConsumer, Partition
from tests.limits import WAIT_SECONDS


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


@pytest.fixture(autouse=True)
def commit_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "COMMIT_EVERY_SECONDS", 0.0)


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
    assert bench.assignment(0).committed == 2


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
    assert [record.assignment.read_again for record in bench.taken] == [True] * 3 + [False] * 2


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
    assert not any(record.assignment.read_again for record in bench.taken)  # what was cut off comes no more
    for record in bench.taken:
        record.complete()
    bench.poll(2)
    assert committed(bench)[0] == 2


def test_a_lost_connection_is_no_reason_to_leave_the_group(bench: Bench) -> None:
    bench.consumer.raises = KafkaConnectionError("gone")
    bench.poll(2)
    assert not bench.consumer.closed


def test_a_partition_that_has_records_and_gives_none_needs_a_new_consumer_and_the_next_one_has_more_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROGRESS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(limits, "LATE_SECONDS", 5.0)
    monkeypatch.setattr(limits, "STALLED_SECONDS", 10.0)
    monkeypatch.setattr(bench.consumer, "highwater", lambda partition: 5 if partition.partition == 0 else 0)
    bench.poll()
    bench.clock.tick(6)
    assert bench.loop.trouble() == (
        "Partition 0 of orders has records and gave none for 6 s; a new consumer is made if this stays."
    )
    bench.clock.tick(5)
    with pytest.raises(Stalled, match="gave nothing for 11 s"):
        bench.poll()
    bench.anew()
    assert bench.loop.trouble() is None
    bench.clock.tick(11)
    bench.poll()  # each new consumer is a rebalance for the whole group
    bench.clock.tick(10)
    with pytest.raises(Stalled, match="gave nothing for 21 s"):
        bench.poll()


def test_a_topic_that_is_missing_says_to_run_setup() -> None:
    bench = Bench()
    bench.consumer.logs.clear()
    with pytest.raises(TopicMissing):
        bench.loop.join(bench.consumer, bench.commits)
    bench.loop._say(TopicMissing())
    assert "run `topup setup`" in (bench.loop.trouble() or "")


def test_a_topic_that_vanishes_is_noticed(bench: Bench) -> None:
    bench.consumer.rebalance()
    bench.consumer.logs.clear()
    with pytest.raises(TopicMissing):
        bench.poll()


def test_a_group_that_does_not_get_stable_needs_a_new_consumer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.consumer.state = MemberState.REBALANCING
    bench.poll()
    assert "rebalancing" in (bench.loop.trouble() or "")
    bench.clock.tick(limits.UNSTABLE_SECONDS + 1)
    with pytest.raises(Stalled, match="not stable"):
        bench.poll()


def test_a_rebalance_that_ends_in_time_is_no_wedge(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.consumer.state = MemberState.REBALANCING
    bench.poll()
    bench.consumer.state = MemberState.STABLE
    bench.poll()
    bench.clock.tick(limits.UNSTABLE_SECONDS + 1)
    bench.poll()
    assert bench.loop.trouble() is None


def test_a_coordinator_that_answers_no_heartbeat_is_unready_and_then_needs_a_new_consumer(bench: Bench) -> None:
    """The client stays in a stable group and raises nothing (measured)."""
    bench.poll()
    bench.consumer.heartbeat_age = limits.UNHEARD_SECONDS + 1
    bench.clock.tick(limits.UNHEARD_SECONDS + 1)
    bench.poll()
    assert "answered no heartbeat for 11 s" in (bench.loop.trouble() or "")
    bench.consumer.heartbeat_age = 0.0
    bench.poll()
    assert bench.loop.trouble() is None
    bench.consumer.heartbeat_age = limits.SILENT_SECONDS + 1
    bench.clock.tick(limits.SILENT_SECONDS + 1)
    with pytest.raises(Stalled, match="answered no heartbeat"):
        bench.poll()


def test_a_new_consumer_is_not_blamed_for_the_silence_before_it(bench: Bench) -> None:
    bench.clock.tick(limits.SILENT_SECONDS + 1)
    bench.consumer.heartbeat_age = None
    bench.anew()
    assert bench.loop.trouble() is None


def test_records_that_only_another_client_sees_count_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that is gone tells the consumer of no new record."""
    monkeypatch.setattr(limits, "PROGRESS_EVERY_SECONDS", 0.0)
    bench.loop.observe(TopicSnapshot(None, {0: 3, 1: 0}))
    bench.poll()
    bench.clock.tick(limits.STALLED_SECONDS + 1)
    with pytest.raises(Stalled, match="partition 0 gave nothing"):
        bench.poll()


def test_a_partition_that_is_paused_gives_nothing_and_is_not_blamed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PROGRESS_EVERY_SECONDS", 0.0)
    bench.loop.observe(TopicSnapshot(None, {0: 3, 1: 0}))
    bench.loop.pause("temporal")
    bench.poll()
    bench.clock.tick(limits.STALLED_SECONDS + 1)
    bench.poll()
    assert bench.loop.trouble() is None


@pytest.mark.parametrize("seen_by", ["the watch", "the consumer"])
def test_a_topic_made_anew_is_noticed_and_read_from_its_beginning_with_an_alert(
    monkeypatch: pytest.MonkeyPatch, seen_by: str
) -> None:
    """Kafka takes the old topic's offsets for the new one: reading on there would skip records in silence."""
    monkeypatch.setattr(limits, "PROGRESS_EVERY_SECONDS", 0.0)
    bench = Bench()
    bench.consumer.topic_ids = "old"
    bench.anew()
    bench.consumer.append(0, 0, 1, 2)
    bench.poll()
    for record in bench.taken:
        record.complete()
    bench.poll(2)
    assert bench.consumer.commit_log[Partition("orders", 0)] == 3

    bench.consumer.logs[Partition("orders", 0)].clear()
    bench.consumer.append(0, 0, 1, 2, 3, 4)
    if seen_by == "the watch":
        bench.loop.observe(TopicSnapshot("new", {0: 5, 1: 0}))
    else:
        bench.consumer.topic_ids = "new"
    with pytest.raises(TopicRecreated):
        bench.poll()
    bench.loop._say(TopicRecreated())
    assert "was made anew under its name" in (bench.loop.trouble() or "")
    bench.consumer.topic_ids = "new"
    bench.taken.clear()
    bench.anew()
    bench.poll(2)
    assert [record.offset for record in bench.taken] == [0, 1, 2, 3, 4]
    assert bench.alerts("log_truncated") == 2  # one per partition
    for record in bench.taken:
        record.complete()
    bench.poll(2)
    assert bench.consumer.commit_log[Partition("orders", 0)] == 5
    bench.taken.clear()
    bench.anew()
    bench.poll(2)
    assert bench.taken == []  # its offsets are the new topic's now


def test_an_offset_that_may_be_of_another_topic_is_not_committed_as_this_ones() -> None:
    bench = Bench()
    bench.consumer.topic_ids = "new"
    bench.loop.join(bench.consumer, bench.commits)
    bench.consumer.positions[Partition("orders", 0)] = bench.consumer.commit_log[Partition("orders", 0)] = 3
    bench.consumer.committed_metadata[Partition("orders", 0)] = "old"
    bench.consumer.append(0, *range(10))
    poll = bench.consumer.poll

    def joined(timeout_ms: int, max_records: int | None = None) -> Any:
        bench.consumer.poll = poll
        bench.consumer.rebalance(0, 1)
        return {}

    bench.consumer.poll = joined
    bench.poll()
    assert Partition("orders", 0) not in {p for commit in bench.consumer.commits for p in commit}
    bench.poll()
    assert [record.offset for record in bench.taken] == list(range(10))


def test_a_commit_that_names_no_topic_is_believed() -> None:
    bench = Bench()
    bench.consumer.topic_ids = "new"
    bench.consumer.commit_log[Partition("orders", 0)] = 2
    bench.consumer.append(0, 0, 1, 2)
    bench.anew()
    bench.poll()
    assert [record.offset for record in bench.taken] == [2]
    assert bench.alerts("log_truncated") == 0


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


def test_while_the_intake_is_paused_the_lag_is_what_kafka_says(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A consumer hears of a partition's end with the records it fetches, so of a paused one no more."""
    monkeypatch.setattr(limits, "PROGRESS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(bench.consumer, "highwater", lambda _partition: 0)
    bench.loop.pause("temporal")
    bench.loop.observe(TopicSnapshot(None, {0: 70, 1: 0}))
    bench.poll(3)

    assert bench.metrics.gauge("topup_bridge_lag_records").labels("0")._value.get() == 70
    assert bench.metrics.gauge("topup_bridge_lag_records").labels("1")._value.get() == 0
