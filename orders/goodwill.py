"""Goodwill refunds: money given back after a delivery, by two persons' decision; the order stays delivered (ADR 10).

Each has a number of its own within its order, and a name that stands where an order ID does. Its money part is the
state of an order that begins refused, so that `orders.next_step` and `orders.refund_rules` carry it out unchanged.
Rules are pure, as in `orders.carrier_rules`; the order book runs them with the order's row locked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

from orders import four_eyes, operator_rules
from orders.four_eyes import Proposed
from orders.identities import MOST_GOODWILL_REFUNDS, goodwill_name
from orders.lifecycle import Outcome, Status
from orders.state import GOODWILL, OrderState

GIVEN_UP: Final = "given up: "
"""Begins what stands in `paid_another_way` of one that the provider has refused and that is not paid at all."""
Stands = Literal["proposed", "refunding", "parked", "refunded", "paid_another_way", "given_up"]
Became = Literal["refused", "proposed", "confirmed", "repeated"]


@dataclass(frozen=True, slots=True)
class Delivered:
    """What the rules need to know of the order. `status`, `outcome`: delivered, or why nothing may be given back."""

    order_id: str
    status: Status
    outcome: Outcome | None
    paid_fen: int


@dataclass(frozen=True, slots=True)
class Goodwill:
    """One goodwill refund.

    Attributes:
        asked_by, approved_by: the two persons, with their reasons; nothing follows before both.
        refund: its money part; `proposal` and what belongs to it is the first person's word while it is open.
    """

    order_id: str
    number: int
    amount_fen: int
    asked_by: str
    asked_note: str
    asked_at: datetime
    refund: OrderState
    approved_by: str = ""
    approved_note: str = ""
    approved_at: datetime | None = None

    @property
    def name(self) -> str:
        """What it is worked on as: `T20230821183406000001/1`."""
        return goodwill_name(self.order_id, self.number)

    @property
    def is_approved(self) -> bool:
        """Whether two persons have decided it."""
        return self.approved_at is not None

    @property
    def stands(self) -> Stands:
        """In a word."""
        if not self.is_approved:
            return "proposed"
        if self.refund.outcome is None:
            return "parked" if self.refund.status == "parked" else "refunding"
        if not ended_elsewhere(self.refund.paid_another_way, self.refund.provider_refund_id):
            return "refunded"
        return "given_up" if self.refund.paid_another_way.startswith(GIVEN_UP) else "paid_another_way"

    @property
    def given_fen(self) -> int:
        """What it takes of what was paid: all once it is decided, nothing where it was given up in the end."""
        return self.amount_fen if self.is_approved and self.stands != "given_up" else 0


@dataclass(frozen=True, slots=True)
class Word:
    """What became of one person's word.

    Attributes:
        goodwill: as it stands now; None where the word is refused.
        says: why it is refused, or who proposes what until when.
        replaced: the proposal that this one took the place of.
    """

    became: Became
    goodwill: Goodwill | None
    says: str = ""
    replaced: str = ""


def begin(order_id: str, number: int, at: datetime) -> OrderState:
    """The money part of one that was decided at this moment: never sent anywhere, so definitely not sold by it."""
    return OrderState(
        order_id=goodwill_name(order_id, number),
        claimed_at=at,
        carrier_outcome="rejected",
        carrier_code=GOODWILL,
        carrier_outcome_at=at,
    )


def ended_elsewhere(paid_another_way: str, provider_refund_id: str) -> bool:
    """Whether a refund ended without the provider's paying it: another way, or not at all."""
    return bool(paid_another_way) and provider_refund_id == paid_another_way


def ask(
    order: Delivered, given: Sequence[Goodwill], now: datetime, *, amount_fen: int, operator: str, note: str
) -> Word:
    """One person's word that so much be given back: a proposal, or the confirmation of another's.

    The same amount and reason of a person who asked for or confirmed one is that one, for ever: a command whose answer
    got lost is given again without harm, however late. One at a time; all together never more than was paid.

    Args:
        order: whose.
        given: its goodwill refunds so far, by number.
        now: this moment.
        amount_fen: how much.
        operator: who.
        note: why.
    """
    repeated = next((one for one in given if _is_word_of(one, amount_fen, operator, note)), None)
    if repeated is not None:
        return Word("repeated", repeated)
    last = given[-1] if given else None
    if refusal := _why_not(order, given, amount_fen):
        return Word("refused", None, refusal)
    if last is None or last.is_approved:
        number = last.number + 1 if last else 1
        last = Goodwill(order.order_id, number, amount_fen, "", "", now, begin(order.order_id, number, now))
    proposed, answer = four_eyes.propose(last.refund, now, f"{amount_fen} fen", operator, note)
    if isinstance(answer, Proposed):
        asked = replace(last, amount_fen=amount_fen, asked_by=operator, asked_note=note, asked_at=now, refund=proposed)
        return Word("proposed", asked, four_eyes.open_proposal(proposed, now), answer.replaced)
    decided = replace(proposed, claimed_at=now, carrier_outcome_at=now)
    approved = replace(last, approved_by=operator, approved_note=note, approved_at=now, refund=decided)
    return Word("confirmed", approved)


def give_up(refund: OrderState, operator: str, note: str) -> tuple[OrderState, str]:
    """A person's word that one which the provider has definitely refused is not paid at all. Returns why not, or "".

    As `operator_rules.resolve_refunded`: nothing is sent any more, and the next query that shows no refund ends it.
    """
    if refund.paid_another_way or refund.outcome is not None:
        return refund, "It has ended, or a person has said how it ends: nothing is to be given up."
    return operator_rules.resolve_refunded(refund, f"{GIVEN_UP}{operator}: {note}")


def _why_not(order: Delivered, given: Sequence[Goodwill], amount_fen: int) -> str:
    if order.outcome != "delivered":
        return (
            f"Order {order.order_id} is {order.status}, not delivered, and goodwill is given back after a delivery: "
            f"see `topup orders show {order.order_id}`; one that is not settled has `topup orders refund`."
        )
    if given and given[-1].is_approved and given[-1].refund.outcome is None:
        last = given[-1]
        return (
            f"Goodwill refund {last.number} of order {order.order_id} ({last.amount_fen} fen) is under way: see "
            f"`topup orders show {last.name}`; the next can be asked for once it has ended."
        )
    left = order.paid_fen - sum(one.given_fen for one in given)
    if not 0 < amount_fen <= left:
        return (
            f"Of order {order.order_id} {order.paid_fen} fen were paid, of which {left} fen can still be given back; "
            f"{amount_fen} fen can't."
        )
    if given and given[-1].is_approved and given[-1].number >= MOST_GOODWILL_REFUNDS:
        return f"Order {order.order_id} has {MOST_GOODWILL_REFUNDS} goodwill refunds, and no more are counted."
    return ""


def _is_word_of(one: Goodwill, amount_fen: int, operator: str, note: str) -> bool:
    if not one.is_approved or one.amount_fen != amount_fen:
        return False
    words = ((one.asked_by, one.asked_note), (one.approved_by, one.approved_note))
    return any(four_eyes.same_person(operator, who) and note == why for who, why in words)
