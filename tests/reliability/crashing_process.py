"""`python -m tests.reliability.crashing_process worker|bridge PLAN [MUTANT]`: the production process, with one fault.

The fault is put around the adapters' methods in this process alone, so production code has no switch for it. It fires
once, at the given passing of a point: the process kills itself (-9), freezes itself (SIGSTOP, all threads), tells
itself to stop (SIGTERM), or takes a success of the other side for a lost answer.

PLAN is the JSON of `Plan`, or `-` for no fault. MUTANT, one of `tests.reliability.mutants`, makes the
product wrong, to see that it is caught, or what becomes of its orders.

| point | is | `middle` is |
|---|---|---|
| `book:KIND` | one transaction of the order book, by its kind in the audit trail | written, not committed |
| `carrier:post`, `get`, `cancel`; `refund:send`, `ask` | one HTTP request | sent, not answered |
| `wire:post`, `wire:refund` | the body's bytes, behind the last look at the clock; for a crowd (`Plan`) | |
| `mqtt:RESULT` | one publish | on its way |
| `temporal:start`, `kafka:commit` | the bridge's start of a run, its commit of offsets | |
"""

import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar
from urllib.parse import parse_qs

import httpx
from httpcore._backends.anyio import AnyIOStream
from kafka import KafkaConsumer
from temporalio.client import Client

import bridge.process
import workers.process
from adapters.mqtt.notifier import MqttNotifier
from adapters.order_book.book import OrderBook
from adapters.order_book.claims import Claims
from adapters.order_book.decisions import Decisions
from orders.errors import NotAcknowledged, Unavailable

When = Literal["before", "middle", "after"]
Fault = Literal["kill", "stop", "lost", "term"]

