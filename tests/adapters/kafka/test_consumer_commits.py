"""What is committed, and when: only what is complete, whatever a rebalance takes away and gives back."""

import pytest
from kafka.errors import CommitFailedError

from tests.adapters.kafka.consumer_bench import Bench, committed
from tests.adapters.kafka.fakes import Partition


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


def test_offsets_that_go_back_in_one_assignment_need_a_new_consumer(bench: Bench) -> None:
    bench.consumer.append(0, 5)
    bench.poll()
    bench.consumer.logs[Partition("orders", 0)][0].offset = 4
    bench.consumer.positions[Partition("orders", 0)] = 0
    with pytest.raises(ValueError, match="came after"):
        bench.poll()
