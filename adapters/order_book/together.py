"""Whatever waits while a transaction is under way goes together into the next one.

No timer: who is alone waits for nobody.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from adapters.order_book.engine import TRANSACTION_SECONDS
from adapters.order_book.transactions import no_answer
from orders.errors import Unavailable

Q = TypeVar("Q")
T = TypeVar("T")


class Waiter(Generic[Q]):
    """One caller and what it asks. It is done once it has its answer, has given up or was cancelled.

    Attributes:
        asks: the question.
        tries: how often it was put back.
    """

    def __init__(self, asks: Q) -> None:
        self.asks = asks
        self.tries = 0
        self.answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._context = contextvars.copy_context()

    @property
    def done(self) -> bool:
        """Nothing needs to be done for it any more."""
        return self.answer.done()

    def run(self, what: Callable[..., T], *arguments: object) -> T:
        """Call something of the caller's as if the caller did, with its logger's and tracer's context."""
        return self._context.run(what, *arguments)

    def give(self, answer: object) -> None:
        """Its answer, unless it has gone."""
        if not self.done:
            self.answer.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Its error, unless it has gone."""
        if not self.done:
            self.answer.set_exception(error)


class Together(Generic[Q]):
    """Runs questions in batches.

    Args:
        run: answers each waiter of a batch, or raises: then whoever has no answer gets that error.
        most: waiters in one batch.
        at_once: batches under way at a time.
    """

    def __init__(self, run: Callable[[Sequence[Waiter[Q]]], Awaitable[None]], *, most: int, at_once: int) -> None:
        self._run = run
        self._most = most
        self._at_once = at_once
        self._waiting: deque[Waiter[Q]] = deque()
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Q) -> object:
        """The answer, within `TRANSACTION_SECONDS`.

        Raises:
            Unavailable: none in time; a change may have been committed, or still will be.
        """
        waiter = Waiter(question)
        self._take_in(waiter)
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                return await waiter.answer
        except TimeoutError as error:
            raise no_answer() from error

    def put_back(self, waiter: Waiter[Q], *, after_seconds: float) -> None:
        """Let it take part in a later batch."""
        waiter.tries += 1
        asyncio.get_running_loop().call_later(after_seconds, self._take_in, waiter)

    async def close(self) -> None:
        """Let end what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=TRANSACTION_SECONDS)

    def _take_in(self, waiter: Waiter[Q]) -> None:
        if waiter.done:
            return
        self._waiting.append(waiter)
        if self._running < self._at_once:
            self._running += 1
            task = asyncio.get_running_loop().create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        try:
            while batch := self._next():
                try:
                    await self._run(batch)
                except Exception as error:  # noqa: BLE001 - each caller hears of it
                    for waiter in batch:
                        waiter.fail(_own(error))
                except asyncio.CancelledError:
                    for waiter in batch:
                        waiter.fail(Unavailable("The process ends."))
                    raise
        finally:
            self._running -= 1

    def _next(self) -> list[Waiter[Q]]:
        batch: list[Waiter[Q]] = []
        while self._waiting and len(batch) < self._most:
            waiter = self._waiting.popleft()
            if not waiter.done:
                batch.append(waiter)
        return batch


def _own(error: Exception) -> Exception:
    """One error for each caller: an exception that several raise gathers the traces of all."""
    if not isinstance(error, Unavailable):
        return error
    own = Unavailable(str(error))
    own.__cause__ = error
    return own
