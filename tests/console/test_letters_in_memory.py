"""`topup dlq` holds heads, not records: who may write the topic fills no operator's memory, and stops no command."""

import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kafka.errors import CorruptRecordError

from adapters.kafka import dead_letters
from adapters.kafka.polling import MOST_BYTES, MOST_RECORDS, BoundedPolling
from adapters.kafka.protocols import Consumer, Message, Partition
from adapters.kafka.unreadable import Undecodable
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from console import letters
from console.settings import DlqSettings
from orders.errors import TopUpError, Unavailable
from orders.record_mac import sign
from runtime.clock import SystemClock

TOPIC = "orders.dlq"
MIB = 1024 * 1024
LETTERS = 60
SAID = {"operator": "li", "note": "why"}


class Topic:
    """A consumer of a topic whose records are made when they are polled, as the client unpacks them.

    Args:
        counts: of records, by partition.
        broken: partition and offset of a batch that can't be decoded.
    """

    def __init__(self, counts: Mapping[int, int], size_bytes: int, broken: tuple[int, int] | None = None) -> None:
        self.counts, self.size_bytes, self.broken = counts, size_bytes, broken
        self.assigned, self.at = Partition(TOPIC, 0), 0
        self.spins = False
        self.closed = 0

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return set(self.counts)

    def assign(self, partitions: Sequence[Partition]) -> None:
        [self.assigned] = partitions

    def seek(self, _partition: Partition, offset: int) -> None:
        self.at = offset

    def position(self, _partition: Partition, timeout_ms: int | None = None) -> int:
        del timeout_ms
        return self.at

    def beginning_offsets(self, partitions: Sequence[Partition], timeout_ms: int) -> dict[Partition, int]:
        del timeout_ms
        return dict.fromkeys(partitions, 0)

    def end_offsets(self, partitions: Sequence[Partition], timeout_ms: int) -> dict[Partition, int]:
        del timeout_ms
        return {partition: self.counts[partition.partition] for partition in partitions}

    def poll(self, timeout_ms: int, max_records: int | None = None) -> dict[Partition, list[Message]]:
        del timeout_ms
        assert not self.spins, "polled again after a batch that can't be decoded"
        number = self.assigned.partition
        until = min(self.counts[number], self.at + (max_records or 1_000_000))
        if self.broken == (number, self.at):
            self.spins = True
            raise CorruptRecordError("structure")
        if self.broken and self.broken[0] == number:
            until = min(until, self.broken[1])
        found = [self._record(number, offset) for offset in range(self.at, until)]
        self.at = until
        return {self.assigned: found} if found else {}

    def _record(self, partition: int, offset: int) -> Message:
        value = b"%d:%d " % (partition, offset) + bytes(self.size_bytes)
        ours = {"topic": "orders", "partition": str(partition), "offset": str(offset), "timestamp": "0"}
        headers = [(dead_letters.PREFIX + name, text.encode()) for name, text in ours.items()]
        members = {"topic": TOPIC, "partition": partition, "offset": offset, "timestamp": 0, "key": b"k"}
        return cast("Message", SimpleNamespace(**members, value=value, headers=headers))

    def close(self, *, autocommit: bool, timeout_ms: int) -> None:
        del autocommit, timeout_ms
        self.spins = False
        self.closed += 1


@pytest.fixture
async def settings(tmp_path: Path) -> DlqSettings:
    url = f"sqlite:///{tmp_path / 'book.db'}"
    book = OrderBook.open(url, FieldCipher(bytes(32)), SystemClock())
    await book.migrate()
    await book.close()
    made: Any = SimpleNamespace(
        database_url=url,
        two_persons=False,
        kafka_dlq_topic=TOPIC,
        kafka_topic="orders",
        kafka_unmatched_topic="unmatched",
        kafka_bootstrap_servers="",
        record_keys=(),
    )
    return cast("DlqSettings", made)


