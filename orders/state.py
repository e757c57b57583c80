"""What the order book remembers of one paid order's money, and what follows from it at a glance: its phase.

`orders.next_step` decides from it what happens next; `carrier_rules`, `refund_rules` and `operator_rules` change it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from orders.lifecycle import Outcome, Status
from orders.outcomes import Completed, Refused

CarrierOutcome = Literal["completed", "rejected", "cancelled"]
"""TMF622's final states; `failed` counts as `rejected`, and `cancelled` is a confirmed burn."""

Attention = Literal[
    "",
    "partial",  # the carrier says partial
    "carrier_silent",  # it has settled nothing for a day
    "manual",  # it can't be asked, and its one POST was not answered with an end
    "contradicted",  # it has taken its refusal back before a refund was started
    "refund_held",  # the refund can't be sent now: balance, provider not configured
    "refund_denied",  # the provider has definitely refused it
    "provider_refuses_us",  # our key or account
    "refund_silent",  # it is not confirmed for an hour
    "foreign_run",  # a run that is not its own stands under its ID, so that its own can't start
]
"""What a person is called for; everything goes on meanwhile. `""`: nobody is needed."""

PARKED: Final[frozenset[Attention]] = frozenset(
    {"partial", "carrier_silent", "manual", "contradicted", "refund_denied"}
)
"""Those in which only a person (or a late answer) is likely to move the order on."""

RefundAnswered = Literal["", "sent", "accepted", "unknown", "closed", "held", "in_doubt"]
"""What is known of the refund number in use: `sent` and not answered, or the last thing the provider said of it."""

CANCELLED: Final = "CANCELLED"
NOT_FOUND_AND_BURNT: Final = "NOT_FOUND_AND_BURNT"
RESOLVED_BY_OPERATOR: Final = "RESOLVED_BY_OPERATOR"
UNMATCHED: Final = "UNMATCHED"
"""No carrier's word: the order was made of an unmatched payment, to be paid back alone (`orders.unmatched`)."""
GOODWILL: Final = "GOODWILL"
"""Likewise no carrier's word: this is the state of a goodwill refund of a delivered order (`orders.goodwill`)."""
SHORTEST_RIGHT: Final = timedelta(seconds=1)
"""A loaded worker's own time between a right's transaction and the send, which no scale makes shorter."""


@dataclass(frozen=True, slots=True)
class CarrierTimes:
    """What the rules need to know of a carrier: how slow it may be (contracts §4), scaled, and if it can be asked."""

    longest_latency: timedelta
    """From a POST's arrival to its effect."""
    visibility_lag: timedelta
    """From an effect to its being seen by `GET`."""
    completion_window: timedelta
    """From the first call to `requestedCompletionDate`."""
    can_be_asked: bool = True
    """False: its dialect has no serial of ours, no query and no cancel: at most one POST per order."""
    restored_at: datetime | None = None
    """When a book restored from a backup was put in service; every process of before was stopped by then. What they
    sent in the time that the book has lost may act, or show up, until the waits below are over. Never scaled."""
    listens_for: timedelta = timedelta(seconds=65)
    """How long after a POST has left some worker may still wait for its answer."""
    refund_again_after: timedelta = timedelta(seconds=60)
    """Between two sends of one refund number: the provider may not show the first yet."""

    def __post_init__(self) -> None:
        assert self.longest_latency < self.completion_window, "a POST would be too late at once (runtime.settings)"

    @property
    def post_leaves_within(self) -> timedelta:
        """How long the right to a POST lasts.

        Longer than connecting takes, and short: what a POST without an answer did is known from its end + latency +
        lag on.
        """
        return max(self.longest_latency / 8, SHORTEST_RIGHT)

    @property
    def empty_counts_from(self) -> datetime | None:
        """After a restore: from when on an empty `GET` says that the lost time left nothing at the carrier."""
        return None if self.restored_at is None else self.restored_at + self.longest_latency + self.visibility_lag

    @property
    def burn_from(self) -> datetime | None:
        """After a restore: from when on no POST of the lost time can be taken in any more."""
        return None if self.restored_at is None else self.restored_at + self.completion_window + self.visibility_lag


