"""What a run of the reconciliation needs of the outside world and of the order book."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from orders.errors import TopUpError
from orders.outcomes import RefundAnswer, RefundRequest
from reconciliation.days import Horizon
from reconciliation.differences import Difference
from reconciliation.evidence import (
    BilledRefund,
    BillLine,
    KnownPayment,
    OrderEvidence,
    PaymentEvidence,
    RefundEnd,
    Sale,
)


class NotWhole(TopUpError):
    """A bill or statement that isn't there yet, is cut short, or whose totals don't agree: it judges nothing."""


class ReadAgain(NotWhole):
    """It changed while it was read: what was read of it counts for nothing."""


@dataclass(frozen=True, slots=True)
class OpenBill:
    """A bill that is about to be read.

    Attributes:
        batches: its lines, some at a time; blocks, and is read on a thread. Raises `NotWhole` at its end where it is
            cut short or its totals don't agree.
        sha256: of its bytes, unpacked; for auditors.
        size_bytes: of the same.
    """

    batches: Iterator[list[BillLine]]
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PaymentNow:
    """What a provider says of a payment now, verified.

    Attributes:
        is_paid: it was paid, refunded since or not.
        is_refunded: at least in part.
        attachment: what the order backend gave it to carry. Personal data.
        paid_at: RFC 3339.
    """

    is_paid: bool
    is_refunded: bool
    transaction_id: str
    out_trade_no: str
    amount_fen: int
    currency: str
    paid_at: str
    attachment: str | None


class Bills(Protocol):
    """A provider, as reconciliation asks it. `merchant_id`: whose bills these are."""

    merchant_id: str

    def open(self, day: str) -> AbstractAsyncContextManager[OpenBill | None]:
        """The bill of a day; None where the provider says that nothing happened on it.

        Raises:
            NotWhole: it isn't there yet, or isn't to be believed; the sentence says what to do.
        """
        ...

    async def payment(self, transaction_id: str) -> PaymentNow | None:
        """A payment as it stands now; None where the provider says that there is none.

        Raises:
            Unavailable: the provider doesn't say.
        """
        ...

    async def refund(self, request: RefundRequest, *, timeout_seconds: float) -> RefundAnswer:
        """How a refund stands now."""
        ...


class Statements(Protocol):
    """The carrier's statement."""

    def read(self, day: str) -> AsyncIterator[Sequence[Sale]]:
        """The final states of a day, some at a time.

        Raises:
            ReadAgain: it changed meanwhile.
            NotWhole: it can't be had now, or isn't to be believed.
        """
        ...


class Intake(Protocol):
    """Where a payment goes that is in none of the books."""

    async def put(self, provider: str, payment: PaymentNow, *, never_an_order: bool) -> Literal["order", "unmatched"]:
        """Write its record to Kafka: a paid order where its attachment proves what was bought, else unmatched.

        Raises:
            Unavailable: it isn't known that all in-sync replicas have it.
        """
        ...


class Known(Protocol):
    """Payments that are no orders and yet known: unmatched ones and dead letters."""

    async def of(self, provider: str, transaction_ids: Sequence[str]) -> Sequence[KnownPayment]:
        """Those of these payments."""
        ...

    def paid_on(self, provider: str, day: str) -> AsyncIterator[Sequence[KnownPayment]]:
        """Those that were paid on a day, some at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a bill or statement that is whole, for auditors."""

    sha256: str
    size_bytes: int
    lines: int
    payments_fen: int
    refunds_fen: int


class Books(Protocol):
    """The order book, as reconciliation uses it. Each method is one short transaction, but those that yield pages."""

    async def begin(self, source: str, day: str) -> str:
        """Make room for a day's lines; whoever read them before loses the right to. Returns what `add` needs."""
        ...

    async def add_bill(self, source: str, day: str, token: str, lines: Sequence[BillLine]) -> None:
        """Add lines; a repeated one is one. Raises `NotWhole` where somebody else has begun anew."""
        ...

    async def add_statement(self, day: str, token: str, sales: Sequence[Sale]) -> None:
        """Likewise, of the carrier's statement."""
        ...

    async def finish(self, source: str, day: str, token: str, totals: Totals) -> None:
        """It is whole: from now on its lines count, for ever."""
        ...

    async def note_not_whole(self, source: str, day: str, why: str) -> None:
        """It can't be had; never about one that is whole."""
        ...

    async def horizon(self) -> Horizon:
        """Which are whole."""
        ...

    async def not_whole(self, day: str) -> Mapping[str, str]:
        """Those of a day that were asked for and are not: source → why."""
        ...

    def unended_refunds(self, source: str, day: str) -> AsyncIterator[Sequence[tuple[str, BilledRefund]]]:
        """Refunds of a day's bill of which it isn't known how they ended, with their transactions."""
        ...

    async def note_ends(self, source: str, day: str, ends: Mapping[tuple[str, str], RefundEnd]) -> None:
        """How refunds of a day's bill ended, by transaction and refund number."""
        ...

    def payments(self, provider: str, day: str, *, only_open: bool = False) -> AsyncIterator[Sequence[PaymentEvidence]]:
        """Every payment of which that day's bill or the book of that day knows anything; some may come twice.

        `only_open`: those of the day's open differences.
        """
        ...

    def payments_paid_on(self, provider: str, day: str) -> AsyncIterator[Sequence[PaymentEvidence]]:
        """Every payment of a day, once: the book's day before the bill's."""
        ...

    def orders(self, day: str, *, only_open: bool = False) -> AsyncIterator[Sequence[OrderEvidence]]:
        """Every order of which that day's statement or the book of that day knows anything; likewise."""
        ...

    async def stored(self, *, payments: Mapping[str, Sequence[str]], orders: Sequence[str]) -> dict[str, Difference]:
        """The differences of these payments (provider → transactions) and orders, whatever their state."""
        ...

    async def write(self, differences: Sequence[Difference]) -> None:
        """Insert or replace."""
        ...

    async def note_put(self, difference_id: str, put_as: Literal["order", "unmatched"]) -> None:
        """Its payment was put to Kafka."""
        ...

    async def differences(self, *, day: str = "", open_only: bool = False) -> list[Difference]:
        """Those of a day, or all; the oldest first."""
        ...

    async def note_judged(self, source: str, day: str, *, whole: bool) -> None:
        """A day's source was judged; `whole`: nothing that is lacking can still come."""
        ...

    async def is_judged(self, day: str) -> bool:
        """Whether all of a day's bills and statements are judged, and nothing that is lacking can still come."""
        ...

    async def days_due(self, yesterday: str) -> list[str]:
        """The days up to `yesterday` that are not judged whole, or have open differences; the oldest first."""
        ...