MIDDLE_SECONDS: Final = 0.3
"""How long after it was sent a request is on its way for sure: the simulator is told to hold it longer."""
PUBLISH_MIDDLE_SECONDS: Final = 0.0
"""At the loop's next turn: the publish is with the client's thread."""
CROWD_SECONDS: Final[Mapping[str, float]] = {"wire:post": 1.8, "wire:refund": 0.8}
"""How long the first write waits for the others: shorter than the senders' time limits in the drills."""
_REFUND: Final = b'"out_refund_no"'
_Method = Callable[..., Awaitable[Any]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One fault.

    Attributes:
        passing: the how-manieth time the point is passed, from 1.
        marker: a file that is made just before the fault fires.
        crowd: above 0: up to so many writes are held at the point (one of `wire:…`), then the process freezes itself;
            once it is thawed they are made, whatever their senders' time limits say by then.
    """

    point: str
    when: When
    fault: Fault
    marker: str
    passing: int = 1
    crowd: int = 0

    def text(self) -> str:
        """As the command line takes it."""
        return json.dumps(asdict(self))


class Trap:
    """Counts the passings of the plan's point, and fires."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._passed = 0
        self._armed = False
        self._gate = asyncio.Event()

    def enter(self, point: str) -> None:
        """A point begins."""
        if point == self._plan.point:
            self._passed += 1
            self._armed |= self._passed == self._plan.passing
            self.reach(point, "before")

    def reach(self, point: str, when: When) -> bool:
        """A moment of a point: fires if it is the planned one. True: take the answer for lost."""
        if not self.is_at(point, when):
            return False
        self._armed = False
        Path(self._plan.marker).touch()
        match self._plan.fault:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "term":
                os.kill(os.getpid(), signal.SIGTERM)
            case "lost":
                return True
        return False

    def gathers_at(self, point: str) -> bool:
        """Whether requests are held here until the process freezes."""
        return bool(self._plan.crowd) and point == self._plan.point

    async def gather(self, write: Callable[[], Awaitable[T]]) -> T:
        """Hold one write until the process was frozen and thawed; then it is made for sure.

        It is made by a task of its own, because at the thaw its sender's time is long over.
        """
        self._passed += 1
        if self._passed == 1:
            asyncio.get_running_loop().call_later(CROWD_SECONDS[self._plan.point], self._freeze)
        if self._passed == self._plan.crowd:
            self._freeze()
        return await asyncio.shield(asyncio.ensure_future(self._after_the_gate(write)))

    async def _after_the_gate(self, write: Callable[[], Awaitable[T]]) -> T:
        await self._gate.wait()
        return await write()

    def _freeze(self) -> None:
        """The gate is open before the process stops, so that at the thaw the writes come before all else."""
        if not self._gate.is_set():
            Path(self._plan.marker).touch()
            self._gate.set()
            os.kill(os.getpid(), signal.SIGSTOP)

    def is_at(self, point: str, when: When) -> bool:
        """Whether the planned moment is this one, now."""
        return self._armed and (point, when) == (self._plan.point, self._plan.when)

    @contextlib.contextmanager
    def middle(self, point: str, seconds: float) -> Generator[None]:
        """Fire while the call within is on its way; not at all if it is quicker."""
        if not self.is_at(point, "middle"):
            yield
            return
        timer = asyncio.get_running_loop().call_later(seconds, self.reach, point, "middle")
        try:
            yield
        finally:
            timer.cancel()


def install(trap: Trap) -> None:
    """Put the trap around the adapters' methods."""
    _around_book(trap)
    _wrap(httpx.AsyncClient, "send", functools.partial(_http, trap))
    _wrap(AnyIOStream, "write", functools.partial(_write, trap))
    _wrap(MqttNotifier, "publish", functools.partial(_publish, trap))
    _wrap(Client, "start_workflow", functools.partial(_start, trap))
    _around_commits(trap)


def _wrap(owner: type, name: str, around: Callable[..., Awaitable[Any]]) -> None:
    original: _Method = getattr(owner, name)

    @functools.wraps(original)
    async def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        return await around(functools.partial(original, self), *args, **kwargs)

    setattr(owner, name, wrapped)


# --- the order book --------------------------------------------------------------------------------------------------


def _around_book(trap: Trap) -> None:
    async def transaction(point: str, call: Callable[[], Awaitable[Any]]) -> Any:
        trap.enter(point)
        result = await call()
        if trap.reach(point, "after"):
            raise Unavailable("The answer to a commit was lost: planned by the crash matrix.")
        return result

    async def decide(original: _Method, order_id: str, rule: Any, *, kind: str, detail: Any) -> Any:
        return await transaction(f"book:{kind}", lambda: original(order_id, rule, kind=kind, detail=detail))

    async def write_notices(original: _Method, order_id: str, result: str, states: Mapping[str, Any]) -> Any:
        return await transaction(f"book:notice_{result}", lambda: original(order_id, result, states))

    async def claim(original: _Method, orders: Any, arrivals: Any = ()) -> Any:
        return await transaction("book:claim", lambda: original(orders, arrivals))

    async def insert(original: _Method, connection: Any, fresh: Any, came: Any) -> Any:
        inserted = await original(connection, fresh, came)
        trap.reach("book:claim", "middle")
        return inserted

    for name, around in (("decide", decide), ("write_notices", write_notices), ("claim", claim)):
        _wrap(OrderBook, name, around)
    _wrap(Claims, "_insert", insert)
    decide_all: Any = Decisions._decide_all  # pyright: ignore[reportPrivateUsage] - what it stands around

    def decided(self: Decisions, *batch: Any) -> Any:
        """The transaction has begun and holds its rows; nothing of it is committed."""
        kept = decide_all(self, *batch)
        for line in kept.lines:
            trap.reach(f"book:{line['kind']}", "middle")
        return kept

    setattr(Decisions, "_decide_all", decided)  # noqa: B010 - private


# --- the outside world -----------------------------------------------------------------------------------------------


async def _http(trap: Trap, original: _Method, request: httpx.Request, **options: Any) -> httpx.Response:
    point = http_point(request)
    if point is None:
        return await original(request, **options)
    trap.enter(point)
    with trap.middle(point, MIDDLE_SECONDS):
        response: httpx.Response = await original(request, **options)
    if trap.reach(point, "after"):
        await response.aclose()
        raise httpx.ReadError("The answer was lost: planned by the crash matrix.", request=request)
    return response


def http_point(request: httpx.Request) -> str | None:
    """Which call of the outside world this is."""
    path = request.url.path
    if path.endswith("/cancelProductOrder"):
        return "carrier:cancel"
    if path.endswith("/productOrder"):
        return "carrier:post" if request.method == "POST" else "carrier:get"
    if "/v3/refund/" in path:
        return "refund:send" if request.method == "POST" else "refund:ask"
    if path.endswith("/gateway.do"):
        form = parse_qs(request.content.decode()) | parse_qs(request.url.query.decode())
        return "refund:ask" if "query" in form.get("method", [""])[0] else "refund:send"
    return None


async def _write(trap: Trap, original: _Method, buffer: bytes, *args: Any, **options: Any) -> None:
    point = "wire:post" if b'"requestedCompletionDate"' in buffer else "wire:refund" if _REFUND in buffer else ""
    if point and trap.gathers_at(point):
        await trap.gather(lambda: original(buffer, *args, **options))
    else:
        await original(buffer, *args, **options)


async def _publish(trap: Trap, original: _Method, platform: str, notice: Any, *, timeout_seconds: float) -> str:
    point = f"mqtt:{notice.result}"
    trap.enter(point)
    with trap.middle(point, PUBLISH_MIDDLE_SECONDS):
        remark: str = await original(platform, notice, timeout_seconds=timeout_seconds)
    if trap.reach(point, "after"):
        raise NotAcknowledged("The PUBACK was lost: planned by the crash matrix.")
    return remark


async def _start(trap: Trap, original: _Method, *args: Any, **options: Any) -> Any:
    trap.enter("temporal:start")
    handle = await original(*args, **options)
    if trap.reach("temporal:start", "after"):
        raise OSError("The answer to a start was lost: planned by the crash matrix.")
    return handle


def _around_commits(trap: Trap) -> None:
    original = KafkaConsumer.commit_async

    def commit_async(self: Any, *args: Any, **options: Any) -> Any:
        trap.enter("kafka:commit")
        future = original(self, *args, **options)
        trap.reach("kafka:commit", "after")
        return future

    KafkaConsumer.commit_async = commit_async


def main() -> NoReturn:
    """Install the fault, then run the production process."""
    process, text, *mutants = sys.argv[1:]
    if mutants:
        from tests.reliability.mutants.drills import DRILL_MUTANTS  # noqa: PLC0415 - they import this module's types
        from tests.reliability.mutants.leaks import LEAK_MUTANTS  # noqa: PLC0415 - as above
        from tests.reliability.mutants.matrix import MUTANTS  # noqa: PLC0415 - as above
        from tests.reliability.mutants.runs import BUGS  # noqa: PLC0415 - as above

        every = [*MUTANTS.items(), *LEAK_MUTANTS.items(), *DRILL_MUTANTS.items()]
        wrong = {name: mutant.apply for name, mutant in every} | dict(BUGS)
        wrong[mutants[0]]()
    if text != "-":
        install(Trap(Plan(**json.loads(text))))
    if process == "bridge":
        bridge.process.main()
    workers.process.main(os.environ)


if __name__ == "__main__":
    main()
