"""Bridges as real processes between real Kafka and real Temporal: nothing lost, nothing started twice.

In every test: records in = unique starts + duplicates + dead letters, and a committed offset never lies beyond a
record that is not complete.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from tests.bridge.conftest import Lane, Sent

pytestmark = pytest.mark.real


def ids(lane: Lane, count: int, first: int = 0) -> Counter[str]:
    return Counter(f"{lane.prefix}-{n:06}" for n in range(first, first + count))


def incomplete_below_the_commit(lane: Lane, started: Counter[str]) -> list[str]:
    """Orders whose record lies below the committed offset though no run of theirs was started."""
    committed = lane.committed()
    with contextlib.closing(KafkaConsumer(bootstrap_servers=lane.kafka.bootstrap_servers)) as consumer:
        partitions = [TopicPartition(lane.topic, n) for n in committed]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        missing: list[str] = []
        while any(consumer.position(p) < committed[p.partition] for p in partitions):
            for partition, records in consumer.poll(1000).items():
                below = [r for r in records if r.offset < committed[partition.partition]]
                missing += [r.key.decode() for r in below if r.key.decode() not in started]
        return missing


async def test_each_paid_order_gets_one_run(lane: Lane) -> None:
    bridge = await lane.ready_bridge()
    lane.send(lane.orders(300))
    await lane.until_started(300)
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 300)
    assert lane.counts(bridge) == {"started": 300}


@pytest.mark.slow
async def test_every_codec_of_kafka_is_read(lane: Lane) -> None:
    for n, codec in enumerate(("gzip", "snappy", "lz4", "zstd")):
        lane.send(lane.orders(20, first=20 * n), compression_type=codec)
    await lane.ready_bridge()
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 80)


@pytest.mark.long
async def test_a_bridge_killed_in_the_middle_of_a_batch_loses_and_doubles_nothing(lane: Lane) -> None:
    lane.send(lane.orders(1000))
    first = lane.bridge()
    await lane.until_started(200)
    first.kill()
    started = await lane.started()
    assert started.total() < 1000, "killed too late to show anything"
    assert incomplete_below_the_commit(lane, started) == []
    second = await lane.ready_bridge()
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 1000)
    assert set(lane.counts(second)) <= {"started", "duplicate"}


@pytest.mark.long
async def test_rebalances_in_the_middle_of_batches_lose_and_double_nothing(lane: Lane) -> None:
    """The first bridge keeps some of its partitions, with records in flight, through all of them."""
    lane.send(lane.orders(1500))
    first = lane.bridge()
    await lane.until_started(100)
    second = lane.bridge()
    await lane.until(lambda: lane.counts(second).total() > 50, "the second bridge works too")
    assert await lane.terminate(second) == 0
    third = lane.bridge()
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 1500)
    for bridge in (first, third):
        assert await lane.terminate(bridge) == 0


@pytest.mark.long
async def test_a_bridge_that_keeps_its_partitions_through_a_rebalance_loses_nothing_of_what_it_has_in_hand(
    lane: Lane,
) -> None:
    first = await lane.ready_bridge(TOPUP_BRIDGE_MAX_FIRST_PASS="10")
    lane.send(lane.orders(300))
    await lane.until_started(10)
    await lane.until(lambda: "290 records in hand" in str(lane.readyz(first)), "the others wait in memory")
    second = lane.bridge(TOPUP_BRIDGE_MAX_FIRST_PASS="10")
    await lane.until(lambda: lane.readyz_partitions(second), "the second bridge has partitions")
    await asyncio.sleep(2)
    assert sum(lane.committed().values()) <= 10
    assert await lane.terminate(second) == 0
    await asyncio.sleep(2)
    assert sum(lane.committed().values()) <= 10
    assert incomplete_below_the_commit(lane, await lane.started()) == []


@pytest.mark.long
async def test_a_stopped_bridge_finishes_what_it_has_in_hand_and_leaves_nothing_uncommitted(lane: Lane) -> None:
    lane.send(lane.orders(1000))
    bridge = lane.bridge(TOPUP_BRIDGE_MAX_FIRST_PASS="400")  # the others wait in its memory
    await lane.until_started(100)
    assert await lane.terminate(bridge) == 0
    started = await lane.started()
    assert started.total() == await lane.claimed(), "what was claimed is finished, what wasn't is left to the next"
    assert 100 <= started.total() <= 400
    assert incomplete_below_the_commit(lane, started) == []
    # All that was started and is contiguous is committed: the next bridge reads little of it again.
    committed = sum(lane.committed().values())
    assert committed >= started.total() - 100
    second = await lane.ready_bridge()
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 1000)
    assert lane.counts(second)["duplicate"] <= started.total() - committed


@pytest.mark.slow
async def test_producers_duplicates_conflicts_and_poison_all_add_up(lane: Lane) -> None:
    rng = random.Random(7)
    orders = lane.orders(200)
    duplicates = rng.choices(orders, k=150)
    conflicts = [lane.order(number, amount_fen=1) for number in range(20)]
    stolen = [lane.order(1000 + n, payment__transaction_id=f"42{lane.prefix}-{n:06}") for n in range(20, 30)]
    poison = [Sent(None, b"{}"), Sent(b"k", b"nonsense"), Sent(b"k", b"x" * 70_000), Sent(b"k", None)]
    later = [*duplicates, *conflicts, *stolen, *poison]
    rng.shuffle(later)
    bridge = await lane.ready_bridge()
    lane.send(orders)
    await lane.until_started(200)
    lane.send(later)
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 200)
    assert lane.counts(bridge) == {"started": 200, "duplicate": 150, "conflict": 30, "invalid": 3, "oversize": 1}
    letters = lane.dead_letters()
    assert Counter(dict(letter.headers)["topup-dlq-reason"] for letter in letters) == {
        b"conflict": 30,
        b"invalid": 3,
        b"oversize": 1,
    }
    assert Counter((letter.key, letter.value) for letter in letters) == Counter(
        (record.key, record.value) for record in [*conflicts, *stolen, *poison]
    )
    assert lane.metrics(bridge, "topup_alerts_total")["conflict"] == 30


@pytest.mark.slow
async def test_records_that_were_never_committed_are_no_orders_and_gaps_in_offsets_hold_nothing_up(lane: Lane) -> None:
    bridge = await lane.ready_bridge()
    producer = lane.producer(transactional_id=f"transaction-{lane.prefix}")
    producer.init_transactions()
    wanted = Counter[str]()
    for batch in range(6):
        producer.begin_transaction()
        for order in lane.orders(10, first=batch * 10):
            producer.send(lane.topic, key=order.key, value=order.value)
        producer.flush()
        if batch % 2:
            producer.abort_transaction()
        else:
            producer.commit_transaction()
            wanted += ids(lane, 10, first=batch * 10)
    producer.close()
    await lane.until_all_committed()
    assert await lane.started() == wanted
    assert lane.counts(bridge) == {"started": 30}
    await lane.until(
        lambda: set(lane.metrics(bridge, "topup_bridge_lag_records").values()) == {0.0}, "the lag reaches 0"
    )


# --- poison ----------------------------------------------------------------------------------------------------------


class NotUtf8(str):
    """A header key that a producer encodes as it likes."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"key-\xff\xfe"


