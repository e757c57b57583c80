"""What `topup dlq` does: dead letters as Kafka has them, and how they were ended as the order book has it."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from adapters.kafka.dead_letters import DeadLetter, kept_letter, read_dead_letters
from adapters.kafka.dead_letters import redrive as send_again
from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from console.settings import DlqSettings
from orders import dead_letter, four_eyes
from orders.dead_letter import Ending, KeptLetter, Source
from orders.errors import TopUpError
from runtime.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Found:
    """One dead letter.

    Attributes:
        kept: what the book says of it, or is going to.
        letter: its bytes; None where Kafka has them no more.
        places: where it lies in the dead-letter topic; one that was sent twice has two.
    """

    kept: KeptLetter
    letter: DeadLetter | None
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
            "bytes": None if self.letter is None else len(self.letter.value or b""),
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
    """All that Kafka has, and those that only the book has (any more).

    Raises:
        TopUpError: Kafka or the book doesn't answer.
    """
    letters = await asyncio.to_thread(lambda: list(read_dead_letters(settings)))
    async with _book(settings) as book:
        kept = {one.source: one for one in await book.letters.listed()}
    return grouped(letters, kept)


def grouped(letters: Sequence[DeadLetter], kept: Mapping[Source, KeptLetter]) -> list[Found]:
    """Letters as Kafka has them, repeats together, with what the book has of each, and what only the book has.

    A source's letter is the one that the book kept, else the first. One with that source and another record is no
    repeat, whoever wrote it: it stands alone, hides none, and is not sent in another's place.
    """
    read = [(letter, kept_letter(letter)) for letter in letters]
    records: dict[Source, Any] = {}
    for letter, one in read:
        before = kept.get(one.source)
        if one.source not in records or (before is not None and before.place == one.place):
            records[one.source] = letter.record
    in_kafka: dict[Source, Found] = {}
    for letter, one in read:
        before = kept.get(one.source, one)
        repeats = letter.record == records[one.source] and before.may_repeat(one)
        source = one.source if repeats else one.alone
        places = in_kafka[source].places if source in in_kafka else ()
        in_kafka[source] = Found(kept.get(source, replace(one, source=source)), letter, (*places, one.place))
    gone = [Found(one, None, (one.place,)) for source, one in kept.items() if source not in in_kafka]
    return [*in_kafka.values(), *gone]


async def redrive(settings: DlqSettings, chosen: Sequence[Found], per_second: float, said: Mapping[str, str]) -> int:
    """Send them again, of those that hold the same record one, and note each as ended once Kafka has it; how many.

    Raises:
        TopUpError: Kafka or the book doesn't answer, or has the record no more; what was sent is noted.
    """
    by_record: dict[Any, list[Found]] = {}
    for one in chosen:
        if one.letter is None:
            raise TopUpError(f"Kafka has {one.place} no more: end it with `topup dlq settle` or `topup dlq discard`.")
        by_record.setdefault(one.letter.record, []).append(one)
    if not by_record:
        return 0
    loop = asyncio.get_running_loop()
    async with _book(settings) as book:

        async def note(letter: DeadLetter) -> None:
            for one in by_record[letter.record]:
                await book.letters.end(one.kept, "redriven", said["operator"], said["note"])

        def sent(letter: DeadLetter) -> None:  # on the sending thread
            asyncio.run_coroutine_threadsafe(note(letter), loop).result()

        letters = [same[-1].letter for same in by_record.values()]
        wanted = [letter for letter in letters if letter is not None]
        return await asyncio.to_thread(lambda: send_again(settings, wanted, per_second=per_second, sent=sent))


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
