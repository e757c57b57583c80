"""kafka-python against a real broker: what docs/facts/kafka.md says of it, and what the bridge does about it."""

import asyncio
import queue
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from adapters.kafka import limits
from adapters.kafka.assignments import Record
from adapters.kafka.consumer_loop import ConsumerLoop
from runtime.metrics import Metrics
from tests.adapters.kafka.lane import Sent

pytestmark = pytest.mark.real

PARTITIONS = 12


@pytest.mark.slow
async def test_partitions_that_are_paused_in_the_middle_of_their_records_are_read_to_their_end(
    make_lane: Any, settings_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 500 records a poll and 1 MiB a fetch, 3 of 4 runs left a partition unread for ever (measured)."""
    monkeypatch.setattr(limits, "MAX_IN_FLIGHT", 400)
    monkeypatch.setattr(limits, "MIN_IN_FLIGHT_PER_PARTITION", 20)
    lane = await make_lane(partitions=PARTITIONS)
    await asyncio.to_thread(lane.send, lane.orders(6000))
    waiting: queue.SimpleQueue[Sequence[Record] | None] = queue.SimpleQueue()
    seen = 0

    def work() -> None:
        nonlocal seen
        while (records := waiting.get()) is not None:
            for record in records:
                seen += 1
                record.complete()

    worker = threading.Thread(target=work)
    worker.start()
    loop = ConsumerLoop(settings_of(lane.environment()), waiting.put, Metrics())
    loop.start()
    try:
        await lane.until(lambda: seen == 6000, "all records were read")
        await lane.until_all_committed()
        assert loop.trouble() is None
    finally:
        await asyncio.to_thread(loop.stop, 20)
        waiting.put(None)
        worker.join()


@pytest.mark.long
async def test_with_an_eager_assignor_the_client_keeps_its_position_in_partitions_that_come_back(
    make_lane: Any, settings_of: Any
) -> None:
    """What `assignments` is built on: revoked and assigned again, nothing uncommitted is read a second time."""
    lane = await make_lane(partitions=2)
    await asyncio.to_thread(lane.send, lane.orders(40))
    taken: list[Record] = []
    first = ConsumerLoop(settings_of(lane.environment()), taken.extend, Metrics())
    second = ConsumerLoop(settings_of(lane.environment()), lambda _: None, Metrics())
    first.start()
    try:
        await lane.until(lambda: len(taken) == 40, "all records were read, and none is complete")
        second.start()
        await lane.until(lambda: len(second.assignments.held()) == 1, "the second member has a partition")
        (kept,) = first.assignments.held().values()
        mine = [record for record in taken if record.partition == kept.partition]
        assert kept.in_flight == len(mine)
        assert all(record.assignment is kept for record in mine)
        assert {record.assignment.read_again for record in taken if record.partition != kept.partition} == {True}
        await asyncio.to_thread(second.stop, 20)
        await lane.until(lambda: len(first.assignments.held()) == 2, "the first member has both again")
        await lane.until(lambda: len(taken) == 80 - len(mine), "the partition that was away is read again")
        await asyncio.sleep(1)
        assert len([record for record in taken if record.partition == kept.partition]) == len(mine)
        assert all(offset == 0 for offset in lane.committed().values())
        for record in taken:
            record.complete()
        await lane.until_all_committed()
    finally:
        await asyncio.to_thread(first.stop, 20)
        await asyncio.to_thread(second.stop, 20)


@pytest.mark.slow
async def test_a_small_record_that_decompresses_to_hundreds_of_mib_stops_its_partition_alone(
    make_lane: Any, settings_of: Any
) -> None:
    lane = await make_lane(partitions=2)
    taken: list[Record] = []
    loop = ConsumerLoop(settings_of(lane.environment()), taken.extend, Metrics())

    def send() -> None:
        bomb = Sent(None, bytes(300 * 2**20), partition=0)
        lane.send([bomb], compression_type="gzip", max_request_size=2**30)
        lane.send([Sent(None, b"behind", partition=0), Sent(None, b"beside", partition=1)])

    await asyncio.to_thread(send)
    loop.start()
    try:
        await lane.until(lambda: "Partition 0" in (loop.trouble() or ""), "its partition stands still")
        assert "BatchTooLarge" in (loop.trouble() or "")
        await lane.until(lambda: [record.value for record in taken][-1:] == [b"beside"], "the other one is read")
        assert b"behind" not in {record.value for record in taken}
    finally:
        await asyncio.to_thread(loop.stop, 20)
