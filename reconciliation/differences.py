"""A difference: its kind, its ID that a rerun finds again, and how it opens and closes (contracts §10). Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, get_args

from orders import four_eyes

Kind = Literal[
    "duplicate_payment",
    "payment_without_order",
    "order_without_payment",
    "amount_differs",
    "refund_amount_differs",
    "sold_after_refusal",
    "delivered_and_refunded",
    "refunded_twice",
    "refund_unknown",
    "refund_missing",
    "sold_without_order",
    "delivered_unknown_to_carrier",
    "timing",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
State = Literal["open", "resolved", "closed_itself"]

ALERTED: Final[frozenset[Kind]] = frozenset(
    {"sold_after_refusal", "delivered_and_refunded", "refunded_twice", "refund_missing"}
)
"""Money that left twice, or to nobody: a person is called at once."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a run finds.

    Attributes:
        id: `payment:…`, `refund:…` or `order:…`: the subject, without the kind, which may change.
        source: whose bill or statement judges it: a provider, or `carrier`.
        day: of its subject.
        transaction_id: of its payment; "" for an order at the carrier.
        order_id: where there is one.
        book_fen: what the book says; None where it says nothing.
        outside_fen: what provider or carrier says.
        why: a sentence for whoever looks at it.
        must_act: the payment is in none of the books, and its time is over: put it to Kafka, or among the unmatched.
        never_an_order: it must not become one, whatever its attachment proves.
    """

    id: str
    kind: Kind
    source: str
    day: str
    why: str
    transaction_id: str = ""
    order_id: str = ""
    book_fen: int | None = None
    outside_fen: int | None = None
    must_act: bool = False
    never_an_order: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """What the book keeps of one.

    Attributes:
        put_as: the payment was put to Kafka as this, once: "" = it was not.
        opened_at: when it was last opened; its age counts from `first_seen`.
        closed_at: when it was resolved or closed itself.
    """

    id: str
    kind: Kind
    source: str
    day: str
    why: str
    transaction_id: str
    order_id: str
    book_fen: int | None
    outside_fen: int | None
    state: State
    put_as: Literal["", "order", "unmatched"]
    first_seen: datetime
    opened_at: datetime
    closed_at: datetime | None
    operator: str
    note: str

    proposal: str = ""
    """As in `OrderState`: what the first of two persons wishes (`orders.four_eyes`)."""
    proposed_by: str = ""
    proposed_at: datetime | None = None
    proposed_note: str = ""
    confirmed_by: str = ""
    confirmed_note: str = ""

    @property
    def closing(self) -> str:
        """What a person closes: with kind and amounts, so that a proposal is none for what it has become since."""
        return f"resolved {self.kind} {_fen(self.book_fen)} against {_fen(self.outside_fen)}"

    def age_days(self, now: datetime) -> int:
        """Whole days since it was first seen."""
        return (now - self.first_seen).days


def payment_id(provider: str, transaction_id: str) -> str:
    """The ID of a payment's difference."""
    return f"payment:{provider}:{transaction_id}"


def refund_id(provider: str, number: str, *, payment: str = "") -> str:
    """The ID of a refund's difference; with its payment, where its number is nobody's and may be another's too."""
    return f"refund:{provider}:{payment}:{number}" if payment else f"refund:{provider}:{number}"


def sale_id(order_id: str) -> str:
    """The ID of the difference of an order at the carrier."""
    return f"order:{order_id}"


def compared(stored: Difference | None, found: Found | None, now: datetime) -> Difference | None:
    """What is to be written after a run has looked at a subject; None: nothing has changed.

    What a person has resolved opens again only if amount or kind changes.
    """
    if found is None:
        if stored is None or stored.state != "open":
            return None
        return replace(stored, state="closed_itself", closed_at=now)
    if stored is None:
        return Difference(
            **_facts(found),
            state="open",
            put_as="",
            first_seen=now,
            opened_at=now,
            closed_at=None,
            operator="",
            note="",
        )
    if stored.state != "closed_itself" and _judged(stored) == _judged(found):
        return None
    opened_at = stored.opened_at if stored.state == "open" else now
    return replace(stored, **_facts(found), state="open", opened_at=opened_at, closed_at=None)


def resolve(one: Difference, now: datetime, operator: str, note: str) -> tuple[Difference, str]:
    """Close one by a person's word. Returns why not, or ""."""
    if one.state != "open":
        return one, f"The difference {one.id} is {one.state} already; nothing was changed."
    closed = replace(one, state="resolved", operator=operator, note=note, closed_at=now)
    return four_eyes.withdraw(closed), ""


def resolve_by_two(one: Difference, now: datetime, operator: str, note: str) -> tuple[Difference, str]:
    """Likewise, once a second operator says so of the same difference, unchanged; until then it is proposed."""
    after, refusal, _ = four_eyes.agree(one, now, resolve, wish=one.closing, operator=operator, note=note)
    return after, refusal


def changes(
    stored: Mapping[str, Difference], found: Iterable[Found], now: datetime
) -> list[tuple[Difference, Difference | None]]:
    """Each that is to be written, and what stood there before. `stored` are those of the subjects looked at."""
    by_id = {one.id: one for one in found}
    pairs = [(compared(stored.get(name), by_id.get(name), now), stored.get(name)) for name in {*stored, *by_id}]
    return [(new, old) for new, old in sorted(pairs, key=lambda pair: pair[0].id if pair[0] else "") if new is not None]


def is_news(new: Difference, old: Difference | None) -> bool:
    """Whether a person is to be called for it now."""
    if new.state != "open" or new.kind not in ALERTED:
        return False
    return old is None or old.state != "open" or old.kind != new.kind


def _fen(fen: int | None) -> str:
    return "nothing" if fen is None else str(fen)


def _judged(one: Difference | Found) -> tuple[object, ...]:
    return (one.kind, one.book_fen, one.outside_fen)


def _facts(found: Found) -> dict[str, Any]:
    return {
        "id": found.id,
        "kind": found.kind,
        "source": found.source,
        "day": found.day,
        "why": found.why,
        "transaction_id": found.transaction_id,
        "order_id": found.order_id,
        "book_fen": found.book_fen,
        "outside_fen": found.outside_fen,
    }