@dataclass(frozen=True, slots=True)
class OrderState:
    """The money part of one order's row. Times are aware, UTC."""

    order_id: str
    claimed_at: datetime
    attention: Attention = ""
    reason: str = ""
    """Why it waits, or for what a person is called: a sentence for people."""
    in_doubt_since: datetime | None = None
    """When the carrier was first asked, or heard, without an end."""
    reopened_at: datetime | None = None
    """When the order was last taken up by another run: that one asks the carrier before it sends anything to it."""
    retry_requested_at: datetime | None = None
    """When an operator last asked for another try."""

    posts: int = 0
    """POSTs authorized; the submit intent stands when it is above 0."""
    body: bytes | None = None
    completion_date: datetime | None = None
    """None in a row with a POST: that went to a carrier that can't be asked, whatever dialect is spoken today."""
    last_post_at: datetime | None = None
    last_post_answered_at: datetime | None = None
    carrier_not_before: datetime | None = None
    not_found_at: datetime | None = None
    """When the newest `GET` was asked that was answered, empty, with no POST authorized since: the evidence on which a
    further POST or a burn rests."""

    cancel_reason: str = ""
    """Someone asked that this order be cancelled (or resolved as not delivered); stands before anything follows."""
    resolution_note: str = ""
    burn_at: datetime | None = None
    """The burn intent: closes the row to POSTs for ever."""
    burn_reason: str = ""

    carrier_outcome: CarrierOutcome | None = None
    """The carrier's final word, written once."""
    carrier_code: str = ""
    carrier_outcome_at: datetime | None = None
    carrier_order_id: str = ""
    contradicted: bool = False
    """The carrier has said the opposite of its final word: alert; no refund starts on such a row."""

    refund_sequence: int = 0
    """The refund number in use, counted from 1; the refund intent stands when it is above 0."""
    refund_at: datetime | None = None
    refund_sent_at: datetime | None = None
    refund_answered: RefundAnswered = ""
    refund_denied: str = ""
    refund_denied_at: datetime | None = None
    paid_another_way: str = ""
    """An operator's reference for a refund that the provider has refused and that was paid another way."""
    refund_confirmed_at: datetime | None = None
    provider_refund_id: str = ""

    outcome: Outcome | None = None
    settled_at: datetime | None = None

    restored_at: datetime | None = None
    """For a carrier that can't be asked: the restored book could not rule out that this order was sent."""

    proposal: str = ""
    """What the first of two persons wishes (`orders.four_eyes`); open while nobody has confirmed it."""
    proposed_by: str = ""
    proposed_at: datetime | None = None
    proposed_note: str = ""
    confirmed_by: str = ""
    confirmed_note: str = ""

    @property
    def status(self) -> Status:
        """Its phase (contracts §3, `TopUpStatus`)."""
        if self.outcome is not None:
            return self.outcome
        if self.attention in PARKED:
            return "parked"
        if self.carrier_outcome in ("rejected", "cancelled"):
            return "refunding"
        return "placing" if self.in_doubt_since is None else "in_doubt"

    @property
    def first_pass(self) -> bool:
        """Claimed, and neither settled, parked, in doubt, refunding nor behind a foreign run.

        It is what the bridge's admission limit counts.
        """
        return self.status == "placing" and self.attention != "foreign_run"

    @property
    def needs_operator(self) -> bool:
        """Whether a person is called for."""
        return bool(self.attention)

    @property
    def shown_reason(self) -> str:
        """What people read beside the status."""
        if self.attention or self.carrier_outcome is None:
            return "" if self.outcome is not None else self.reason
        return "" if self.carrier_outcome == "completed" else self.carrier_code


DERIVED: Final = ("status", "first_pass", "needs_operator")
"""Properties of `OrderState` that its row holds too, to be searched by."""


def final_outcome(state: OrderState) -> Completed | Refused | None:
    """The carrier's final word, if the book has it."""
    if state.carrier_outcome is None:
        return None
    if state.carrier_outcome == "completed":
        return Completed(carrier_order_id=state.carrier_order_id)
    burnt = state.carrier_outcome == "cancelled"
    return Refused(code=state.carrier_code, burnt=burnt, carrier_order_id=state.carrier_order_id)