def _with(monkeypatch: pytest.MonkeyPatch, topic: Topic, sent: list[int]) -> None:
    """The commands read this topic; what they send again is counted, and let go."""

    def read(settings: Any, **named: Any) -> Any:
        return dead_letters.read_dead_letters(settings, make_reader=lambda _: cast("Consumer", topic), **named)

    def at(settings: Any, places: Any) -> Any:
        return dead_letters.letters_at(settings, places, make_reader=lambda _: cast("Consumer", topic))

    class Producer:
        def send(self, _topic: str, *, value: bytes, key: bytes, headers: object) -> Any:
            del key, headers
            sent.append(len(value))
            return SimpleNamespace(get=lambda _seconds: None)

        def close(self, _timeout: float) -> None:
            return

    def again(settings: Any, wanted: Any, **named: Any) -> int:
        return dead_letters.redrive(
            settings, wanted, make_producer=lambda _: cast("Any", Producer()), pause=lambda _: None, **named
        )

    monkeypatch.setattr(letters, "read_dead_letters", read)
    monkeypatch.setattr(letters, "letters_at", at)
    monkeypatch.setattr(letters, "send_again", again)


async def test_listing_showing_and_redriving_hold_some_records_at_once_and_not_the_topic(
    settings: DlqSettings, monkeypatch: pytest.MonkeyPatch
):
    """Some hundred letters of 32 MiB, 32 KB packed, needed a shell with as much memory."""
    sent = list[int]()
    _with(monkeypatch, Topic({0: LETTERS // 2, 1: LETTERS // 2}, MIB), sent)
    await letters.found(settings)  # what is imported and made once isn't counted
    tracemalloc.start()
    try:
        found = await letters.found(settings)
        listed = tracemalloc.get_traced_memory()[0]
        assert letters.whole(settings, found[0]).value is not None
        assert await letters.redrive(settings, found, 1000.0, SAID) == (LETTERS, [])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) == LETTERS
    assert sum(sent) > LETTERS * MIB
    assert listed < MIB, "of all letters together"
    assert peak < 2 * MOST_BYTES + 8 * MIB < LETTERS * MIB, "what was polled, what is polled next, and a record"


async def test_a_batch_that_cannot_be_decoded_is_named_and_hides_no_other_letter(
    settings: DlqSettings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """It ended in a traceback."""
    topic = Topic({0: 5, 1: 5, 2: 5}, 10, broken=(1, 2))
    _with(monkeypatch, topic, [])
    found = await letters.found(settings)
    assert [one.place for one in found] == [*(f"0:{n}" for n in range(5)), "1:0", "1:1", *(f"2:{n}" for n in range(5))]
    said = capsys.readouterr().err
    assert f"{TOPIC}:1 can't be read from offset 2 on" in said
    assert topic.closed == 3, "one reader for the partitions, one to the batch, one behind it"

    lost = dead_letters.letters_at(cast("Any", settings), [(1, 2)], make_reader=lambda _: cast("Consumer", topic))
    with pytest.raises(Unavailable, match="can't be read from offset 2"):
        next(lost)


async def test_a_letter_that_is_another_record_by_now_is_not_sent_again(
    settings: DlqSettings, monkeypatch: pytest.MonkeyPatch
):
    """The topic was made anew, or cut, between the list and the word."""
    sent = list[int]()
    _with(monkeypatch, Topic({0: 2}, 10), sent)
    found = await letters.found(settings)
    _with(monkeypatch, Topic({0: 2}, 11), sent)
    with pytest.raises(TopUpError, match="Another record lies at 0:0 by now"):
        await letters.redrive(settings, found, 1000.0, SAID)
    _with(monkeypatch, Topic({0: 0}, 10), sent)
    with pytest.raises(TopUpError, match="Kafka has 0:0 no more"):
        letters.whole(settings, found[0])
    assert sent == []


def test_one_poll_is_bounded_in_records_and_bytes_and_hands_over_what_came_before_a_broken_batch():
    """The bridge read 100 records at once: of 32 MiB each, 3 GiB."""
    small, large = Topic({0: 500}, 10), Topic({0: 500}, MIB)
    assert len(BoundedPolling(cast("Consumer", small)).some(0)[Partition(TOPIC, 0)]) == MOST_RECORDS
    assert len(BoundedPolling(cast("Consumer", large)).some(0)[Partition(TOPIC, 0)]) == MOST_BYTES // MIB

    polling = BoundedPolling(cast("Consumer", Topic({0: 9}, 10, broken=(0, 3))))
    assert len(polling.some(0)[Partition(TOPIC, 0)]) == 3
    with pytest.raises(Undecodable):
        polling.some(0)


async def test_a_record_that_no_key_proves_is_sent_again_by_two_persons(
    settings: DlqSettings, monkeypatch: pytest.MonkeyPatch
):
    """One person alone had sold what a forged dead letter says."""
    sent, topic = list[int](), Topic({0: 2}, 10)
    _with(monkeypatch, topic, sent)
    monkeypatch.setattr(settings, "two_persons", True)

    async def redrive(operator: str) -> tuple[int, list[str], list[str]]:
        found = await letters.found(settings)
        count, proposals = await letters.redrive(settings, found, 1000.0, {"operator": operator, "note": operator})
        return count, proposals, [one.kept.ended_by for one in await letters.found(settings)]

    for operator in ("li", " LI "):
        count, proposals, ended = await redrive(operator)
        assert (count, len(sent), ended) == (0, 0, ["", ""])
        assert len(proposals) == 2
        assert "proposes redriven until" in proposals[0]
    topic.counts = {0: 3}
    count, proposals, ended = await redrive("wang")
    assert (count, len(sent), ended) == (2, 2, ["LI and wang", "LI and wang", ""])
    assert len(proposals) == 1, "one that came since is proposed"


async def test_a_record_that_a_key_proves_is_sent_again_by_one_person(
    settings: DlqSettings, monkeypatch: pytest.MonkeyPatch
):
    """And one beside it that says it is signed, and isn't, by two."""
    sent, key = list[int](), bytes(range(32))
    topic = Topic({0: 1, 1: 1}, 10)
    whole = topic._record

    def signed(partition: int, offset: int) -> Message:
        record = whole(partition, offset)
        mac = sign(key if partition else bytes(32), record.key, record.value)
        return cast("Message", SimpleNamespace(**{**vars(record), "headers": [*record.headers, ("topup-mac", mac)]}))

    monkeypatch.setattr(topic, "_record", signed)
    _with(monkeypatch, topic, sent)
    monkeypatch.setattr(settings, "two_persons", True)
    monkeypatch.setattr(settings, "record_keys", (key,))
    found = await letters.found(settings)
    count, proposals = await letters.redrive(settings, found, 1000.0, SAID)
    assert (count, len(sent), len(proposals)) == (1, 1, 1)
    assert {one.place: one.kept.ended_by for one in await letters.found(settings)} == {"0:0": "", "1:0": "li"}


async def test_what_two_persons_wish_is_ended_once_kafka_has_it_and_not_before(
    settings: DlqSettings, monkeypatch: pytest.MonkeyPatch
):
    """A shell that dies between their words and the sending leaves it open; the same word again sends it."""
    sent = list[int]()
    _with(monkeypatch, Topic({0: 1}, 10), sent)
    monkeypatch.setattr(settings, "two_persons", True)
    found = await letters.found(settings)
    await letters.redrive(settings, found, 1000.0, SAID)

    def away(*_arguments: object, **_named: object) -> int:
        raise Unavailable("Kafka is away")

    sends = letters.send_again
    monkeypatch.setattr(letters, "send_again", away)
    other = {"operator": "wang", "note": "why"}
    with pytest.raises(Unavailable):
        await letters.redrive(settings, found, 1000.0, other)
    [one] = await letters.found(settings)
    assert one.is_open
    monkeypatch.setattr(letters, "send_again", sends)
    assert await letters.redrive(settings, [one], 1000.0, other) == (1, [])
    assert (await letters.found(settings))[0].kept.ended_by == "li and wang"
