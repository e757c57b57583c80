"""From both topics to the book: nothing read is lost, nothing kept twice, whatever breaks in between."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.kafka.whole_topics import Batch, Positions, WholeTopics
from adapters.order_book.book import OrderBook
from adapters.order_book.unmatched import SignedBy
from bridge.keeper import Keeper
from orders.dead_letter import Names, Source, names_in
from orders.errors import Unavailable
from orders.record import MAX_VALUE_BYTES
from orders.record_mac import HEADER, sign
from runtime.metrics import Metrics
from tests.adapters.book_process import KEY, open_book
from tests.adapters.kafka.fakes import FakeMessage
from tests.bridge.conftest import Sent
from tests.bridge.fakes import FakeDeadLetters
from tests.limits import WAIT_SECONDS

UNMATCHED, DLQ = "topup.payments.unmatched", "topup.paid-orders.dlq"


class FakeTopics:
    """Two logs, read as `WholeTopics` reads them; `away` refuses."""

    def __init__(self) -> None:
        self.logs: dict[str, list[FakeMessage]] = {UNMATCHED: [], DLQ: []}
        self.at: dict[str, int] | None = None
        self.away = False
        self.deleted: list[tuple[str, int]] = []

    def add(self, topic: str, value: bytes | None, **headers: bytes) -> None:
        log = self.logs[topic]
        named = [(name.replace("_", "-"), content) for name, content in headers.items()]
        log.append(FakeMessage(topic, 0, len(log), value=value, headers=list(named)))

    @property
    def stands(self) -> bool:
        return self.at is not None

    def read(self, kept: Positions) -> Batch:
        if self.away:
            self.close()
            raise Unavailable("Kafka is away.")
        if self.at is None:
            self.at = {topic: kept.get((topic, 0), ("", 0))[1] for topic in self.logs}
        messages = [message for topic, log in self.logs.items() for message in log[self.at[topic] :][:2]]
        for message in messages:
            self.at[message.topic] = message.offset + 1
        deleted, self.deleted = self.deleted, []
        return Batch(messages, {(one.topic, 0): ("", self.at[one.topic]) for one in messages}, deleted)

    def close(self) -> None:
        self.at = None


class Lane:
    def __init__(self, book: OrderBook, topics: FakeTopics, record_keys: Sequence[bytes] = ()) -> None:
        self.book, self.topics, self.dead_letters, self.metrics = book, topics, FakeDeadLetters(), Metrics()
        self.keeper = Keeper(
            reader=topics,
            book=book.kept,
            dead_letters=self.dead_letters,
            unmatched_topic=UNMATCHED,
            record_keys=record_keys,
            metrics=self.metrics,
        )

    def gauge(self, name: str) -> float:
        [line] = [one for one in self.metrics.exposition().decode().splitlines() if one.startswith(f"{name} ")]
        return float(line.split()[-1])


@pytest.fixture
async def book(tmp_path: Path) -> Any:
    opened = open_book(f"sqlite:///{tmp_path}/book.db")
    await opened.migrate()
    yield opened
    await opened.close()


def unmatched(number: int) -> bytes:
    return json.dumps(
        {
            "schema": "topup.unmatched-payment/1",
            "provider": "alipay",
            "merchant_id": "2088",
            "out_trade_no": f"T{number:08}",
            "transaction_id": f"2023{number:08}",
            "amount_fen": 9900,
            "currency": "CNY",
            "paid_at": "2023-08-21T18:33:55+08:00",
            "reason": "lookup",
        }
    ).encode()


def dead(topics: FakeTopics, offset: int, value: bytes | None = b"{") -> None:
    source = {"topup_dlq_topic": b"topup.paid-orders", "topup_dlq_partition": b"2", "topup_dlq_timestamp": b"9"}
    topics.add(DLQ, value, topup_dlq_reason=b"invalid", topup_dlq_offset=str(offset).encode(), **source)


def trusting(*_: Any) -> bool:
    return True


async def names(book: OrderBook, signed: SignedBy = trusting) -> list[str]:
    return sorted(one.state.payment.out_trade_no for one in await book.unmatched.listed(signed))


async def test_both_topics_are_kept_whole_and_counted(book: OrderBook):
    topics = FakeTopics()
    lane = Lane(book, topics)
    for number in range(5):
        topics.add(UNMATCHED, unmatched(number))
        dead(topics, number)
    for _ in range(4):
        await lane.keeper.run_once()

    assert await names(book) == [f"T{number:08}" for number in range(5)]
    assert [one.source.offset for one in await book.letters.listed()] == list(range(5))
    assert lane.gauge("topup_unmatched_payments_open") == lane.gauge("topup_dead_letters_open") == 5
    assert "are kept" in await lane.keeper.check()


async def test_what_was_read_and_not_kept_comes_again(book: OrderBook, monkeypatch: pytest.MonkeyPatch):
    """Killed or cut off between reading and keeping, at each place; and read by two bridges at once."""
    topics, other = FakeTopics(), FakeTopics()
    for number in range(6):
        topics.add(UNMATCHED, unmatched(number))
    other.logs = topics.logs
    lane, beside = Lane(book, topics), Lane(book, other)
    keep, failures = book.kept.keep, iter([True, False, True, False, False] + [False] * 20)

    async def failing(*args: Any) -> None:
        if next(failures):
            raise Unavailable("The database doesn't answer.")
        await keep(*args)

    monkeypatch.setattr(book.kept, "keep", failing)
    monkeypatch.setattr("bridge.policies.RETRY_FIRST_PAUSE_SECONDS", 0.001)
    working = [asyncio.create_task(one.keeper.run()) for one in (lane, beside)]
    async with asyncio.timeout(WAIT_SECONDS):
        while len(await names(book)) < 6:
            await asyncio.sleep(0.01)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)

    assert await names(book) == [f"T{number:08}" for number in range(6)]


async def test_a_record_that_is_no_unmatched_payment_becomes_a_dead_letter_and_holds_nothing_up(book: OrderBook):
    topics = FakeTopics()
    lane = Lane(book, topics)
    topics.add(UNMATCHED, b"{}")
    topics.add(UNMATCHED, unmatched(1))
    await lane.keeper.run_once()

    assert [(offset, reason) for offset, reason, _ in lane.dead_letters.letters] == [(0, "invalid")]
    assert await names(book) == ["T00000001"]


@pytest.mark.parametrize("member", ["out_trade_no", "currency"])
@pytest.mark.parametrize("text", ["a\0b", "x" * 3000], ids=["NUL", "long"])
async def test_what_no_database_keeps_is_a_dead_letter_and_holds_nothing_up(book: OrderBook, member: str, text: str):
    """Forged by who may write the topic: else it would hide all unmatched payments and dead letters behind it."""
    topics = FakeTopics()
    lane = Lane(book, topics)
    topics.add(UNMATCHED, json.dumps(json.loads(unmatched(1)) | {member: text}).encode())
    topics.add(UNMATCHED, unmatched(2))
    await lane.keeper.run_once()

    assert [reason for _, reason, _ in lane.dead_letters.letters] == ["invalid"]
    assert await names(book) == ["T00000002"]


@pytest.mark.parametrize(
    "forged",
    [
        {"topup_dlq_partition": b"9" * 15},
        {"topup_dlq_topic": b"t" * 250},
        {"topup_dlq_topic": "bestellungen-für-alle".encode()},
        {"topup_dlq_topic": b"a\0b"},
        {"topup_dlq_topic": b""},
    ],
    ids=["partition", "long topic", "odd topic", "NUL", "no topic"],
)
async def test_a_letter_from_no_place_that_kafka_has_counts_as_its_own(book: OrderBook, forged: dict[str, bytes]):
    topics = FakeTopics()
    source = {"topup_dlq_topic": b"orders", "topup_dlq_partition": b"2", "topup_dlq_timestamp": b"9"}
    topics.add(DLQ, b"{", topup_dlq_offset=b"1", **{**source, **forged})
    await Lane(book, topics).keeper.run_once()

    assert [one.source for one in await book.letters.listed()] == [Source("", 0, 0, 0)]


def test_a_record_far_beyond_an_orders_size_is_not_read_for_names():
    """31 KB of gzip make 867 MiB of Python of it (measured), which ends the bridge, and the next one."""
    order = b'{"order_id": "T00000001", "padding": [' + b"{}," * MAX_VALUE_BYTES + b"{}]}"
    assert names_in(b'{"order_id": "T00000001"}').order_id == "T00000001"
    assert names_in(order) == Names()


async def test_a_mac_that_no_key_has_made_is_not_kept(book: OrderBook):
    topics = FakeTopics()
    lane = Lane(book, topics, [KEY])
    topics.add(UNMATCHED, unmatched(1), **{HEADER: sign(KEY, None, unmatched(1))})
    topics.add(UNMATCHED, unmatched(2), **{HEADER: b"forged"})
    await lane.keeper.run_once()

    macs: dict[str, bytes | None] = {}

    def note(payment: Any, value: bytes, mac: bytes | None) -> bool:
        del value
        macs[payment.out_trade_no] = mac
        return True

    await names(book, note)
    assert macs == {"T00000001": sign(KEY, None, unmatched(1)), "T00000002": None}


async def test_an_outage_is_named_and_what_was_deleted_unread_is_an_alert(
    book: OrderBook, monkeypatch: pytest.MonkeyPatch
):
    topics = FakeTopics()
    lane = Lane(book, topics)
    topics.away = True
    monkeypatch.setattr("bridge.policies.RETRY_FIRST_PAUSE_SECONDS", 0.001)
    task = asyncio.create_task(lane.keeper.run())
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            with pytest.raises(Unavailable) as said:
                await lane.keeper.check()
            if "Kafka is away" in str(said.value):
                break
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    topics.away, topics.deleted = False, [(UNMATCHED, 0)]
    await lane.keeper.run_once()
    alerts = lane.metrics.exposition().decode()
    assert 'topup_alerts_total{alert="records_deleted_unread"} 1.0' in alerts


@pytest.mark.real
async def test_real_topics_are_read_from_where_they_were_kept(lane: Any, settings_of: Any):
    """One partition after the other, with a new reader from the kept positions, and after the topic was cut."""
    settings = settings_of(lane.environment())
    lane.send([Sent(None, str(number).encode()) for number in range(30)])
    reader = WholeTopics(settings, (lane.topic,))
    kept: dict[tuple[str, int], tuple[str, int]] = {}
    read: list[bytes] = []

    def more(reader: WholeTopics) -> int:
        batch = reader.read(kept)
        kept.update(batch.positions)
        read.extend(message.value or b"" for message in batch.messages)
        return len(batch.messages)

    async with asyncio.timeout(WAIT_SECONDS):
        while len(read) < 30:
            await asyncio.to_thread(more, reader)
    reader.close()
    assert sorted(read, key=int) == [str(number).encode() for number in range(30)]
    lane.send([Sent(None, b"30")])
    again = WholeTopics(settings, (lane.topic,))
    async with asyncio.timeout(WAIT_SECONDS):
        while not await asyncio.to_thread(more, again):
            pass
    assert read[30:] == [b"30"]
    again.close()

    missing = WholeTopics(settings, ("none",))
    with pytest.raises(Unavailable, match="no topic none: run `topup setup`"):
        await asyncio.to_thread(missing.read, {})
