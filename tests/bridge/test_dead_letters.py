"""Dead letters as contracts §2 writes them."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import MessageSizeTooLargeError

from adapters.kafka.assignments import Record
from adapters.kafka.dead_letters import DeadLetter, digest_of, head_of, kept_letter, read_dead_letters, redrive
from adapters.kafka.producer import AcknowledgedProducer
from adapters.kafka.watermark import PartitionAssignment
from bridge.dead_letters import DeadLetters, letter_headers
from console import letters
from console.letters import grouped
from console.settings import DlqSettings
from orders.dead_letter import Source
from orders.errors import Unavailable
from runtime.settings import load
from tests.adapters.kafka.fakes import FakeProducer
from tests.bridge.conftest import Sent
from tests.bridge.test_bridge_delivery import NotUtf8

AT = datetime(2023, 8, 21, 18, 33, 55, 120000, tzinfo=timezone(timedelta(hours=8)))
SETTINGS: Any = SimpleNamespace(kafka_dlq_topic="orders.dlq", kafka_group="topup-bridge")
OURS = [
    ("topup-dlq-reason", b"invalid"),
    ("topup-dlq-error", "amount_fen: é".encode()),
    ("topup-dlq-topic", b"orders"),
    ("topup-dlq-partition", b"7"),
    ("topup-dlq-offset", b"42"),
    ("topup-dlq-timestamp", b"1692614035000"),
    ("topup-dlq-group", b"topup-bridge"),
    ("topup-dlq-at", b"2023-08-21T10:33:55.120000Z"),
]


def record(headers: list[tuple[str, bytes | None]], key: bytes | None = b"k", value: bytes | None = b"v") -> Record:
    return Record(PartitionAssignment("orders", 7), 42, 1692614035000, key, value, headers)


def written(headers: list[tuple[str, bytes | None]], error: str = "amount_fen: é") -> list[tuple[str, bytes]]:
    return letter_headers(record(headers), reason="invalid", error=error, group="topup-bridge", at=AT)


def test_the_originals_headers_keep_order_and_repeats_and_ours_follow() -> None:
    originals: list[tuple[str, bytes | None]] = [
        ("b", b"1"),
        ("a", b"\xff\x00"),
        ("b", b"2"),
        ("", b""),
        ("traceparent", None),
        ("Topup-Dlq-reason", b"not ours"),
        ("x-topup-dlq-reason", b"not ours"),
    ]
    assert written(originals) == [(name, value or b"") for name, value in originals] + OURS


def test_headers_of_an_earlier_dead_letter_are_replaced_never_doubled() -> None:
    earlier: list[tuple[str, bytes | None]] = [("a", b"1"), *OURS, ("topup-dlq-unknown", b"x"), ("b", b"2")]
    assert written(earlier) == [("a", b"1"), ("b", b"2"), *OURS]


def test_the_error_is_at_most_512_characters() -> None:
    assert dict(written([], error="é" * 600))["topup-dlq-error"] == ("é" * 512).encode()


# --- sending ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def letters_on(producer: FakeProducer) -> Any:
    sends = AcknowledgedProducer(SETTINGS, make_producer=lambda _: producer)
    yield DeadLetters(SETTINGS, sends, lambda: datetime.now(UTC))
    await sends.close()


async def test_a_dead_letter_is_written_to_a_partition_of_the_producers_choice() -> None:
    producer = FakeProducer(None)
    async with letters_on(producer) as letters:
        await letters.send(record([]), "invalid", "x")
    assert producer.sent[0]["topic"] == "orders.dlq"
    assert "partition" not in producer.sent[0]


async def test_a_dead_letter_that_is_too_large_names_its_record_and_the_size_that_its_topic_needs() -> None:
    async with letters_on(FakeProducer(MessageSizeTooLargeError())) as letters:
        with pytest.raises(
            Unavailable, match=r"letter of orders:7:42 is too large for orders\.dlq: raise .*bytes to \d{4};"
        ):
            await letters.send(record([]), "oversize", "x")


# --- what operators see ----------------------------------------------------------------------------------------------


def lying(partition: int, value: bytes) -> DeadLetter:
    return DeadLetter(partition, 0, b"k", value, written([]))


def test_a_letter_with_anothers_source_hides_none_and_is_not_sent_in_its_place() -> None:
    """Forged by who may write the topic, before or after the genuine one, kept by the book or not yet."""
    genuine, repeat, forged = lying(1, b'{"order_id": "GENUINE1"}'), lying(3, b'{"order_id": "GENUINE1"}'), b"{}"
    for place, kept in ((0, True), (2, True), (2, False)):
        letters = sorted([genuine, repeat, lying(place, forged)], key=lambda letter: letter.partition)
        book = {(read := kept_letter(genuine)).source: read} if kept else {}
        found = {one.kept.source: one for one in grouped([head_of(letter) for letter in letters], book)}

        assert len(found) == 2
        assert (found[read.source].places, found[read.source].head) == (("1:0", "3:0"), head_of(repeat))
        assert found[Source("", place, 0, 0)].place == f"{place}:0"

    [alone, of_the_book] = grouped([head_of(lying(0, forged))], {read.source: replace(read, ending="discarded")})
    assert (alone.is_open, of_the_book.is_open, of_the_book.head) == (True, False, None)


def test_letters_that_hold_the_same_record_have_the_same_digest_and_no_others_do() -> None:
    one = DeadLetter(0, 0, b"k", b"v", [("a", b"1"), *OURS])
    again = replace(one, partition=3, offset=9, headers=[("a", b"1"), ("topup-dlq-error", b"another")])
    assert digest_of(one) == digest_of(again)
    others = [
        replace(one, key=None),
        replace(one, key=b"", value=b"kv"),
        replace(one, key=b"kv", value=b""),
        replace(one, value=None),
        replace(one, headers=[]),
        replace(one, headers=[("a", b""), ("1", b"")]),
        replace(one, headers=[("a1", b"")]),
        replace(one, key=b"k1:v", value=None),
    ]
    assert len({digest_of(letter) for letter in [one, *others]}) == 1 + len(others)


# --- reading and sending again, on a real broker ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.real
async def test_dead_letters_are_read_and_sent_again_as_the_originals_were(lane: Any, settings_of: Any) -> None:
    settings = settings_of(lane.environment())
    originals = [
        (None, None, [("a", b"1"), ("a", b"2")]),
        (b"", b"", []),
        (b"\xff", b"{}", [("topup-dlq-reason", b"an older one")]),
        (None, b"[]", [("empty", b"")]),
    ]
    producer = AcknowledgedProducer(settings)
    letters = DeadLetters(settings, producer, lambda: datetime.now(UTC))
    for offset, (key, value, headers) in enumerate(originals):
        await letters.send(
            Record(PartitionAssignment(lane.topic, 2), offset, 1692614035000 + offset, key, value, headers),
            "invalid",
            f"no. {offset}",
        )
    await producer.close()

    found = sorted(await asyncio.to_thread(lambda: list(read_dead_letters(settings))), key=lambda letter: letter.source)
    assert [letter.source for letter in found] == [(lane.topic, "2", str(n)) for n in range(4)]
    assert [(letter.key, letter.value) for letter in found] == [(key, value) for key, value, _ in originals]
    assert [letter.ours("error") for letter in found] == [f"no. {n}" for n in range(4)]
    assert [letter.ours("reason") for letter in found] == ["invalid"] * 4

    assert await asyncio.to_thread(lambda: redrive(settings, found, per_second=100, sent=lambda _: None)) == 4
    lane.dlq, dlq = lane.topic, lane.dlq
    again = {(r.key, r.value, tuple(r.headers)) for r in lane.dead_letters()}
    lane.dlq = dlq
    assert again == {
        (key, value, tuple(h for h in headers if not h[0].startswith("topup-dlq-")))
        for key, value, headers in originals
    }


@pytest.mark.real
async def test_a_missing_dead_letter_topic_is_named(make_lane: Any, settings_of: Any) -> None:
    lane = await make_lane(topics=False)
    settings = settings_of(lane.environment())
    with pytest.raises(Unavailable, match=r"no topic .*\.dlq: run `topup setup`"):
        await asyncio.to_thread(lambda: list(read_dead_letters(settings)))


@pytest.mark.real
async def test_a_batch_that_nobody_can_decode_is_named_and_the_other_partitions_are_listed(
    make_lane: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """`topup dlq list`, of a broker that took the batch in: what lies before it is listed, and what is elsewhere."""
    lane = await make_lane()
    settings = load(lane.environment(), DlqSettings)
    lane.topic = lane.dlq  # whoever may write the dead letters
    for sent in (
        Sent(b"before", b"{}", partition=0),
        Sent(b"broken", b"{}", [(NotUtf8("bad"), b"1")], partition=0),
        Sent(b"behind", b"{}", partition=0),
        Sent(b"elsewhere", b"{}", partition=1),
    ):
        await asyncio.to_thread(lane.send, [sent])  # each a batch of its own
    found = await letters.found(settings)
    assert [one.place for one in found] == ["0:0", "1:0"]
    assert f"{lane.dlq}:0 can't be read from offset 1 on" in capsys.readouterr().err
    assert (await asyncio.to_thread(letters.whole, settings, found[1])).key == b"elsewhere"


@pytest.mark.slow
@pytest.mark.real
async def test_what_is_sent_again_and_still_poison_is_one_more_dead_letter_without_doubled_headers(
    lane: Any, settings_of: Any
) -> None:
    settings = settings_of(lane.environment())
    bridge = await lane.ready_bridge()
    lane.send([Sent(b"", lane.order(1).value)])  # an empty key is present and not the order ID
    await lane.until(lambda: lane.counts(bridge)["invalid"] == 1, "the record is poison")
    letters = await asyncio.to_thread(lambda: list(read_dead_letters(settings)))
    sent: list[Any] = []
    count = await asyncio.to_thread(lambda: redrive(settings, letters, per_second=100, sent=sent.append))
    assert (count, sent) == (1, letters)
    await lane.until(lambda: lane.counts(bridge)["invalid"] == 2, "the record is poison again")
    again = await asyncio.to_thread(lambda: list(read_dead_letters(settings)))
    assert len(again) == 2
    assert [(one.key, one.value) for one in again] == [(b"", lane.order(1).value)] * 2
    assert len({one.record for one in again}) == 1
    assert all([name for name, _ in letter.headers].count("topup-dlq-reason") == 1 for letter in again)