def poison_of_every_kind(lane: Lane) -> list[Sent]:
    good = json.loads(lane.order(1).value or b"")
    key = good["order_id"].encode()

    def changed(**members: Any) -> bytes:
        return json.dumps({**good, **members}).encode()

    def raw(text: str) -> bytes:
        return changed(note="@@").replace(b'"@@"', text.encode())

    values: list[bytes | None] = [
        None,
        b"",
        b"\xff\xfe",
        b"\xef\xbb\xbf" + changed(),
        changed() + b" x",
        raw("NaN"),
        raw("-Infinity"),
        raw('{"a": 1, "a": 2}'),
        raw("[" * 8 + "]" * 8),
        raw('"\\ud800"'),
        raw("1" * 21),
        changed(schema="topup.paid-order/2"),
        changed(order_id="x"),
        changed(amount_fen=99.0),
        changed(amount_fen=True),
        changed(amount_fen="9900"),
        changed(currency="USD"),
        changed(vehicle={"vin": "short", "iccid": "89860321247550000015"}),
        changed(vehicle={**good["vehicle"], "msisdn": None}),
        changed(payment={**good["payment"], "provider": "cash"}),
        changed(payment={**good["payment"], "paid_at": "2023-02-29T00:00:00Z"}),
        b"x" * 65_537,
        changed(note="x" * 1_100_000),
    ]
    headers = [
        ("traceparent", b"00-1"),
        ("ce_id", b"1"),
        ("ce_id", b"2"),
        ("", b"\x00\xff"),
        ("topup-dlq-reason", b"old"),
    ]
    records = [Sent(key, value, headers) for value in values]
    return [*records, Sent(None, None), Sent(b"", changed()), Sent(b"\xff", changed()), Sent(key + b" ", changed())]


