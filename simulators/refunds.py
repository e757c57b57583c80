"""Payments and refunds at a payment provider: a fold over its book. Money is integer fen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from simulators.book import Book, Entry, now_utc, rfc3339
from simulators.faults import Fault
from simulators.payment_faults import Abnormal, Closed, NotExists, Processing

PROCESSING = "PROCESSING"
SUCCESS = "SUCCESS"
ABNORMAL = "ABNORMAL"
CLOSED = "CLOSED"
KIND_OF_END = {SUCCESS: "refunded", ABNORMAL: "abnormal", CLOSED: "closed"}
"""The kind of the book's entry for each end; `refunded` is money that moved."""
END_OF_KIND = {kind: status for status, kind in KIND_OF_END.items()}


class PaymentConflictError(Exception):
    """A payment is registered again with other facts."""


class RefundRefusedError(Exception):
    """A refund that the payment doesn't allow; `code` is one of the class's constants."""

    OTHER_PARAMETERS = "other parameters"
    TOTAL_DIFFERS = "total differs"
    EXCEEDS_PAYMENT = "exceeds the payment"

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Payment:
    """One payment that was made."""

    transaction_id: str
    out_trade_no: str
    amount_fen: int
    merchant_id: str | None = None


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """What a merchant asks for; the same number with other facts is refused."""

    refund_no: str
    transaction_id: str
    amount_fen: int
    total_fen: int | None  # None where the API doesn't name it (Alipay)


@dataclass(slots=True)
class Refund:
    """One refund number and how it stands."""

    id: str
    request: RefundRequest
    created_at: str
    status: str = PROCESSING
    ended_at: str | None = None
    next_status: str | None = None
    next_at: str | None = None
    visible_at: datetime | None = None
    notify_url: str | None = None

    @property
    def key(self) -> str:
        """Refund numbers are unique per payment here; WeChat's are unique per merchant as well."""
        return refund_key(self.request.transaction_id, self.request.refund_no)

    def is_seen_by_query(self, moment: datetime) -> bool:
        """Whether a query knows it already."""
        return self.visible_at is None or moment >= self.visible_at


@dataclass(slots=True)
class Account:
    """One payment with all that was asked and moved."""

    payment: Payment
    paid_at: str
    requests: int = 0
    queries: int = 0
    refund_keys: list[str] = field(default_factory=list[str])


def refund_key(transaction_id: str, refund_no: str) -> str:
    """The identity of a refund."""
    return f"{transaction_id}/{refund_no}"


