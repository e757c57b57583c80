"""The books as files, `BOOK.jsonl` in one folder: followed while they grow, and their hash chains checked.

Reading a file costs the simulators nothing, where asking them over HTTP takes CPU that a benchmark measures.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from devkit.audit.books import BOOKS, Books
from simulators.book import BookTamperedError, verify


class BookFiles:
    """The books of one folder; `look` takes in what is new."""

    def __init__(self, folder: Path) -> None:
        self.books = Books()
        self._folder = folder
        self._offsets = dict.fromkeys(BOOKS, 0)

    def look(self) -> Books:
        """The books with what came since the last look."""
        for name in BOOKS:
            self.books.read(name, self._new_lines(name))
        return self.books

    def _new_lines(self, name: str) -> Iterator[Mapping[str, Any]]:
        path = self._folder / f"{name}.jsonl"
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._offsets[name])
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offsets[name] += len(line)
                yield json.loads(line)


def broken_chains(folder: Path) -> list[str]:
    """A sentence for each book in the folder that somebody has altered."""
    sentences: list[str] = []
    for name in BOOKS:
        path = folder / f"{name}.jsonl"
        try:
            if path.exists():
                verify(path)
        except BookTamperedError as error:
            sentences.append(str(error))
    return sentences
