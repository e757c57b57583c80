"""The outside world with honest state: what was sold, refunded and received is what a test looks at."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orders.clock import Clock
from orders.errors import NotAcknowledged
from orders.notices import Notice
from orders.outcomes import (
    Completed,
    InDoubt,
    NotFound,
    RefundAccepted,
    RefundAnswer,
    RefundClosed,
    RefundConfirmed,
    RefundDenied,
    RefundHeld,
    RefundInDoubt,
    RefundRequest,
    RefundUnknown,
    Refused,
)
from orders.paid_order import PaidOrder

UNANSWERED = InDoubt(cause="unanswered", why="No answer within the limit.")
BROKEN = InDoubt(cause="answered", why="HTTP 500.")
THROTTLED = InDoubt(cause="answered", why="HTTP 429.", retry_after_seconds=30)
AWAY = InDoubt(cause="not_sent", why="Connection refused.")


@dataclass
class Post:
    """What one POST meets: whether the carrier acts, as what, and what comes back (None: what it did)."""

    acts: bool = True
    state: str = "completed"
    code: str = ""
    answer: InDoubt | None = None


@dataclass
class Sold:
    body: bytes
    state: str
    code: str = ""
    at: datetime | None = None


@dataclass
class FakeCarrier:
    """A TMF622 carrier of contracts §4, in memory: dedupe for ever by whole body, dates, burns, lag."""

    clock: Clock
    name: str = "tmf622"
    plan: list[Post] = field(default_factory=list)
    """For POSTs, in order; then every further one is accepted and completed."""
    silent: bool = False
    """GET and cancel go unanswered."""
    lag: timedelta = timedelta(0)
    orders: dict[str, Sold] = field(default_factory=dict)
    posts: list[bytes] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def order_body(self, order: PaidOrder, completion_date: datetime) -> bytes:
        body = {"externalId": order.order_id, "requestedCompletionDate": completion_date.isoformat()}
        return json.dumps(body).encode()

    async def submit(
        self, body: bytes, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> Completed | Refused | InDoubt:
        meets = self.plan.pop(0) if self.plan else Post()
        if meets.answer is AWAY:
            self.calls.append("away")
            return AWAY
        if not in_time():
            self.calls.append("late")
            return InDoubt(cause="not_sent", why="Too late to send it.")
        self.calls.append("POST")
        self.posts.append(body)
        serial = json.loads(body)["externalId"]
        if meets.acts:
            self._take_in(serial, body, meets)
        if meets.answer is not None:
            return meets.answer
        known = self.orders[serial]
        if known.body not in (body, b""):
            return InDoubt(cause="answered", why="HTTP 409.")
        return self._says(serial)

    async def query(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt | NotFound:
        self.calls.append("GET")
        if self.silent:
            return UNANSWERED
        sold = self.orders.get(serial)
        if sold is None or (sold.at is not None and self.clock.now() < sold.at + self.lag):
            return NotFound()
        return self._says(serial)

    async def cancel(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt:
        self.calls.append("CANCEL")
        if self.silent:
            return UNANSWERED
        if serial not in self.orders:
            self.orders[serial] = Sold(b"", "cancelled", at=None)
        if self.orders[serial].state in ("completed", "inProgress", "partial"):
            return InDoubt(cause="answered", why="HTTP 409.")
        return self._says(serial)

    def sold(self, serial: str) -> bool:
        return serial in self.orders and self.orders[serial].state == "completed"

    def _take_in(self, serial: str, body: bytes, meets: Post) -> None:
        if serial in self.orders:
            return
        now = self.clock.now()
        if now > datetime.fromisoformat(json.loads(body)["requestedCompletionDate"]):
            self.orders[serial] = Sold(body, "rejected", "COMPLETION_DATE_PASSED", at=now)
        else:
            self.orders[serial] = Sold(body, meets.state, meets.code, at=now)

    def _says(self, serial: str) -> Completed | Refused | InDoubt:
        sold = self.orders[serial]
        reference = f"CARRIER-{serial}"
        match sold.state:
            case "completed":
                return Completed(carrier_order_id=reference)
            case "rejected" | "failed":
                return Refused(code=sold.code or sold.state.upper(), carrier_order_id=reference)
            case "cancelled":
                return Refused(code="CANCELLED", burnt=True, carrier_order_id=reference)
            case "partial":
                return InDoubt(cause="partial", why="The carrier says partial.", carrier_order_id=reference)
            case "weird":
                why = "The carrier answered with a state that isn't known."
                return InDoubt(cause="unknown_state", why=why, carrier_order_id=reference)
            case _:
                return InDoubt(cause="in_flight", why="The carrier works on it.", carrier_order_id=reference)


@dataclass
class FakeProvider:
    """A payment provider: one refund however often a number is sent; a query confirms."""

    name: str = "wechat"
    merchant_id: str = "1900000109"
    plan: list[Callable[["FakeProvider", RefundRequest], RefundAnswer]] = field(default_factory=list)
    """For sends, in order; then each is taken in."""
    settles_as: str = "SUCCESS"
    """What a refund that was taken in becomes: SUCCESS, PROCESSING, ABNORMAL, CLOSED."""
    silent: bool = False
    refunds: dict[str, str] = field(default_factory=dict)
    requests: list[RefundRequest] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> RefundAnswer:
        if not in_time():
            self.calls.append("late")
            return RefundInDoubt(why="Too late to send it.")
        self.calls.append("REFUND")
        self.requests.append(request)
        if self.plan:
            return self.plan.pop(0)(self, request)
        return self.take_in(request)

    async def query(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        self.calls.append("QUERY")
        if self.silent:
            return RefundInDoubt(why="No answer within the limit.")
        match self.refunds.get(request.refund_number):
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

    def take_in(self, request: RefundRequest) -> RefundAnswer:
        self.refunds.setdefault(request.refund_number, self.settles_as)
        return RefundAccepted(why="PROCESSING")

    @property
    def paid_back(self) -> list[str]:
        return [number for number, state in self.refunds.items() if state == "SUCCESS"]


def not_enough(_provider: FakeProvider, _request: RefundRequest) -> RefundAnswer:
    return RefundHeld(code="NOT_ENOUGH", why="The merchant's balance is too low: top it up.")


def acts_then_silent(provider: FakeProvider, request: RefundRequest) -> RefundAnswer:
    provider.take_in(request)
    return RefundInDoubt(why="No answer within the limit.")


def account_gone(_provider: FakeProvider, _request: RefundRequest) -> RefundAnswer:
    return RefundDenied(code="USER_ACCOUNT_ABNORMAL", why="The customer's account is closed.")


def unsigned(provider: FakeProvider, request: RefundRequest) -> RefundAnswer:
    provider.take_in(request)
    return RefundInDoubt(why="The answer's signature is wrong: check the provider's public key.", alert=True)


def lost(_provider: FakeProvider, _request: RefundRequest) -> RefundAnswer:
    return RefundInDoubt(why="No answer within the limit.")


@dataclass
class FakeNotifier:
    """MQTT platforms; `down` ones never acknowledge, `hung` ones take their whole limit to fail."""

    platforms: tuple[str, ...] = ("new", "legacy")
    down: set[str] = field(default_factory=set)
    hung: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    away_seconds: float | None = None
    received: list[tuple[str, str, bytes]] = field(default_factory=list)
    tries: int = 0

    def is_up(self, platform: str) -> bool:
        return platform not in self.down

    async def publish(self, platform: str, notice: Notice, *, timeout_seconds: float) -> str:
        self.tries += 1
        if platform in self.hung:
            await asyncio.sleep(timeout_seconds)
        if platform in self.down | self.hung:
            raise NotAcknowledged(f"{platform} does not answer: check the broker.", away_seconds=self.away_seconds)
        if platform in self.refusing:
            raise NotAcknowledged(f"{platform} refuses us: check the credentials.", retryable=False)
        self.received.append((platform, notice.result, notice.payload))
        return ""

    def results(self, platform: str) -> list[str]:
        return [result for name, result, _ in self.received if name == platform]
