"""How long to wait before the next attempt: doubling, bounded, and never two processes at the same moment."""

import random
from typing import Final

SHORTEST_SHARE: Final = 0.5
"""Of the full pause; the rest is chance, so that processes spread."""


class Backoff:
    """Pauses between attempts.

    Args:
        first_seconds: the first pause, before jitter.
        longest_seconds: none is longer.
    """

    def __init__(self, first_seconds: float, longest_seconds: float) -> None:
        self._first_seconds = first_seconds
        self._longest_seconds = longest_seconds
        self._full_seconds = first_seconds

    def next_seconds(self) -> float:
        """The pause before the next attempt; each is twice as long as the one before, up to the longest."""
        full_seconds = self._full_seconds
        self._full_seconds = min(self._longest_seconds, full_seconds * 2)
        return full_seconds * random.uniform(SHORTEST_SHARE, 1)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """An attempt went well."""
        self._full_seconds = self._first_seconds
