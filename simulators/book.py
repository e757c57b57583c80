"""An append-only, hash-chained book: what a simulator has seen and done, for ever.

One JSON object per line: `seq` (from 1), `at` (RFC 3339 UTC), `kind`, `data`, `prev` (the hash of the line before, 64
zeros for the first) and `hash` (SHA-256 of the line's own text without the `hash` member). The simulators' state is
nothing but a fold over these lines, so a restarted simulator remembers all that it ever answered.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

FIRST_PREV = "0" * 64
_HASH_MEMBER = ',"hash":"{}"}}'
_TAIL_CHARACTERS = len(_HASH_MEMBER.format(FIRST_PREV))


class BookTamperedError(Exception):
    """A line of a book does not follow from the one before: it was changed, removed, added or moved."""


class BookUnusableError(Exception):
    """The book can't be opened or written; what was asked for is not promised."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a book."""

    seq: int
    at: str
    kind: str
    data: Mapping[str, Any]
    prev: str
    hash: str


@dataclass(slots=True)
class _Batch:
    """Lines that go to the disk together, and the one future all their waiters share."""

    lines: list[str] = field(default_factory=list[str])
    written: asyncio.Future[None] | None = None


def now_utc() -> datetime:
    """The wall clock, aware."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def verify(path: Path | str) -> list[Entry]:
    """Read a book and check each link of its chain.

    A last line without its line feed was never acknowledged (the process died while writing it) and is left out. What a
    chain can't show is that whole lines were cut off its end: compare the last `hash` with one noted earlier.

    Raises:
        BookTamperedError: names the first line that doesn't follow from the one before.
    """
    with Path(path).open(encoding="ascii", errors="backslashreplace", newline="\n") as file:
        return list(_checked(file, str(path)))


def _checked(lines: Iterable[str], name: str) -> Iterator[Entry]:
    prev = FIRST_PREV
    for number, line in enumerate(lines, start=1):
        if not line.endswith("\n"):
            return
        entry = _parse(line[:-1])
        if entry is None or entry.seq != number or entry.prev != prev:
            raise BookTamperedError(f"{name}, line {number}: does not follow from the one before; the book was altered")
        prev = entry.hash
        yield entry


def _parse(line: str) -> Entry | None:
    text, tail = line[:-_TAIL_CHARACTERS] + "}", line[-_TAIL_CHARACTERS:]
    digest = hashlib.sha256(text.encode()).hexdigest()
    if tail != _HASH_MEMBER.format(digest):
        return None
    try:
        return Entry(**json.loads(line))
    except (TypeError, ValueError):
        return None


class Book:
    """The book of one simulator process, owned by one event loop.

    `append` puts an entry at the end at once; `durable` waits until all that was appended is on the disk. All who
    wait at one moment share one fsync, which runs in a thread, so hundreds of answers per second cost few fsyncs.

    Raises:
        BookUnusableError: another process holds the file, or writing failed earlier (disk full).
        BookTamperedError: the file's chain is broken.
    """

    def __init__(self, path: Path | None, *, fsync: bool = True) -> None:
        self._fsync = fsync
        self._lines: list[str] = []
        self._last_hash = FIRST_PREV
        self._open = _Batch()
        self._being_written: _Batch | None = None
        self._writer: asyncio.Task[None] | None = None
        self._failed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="book")
        self._file = self._load(path) if path else None

    @property
    def next_seq(self) -> int:
        """The number that the next entry gets."""
        return len(self._lines) + 1

    def replay(self) -> Iterator[Entry]:
        """All entries, oldest first: what a simulator builds its state from when it starts."""
        return (Entry(**json.loads(line)) for line in self._lines)

    def as_json(self, *, after: int = 0) -> bytes:
        """The entries with a `seq` above `after` as one JSON array."""
        return ("[" + ",\n".join(self._lines[after:]) + "]").encode()

    def append(self, kind: str, **data: Any) -> Entry:
        """Put one entry at the end; `durable` tells when it is on the disk."""
        if self._failed:
            raise BookUnusableError("the book could not be written; free the disk and start the simulator again")
        seq, at, prev = self.next_seq, rfc3339(now_utc()), self._last_hash
        body = {"seq": seq, "at": at, "kind": kind, "data": data, "prev": prev}
        text = json.dumps(body, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()
        line = text[:-1] + _HASH_MEMBER.format(digest)
        self._last_hash = digest
        self._lines.append(line)
        if self._file is not None:
            self._open.lines.append(line)
        return Entry(seq, at, kind, data, prev, digest)

    async def durable(self) -> None:
        """Return once everything appended so far is on the disk."""
        if self._file is None:
            return
        if self._failed:
            raise BookUnusableError("the book could not be written; free the disk and start the simulator again")
        if not self._fsync:
            self._write(self._take().lines)
            return
        batch = self._open if self._open.lines else self._being_written
        if batch is None:
            return
        if batch.written is None:
            batch.written = asyncio.get_running_loop().create_future()
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_batches())
        await asyncio.shield(batch.written)

    async def close(self) -> None:
        """Write what is left and let go of the file."""
        try:
            if not self._failed:
                await self.durable()
        finally:
            self._thread.shutdown()
            if self._file is not None:
                self._file.close()

    def _take(self) -> _Batch:
        batch, self._open = self._open, _Batch()
        return batch

    async def _write_batches(self) -> None:
        loop = asyncio.get_running_loop()
        error: BookUnusableError | None = None
        while self._open.lines:
            self._being_written = batch = self._take()
            if error is None:
                try:
                    await loop.run_in_executor(self._thread, self._write, batch.lines)
                except BookUnusableError as failure:
                    error = failure
            if batch.written is not None and error is None:
                batch.written.set_result(None)
            elif batch.written is not None and error is not None:
                batch.written.set_exception(error)
        self._being_written = self._writer = None

    def _write(self, lines: list[str]) -> None:
        if self._file is None or not lines:
            return
        try:
            self._file.write("".join(f"{line}\n" for line in lines))
            self._file.flush()
            if self._fsync:
                os.fdatasync(self._file.fileno())
        except OSError as error:
            self._failed = True
            raise BookUnusableError(f"the book could not be written ({error.strerror})") from error

    def _load(self, path: Path) -> IO[str]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+", encoding="ascii", errors="backslashreplace", newline="\n")
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BookUnusableError(f"{path} is held by another simulator; end it or choose another --book") from error
        except OSError as error:
            raise BookUnusableError(f"{path} can't be opened ({error.strerror}); choose another --book") from error
        file.seek(0)
        lines = file.readlines()
        checked = list(_checked(lines, str(path)))
        self._lines = [line[:-1] for line in lines[: len(checked)]]
        self._last_hash = checked[-1].hash if checked else FIRST_PREV
        # A torn last line was never acknowledged; left there, it would spoil the next one.
        file.truncate(sum(len(line) for line in lines[: len(checked)]))
        file.seek(0, os.SEEK_END)
        return file
