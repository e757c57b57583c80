"""What is known of one payment, and of one order, on all sides: what the rules judge. Pure values, money in fen."""

from dataclasses import dataclass
from typing import Final, Literal

from orders.identities import goodwill_name, refund_number
from orders.lifecycle import Outcome
from orders.state import CarrierOutcome

RefundEnd = Literal["", "success", "closed", "denied", "unknown"]
"""How a refund ended, asked of the provider: `""` = not asked, or not said yet; `unknown`: it knows no such refund."""
FINAL_ENDS: Final[tuple[RefundEnd, ...]] = ("success", "closed")
"""The others may become a success: a refund that WeChat Pay couldn't pay out is not lost yet."""


@dataclass(frozen=True, slots=True)
class BillLine:
    """A line of a provider's bill.

    Attributes:
        kind: a refund's line shows that it was taken in, not how it ended.
        refund_number: ours or whose ever it is; "" for a payment.
        amount_fen: the price (WeChat 订单金额, Alipay 订单金额（元）), or what the refund asks for; above 0.
        at: `YYYY-MM-DD HH:MM:SS` in China, the provider's clock.
    """

    kind: Literal["payment", "refund"]
    transaction_id: str
    out_trade_no: str
    amount_fen: int
    at: str
    refund_number: str = ""


@dataclass(frozen=True, slots=True)
class Sale:
    """A line of the carrier's statement: an order in a final state."""

    order_id: str
    carrier_order_id: str
    state: str
    day: str

    @property
    def is_sold(self) -> bool:
        """Whether it was delivered, and is to be paid for."""
        return self.state == "completed"


@dataclass(frozen=True, slots=True)
class Billed:
    """A payment's line, and the day of its bill."""

    day: str
    at: str
    out_trade_no: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class BilledRefund:
    """A refund's line, and how it ended."""

    day: str
    at: str
    number: str
    amount_fen: int
    ended: RefundEnd


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A goodwill refund that two persons have decided, of a delivered order, as the book has it.

    Attributes:
        ended_elsewhere: the provider has not paid it: it was paid another way, or given up.
        given_up: nobody has paid it.
    """

    order_id: str
    number: int
    amount_fen: int
    refund_sequence: int
    refund_on: str | None
    refund_confirmed_on: str | None
    ended_elsewhere: bool = False
    given_up: bool = False

    @property
    def refund_numbers(self) -> tuple[str, ...]:
        """All that the book has an intent for; the last is in use."""
        name = goodwill_name(self.order_id, self.number)
        return tuple(refund_number(name, number) for number in range(1, self.refund_sequence + 1))

    @property
    def confirmed_number(self) -> str:
        """The number of which the book says that the provider has paid it; "" where there is none."""
        at_provider = self.refund_confirmed_on is not None and not self.ended_elsewhere
        return self.refund_numbers[-1] if at_provider and self.refund_sequence else ""

    @property
    def is_given(self) -> bool:
        """Whether the customer has it."""
        return self.refund_confirmed_on is not None and not self.given_up


@dataclass(frozen=True, slots=True)
class BookOrder:
    """A paid order as the book has it. Days are in China; None where the thing has not happened."""

    order_id: str
    provider: str
    transaction_id: str
    out_trade_no: str
    merchant_id: str
    amount_fen: int
    paid_on: str
    claimed_on: str
    carrier_outcome: CarrierOutcome | None
    outcome: Outcome | None
    settled_on: str | None
    refund_sequence: int
    refund_on: str | None
    refund_confirmed_on: str | None
    paid_another_way: bool
    goodwill: tuple[GivenBack, ...] = ()

    @property
    def is_delivered(self) -> bool:
        """The book says delivered."""
        return self.outcome == "delivered" or self.carrier_outcome == "completed"

    @property
    def is_refused(self) -> bool:
        """The book says refused or burnt."""
        return self.carrier_outcome in ("rejected", "cancelled")

    @property
    def refund_numbers(self) -> tuple[str, ...]:
        """All that the book has an intent for; the last is in use."""
        return tuple(refund_number(self.order_id, number) for number in range(1, self.refund_sequence + 1))

    @property
    def confirmed_number(self) -> str:
        """The number of which the book says that the provider has paid it back; "" where there is none."""
        at_provider = self.refund_confirmed_on is not None and not self.paid_another_way
        return self.refund_numbers[-1] if at_provider and self.refund_sequence else ""


KnownPlace = Literal["unmatched", "dead_letter"]


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A payment that is no order and yet known: unmatched (contracts §7), or in a dead letter.

    Attributes:
        amount_fen: None where the dead letter doesn't say.
        is_open: False once somebody has ended it; an adopted one is an order then.
        refund_numbers: those that the book has an intent for.
        is_refunded: whether it was paid back, by one of these.
    """

    place: KnownPlace
    provider: str
    transaction_id: str
    out_trade_no: str
    amount_fen: int | None
    paid_on: str
    is_open: bool = True
    refund_numbers: tuple[str, ...] = ()
    is_refunded: bool = False


@dataclass(frozen=True, slots=True)
class Twin:
    """Another transaction for the same `out_trade_no` of the provider."""

    transaction_id: str
    at: str
    has_order: bool


@dataclass(frozen=True, slots=True)
class PaymentEvidence:
    """One payment, by provider and transaction."""

    provider: str
    transaction_id: str
    billed: Billed | None = None
    refunds: tuple[BilledRefund, ...] = ()
    order: BookOrder | None = None
    known: tuple[KnownPayment, ...] = ()
    twins: tuple[Twin, ...] = ()

    @property
    def is_known(self) -> bool:
        """An order, an unmatched payment or a dead letter holds it."""
        return self.order is not None or bool(self.known)

    @property
    def amount_fen(self) -> int | None:
        """What was paid: the bill's amount before the book's."""
        if self.billed is not None:
            return self.billed.amount_fen
        return self.booked_fen

    @property
    def booked_fen(self) -> int | None:
        """What the book says was paid."""
        if self.order is not None:
            return self.order.amount_fen
        return next((one.amount_fen for one in self.known if one.amount_fen is not None), None)

    @property
    def paid_on(self) -> str:
        """The day of the payment: the book's before the bill's; "" where only a refund of it was seen."""
        if self.order is not None:
            return self.order.paid_on
        if self.known:
            return self.known[0].paid_on
        return "" if self.billed is None else self.billed.day

    @property
    def intents(self) -> tuple[str, ...]:
        """The refund numbers that the book has an intent for."""
        own = () if self.order is None else self.order.refund_numbers
        return (*own, *self._of_goodwill(), *(number for one in self.known for number in one.refund_numbers))

    def goodwill_of(self, number: str) -> GivenBack | None:
        """The goodwill refund that has this number."""
        given = () if self.order is None else self.order.goodwill
        return next((one for one in given if number in one.refund_numbers), None)

    def _of_goodwill(self) -> tuple[str, ...]:
        given = () if self.order is None else self.order.goodwill
        return tuple(number for one in given for number in one.refund_numbers)


@dataclass(frozen=True, slots=True)
class OrderEvidence:
    """One order at the carrier, by `externalId`."""

    order_id: str
    order: BookOrder | None = None
    sales: tuple[Sale, ...] = ()
