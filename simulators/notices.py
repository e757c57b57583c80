"""A provider's notices to the merchant: sent until stored, on the documented schedule, with faults per attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from simulators.faults import Fault, FaultPlans, Hang
from simulators.payment_faults import Repeat
from simulators.wire import Pace, StoppingError

ANSWER_TIMEOUT_SECONDS = 5.0
"""As both providers wait; unscaled."""


@dataclass(frozen=True, slots=True)
class Message:
    """One attempt, as it goes over the wire."""

    headers: dict[str, str]
    body: bytes


Make = Callable[[Fault | None], Message]
"""Makes one attempt, right or, for a fault, wrong."""


class NoticeSender:
    """Sends notices beside the requests; what is under way when the simulator ends is not sent again.

    Args:
        plans: faults of the target `notice`, one per attempt.
        pace: time.
        note: books an attempt and its answer.
        is_stored: whether an answer means that the merchant has it.
        resend_after_seconds: the pauses between attempts, unscaled.
    """

    def __init__(
        self,
        plans: FaultPlans[Fault],
        pace: Pace,
        note: Callable[..., object],
        is_stored: Callable[[httpx.Response], bool],
        resend_after_seconds: Sequence[float],
    ) -> None:
        self._plans = plans
        self._pace = pace
        self._note = note
        self._is_stored = is_stored
        self._resend_after_seconds = resend_after_seconds
        self._http: httpx.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, url: str, make: Make, *, about: str, transaction_id: str, out_trade_no: str) -> None:
        """Tell a merchant's address until it has stored it. `about`: `payment`, or the refund's number."""
        names = {"about": about, "transaction_id": transaction_id, "out_trade_no": out_trade_no}
        self._spawn(self._until_stored(url, make, names))

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.aclose()

    async def _until_stored(self, url: str, make: Make, names: dict[str, str]) -> None:
        keys = [names["transaction_id"], names["out_trade_no"], names["about"]]
        try:
            for wait_seconds in (*self._resend_after_seconds, None):
                taken = self._plans.take(keys, "notice")
                await self._pace.sleep(taken.delay_before_seconds)
                answers = await self._attempt(url, make, taken.answer)
                stored = any(answer is not None and self._is_stored(answer) for answer in answers)
                statuses = [None if answer is None else answer.status_code for answer in answers]
                self._note("notice", **names, faults=taken.kinds, statuses=statuses, stored=stored)
                if stored or wait_seconds is None:
                    return
                await self._pace.sleep(wait_seconds)
        except StoppingError:
            return

    async def _attempt(self, url: str, make: Make, fault: Fault | None) -> Sequence[httpx.Response | None]:
        """What the merchant answers to one attempt, as far as it is heard."""
        if isinstance(fault, Hang):  # it is lost on the way there, or its answer is on the way back
            if fault.act:
                await self._post(url, make(None))
            return [None]
        copies = fault.count if isinstance(fault, Repeat) else 1
        return await asyncio.gather(*(self._post(url, make(fault)) for _ in range(copies)))

    async def _post(self, url: str, message: Message) -> httpx.Response | None:
        self._http = self._http or httpx.AsyncClient(timeout=ANSWER_TIMEOUT_SECONDS, trust_env=False)
        try:
            return await self._http.post(url, content=message.body, headers=message.headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            return None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
