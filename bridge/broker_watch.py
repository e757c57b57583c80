"""Whether Kafka answers and has its topics, asked apart from the consumer.

The consumer doesn't tell: with its broker killed or frozen for 25 s it stays in a stable group, polls nothing, and
raises nothing (measured).
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from bridge.kafka_client import administrator
from bridge.kafka_types import Admin
from runtime.settings.groups import Topics
from runtime.waiting import in_one_line

ASK_EVERY_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 3.0


class BrokerWatch:
    """Asks Kafka for the two topics, again and again.

    Args:
        settings: Kafka's.
        make_admin: connects; tests pass their own.
    """

    def __init__(self, settings: Topics, *, make_admin: Callable[[Topics], Admin] = administrator) -> None:
        self._settings = settings
        self._make_admin = make_admin
        self._admin: Admin | None = None
        self._asking: asyncio.Future[str | None] | None = None
        self.trouble: str | None = None
        """What is wrong, as a sentence; None while Kafka answers and has the topics."""

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.ask_once()
            await asyncio.sleep(ASK_EVERY_SECONDS)

    async def ask_once(self) -> None:
        """Ask, and wait for the answer for 3 s; a late one is taken at the next call."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(asyncio.to_thread(self._ask))
        done, _ = await asyncio.wait((self._asking,), timeout=ANSWER_SECONDS)
        if not done:
            self.trouble = self._away("no answer in time")
            return
        asked, self._asking = self._asking, None
        self.trouble = asked.result()

    def _ask(self) -> str | None:
        """On a thread: the client's calls block."""
        topics = (self._settings.kafka_topic, self._settings.kafka_dlq_topic)
        try:
            if self._admin is None:
                self._admin = self._make_admin(self._settings)
            found = {topic["name"] for topic in self._admin.describe_topics(list(topics)) if not topic["error_code"]}
        except Exception as error:  # noqa: BLE001 - the client's own, the operating system's: all mean "away"
            admin, self._admin = self._admin, None
            if admin is not None:
                with contextlib.suppress(Exception):
                    admin.close()
            return self._away(in_one_line(error))
        missing = [topic for topic in topics if topic not in found]
        return f"Kafka has no topic {' and no topic '.join(missing)}: run `topup setup`." if missing else None

    def _away(self, reason: str) -> str:
        servers = self._settings.kafka_bootstrap_servers
        return f"Kafka at {servers} is away ({reason}); start it, or correct its address."
