"""Dead letters as contracts §2 writes them."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from bridge.dead_letters import DeadLetters, distinct, letter_headers, read_dead_letters, redrive
from bridge.leases import Record
from bridge.offsets import Lease
from orders.errors import Unavailable
from tests.bridge.conftest import Sent

AT = datetime(2023, 8, 21, 18, 33, 55, 120000, tzinfo=timezone(timedelta(hours=8)))
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
    return Record(Lease("orders", 7), 42, 1692614035000, key, value, headers)


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


class FakeFuture:
    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def add_callback(self, function: Any) -> None:
        if self.error is None:
            function(object())

    def add_errback(self, function: Any) -> None:
        if self.error is not None:
            function(self.error)


class FakeProducer:
    """Each send has the next of the outcomes; the last one stays."""

    def __init__(self, *outcomes: Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[dict[str, Any]] = []
        self.closed = False

    def send(self, topic: str, **members: Any) -> FakeFuture:
        self.sent.append({"topic": topic, **members})
        return FakeFuture(self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0])

    def close(self, timeout: float) -> None:
        self.closed = True
        raise KafkaTimeoutError("a record was pending")


class FakeSettings:
    kafka_dlq_topic = "orders.dlq"
    kafka_group = "topup-bridge"


@contextlib.asynccontextmanager
async def letters_on(*producers: FakeProducer) -> Any:
    waiting = list(producers)
    letters = DeadLetters(FakeSettings(), lambda: datetime.now(UTC), make_producer=lambda _: waiting.pop(0))
    yield letters
    await letters.close()


async def test_a_dead_letter_is_written_to_a_partition_of_the_producers_choice() -> None:
    producer = FakeProducer(None)
    async with letters_on(producer) as letters:
        await letters.send(record([]), "invalid", "x")
    assert producer.sent[0]["topic"] == "orders.dlq"
    assert "partition" not in producer.sent[0]
    assert producer.closed


async def test_an_expired_dead_letter_is_not_known_to_be_written() -> None:
    producer = FakeProducer(KafkaTimeoutError("Expiring 1 record(s)"), None)
    async with letters_on(producer) as letters:
        with pytest.raises(Unavailable, match="topup setup"):
            await letters.send(record([]), "invalid", "x")
        await letters.send(record([]), "invalid", "x")
    assert len(producer.sent) == 2


async def test_a_producer_that_refused_is_replaced() -> None:
    broken, sound = FakeProducer(MessageSizeTooLargeError()), FakeProducer(None)
    async with letters_on(broken, sound) as letters:
        with pytest.raises(Unavailable, match=r"raise that topic's max\.message\.bytes to \d{4}"):
            await letters.send(record([]), "oversize", "x")
        await letters.send(record([]), "oversize", "x")
    assert len(sound.sent) == 1


# --- reading and sending again, on a real broker ---------------------------------------------------------------------


@pytest.mark.real
async def test_dead_letters_are_read_and_sent_again_as_the_originals_were(lane: Any, settings_of: Any) -> None:
    settings = settings_of(lane.environment())
    originals = [
        (None, None, [("a", b"1"), ("a", b"2")]),
        (b"", b"", []),
        (b"\xff", b"{}", [("topup-dlq-reason", b"an older one")]),
        (None, b"[]", [("empty", b"")]),
    ]
    letters = DeadLetters(settings, lambda: datetime.now(UTC))
    for offset, (key, value, headers) in enumerate(originals):
        await letters.send(
            Record(Lease(lane.topic, 2), offset, 1692614035000 + offset, key, value, headers),
            "invalid",
            f"no. {offset}",
        )
    await letters.close()

    found = sorted(await asyncio.to_thread(lambda: list(read_dead_letters(settings))), key=lambda letter: letter.source)
    assert [letter.source for letter in found] == [(lane.topic, "2", str(n)) for n in range(4)]
    assert [(letter.key, letter.value) for letter in found] == [(key, value) for key, value, _ in originals]
    assert [letter.ours("error") for letter in found] == [f"no. {n}" for n in range(4)]
    assert [letter.ours("reason") for letter in found] == ["invalid"] * 4

    assert await asyncio.to_thread(redrive, settings, found) == 4
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
async def test_what_is_sent_again_and_still_poison_is_one_more_dead_letter_without_doubled_headers(
    lane: Any, settings_of: Any
) -> None:
    settings = settings_of(lane.environment())
    bridge = await lane.ready_bridge()
    lane.send([Sent(b"", lane.order(1).value)])  # an empty key is present and not the order ID
    await lane.until(lambda: lane.counts(bridge)["invalid"] == 1, "the record is poison")
    letters = await asyncio.to_thread(lambda: list(read_dead_letters(settings)))
    assert await asyncio.to_thread(redrive, settings, letters) == 1
    await lane.until(lambda: lane.counts(bridge)["invalid"] == 2, "the record is poison again")
    again = await asyncio.to_thread(lambda: list(read_dead_letters(settings)))
    assert len(again) == 2
    assert [(one.key, one.value) for one in distinct(again)] == [(b"", lane.order(1).value)]
    assert all([name for name, _ in letter.headers].count("topup-dlq-reason") == 1 for letter in again)
