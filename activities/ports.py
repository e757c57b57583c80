"""What the activities need of the outside world. Adapters implement these; tests have fakes with honest state."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from orders.holds import Hold
from orders.identities import NoticeResult
from orders.notices import Notice, NoticeState
from orders.outcomes import Completed, InDoubt, NotFound, RefundAnswer, RefundRequest, Refused
from orders.paid_order import PaidOrder
from orders.state import OrderState

T = TypeVar("T")


class Carrier(Protocol):
    """A telecom carrier's dialect. No method raises for what the carrier does or fails to do: that is an answer.

    Each call is exactly one HTTP request, without retries of its own, within `timeout_seconds` in all.
    """

    name: str
    """The dialect (`tmf622`)."""

    def order_body(self, order: PaidOrder, completion_date: datetime) -> bytes:
        """The body of the POST: a pure function, fixed once per order and stored in the book before it is sent."""
        ...

    async def submit(
        self, body: bytes, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> Completed | Refused | InDoubt:
        """POST the body. `InDoubt(cause="not_sent")` only where no connection was made, or nothing left in time.

        `in_time` is asked as late as can be, right before the first byte leaves (connecting may take long).
        """
        ...

    async def query(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt | NotFound:
        """GET by our serial. `NotFound` only for a well-formed empty answer."""
        ...

    async def cancel(self, serial: str, *, timeout_seconds: float) -> Completed | Refused | InDoubt:
        """Burn the serial. `Refused(burnt=True)` only for a confirmed `cancelled`; 409 is doubt."""
        ...


class PaymentProvider(Protocol):
    """Refunds at one payment provider. Verified answers only: an unsigned or wrongly signed one is doubt."""

    name: str
    """`wechat` or `alipay`."""

    merchant_id: str
    """The merchant whose payments it can refund."""

    async def refund(
        self, request: RefundRequest, *, timeout_seconds: float, in_time: Callable[[], bool]
    ) -> RefundAnswer:
        """Send the refund, if it may still leave (`in_time`, asked right before the first byte).

        Never `RefundConfirmed`: taken in is `RefundAccepted`, and a query confirms.
        """
        ...

    async def query(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """Ask for the refund of this number. `RefundUnknown` only for the provider's definite "no such refund"."""
        ...


class Notifier(Protocol):
    """Publishes notices to the configured MQTT platforms, each isolated from the others."""

    @property
    def platforms(self) -> tuple[str, ...]:
        """The configured platforms' names, in order."""
        ...

    def is_up(self, platform: str) -> bool:
        """Whether a publish would find a live connection now. Doesn't wait."""
        ...

    async def publish(self, platform: str, notice: Notice, *, timeout_seconds: float) -> str:
        """Publish with QoS 1; returns once the broker has acknowledged: `""` or a remark ("no subscriber").

        Raises:
            NotAcknowledged: it was not, within `timeout_seconds` in all (connect and CONNACK included).
        """
        ...


class StoredOrder(Protocol):
    """One order as a rule sees it; or a goodwill refund, by its name and in the same words (ADR 10)."""

    @property
    def order_id(self) -> str:
        """Whose."""
        ...

    @property
    def unreadable(self) -> Exception | None:
        """Why neither `state` nor `order` can be read (no key opens them); None: both can."""
        ...

    @property
    def state(self) -> OrderState:
        """The money part of its row."""
        ...

    @property
    def order(self) -> PaidOrder:
        """What was paid."""
        ...

    @property
    def refund_fen(self) -> int:
        """What a refund pays back: all that was paid, or what a goodwill refund is of."""
        ...

    @property
    def vehicle_hash(self) -> str:
        """The keyed hash of the VIN."""
        ...


class Book(Protocol):
    """The order book. Every method is one transaction and may raise `Unavailable` though the change was committed."""

    async def read(self, order_id: str) -> StoredOrder:
        """One order, without a lock."""
        ...

    async def decide(
        self,
        order_id: str,
        rule: Callable[[StoredOrder], tuple[OrderState, T]],
        *,
        kind: str,
        detail: Callable[[T], Mapping[str, Any]],
    ) -> T:
        """Run a rule of `orders` as one compare-and-set, with its line in the audit trail."""
        ...

    async def append(self, order_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """One line in the audit trail, for what changes nothing in the row."""
        ...

    async def read_with_notices(self, order_id: str) -> tuple[StoredOrder, list[NoticeState]]:
        """One order and what became of its notices so far."""
        ...

    async def write_notices(self, order_id: str, result: NoticeResult, states: Mapping[str, tuple[str, str]]) -> None:
        """Note `{platform: (state, remark)}`; a platform that has acknowledged keeps that."""
        ...


class UnsettledBook(Protocol):
    """What the sweep asks of the order book."""

    async def read(self, order_id: str) -> StoredOrder:
        """One order, without a lock."""
        ...

    async def decide(
        self,
        order_id: str,
        rule: Callable[[StoredOrder], tuple[OrderState, T]],
        *,
        kind: str,
        detail: Callable[[T], Mapping[str, Any]],
    ) -> T:
        """Run a rule of `orders` as one compare-and-set, with its line in the audit trail."""
        ...

    async def unsettled(self, *, claimed_before: datetime, after: str = "", limit: int = 500) -> Sequence[StoredOrder]:
        """Orders without an end that were claimed before, by order ID, a page at a time."""
        ...


class HoldsBook(Protocol):
    """What operators keep the orders away from."""

    async def not_released(self) -> Sequence[Hold]:
        """The holds that nobody has released. Raises `Unavailable`."""
        ...


class CallSlots(Protocol):
    """Moments at which calls to a limited part may leave, given out to all workers, each once."""

    async def take(self, part: str, count: int, *, per_second: float, at_most_seconds: float) -> tuple[int, float]:
        """Take the next `count`, `1 / per_second` apart, if the first is at most so far ahead.

        Returns how many were taken (all or none), and in how many seconds the first is. Raises `Unavailable`.
        """
        ...