class Refunds:
    """All payments and refunds of one provider; each change is an entry of the book first.

    `on_change_due` is called with each refund that will change by itself, `on_end` with each that ended.
    """

    def __init__(
        self,
        book: Book,
        *,
        time_scale: float,
        settle_seconds: float,
        on_change_due: Callable[[Refund], None],
        on_end: Callable[[Refund], None],
    ) -> None:
        self._book = book
        self._time_scale = time_scale
        self._settle_seconds = settle_seconds
        self._on_change_due = on_change_due
        self._on_end = on_end
        self._accounts: dict[str, Account] = {}
        self._by_out_trade_no: dict[str, str] = {}
        self._refunds: dict[str, Refund] = {}
        self._by_refund_no: dict[str, str] = {}
        for entry in book.replay():
            self._apply(entry)

    def register(self, payment: Payment, paid_at: str | None = None) -> None:
        """Know a payment; it was made now, if nothing else is said (RFC 3339).

        Raises:
            PaymentConflictError: the transaction or the out_trade_no is known with other facts.
        """
        known = self.find_payment(payment.transaction_id, None) or self.find_payment(None, payment.out_trade_no)
        if known == payment:
            return
        if known is not None:
            raise PaymentConflictError(
                f"{payment.transaction_id} or {payment.out_trade_no} is known as another payment; use new names"
            )
        self._record(
            "paid",
            transaction_id=payment.transaction_id,
            out_trade_no=payment.out_trade_no,
            amount_fen=payment.amount_fen,
            merchant_id=payment.merchant_id,
            **({} if paid_at is None else {"paid_at": paid_at}),
        )

    def find_payment(self, transaction_id: str | None, out_trade_no: str | None) -> Payment | None:
        """The payment by either name."""
        key = transaction_id or self._by_out_trade_no.get(out_trade_no or "", "")
        account = self._accounts.get(key)
        return account.payment if account else None

    def find_refund(self, key: str) -> Refund | None:
        """A refund by `refund_key`."""
        return self._refunds.get(key)

    def find_refund_by_no(self, refund_no: str) -> Refund | None:
        """A refund by its number alone, where numbers are unique per merchant (WeChat)."""
        return self._refunds.get(self._by_refund_no.get(refund_no, ""))

    def waiting(self) -> list[Refund]:
        """Refunds that will change by themselves."""
        return [refund for refund in self._refunds.values() if refund.next_at]

    def note(self, kind: str, **data: Any) -> int:
        """Book a request or an answer; returns the entry's number."""
        return self._record(kind, **data).seq

    def check(self, request: RefundRequest, same_number: Refund | None) -> Refund | None:
        """The refund that has the number already; None when it is new and the payment allows it.

        Raises:
            RefundRefusedError: other parameters than before, or more than was paid.
        """
        if same_number is not None:
            if same_number.request != request:
                raise RefundRefusedError(RefundRefusedError.OTHER_PARAMETERS)
            return same_number
        account = self._accounts[request.transaction_id]
        if request.total_fen not in (None, account.payment.amount_fen):
            raise RefundRefusedError(RefundRefusedError.TOTAL_DIFFERS)
        if self.taken_fen(request.transaction_id) + request.amount_fen > account.payment.amount_fen:
            raise RefundRefusedError(RefundRefusedError.EXCEEDS_PAYMENT)
        return None

    def taken_fen(self, transaction_id: str) -> int:
        """What was refunded or is under way for a payment: all numbers that are not CLOSED."""
        refunds = (self._refunds[key] for key in self._accounts[transaction_id].refund_keys)
        return sum(refund.request.amount_fen for refund in refunds if refund.status != CLOSED)

    def begin(
        self, request: RefundRequest, outcome: Fault | None, lag: Fault | None, notify_url: str | None = None
    ) -> Refund:
        """Take a new refund that `check` allowed."""
        seconds, end = self._settle_seconds, SUCCESS
        match outcome:
            case Processing(seconds=None):
                end = None
            case Processing(seconds=float(longer)):
                seconds = longer
            case Abnormal():
                end = ABNORMAL
            case Closed():
                end = CLOSED
            case _:
                pass
        self._record(
            "refund_accepted",
            transaction_id=request.transaction_id,
            refund_no=request.refund_no,
            amount_fen=request.amount_fen,
            total_fen=request.total_fen,
            id=f"5030{self._book.next_seq:024d}",
            next_status=end,
            next_at=self._in(seconds) if end else None,
            visible_at=self._in(lag.seconds) if isinstance(lag, NotExists) else None,
            notify_url=notify_url,
        )
        refund = self._refunds[refund_key(request.transaction_id, request.refund_no)]
        if seconds == 0 and end:
            self._end(refund, end)
        elif end:
            self._on_change_due(refund)
        return refund

    def come_due(self, key: str) -> None:
        """Let a refund take the change it waits for."""
        refund = self._refunds[key]
        if refund.next_status is not None:
            self._end(refund, refund.next_status)

    def settle(self, refund: Refund) -> bool:
        """End a refund that is ABNORMAL or under way as SUCCESS; False when it has ended otherwise."""
        if refund.status in (SUCCESS, CLOSED):
            return False
        self._end(refund, SUCCESS)
        return True

    def accounts(self) -> list[tuple[Account, list[Refund]]]:
        """Every payment with its refunds: what a bill is made of."""
        return [(account, self._of(account.refund_keys)) for account in self._accounts.values()]

    def account(self, transaction_id: str) -> Account | None:
        """A payment with all that was asked."""
        return self._accounts.get(transaction_id)

    def summary(self) -> dict[str, dict[str, object]]:
        """Per transaction: what was paid, asked and refunded."""
        return {
            transaction_id: {
                "out_trade_no": account.payment.out_trade_no,
                "paid_fen": account.payment.amount_fen,
                "refunded_fen": sum(
                    refund.request.amount_fen for refund in self._of(account.refund_keys) if refund.status == SUCCESS
                ),
                "refunds": {refund.request.refund_no: refund.status for refund in self._of(account.refund_keys)},
                "refund_requests": account.requests,
                "queries": account.queries,
            }
            for transaction_id, account in self._accounts.items()
        }

    def _of(self, keys: Sequence[str]) -> list[Refund]:
        return [self._refunds[key] for key in keys]

    def _end(self, refund: Refund, status: str) -> None:
        payment = self._accounts[refund.request.transaction_id].payment
        self._record(
            KIND_OF_END[status],
            transaction_id=payment.transaction_id,
            out_trade_no=payment.out_trade_no,
            refund_no=refund.request.refund_no,
            amount_fen=refund.request.amount_fen,
            currency="CNY",
        )
        self._on_end(refund)

    def _in(self, seconds: float) -> str:
        return rfc3339(now_utc() + timedelta(seconds=seconds * self._time_scale))

    def _record(self, kind: str, **data: Any) -> Entry:
        entry = self._book.append(kind, **data)
        self._apply(entry)
        return entry

    def _apply(self, entry: Entry) -> None:
        """The fold: the one place where an entry changes anything."""
        data = entry.data
        account = self._accounts.get(data.get("transaction_id", ""))
        if entry.kind == "paid":
            payment = Payment(data["transaction_id"], data["out_trade_no"], data["amount_fen"], data["merchant_id"])
            self._accounts[payment.transaction_id] = Account(payment, data.get("paid_at") or entry.at)
            self._by_out_trade_no[payment.out_trade_no] = payment.transaction_id
        elif account is None:
            return
        elif entry.kind == "refund":
            account.requests += 1
        elif entry.kind == "query":
            account.queries += 1
        elif entry.kind == "refund_accepted":
            refund = _accepted_refund(entry)
            self._refunds[refund.key] = refund
            self._by_refund_no[refund.request.refund_no] = refund.key
            account.refund_keys.append(refund.key)
        elif entry.kind in END_OF_KIND:
            refund = self._refunds[refund_key(data["transaction_id"], data["refund_no"])]
            refund.status, refund.ended_at = END_OF_KIND[entry.kind], entry.at
            refund.next_status = refund.next_at = None


def _accepted_refund(entry: Entry) -> Refund:
    data = entry.data
    visible_at = data["visible_at"]
    return Refund(
        data["id"],
        RefundRequest(data["refund_no"], data["transaction_id"], data["amount_fen"], data["total_fen"]),
        entry.at,
        next_status=data["next_status"],
        next_at=data["next_at"],
        visible_at=datetime.fromisoformat(visible_at) if visible_at else None,
        notify_url=data["notify_url"],
    )
