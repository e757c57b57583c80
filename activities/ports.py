"""What the activities need of the outside world. Adapters implement these; tests have fakes with honest state."""

from datetime import datetime
from typing import Protocol

from orders.notices import Notice
from orders.outcomes import Completed, InDoubt, NotFound, RefundAnswer, RefundRequest, Refused
from orders.paid_order import PaidOrder


class Carrier(Protocol):
    """A telecom carrier's dialect. No method raises for what the carrier does or fails to do: that is an answer.

    Each call is exactly one HTTP request, without retries of its own, within `timeout_seconds` in all.
    """

    name: str
    """The dialect (`tmf622`)."""

    def order_body(self, order: PaidOrder, completion_date: datetime) -> bytes:
        """The body of the POST: a pure function, fixed once per order and stored in the book before it is sent."""
        ...

    async def submit(self, body: bytes, *, timeout_seconds: float) -> Completed | Refused | InDoubt:
        """POST the body. `InDoubt(cause="not_sent")` only where no connection was made."""
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

    async def refund(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """Send the refund. Never `RefundConfirmed`: taken in is `RefundAccepted`, and a query confirms."""
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


class Clock(Protocol):
    """Wall-clock time; a port, so that tests can move it."""

    def now(self) -> datetime:
        """Now, aware, UTC."""
        ...
