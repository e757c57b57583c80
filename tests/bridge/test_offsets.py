"""The watermark: a committed offset never lies beyond a record that isn't complete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.leases import Leases
from bridge.offsets import Lease, Watermark
from tests.bridge.fakes import Partition

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
    lease = Lease("orders", 0)
    for offset in (1, 2):
        lease.deliver(offset, 10)
    lease.complete(1)
    assert lease.in_flight_bytes == 10
    assert lease.committable() == 2
    lease.end()
    lease.complete(2)
    assert lease.committable() is None
    assert not lease.live
    assert lease.read_again
    assert lease.in_flight_bytes == 0


def test_a_partition_that_was_away_begins_a_lease_of_its_own() -> None:
    leases, partition = Leases(), Partition("orders", 0)
    leases.assign([partition])
    first = leases.held()[partition]
    first.deliver(5, 1)
    leases.assign([])
    assert leases.held() == {}
    leases.assign([partition])
    second = leases.held()[partition]
    second.deliver(5, 1)
    first.complete(5)
    assert second.committable() == 5


def test_a_partition_that_is_kept_keeps_its_lease_and_one_that_is_not_loses_it() -> None:
    leases, kept, gone = Leases(), Partition("orders", 0), Partition("orders", 1)
    leases.assign([kept, gone])
    before = leases.held()
    leases.assign([kept, Partition("orders", 2)])
    assert leases.held()[kept] is before[kept]
    assert before[kept].live
    assert not before[gone].live
    assert before[gone].read_again


def test_lost_partitions_end_and_no_others() -> None:
    leases, kept, lost = Leases(), Partition("orders", 0), Partition("orders", 1)
    leases.assign([kept, lost])
    before = leases.held()
    leases.end([lost])
    assert leases.held() == {kept: before[kept]}
    assert not before[lost].live


def test_records_of_a_renewed_lease_still_have_to_be_done() -> None:
    leases, partition = Leases(), Partition("orders", 0)
    leases.assign([partition])
    lease = leases.held()[partition]
    leases.renew(partition)
    assert not lease.live
    assert not lease.read_again
    assert leases.held()[partition] is not lease
