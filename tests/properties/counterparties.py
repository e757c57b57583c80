"""The outside world with honest state: a carrier on the wire, a payment provider with a bank, a car.

Each side keeps its own truth, does what it is asked even where that is wrong, and tells the judge what it saw. Nothing
here knows the product's rules; the carrier speaks HTTP to the product's real adapter.
"""

import json
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Protocol

import httpx

from orders.errors import NotAcknowledged
from orders.notices import Notice
from orders.outcomes import (
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundRequest,
    RefundUnknown,
)
from tests.properties.oracle import Judge
from tests.properties.strategies import LAG_SECONDS, Call, Plan

REFERENCE = "C-4711"
REFUSALS = ("rejected", "failed", "cancelled")
_ERRORS = {"500": 500, "429": 429, "401": 401, "404": 404, "409": 409}
_SOON = 0.02


class Stage(Protocol):
    """Where the outside stands: its time, and the boundaries at which attempts are held, killed or interrupted."""

    judge: Judge

    def seconds(self) -> float:
        """Now."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass for one attempt."""
        ...

    async def silence(self) -> None:
        """No answer will come; ends with the caller's limit."""
        ...

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Let something happen on its own."""
        ...

    async def boundary(self, name: str) -> None:
        """An attempt comes to where something may happen to it."""
        ...


class Carrier:
    """A carrier of contracts §4 behind `httpx.MockTransport`: dedupe for ever by the whole body, dates, burns, lag."""

    def __init__(self, plan: Plan, stage: Stage) -> None:
        self._stage = stage
        self._judge = stage.judge
        self._fate = plan.fate
        self._calls = {"POST": list(plan.posts), "GET": list(plan.gets), "CANCEL": list(plan.burns)}
        self.state = ""
        self.code = ""
        self.body = b""
        self.since = 0.0
        self.given_up = False

    def heal(self) -> None:
        """From now on every call goes well; what hangs goes on hanging."""
        for calls in self._calls.values():
            calls.clear()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """One exchange, as the product's adapter sees it."""
        kind = "GET" if request.method == "GET" else "POST" if request.url.path.endswith("/productOrder") else "CANCEL"
        body = request.content
        call = self._calls[kind].pop(0) if self._calls[kind] else Call()
        grounds = self._judge.grounds()
        await self._stage.boundary(f"before {kind}")
        if call.reach == "away":
            raise httpx.ConnectError("no connection")
        for event in ("http11.send_request_headers.started", "http11.send_request_body.started"):
            await request.extensions["trace"](event, {})  # as httpcore does: the product's last look
        token = self._judge.carrier_called(kind, body, grounds)
        said: list[tuple[int, Any]] = []
        if call.reach == "arrives":
            await self._stage.sleep(_SOON)
            said.append(self._arrives(kind, body, call))
        elif call.reach == "late":
            self._stage.later(call.late_seconds, lambda: self._judge.late(self._arrives(kind, body, call)))
        if call.reach in ("lost", "late") or call.answer == "lost":
            await self._stage.silence()
        await self._stage.sleep(call.seconds)
        status, order = said[0]
        if call.answer in _ERRORS or call.answer == "malformed":
            status, order = _ERRORS.get(call.answer, 200), "what?"
        self._judge.carrier_answered(token, status, order, at=self._stage.seconds())
        await self._stage.boundary(f"after {kind}")
        return httpx.Response(
            status, content=json.dumps(order).encode(), headers={"Retry-After": "20"} if status == 429 else {}
        )

    # --- what it does ---------------------------------------------------------------------------------------------

    def _arrives(self, kind: str, body: bytes, call: Call) -> tuple[int, Any]:
        blind = call.blind and bool(self.state) and self._stage.seconds() < self.since + LAG_SECONDS
        if kind == "GET":
            return 200, [] if blind or not self.state else [self._order()]
        if not call.acts:
            return 500, "no"
        if kind == "POST":
            return self._take_in(body)
        if blind:  # this node confirms a burn that the others will not know
            return 200, {**self._order(), "state": "cancelled"}
        if not self.state:
            self._becomes("cancelled", "CANCELLED")
        return (200 if self.state in REFUSALS else 409), self._order()

    def _take_in(self, body: bytes) -> tuple[int, Any]:
        if self.state:
            if self.body not in (body, b""):
                return 409, {"message": "another body"}
            return 200, self._order()
        self.body = body
        due = datetime.fromisoformat(json.loads(body)["requestedCompletionDate"]).timestamp()
        if self._judge.timestamp(self._stage.seconds()) > due:
            self._becomes("rejected", "COMPLETION_DATE_PASSED")
        else:
            self._becomes(self._fate.first)
            if self._fate.first in ("inProgress", "partial") and self._fate.then != "hangs":
                self._stage.later(self._fate.seconds, self._goes_on)
        return 201, self._order()

    def _goes_on(self) -> None:
        if not self.given_up and self.state == self._fate.first:
            self._becomes(self._fate.then)

    def _becomes(self, state: str, code: str = "") -> None:
        if not self.state:
            self.since = self._stage.seconds()
        self.state, self.code = state, code
        self._judge.carrier_stands(state)
        if state in REFUSALS and self._fate.breaks_word:
            self._stage.later(self._fate.breaks_word, self._breaks_its_word)

    def _breaks_its_word(self) -> None:
        if self.state in REFUSALS:
            self.state = "completed"
            self._judge.carrier_stands("completed")

    def _order(self) -> dict[str, Any]:
        order: dict[str, Any] = {"id": REFERENCE, "externalId": self._judge.order_id, "state": self.state}
        if self.state in ("rejected", "failed"):
            order["rejectionReason"] = {"code": self.code or "SIM_SUSPENDED"}
        return order


