"""Temporal, the database or the dead-letter topic away: what is in hand waits, tries again, and never gives up."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from bridge import policies
from orders.errors import Unavailable
from runtime.backoff import Backoff
from runtime.telemetry import get_logger

Part = Literal["temporal", "database", "dead_letters"]
T = TypeVar("T")
_log = get_logger(__name__)


@dataclass(slots=True)
class _State:
    sentence: str = ""
    backoff: Backoff = field(
        default_factory=lambda: Backoff(policies.RETRY_FIRST_PAUSE_SECONDS, policies.RETRY_LONGEST_PAUSE_SECONDS)
    )
    next_line_at: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Outages:
    """Carries calls through outages of the parts they need.

    While a part is away, one call at a time tries it, with back-off and jitter; the others wait for it.

    Args:
        on_away, on_back: told when a part goes and returns.
    """

    def __init__(
        self,
        *,
        on_away: Callable[[Part], None] = lambda _part: None,
        on_back: Callable[[Part], None] = lambda _part: None,
    ) -> None:
        self._parts: dict[Part, _State] = {"temporal": _State(), "database": _State(), "dead_letters": _State()}
        self._on_away = on_away
        self._on_back = on_back

    def sentence(self, part: Part) -> str:
        """What is wrong with the part; empty when its last call went well."""
        return self._parts[part].sentence

    async def retry_while_unavailable(self, part: Part, attempt: Callable[[], Awaitable[T]]) -> T:
        """Call `attempt` until it does not raise `Unavailable`; its result. Anything else it raises passes."""
        state = self._parts[part]
        while True:
            async with self._turn(state):
                try:
                    result = await attempt()
                except Unavailable as error:
                    self._away(part, state, str(error))
                    await asyncio.sleep(state.backoff.next_seconds())
                else:
                    self._back(part, state)
                    return result

    @asynccontextmanager
    async def _turn(self, state: _State) -> AsyncGenerator[None, None]:
        if not state.sentence:
            yield
            return
        async with state.turn:
            yield

    def _away(self, part: Part, state: _State, sentence: str) -> None:
        if not state.sentence:
            self._on_away(part)
        state.sentence = sentence
        now = time.monotonic()
        if now >= state.next_line_at:
            _log.warning("waiting", part=part, sentence=sentence)
            state.next_line_at = now + policies.LINE_EVERY_SECONDS

    def _back(self, part: Part, state: _State) -> None:
        if state.sentence:
            _log.info("back", part=part)
            state.sentence, state.next_line_at = "", 0.0
            state.backoff.reset()
            self._on_back(part)
