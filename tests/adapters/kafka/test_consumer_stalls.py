"""A consumer that gets on no more is told from one that has nothing to do, and a new one takes its place."""

import pytest
from kafka.errors import KafkaConnectionError
from kafka.structs import MemberState

from adapters.kafka import limits
from adapters.kafka.broker_watch import TopicSnapshot
from adapters.kafka.consumer_loop import TopicMissing
from adapters.kafka.progress import Stalled
from tests.adapters.kafka.consumer_bench import Bench

pytestmark = pytest.mark.usefixtures("commit_each_time")


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
