"""The carrier's orders: a fold over its book, and the rules of contracts §4 that decide about each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from simulators.book import Book, Entry, now_utc, rfc3339
from simulators.carrier_faults import Async, Failed, LateSuccess, QueryLag, Refuse
from simulators.faults import Fault

COMPLETED = "completed"
REJECTED = "rejected"
FAILED = "failed"
CANCELLED = "cancelled"
PARTIAL = "partial"
REFUSED_STATES = frozenset({REJECTED, FAILED})
END_OF = {COMPLETED: "sold", REJECTED: "rejected", FAILED: "failed", PARTIAL: "partial"}
"""The kind of the book's entry for each end of an order."""

DATE_PASSED = "COMPLETION_DATE_PASSED"
CANCELLED_CODE = "CANCELLED"


class BodyDiffersError(Exception):
    """An `externalId` came again with another body: 409, nothing changed."""


class CancelRefusedError(Exception):
    """The order is completed or in flight: 409, nothing changed."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a well-formed POST asks for, without the vehicle's data."""

    external_id: str
    package_id: str
    requested_completion_date: str
    complete_until: datetime
    canonical_sha256: str
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of an order by itself, later."""

    at: str
    state: str
    code: str | None = None
    text: str | None = None
    broke_word: bool = False


@dataclass(slots=True)
class Order:
    """One order as the carrier has it."""

    id: str
    external_id: str
    ordered_at: str
    state: str
    canonical_sha256: str | None = None
    requested_completion_date: str | None = None
    package_id: str | None = None
    ended_at: str | None = None
    code: str | None = None
    text: str | None = None
    visible_at: datetime | None = None
    cancel_blind: bool = False
    next_change: Change | None = None

    def is_seen_by_query(self, moment: datetime) -> bool:
        """Whether GET shows it already (visibility lag)."""
        return self.visible_at is None or moment >= self.visible_at


@dataclass(slots=True)
class Tally:
    """What was asked about one `externalId`, and how often it was sold."""

    posts: int = 0
    body_digests: set[str] = field(default_factory=set[str])
    gets: int = 0
    cancels: int = 0
    sold: int = 0


class CarrierOrders:
    """All orders of the carrier; each change is an entry of the book first.

    `on_change_due` is called with each order that will change by itself, so that the owner can set a timer.
    """

    def __init__(self, book: Book, time_scale: float, on_change_due: Callable[[Order], None]) -> None:
        self._book = book
        self._time_scale = time_scale
        self._on_change_due = on_change_due
        self._orders: dict[str, Order] = {}
        self._by_id: dict[str, str] = {}
        self._tallies: dict[str, Tally] = {}
        for entry in book.replay():
            self._apply(entry)

    def waiting(self) -> list[Order]:
        """Orders that will change by themselves."""
        return [order for order in self._orders.values() if order.next_change]

    def ended(self) -> list[Order]:
        """Every order in a final state: what a statement is made of."""
        return [order for order in self._orders.values() if order.ended_at is not None]

    def note(self, kind: str, external_id: str | None, **data: Any) -> int:
        """Book a request or an answer; returns the entry's number."""
        return self._record(kind, external_id=external_id, **data).seq

    def find(self, external_id: str) -> Order | None:
        """The order, seen by queries or not."""
        return self._orders.get(external_id)

    def find_by_id(self, order_id: str) -> Order | None:
        """The order by the carrier's own ID, seen by queries or not."""
        external_id = self._by_id.get(order_id)
        return self._orders.get(external_id) if external_id else None

    def submit(self, proposal: Proposal, take_outcome: Callable[[], tuple[Fault | None, Fault | None]]) -> bool:
        """Take a proposal; True when its `externalId` is new. `take_outcome` gives the faults of a new order.

        Raises:
            BodyDiffersError: the `externalId` came with another body before.
        """
        known = self._orders.get(proposal.external_id)
        if known is not None:
            if known.state != CANCELLED and known.canonical_sha256 != proposal.canonical_sha256:
                raise BodyDiffersError(f"another body with the externalId {proposal.external_id} came before")
            return False
        if proposal.arrived_at > proposal.complete_until:
            self._accept(proposal, "acknowledged")
            self._end(proposal.external_id, REJECTED, DATE_PASSED, "requestedCompletionDate has passed")
            return True
        outcome, lag = take_outcome()
        self._begin(proposal, outcome, lag if isinstance(lag, QueryLag) else None)
        return True

    def cancel(self, external_id: str) -> Order:
        """Burn an `externalId` that was never seen; otherwise tell how it stands.

        Raises:
            CancelRefusedError: completed, or still in flight.
        """
        order = self._orders.get(external_id)
        if order is None:
            self._record("burnt", external_id=external_id, id=self._new_id())
            return self._orders[external_id]
        if order.cancel_blind and not order.is_seen_by_query(now_utc()):
            self._record("burnt_blind", external_id=external_id)
            return Order(order.id, external_id, order.ordered_at, CANCELLED, code=CANCELLED_CODE)
        if order.state == CANCELLED or order.state in REFUSED_STATES:
            return order
        if order.state == COMPLETED:
            raise CancelRefusedError("ORDER_COMPLETED", f"the order {external_id} is completed and can't be cancelled")
        raise CancelRefusedError(
            "ORDER_IN_FLIGHT", f"the order {external_id} is {order.state} and can't be cancelled; query it"
        )

    def come_due(self, external_id: str) -> None:
        """Let an order take the change it waits for."""
        order = self._orders[external_id]
        change = order.next_change
        if change is not None:
            extra = {"broke_word": True} if change.broke_word else {}
            self._end(external_id, change.state, change.code, change.text, **extra)

    def summary(self) -> dict[str, dict[str, object]]:
        """Per `externalId`: what was asked, what was sold, how it stands."""
        return {
            external_id: {
                "posts": tally.posts,
                "distinct_bodies": len(tally.body_digests),
                "gets": tally.gets,
                "cancels": tally.cancels,
                "sold": tally.sold,
                "state": order.state if (order := self._orders.get(external_id)) else None,
                "code": order.code if order else None,
            }
            for external_id, tally in self._tallies.items()
        }

    def _begin(self, proposal: Proposal, outcome: Fault | None, lag: QueryLag | None) -> None:
        external_id = proposal.external_id
        match outcome:
            case Refuse(code=code, text=text):
                self._accept(proposal, "acknowledged", lag)
                self._end(external_id, REJECTED, code, text)
            case Failed(text=text):
                self._accept(proposal, "acknowledged", lag)
                self._end(external_id, FAILED, None, text)
            case Async(then="never"):
                self._accept(proposal, outcome.state, lag)
            case Async():
                code = outcome.code if outcome.then == REJECTED else None
                self._accept(proposal, outcome.state, lag, Change(self._in(outcome.after_seconds), outcome.then, code))
            case LateSuccess(after_seconds=seconds):
                change = Change(self._in(seconds), COMPLETED, broke_word=True)
                self._accept(proposal, "acknowledged", lag, change)
                self._end(external_id, FAILED, None, "failed at the simulated carrier")
            case _:
                self._accept(proposal, "acknowledged", lag)
                self._end(external_id, COMPLETED)

    def _accept(
        self, proposal: Proposal, state: str, lag: QueryLag | None = None, change: Change | None = None
    ) -> None:
        self._record(
            "accepted",
            external_id=proposal.external_id,
            id=self._new_id(),
            canonical_sha256=proposal.canonical_sha256,
            package_id=proposal.package_id,
            requested_completion_date=proposal.requested_completion_date,
            state=state,
            visible_at=self._in(lag.seconds) if lag else None,
            cancel_blind=bool(lag and lag.cancel_blind),
            next_change=asdict(change) if change else None,
        )
        if change:
            self._on_change_due(self._orders[proposal.external_id])

    def _end(
        self, external_id: str, state: str, code: str | None = None, text: str | None = None, **extra: Any
    ) -> None:
        package_id = self._orders[external_id].package_id
        self._record(END_OF[state], external_id=external_id, code=code, text=text, package_id=package_id, **extra)

    def _in(self, seconds: float) -> str:
        return rfc3339(now_utc() + timedelta(seconds=seconds * self._time_scale))

    def _new_id(self) -> str:
        return f"PO{self._book.next_seq:010d}"

    def _record(self, kind: str, **data: Any) -> Entry:
        entry = self._book.append(kind, **data)
        self._apply(entry)
        return entry

    def _apply(self, entry: Entry) -> None:
        """The fold: the one place where an entry changes anything."""
        data = entry.data
        external_id = data.get("external_id")
        if external_id is None:
            return
        tally = self._tallies.setdefault(external_id, Tally())
        match entry.kind:
            case "post":
                tally.posts += 1
                tally.body_digests.add(data["body_sha256"])
            case "get":
                tally.gets += 1
            case "cancel":
                tally.cancels += 1
            case "accepted":
                self._add(_accepted_order(entry))
            case "burnt":
                self._add(Order(data["id"], external_id, entry.at, CANCELLED, ended_at=entry.at, code=CANCELLED_CODE))
            case "sold" | "rejected" | "failed" | "partial":
                tally.sold += entry.kind == "sold"
                _finish(self._orders[external_id], entry)
            case _:
                pass

    def _add(self, order: Order) -> None:
        self._orders[order.external_id] = order
        self._by_id[order.id] = order.external_id


def _accepted_order(entry: Entry) -> Order:
    data = entry.data
    visible_at, change = data["visible_at"], data["next_change"]
    return Order(
        data["id"],
        data["external_id"],
        entry.at,
        data["state"],
        canonical_sha256=data["canonical_sha256"],
        requested_completion_date=data["requested_completion_date"],
        package_id=data["package_id"],
        visible_at=datetime.fromisoformat(visible_at) if visible_at else None,
        cancel_blind=data["cancel_blind"],
        next_change=Change(**change) if change else None,
    )


def _finish(order: Order, entry: Entry) -> None:
    """An end; a carrier that will break its word keeps the change it waits for."""
    state = next(state for state, kind in END_OF.items() if kind == entry.kind)
    if order.next_change is not None and order.next_change.state == state:
        order.next_change = None
    order.state = state
    order.ended_at = entry.at
    order.code = entry.data["code"]
    order.text = entry.data["text"]
