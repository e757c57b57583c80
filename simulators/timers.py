"""Changes that happen by themselves, at a moment that stands in the book."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from simulators.book import Book, now_utc


class Timers:
    """One timer per key; what it does is written to the disk without waiting for the next request."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._handles: dict[str, asyncio.TimerHandle] = {}
        self._writing: asyncio.Future[None] | None = None

    def set(self, key: str, at: str, act: Callable[[str], None]) -> None:
        """Call `act(key)` at that moment (RFC 3339), at once if it has passed; replaces the key's earlier timer."""
        self.cancel(key)
        delay_seconds = max(0.0, (datetime.fromisoformat(at) - now_utc()).total_seconds())
        self._handles[key] = asyncio.get_running_loop().call_later(delay_seconds, self._fire, key, act)

    def cancel(self, key: str) -> None:
        """Forget the key's timer, if it has one."""
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def cancel_all(self) -> None:
        """Leave what is to come to the next start."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()

    def _fire(self, key: str, act: Callable[[str], None]) -> None:
        self._handles.pop(key, None)
        act(key)
        self._writing = asyncio.ensure_future(self._book.durable())
