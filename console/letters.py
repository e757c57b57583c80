"""What `topup dlq` does: dead letters as Kafka has them, and how they were ended as the order book has it."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from adapters.kafka.dead_letters import DeadLetter, Head, digest_of, head_of, letters_at, read_dead_letters
from adapters.kafka.dead_letters import redrive as send_again
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from console.exits import say
from console.settings import DlqSettings
from orders import dead_letter, four_eyes
from orders.dead_letter import Ending, KeptLetter, Source
from orders.errors import TopUpError
from orders.four_eyes import Confirmed
from orders.record_mac import verify
from runtime.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Found:
    """One dead letter.

    Attributes:
        kept: what the book says of it, or is going to.
        head: of its bytes; None where Kafka has them no more, or they can't be read.
        places: where it lies in the dead-letter topic; one that was sent twice has two.
    """

    kept: KeptLetter
    head: Head | None
    places: tuple[str, ...]

    @property
    def place(self) -> str:
        """The newest."""
        return self.places[-1]

    @property
    def is_open(self) -> bool:
        """Whether somebody must still end it."""
        return not self.kept.ending

    def summary(self) -> dict[str, Any]:
        """Without personal data."""
        kept, source = self.kept, self.kept.source
        return {
            "place": self.place,
            "reason": kept.reason,
            "error": kept.error,
            "topic": source.topic,
            "partition": str(source.partition),
            "offset": str(source.offset),
            "at": kept.dead_at,
            "bytes": None if self.head is None else self.head.size_bytes,
            "order_id": kept.names.order_id,
            "payment": f"{kept.names.provider}:{kept.names.transaction_id}" if kept.names.provider else "",
            "amount_fen": kept.names.amount_fen,
            "ending": kept.ending,
            "ended_by": kept.ended_by,
            "ended_at": kept.ended_at.astimezone(UTC).isoformat() if kept.ended_at else "",
            "ended_note": kept.ended_note,
            "proposal": "" if kept.ending else four_eyes.open_proposal(kept, datetime.now(UTC)),
        }


async def found(settings: DlqSettings) -> list[Found]:
    """All that Kafka has, and those that only the book has (any more). Says on standard error what can't be read.

    Raises:
        TopUpError: Kafka or the book doesn't answer.
    """

    def heads() -> list[Head]:
        return [head_of(letter) for letter in read_dead_letters(settings, unreadable=say)]

    read = await asyncio.to_thread(heads)
    async with _book(settings) as book:
        kept = {one.source: one for one in await book.letters.listed()}
    return grouped(read, kept)


def grouped(heads: Sequence[Head], kept: Mapping[Source, KeptLetter]) -> list[Found]:
    """Letters as Kafka has them, repeats together, with what the book has of each, and what only the book has.

    A source's letter is the one that the book kept, else the first. One with that source and another record is no
    repeat, whoever wrote it: it stands alone, hides none, and is not sent in another's place.
    """
    records: dict[Source, bytes] = {}
    for head in heads:
        one = head.kept
        before = kept.get(one.source)
        if one.source not in records or (before is not None and before.place == one.place):
            records[one.source] = head.digest
    in_kafka: dict[Source, Found] = {}
    for head in heads:
        one = head.kept
        before = kept.get(one.source, one)
        repeats = head.digest == records[one.source] and before.may_repeat(one)
        source = one.source if repeats else one.alone
        places = in_kafka[source].places if source in in_kafka else ()
        in_kafka[source] = Found(kept.get(source, replace(one, source=source)), head, (*places, one.place))
    gone = [Found(one, None, (one.place,)) for source, one in kept.items() if source not in in_kafka]
    return [*in_kafka.values(), *gone]


def whole(settings: DlqSettings, one: Found) -> DeadLetter:
    """Its bytes, read anew. Blocks.

    Raises:
        TopUpError: Kafka doesn't answer, or has this record no more.
    """
    return next(iter(_wholes(settings, [one])))


def _wholes(settings: DlqSettings, chosen: Sequence[Found]) -> Iterator[DeadLetter]:
    places = [one.place.partition(":") for one in chosen]
    wholes = letters_at(settings, ((int(partition), int(offset)) for partition, _, offset in places))
    for one, letter in zip(chosen, wholes, strict=True):
        if one.head is None or digest_of(letter) != one.head.digest:
            raise TopUpError(f"Another record lies at {one.place} by now: look again with `topup dlq list`.")
        yield letter


async def redrive(
    settings: DlqSettings, chosen: Sequence[Found], per_second: float, said: Mapping[str, str]
) -> tuple[int, list[str]]:
    """Send them again, of those that hold the same record one, and note each as ended once Kafka has it.

    Where two persons are demanded, one alone sends what a key of ours proves; the rest is proposed first.

    Returns:
        How many were sent, and the proposals that wait.

    Raises:
        TopUpError: Kafka or the book doesn't answer, or has the record no more; what was sent is noted.
    """
    by_record: dict[bytes, list[Found]] = {}
    for one in chosen:
        if one.head is None:
            raise TopUpError(f"Kafka has {one.place} no more: end it with `topup dlq settle` or `topup dlq discard`.")
        by_record.setdefault(one.head.digest, []).append(one)
    if not by_record:
        return 0, []
    loop = asyncio.get_running_loop()
    async with _book(settings) as book:
        words, waiting = await _words(settings, book, by_record, said)

        async def note(digest: bytes) -> None:
            for one in by_record[digest]:
                await book.letters.end(one.kept, "redriven", *words[digest])

        def sent(letter: DeadLetter) -> None:  # on the sending thread
            asyncio.run_coroutine_threadsafe(note(digest_of(letter)), loop).result()

        if not words:
            return 0, waiting
        wholes = _wholes(settings, [by_record[digest][-1] for digest in words])
        count = await asyncio.to_thread(lambda: send_again(settings, wholes, per_second=per_second, sent=sent))
    return count, waiting


async def _words(
    settings: DlqSettings, book: OrderBook, by_record: Mapping[bytes, Sequence[Found]], said: Mapping[str, str]
) -> tuple[dict[bytes, tuple[str, str]], list[str]]:
    """Of each record that may be sent now, who sends it and why; and the proposals that wait."""
    words = dict.fromkeys(by_record, (said["operator"], said["note"]))
    waiting = list[str]()
    if not settings.two_persons:
        return words, waiting
    proven = await asyncio.to_thread(_proven, settings, [same[-1] for same in by_record.values()])
    for digest, same in by_record.items():
        if digest in proven:
            continue
        word, proposals = await _two_persons(book, same, said)
        if word is None:
            del words[digest]
            waiting += proposals
        else:
            words[digest] = word
    return words, waiting


def _proven(settings: DlqSettings, chosen: Sequence[Found]) -> set[bytes]:
    """The digests of the records that a key of ours has signed: what they say is the gateway's word. Blocks."""
    if not settings.record_keys:
        return set()
    return {digest_of(letter) for letter in _wholes(settings, chosen) if verify(settings.record_keys, *letter.record)}


