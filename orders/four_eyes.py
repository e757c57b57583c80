"""Two persons (contracts §3): a word that moves money in doubt is proposed by one operator and confirmed by another.

The proposal stands in the order's row, so that it outlives the run it was made in. Rules are pure, as in
`orders.carrier_rules`. Names are what operators say of themselves: this guards against a slip, not against someone who
signs as another.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

from orders.state import OrderState

if TYPE_CHECKING:
    from dataclasses import Field

STANDS_FOR: Final = timedelta(hours=1)
"""How long a proposal waits for its confirmation (contracts §3). Persons are not scaled."""
REFUND_NOW: Final = "refund_now"
"""What the update `refund_now` wishes; `resolve` wishes its outcome."""


class Proposable(Protocol):
    """What a proposal stands in: an order's state, that of an unmatched payment, a dead letter, a difference."""

    __dataclass_fields__: ClassVar[dict[str, "Field[Any]"]]

    @property
    def proposal(self) -> str:
        """What the first of two persons wishes."""
        ...

    @property
    def proposed_by(self) -> str:
        """Who."""
        ...

    @property
    def proposed_at(self) -> datetime | None:
        """When."""
        ...

    @property
    def proposed_note(self) -> str:
        """Why."""
        ...

    @property
    def confirmed_by(self) -> str:
        """The second person."""
        ...

    @property
    def confirmed_note(self) -> str:
        """The second person's reason."""
        ...


P = TypeVar("P", bound=Proposable)


@dataclass(frozen=True, slots=True)
class Proposed:
    """Nothing follows yet. `replaced`: the other proposal, open or expired, that this one took the place of."""

    replaced: str = ""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Two persons wish the same; the word takes effect, with both notes, so that a reference in either counts."""

    note: str
    proposed_by: str = ""


def propose(entry: P, now: datetime, wish: str, operator: str, note: str) -> tuple[P, Proposed | Confirmed]:
    """Confirm what another operator has proposed within the hour, or propose it.

    The same word of the person who confirmed, once more, is the same confirmation: its answer had got lost.
    """
    if entry.proposed_at is not None and entry.proposal == wish and now <= entry.proposed_at + STANDS_FOR:
        repeated = entry.confirmed_by == operator and entry.confirmed_note == note
        if repeated or (not entry.confirmed_by and not same_person(entry.proposed_by, operator)):
            confirmed = replace(entry, confirmed_by=operator, confirmed_note=note)
            return confirmed, Confirmed(_both(entry.proposed_note, note), entry.proposed_by)
    proposed = replace(
        withdraw(entry), proposal=wish, proposed_by=operator.strip(), proposed_at=now, proposed_note=note
    )
    return proposed, Proposed(replaced=_replaced(entry, proposed, now))


def agree(
    entry: P,
    now: datetime,
    rule: Callable[[P, datetime, str, str], tuple[P, str]],
    *,
    wish: str,
    operator: str,
    note: str,
) -> tuple[P, str, str]:
    """Apply a rule of one operator once a second one wishes the same; it hears of both, and of both notes.

    Returns what the entry is then, why not (or `""`), and the proposal that waits (or `""`). A word that would be
    refused is refused to the first person.
    """
    _, refusal = rule(entry, now, operator, note)
    if refusal:
        return entry, refusal, ""
    marked, answer = propose(entry, now, wish, operator, note)
    if isinstance(answer, Proposed):
        return marked, "", open_proposal(marked, now)
    after, refusal = rule(marked, now, f"{answer.proposed_by} and {operator}", answer.note)
    return after, refusal, ""


def withdraw(entry: P) -> P:
    """No proposal any more."""
    return replace(
        entry, proposal="", proposed_by="", proposed_at=None, proposed_note="", confirmed_by="", confirmed_note=""
    )


def open_proposal(entry: Proposable, now: datetime) -> str:
    """The open proposal as a clause for people, or `""`: "Ann proposes not_delivered until 2026-11-23 14:05 UTC"."""
    settled = isinstance(entry, OrderState) and entry.outcome is not None
    if entry.proposed_at is None or entry.confirmed_by or settled:
        return ""
    until = entry.proposed_at + STANDS_FOR
    return "" if now > until else f"{entry.proposed_by} proposes {entry.proposal} until {_to_the_minute(until)}"


def _replaced(entry: Proposable, proposed: Proposable, now: datetime) -> str:
    if entry.proposed_at is None or entry.confirmed_by:
        return ""
    if now > entry.proposed_at + STANDS_FOR:
        return f"{entry.proposal} by {entry.proposed_by}, expired"
    before, after = ((one.proposal, one.proposed_by, one.proposed_note) for one in (entry, proposed))
    if before == after:  # said once more: the answer had got lost, if only on its way to the saga
        return ""
    return f"{entry.proposal} by {entry.proposed_by}"


def same_person(one: str, other: str) -> bool:
    """Whether two names are one to whoever reads them."""
    return _as_read(one) == _as_read(other)


def _as_read(name: str) -> str:
    """Without what isn't seen, and in one width: an input method writes `ｌｉ` for `li`."""
    plain = unicodedata.normalize("NFKC", name)
    seen = "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")
    return " ".join(seen.split()).casefold()


def _both(first: str, second: str) -> str:
    return first if first == second else f"{first}; {second}"


def _to_the_minute(at: datetime) -> str:
    """UTC, rounded down: what is shown as open is open. With the date, because it may be read much later."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
