"""Records in = orders, duplicates and dead letters; each dead letter byte-identical (contracts §2)."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from devkit.audit.auditor import Violation

OURS: Final = "topup-dlq-"
"""Headers that the product adds to a dead letter (contracts §2)."""
SET_ASIDE: Final = "what is no order becomes a dead letter, byte for byte, and nothing else does"

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class SentRecord:
    """One record as it went into Kafka, and the reason its dead letter must give; "" = it must not become one."""

    scenario: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    dead_letter: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def reason(self) -> str:
        """`invalid`, `conflict` or `oversize`."""
        return self._ours("reason")

    @property
    def origin(self) -> tuple[str, str]:
        """Partition and offset of the record that it is of."""
        return self._ours("partition"), self._ours("offset")

    @property
    def theirs(self) -> Headers:
        """The headers that the record came with."""
        return tuple(header for header in self.headers if not header[0].startswith(OURS))

    def _ours(self, name: str) -> str:
        return dict(self.headers).get(OURS + name, b"").decode(errors="replace")


def audit_records(
    sent: Sequence[SentRecord], letters: Sequence[DeadLetter]
) -> Iterator[tuple[SentRecord | None, Violation]]:
    """Each violation with the record that it is about; None for a dead letter of nothing."""
    by_origin: defaultdict[tuple[str, str], list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        by_origin[letter.origin].append(letter)
    for record in sent:
        name = (record.key or b"").decode(errors="replace")
        for sentence in _wrong(record, by_origin.pop((str(record.partition), str(record.offset)), [])):
            yield record, Violation(SET_ASIDE, name, sentence)
    for partition, offset in by_origin:
        sentence = f"there is a dead letter of partition {partition}, offset {offset}, where nothing was"
        yield None, Violation(SET_ASIDE, "", sentence)


def _wrong(record: SentRecord, letters: Sequence[DeadLetter]) -> Iterator[str]:
    where = f"the record at partition {record.partition}, offset {record.offset}"
    if not letters and record.dead_letter:
        yield f"{where} has no dead letter ({record.dead_letter} expected)"
    for letter in letters:  # at least once: a repeat is allowed, and must be the same
        if not record.dead_letter:
            yield f"{where} became a dead letter ({letter.reason}) and is an order"
        elif letter.reason != record.dead_letter:
            yield f"{where} has a dead letter with reason {letter.reason} instead of {record.dead_letter}"
        if (letter.key, letter.value, letter.theirs) != (record.key, record.value, record.headers):
            yield f"{where} has a dead letter with other bytes"
