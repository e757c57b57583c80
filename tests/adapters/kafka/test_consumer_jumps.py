"""A log that jumps: no commit yet, records deleted unread, cut off, or of a topic that was made anew."""

from typing import Any

import pytest
from kafka.errors import LogTruncationError, NoOffsetForPartitionError, OffsetOutOfRangeError

from adapters.kafka import limits
from adapters.kafka.broker_watch import TopicSnapshot
from adapters.kafka.progress import TopicRecreated
from tests.adapters.kafka.consumer_bench import Bench, committed
from tests.adapters.kafka.fakes import Partition

pytestmark = pytest.mark.usefixtures("commit_each_time")


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
