"""The watermark: a committed offset never lies beyond a record that isn't complete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kafka.assignments import Assignments
from adapters.kafka.watermark import PartitionAssignment, Watermark
from tests.adapters.kafka.fakes import Partition

# Offsets rise, with gaps: transaction markers, aborted records, compaction.
offsets = st.lists(st.integers(1, 5), min_size=1, max_size=30).map(
    lambda gaps: [sum(gaps[: n + 1]) for n in range(len(gaps))]
)


@given(delivered=offsets, data=st.data())
def test_the_watermark_is_the_lowest_offset_that_is_not_complete(delivered: list[int], data: st.DataObject) -> None:
    watermark = Watermark()
    read, incomplete = list(delivered), []
    while read or incomplete:
        if read and (not incomplete or data.draw(st.booleans())):
            incomplete.append(read.pop(0))
            watermark.deliver(incomplete[-1])
        else:
            watermark.complete(incomplete.pop(data.draw(st.integers(0, len(incomplete) - 1))))
        seen = delivered[: len(delivered) - len(read)]
        assert watermark.committable() == (min(incomplete) if incomplete else seen[-1] + 1)
        assert watermark.in_flight == len(incomplete)


@given(delivered=offsets, position=st.integers(0, 300))
def test_a_position_counts_only_while_nothing_is_in_flight_and_never_goes_back(
    delivered: list[int], position: int
) -> None:
    watermark = Watermark()
    assert watermark.committable(position) == position
    for offset in delivered:
        watermark.deliver(offset)
    assert watermark.committable(position) == delivered[0]
    for offset in delivered:
        watermark.complete(offset)
    assert watermark.committable(position) == max(position, delivered[-1] + 1)


def test_nothing_read_commits_nothing() -> None:
    assert Watermark().committable() is None


@given(delivered=offsets)
def test_completing_twice_changes_nothing(delivered: list[int]) -> None:
    watermark = Watermark()
    for offset in delivered:
        watermark.deliver(offset)
    for _ in range(2):
        watermark.complete(delivered[-1])
    assert watermark.committable() == (delivered[0] if len(delivered) > 1 else delivered[0] + 1)


def test_an_offset_that_does_not_rise_is_refused() -> None:
    watermark = Watermark()
    watermark.deliver(7)
    for offset in (7, 3):
        with pytest.raises(ValueError, match="came after 7"):
            watermark.deliver(offset)


def test_a_lease_that_ended_counts_no_completion_and_commits_nothing() -> None:
    assignment = PartitionAssignment("orders", 0)
    for offset in (1, 2):
        assignment.deliver(offset, 10)
    assignment.complete(1)
    assert assignment.in_flight_bytes == 10
    assert assignment.committable() == 2
    assignment.end()
    assignment.complete(2)
    assert assignment.committable() is None
    assert not assignment.live
    assert assignment.read_again
    assert assignment.in_flight_bytes == 0


def test_a_partition_that_was_away_begins_a_lease_of_its_own() -> None:
    assignments, partition = Assignments(), Partition("orders", 0)
    assignments.assign([partition])
    first = assignments.held()[partition]
    first.deliver(5, 1)
    assignments.assign([])
    assert assignments.held() == {}
    assignments.assign([partition])
    second = assignments.held()[partition]
    second.deliver(5, 1)
    first.complete(5)
    assert second.committable() == 5


def test_a_partition_that_is_kept_keeps_its_lease_and_one_that_is_not_loses_it() -> None:
    assignments, kept, gone = Assignments(), Partition("orders", 0), Partition("orders", 1)
    assignments.assign([kept, gone])
    before = assignments.held()
    assignments.assign([kept, Partition("orders", 2)])
    assert assignments.held()[kept] is before[kept]
    assert before[kept].live
    assert not before[gone].live
    assert before[gone].read_again


def test_lost_partitions_end_and_no_others() -> None:
    assignments, kept, lost = Assignments(), Partition("orders", 0), Partition("orders", 1)
    assignments.assign([kept, lost])
    before = assignments.held()
    assignments.end([lost])
    assert assignments.held() == {kept: before[kept]}
    assert not before[lost].live


def test_records_of_a_renewed_lease_still_have_to_be_done() -> None:
    assignments, partition = Assignments(), Partition("orders", 0)
    assignments.assign([partition])
    assignment = assignments.held()[partition]
    assignments.renew(partition)
    assert not assignment.live
    assert not assignment.read_again
    assert assignments.held()[partition] is not assignment