class Provider:
    """A payment provider that pays whatever it is asked: each number once, and each number is another payment."""

    name = "wechat"

    def __init__(self, plan: Plan, stage: Stage, merchant_id: str) -> None:
        self.merchant_id = merchant_id
        self._stage = stage
        self._judge = stage.judge
        self._sends, self._queries = list(plan.refunds), list(plan.refund_queries)
        self._fates = list(plan.refund_fates)
        self._denied = plan.denied
        self._no_balance_until = plan.no_balance_seconds
        self.states: dict[str, str] = {}

    def heal(self) -> None:
        """From now on every call goes well, and there is balance; what can't be paid still can't."""
        self._sends, self._queries, self._no_balance_until = [], [], 0.0

    @property
    def refuses(self) -> bool:
        """Whether the newest number can never be paid."""
        return "ABNORMAL" in self.states.values()

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> RefundAnswer:
        """Take it in, once per number."""
        call = self._sends.pop(0) if self._sends else Call()
        self._judge.refund_called(request)
        await self._stage.boundary("before REFUND")
        if not in_time():
            return RefundInDoubt(why="It was too late to send this refund; nothing was sent.")
        return await self._exchange(call, request, timeout_seconds, self._take_in, "after REFUND")

    async def query(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """Say how the number stands."""
        call = self._queries.pop(0) if self._queries else Call()
        await self._stage.boundary("before REFUND QUERY")
        answer = await self._exchange(call, request, timeout_seconds, self._says, "after REFUND QUERY")
        self._judge.refund_shown(request.refund_number, answer.kind)
        return answer

    async def _exchange(
        self,
        call: Call,
        request: RefundRequest,
        timeout_seconds: float,
        act: Callable[[RefundRequest], RefundAnswer],
        after: str,
    ) -> RefundAnswer:
        answer: RefundAnswer = RefundInDoubt(why="No answer within the limit.")
        if call.reach == "late":
            self._stage.later(call.late_seconds, lambda: self._judge.late(act(request)))
        if call.reach == "arrives":
            await self._stage.sleep(_SOON)
            if call.acts:
                done = act(request)
                answer = done if call.answer == "tells" else answer
        if call.reach in ("lost", "late") or call.answer == "lost":
            await self._stage.sleep(timeout_seconds)
        else:
            await self._stage.sleep(min(call.seconds, timeout_seconds))
        await self._stage.boundary(after)
        return answer

    def _take_in(self, request: RefundRequest) -> RefundAnswer:
        number = request.refund_number
        if number not in self.states:
            if self._stage.seconds() < self._no_balance_until:
                return RefundHeld(code="NOT_ENOUGH", why="The merchant's balance is too low: top it up.")
            if self._denied:
                self.states[number] = "ABNORMAL"
                return RefundDenied(code="USER_ACCOUNT_ABNORMAL", why="The account is gone.")
            self.states[number] = "PROCESSING"
            fate = self._fates.pop(0) if self._fates else None
            then, seconds = (fate.then, fate.seconds) if fate else ("SUCCESS", 5.0)
            self._stage.later(seconds, lambda: self._becomes(number, then, request.amount_fen))
        return RefundAccepted(why=self.states[number])

    def _becomes(self, number: str, state: str, amount_fen: int) -> None:
        self.states[number] = state
        if state == "SUCCESS":
            self._judge.paid_back(number, amount_fen)

    def _says(self, request: RefundRequest) -> RefundAnswer:
        match self.states.get(request.refund_number):
            case None:
                return RefundUnknown()
            case "SUCCESS":
                return RefundConfirmed(provider_refund_id=f"P-{request.refund_number}", amount_fen=request.amount_fen)
            case "CLOSED":
                return RefundClosed()
            case "ABNORMAL":
                return RefundDenied(code="ABNORMAL", why="WeChat can't pay it out.")
            case _:
                return RefundAccepted(why="PROCESSING")


class Car:
    """Two MQTT platforms, of which the old one may be away, hang or refuse."""

    platforms: tuple[str, ...] = ("new", "legacy")

    def __init__(self, plan: Plan, stage: Stage) -> None:
        self._stage = stage
        self.legacy = plan.legacy

    def heal(self) -> None:
        """Whatever was wrong with the old platform is mended."""
        self.legacy = "up"

    def is_up(self, platform: str) -> bool:
        """Whether a publish would find a connection."""
        return platform == "new" or self.legacy in ("up", "refusing")

    async def publish(self, platform: str, notice: Notice, *, timeout_seconds: float) -> str:
        """Acknowledge, or raise as the real adapter does."""
        await self._stage.boundary("before PUBLISH")
        state = "up" if platform == "new" else self.legacy
        await self._stage.sleep(timeout_seconds if state == "hung" else _SOON)
        if state in ("hung", "down"):
            raise NotAcknowledged(f"{platform} does not answer: check the broker.")
        if state == "refusing":
            raise NotAcknowledged(f"{platform} refuses us: check the credentials.", retryable=False)
        self._stage.judge.notice_received(platform, notice.result, notice.payload)
        await self._stage.boundary("after PUBLISH")
        return ""


Handler = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]


def wire(handler: Handler) -> httpx.AsyncClient:
    """The adapter's client, with the carrier at its other end."""
    return httpx.AsyncClient(transport=httpx.MockTransport(handler), trust_env=False)