async def _two_persons(
    book: OrderBook, same: Sequence[Found], said: Mapping[str, str]
) -> tuple[tuple[str, str] | None, list[str]]:
    """Who sends one record again, and why, once two wish it of a letter that holds it; else the proposals that wait.

    Only proposed and confirmed here: a letter is ended when Kafka has its record. The second one's same word, given
    again after a lost answer, sends it again, and the bridge takes it once.
    """
    word, waiting = None, list[str]()
    for one in same:
        now = datetime.now(UTC)
        after, answer = await book.letters.decide(
            one.kept, lambda letter, at: four_eyes.propose(letter, at, "redriven", said["operator"], said["note"])
        )
        if isinstance(answer, Confirmed):
            word = word or (f"{answer.proposed_by} and {said['operator']}", answer.note)
        else:
            waiting.append(four_eyes.open_proposal(after, now))
    return word, waiting


async def end(settings: DlqSettings, one: Found, ending: Ending, said: Mapping[str, str]) -> tuple[str, str]:
    """Note how it was ended; why not, and the proposal where a second person is waited for; `""` for none."""
    operator, note = said["operator"], said["note"]

    def ended(letter: KeptLetter, now: datetime, by: str, why: str) -> tuple[KeptLetter, str]:
        return dead_letter.end(letter, now, ending, by, why)

    def run(letter: KeptLetter, now: datetime) -> tuple[KeptLetter, tuple[str, str]]:
        after, refusal = ended(letter, now, operator, note)
        if refusal or after == letter or not settings.two_persons:
            return after, (refusal, "")
        after, *answer = four_eyes.agree(letter, now, ended, wish=ending, operator=operator, note=note)
        return after, (answer[0], answer[1])

    async with _book(settings) as book:
        _, answer = await book.letters.decide(one.kept, run)
    return answer


@asynccontextmanager
async def _book(settings: DlqSettings) -> AsyncGenerator[OrderBook, None]:
    # Letters are no vehicle's data: this needs no key.
    book = OrderBook.open(settings.database_url, FieldCipher(bytes(32)), SystemClock())
    try:
        yield book
    finally:
        await book.close()
