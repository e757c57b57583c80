"""Pushes what needs a person, from one worker at a time, beside the orders and never in their way."""

import asyncio
from typing import Final, Protocol

from adapters.order_book.duties import Duties
from adapters.order_book.pushes import Pushes
from adapters.push.message import Message
from orders.errors import Unavailable
from runtime.backoff import Backoff
from runtime.metrics import Metrics
from runtime.redaction import in_one_line
from runtime.telemetry import get_logger
from workers.waiting import this_process

DUTY: Final = "push"
EVERY_SECONDS: Final = 5.0
"""So at most 12 messages a minute, whatever happens: chats take 20."""
LONGEST_PAUSE_SECONDS: Final = 300.0
"""An endpoint that is back gets what it missed within this."""
_log = get_logger(__name__)


class Endpoint(Protocol):
    """`adapters.push.client.PushClient`."""

    async def send(self, message: Message) -> str:
        """Why it was not taken, or ""."""
        ...


class Pusher:
    """Says all that is due in one message; what was not taken is due again, ever more rarely."""

    def __init__(
        self, duties: Duties, pushes: Pushes, endpoint: Endpoint, metrics: Metrics, *, holder: str | None = None
    ) -> None:
        self._duties = duties
        self._pushes = pushes
        self._endpoint = endpoint
        self._count = metrics.counter("topup_pushes_total")
        self._holder = holder or this_process()
        self._backoff = Backoff(EVERY_SECONDS, LONGEST_PAUSE_SECONDS)

    async def run(self) -> None:
        """Until cancelled. Nothing that fails here ends it, or anything else."""
        while True:
            pause_seconds = await self.run_once()
            await asyncio.sleep(pause_seconds)

    async def run_once(self) -> float:
        """Push what is due, if this process has the duty; how long to wait then, in seconds."""
        try:
            if not await self._duties.take(DUTY, self._holder) or not (due := await self._pushes.due()):
                return EVERY_SECONDS
            why = await self._endpoint.send(Message(due))
            if not why:
                await self._pushes.told(due)
        except Unavailable:
            return EVERY_SECONDS
        except Exception as error:  # noqa: BLE001 - a bug of ours in a courtesy must stop no worker
            why = in_one_line(error)
        self._count.labels("failed" if why else "sent").inc()
        if not why:
            self._backoff.reset()
            return EVERY_SECONDS
        pause = self._backoff.next_seconds()
        _log.warning("push failed", sentence=f"{why} It is tried again in {pause:.0f} s; no order waits for it.")
        return pause