@pytest.mark.slow
async def test_poison_of_every_kind_is_a_dead_letter_byte_for_byte(lane: Lane) -> None:
    bridge = await lane.ready_bridge()
    poison = poison_of_every_kind(lane)
    lane.send(poison)
    lane.send([lane.order(1), lane.order(2)])
    await lane.until_started(2)
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 2, first=1)
    assert lane.counts(bridge) == {"started": 2, "oversize": 2, "invalid": len(poison) - 2}

    def original(headers: list[tuple[str, bytes]]) -> tuple[tuple[str, bytes], ...]:
        return tuple(header for header in headers if not header[0].startswith("topup-dlq-"))

    letters = lane.dead_letters()
    assert Counter((r.key, r.value, original(r.headers)) for r in letters) == Counter(
        (r.key, r.value, original(r.headers)) for r in poison
    )
    for letter in letters:
        names = [name for name, _ in letter.headers]
        ours = dict(letter.headers[len(original(letter.headers)) :])
        assert names[: -len(ours)] == [name for name, _ in original(letter.headers)]
        assert list(ours) == [
            f"topup-dlq-{name}"
            for name in ("reason", "error", "topic", "partition", "offset", "timestamp", "group", "at")
        ]
        assert ours["topup-dlq-topic"] == lane.topic.encode()
        assert ours["topup-dlq-group"] == lane.group.encode()
        assert "LSGBC5342AG000001" not in ours["topup-dlq-error"].decode()
    assert "LSGBC5342AG000001" not in bridge.log_tail(10_000)


@pytest.mark.slow
async def test_a_header_without_a_value_becomes_an_empty_one(lane: Lane) -> None:
    confluent = pytest.importorskip("confluent_kafka")
    bridge = await lane.ready_bridge()
    producer = confluent.Producer({"bootstrap.servers": lane.kafka.bootstrap_servers})
    producer.produce(lane.topic, value=b"{}", headers=[("a", None), ("b", b"1"), ("a", b"")])
    producer.flush(10)
    await lane.until(lambda: lane.counts(bridge)["invalid"] == 1, "the record is a dead letter")
    (letter,) = lane.dead_letters()
    assert letter.headers[:3] == [("a", b""), ("b", b"1"), ("a", b"")]


@pytest.mark.slow
async def test_a_record_that_cannot_be_decoded_stops_its_partition_and_no_other_and_nothing_is_skipped(
    lane: Lane,
) -> None:
    bridge = await lane.ready_bridge()
    on_each = [Sent(o.key, o.value, partition=n % 3) for n, o in enumerate(lane.orders(30))]
    lane.send(on_each)
    await lane.until_all_committed()
    behind = lane.orders(10, first=100)
    lane.send(
        [
            Sent(b"k", b"{}", [(NotUtf8("bad"), b"1")], partition=1),
            *(Sent(order.key, order.value, partition=1) for order in behind),
        ]
    )
    await lane.until(
        lambda: any("stands still" in check["sentence"] for check in lane.readyz(bridge)["checks"]),
        "/readyz says which partition stands still",
    )
    assert not lane.readyz(bridge)["ready"]
    lane.send([Sent(o.key, o.value, partition=2 * (n % 2)) for n, o in enumerate(lane.orders(20, first=200))])
    await lane.until_started(50)
    await lane.until(lambda: lane.committed()[0] == lane.end_offsets()[0], "the other partitions go on")
    assert await lane.started() == ids(lane, 30) + ids(lane, 20, first=200)
    assert lane.committed()[1] == 10
    assert lane.metrics(bridge, "topup_alerts_total")["partition_unreadable"] == 1
    # Also after a restart, where the record is met at once.
    assert await lane.terminate(bridge) == 0
    again = lane.bridge()
    await lane.until(
        lambda: any("stands still" in check["sentence"] for check in lane.readyz(again)["checks"]), "it says so again"
    )
    assert lane.committed()[1] == 10


@pytest.mark.long
async def test_records_that_retention_deleted_unread_are_not_passed_over_in_silence(lane: Lane) -> None:
    first = await lane.ready_bridge()
    lane.send([Sent(o.key, o.value, partition=0) for o in lane.orders(5)])
    await lane.until_all_committed()
    assert await lane.terminate(first) == 0
    lane.send([Sent(o.key, o.value, partition=0) for o in lane.orders(20, first=100)])
    with contextlib.closing(lane.kafka.admin()) as admin:
        admin.delete_records({TopicPartition(lane.topic, 0): 15})
    second = await lane.ready_bridge()
    await lane.until_all_committed()
    assert await lane.started() == ids(lane, 5) + ids(lane, 10, first=110)
    assert lane.metrics(second, "topup_alerts_total")["records_deleted_unread"] == 1
    assert "records_deleted_unread" in second.log_tail(1000)
