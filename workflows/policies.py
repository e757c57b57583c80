"""The one table of the saga's timeouts and retries, each with its reason; their relations are asserted at import.

`scale` is `TOPUP_TIME_SCALE`: it multiplies what waits for the outside world, and nothing of database and Temporal.
"""

import itertools
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from orders.time_scale import SHORTEST_SECONDS, scaled

SLOW_CARRIER_SECONDS: Final = 40.0
"""What a carrier has taken in production; a limit below it ordered twice (the incident)."""

LOCAL_SECONDS: Final = 2.0
"""Limit of a local first try: queries, updates and cancels wait while it runs. Not scaled."""
LOCAL_ANSWER_SECONDS: Final = 1.5
"""How long a local try waits for an answer; a POST goes on in the background and its answer is booked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPolicy:
    """One step's whole policy. An attempt may take the outside call and the margin for the book beside it."""

    why: str
    local_seconds: float | None = LOCAL_SECONDS
    """Limit of the one local try; None: regular at once."""
    call_seconds: float = 0.0
    """Limit of the call to the outside world, connect to last byte. Scaled."""
    margin_seconds: float = 15.0
    """For the order book: two transactions of 5 s and the worker's own time. Not scaled."""
    first_retry_seconds: float = 1.0
    longest_retry_seconds: float = 30.0
    whole_seconds: float | None = None
    """The end of all attempts; None: never, an order is not given up. Not scaled."""

    def local_timeout(self) -> timedelta:
        """Start-to-close of the local try."""
        assert self.local_seconds is not None
        return timedelta(seconds=self.local_seconds)

    def attempt_timeout(self, scale: float) -> timedelta:
        """Start-to-close of one regular attempt."""
        call = scaled(self.call_seconds, scale) if self.call_seconds else 0.0
        return timedelta(seconds=call + self.margin_seconds)

    def whole_timeout(self) -> timedelta | None:
        """Schedule-to-close over all attempts."""
        return None if self.whole_seconds is None else timedelta(seconds=self.whole_seconds)

    def retry(self, scale: float) -> RetryPolicy:
        """For what the activity doesn't pace itself (`next_retry_delay`)."""
        outside = scale if self.call_seconds else 1.0
        return RetryPolicy(
            initial_interval=timedelta(seconds=scaled(self.first_retry_seconds, outside)),
            maximum_interval=timedelta(seconds=scaled(self.longest_retry_seconds, outside)),
            backoff_coefficient=2.0,
        )


BOOK: Final = StepPolicy(
    why="A transaction takes milliseconds; a database that is away comes back, and the order waits for it.",
)
PLACE_ORDER: Final = StepPolicy(
    why="Above the carrier's 40 s, so that a slow answer is heard. Retried by the engine only where no connection was"
    " made: the activity itself never sends twice.",
    call_seconds=60,
    longest_retry_seconds=60,
)
QUERY_ORDER: Final = StepPolicy(
    why="As slow as the POST. The activity paces its own looks (LOOK) and ends only with something to decide.",
    call_seconds=60,
    longest_retry_seconds=60,
)
BURN_ORDER: Final = StepPolicy(
    why="Repeating a burn changes nothing (contracts §4), so a lost answer is simply asked for again.",
    call_seconds=60,
    longest_retry_seconds=60,
)
REFUND_MONEY: Final = StepPolicy(
    why="Same number on each attempt, so repeating is safe; no end, because it is the customer's money.",
    call_seconds=30,
    first_retry_seconds=10,
    longest_retry_seconds=1800,
)
QUERY_MONEY: Final = StepPolicy(
    why="Looks at the provider's own pace (REFUND_LOOKS_SECONDS); no end.",
    call_seconds=30,
    first_retry_seconds=10,
    longest_retry_seconds=1800,
)
NOTIFY_FIRST: Final = StepPolicy(
    why="All platforms at once, once, while the outcome is fresh; a platform known to be down fails at once.",
    local_seconds=1.0,
    call_seconds=15,
)
NOTIFY_PLATFORM: Final = StepPolicy(
    why="Own end: after the message expiry the notice would be dropped by the broker anyway. Retries at most 35 s"
    " apart, so that notices are out within a minute of a platform's return, whatever else that takes.",
    local_seconds=None,
    call_seconds=15,
    longest_retry_seconds=35,
    whole_seconds=7 * 24 * 3600,
)
NOTICE_ANSWER_SECONDS: Final = 10.0
"""Limit of one publish, connect and CONNACK included. Scaled; below the call's limit. A connect alone has no more."""
NOTICE_PENDING_AFTER_SECONDS: Final = 3600.0
"""A notice that no platform has taken by then calls a person, unless `TOPUP_NOTICE_PENDING_SECONDS` says otherwise; it
is tried on until it would expire. Scaled."""
NOTICE_TRIES_BEFORE_CALL: Final = 10
"""Sooner where the platform is up: after as many tries, some 3 minutes, the fault is this notice's own."""
RECONNECT_LONGEST_SECONDS: Final = 10.0
"""The longest pause between two connects to a platform that is away. Scaled."""
PLATFORM_BACK_SECONDS: Final = 60.0
"""Within this of a platform's return its notices are out (docs/reliability.md, Figures): a connect that hangs since
before it, the pause after that, and the longest wait of a notice tried right before the connection was made."""
LOCAL_NOTICE_SECONDS: Final = 0.7
"""Limit of one publish in the local first try."""

LOOK_FIRST_SECONDS: Final = 2.0
LOOK_SHARE_OF_AGE: Final = 0.25
LOOK_LONGEST_SECONDS: Final = 3600.0
"""The pace of looks at the carrier grows with the order's age: 2 s at first, each a quarter of the age later, at most
1 h. Scaled. About 35 looks until the cap, whatever attempt or run asks; an operator's retry comes in between."""
LOOK_PARKED_LONGEST_SECONDS: Final = 24 * 3600.0
"""Looks in the book alone, at an order that waits for a person: rarer, for each stays in the run's history. Scaled."""
LISTENING_MARGIN_SECONDS: Final = 5.0
"""After a POST's limit: time to book what was heard. Not scaled."""
ANSWER_BOOKED_WITHIN_SECONDS: Final = 300.0
"""An answer that can't be asked for again is kept so long for a book that is away. Not scaled."""

REFUND_LOOKS_SECONDS: Final = (10, 60, 60, 60, 60, 60, 300, 600, 1200, 1800)
"""WeChat's advice: each minute for 5 minutes, then 5/10/20/30 minutes; Alipay shows a refund after 10 s. Scaled."""
REFUND_LEAVES_SECONDS: Final = 10.0
"""A refund leaves so soon after the book has let it, or not by this attempt: it may have been frozen since, another one
may have gone on, and a person may have paid another way. Longer than a transaction and a connect. Not scaled."""
REFUND_AGAIN_SECONDS: Final = 60.0
"""Between two sends of one refund number: the provider may not show the first yet. Scaled."""

HOLD_TRUSTED_SECONDS: Final = 1.0
"""How old a worker's knowledge of the holds may be: so soon after `topup hold` nothing new begins. Not scaled."""
HELD_FIRST_SECONDS: Final = 5.0
HELD_SHARE_OF_AGE: Final = 0.25
HELD_LONGEST_SECONDS: Final = 300.0
"""How soon an order looks again whether a part is still held: a quarter of the hold's age later, 5 s at first, at most
5 min. So a short hold is over soon after its release, and ten thousand orders in a long one cost 33 attempts a second.
Scaled."""
SLOT_SECONDS: Final = 1.0
"""How long a regular attempt waits for its turn under `TOPUP_CALLS_PER_SECOND`, before it lets go of its place."""
LOCAL_SLOT_SECONDS: Final = 0.25
"""Likewise a local try, which has to end soon."""
PACED_LONGEST_SECONDS: Final = 3600.0
"""The latest at which a call comes again that the limit has turned away: what has gathered comes one by one, as fast as
it is let through. Not scaled."""

TROUBLE_AFTER_SECONDS: Final = 120.0
"""From then on a labelled timer shows the trouble on the workflow's landing page. Scaled."""
PARK_AFTER_SECONDS: Final = 24 * 3600.0
"""A carrier that has settled nothing by then needs a person; the saga goes on asking. Scaled."""
REFUND_SILENT_AFTER_SECONDS: Final = 3600.0
"""Likewise a refund that is not confirmed, unless `TOPUP_REFUND_SILENT_SECONDS` says otherwise. Scaled."""
LABEL_SECONDS: Final = 24 * 3600.0
"""A label's timer is renewed each day; it wakes nobody. Not scaled."""

assert PLACE_ORDER.call_seconds > SLOW_CARRIER_SECONDS
assert LOCAL_ANSWER_SECONDS + LOCAL_SLOT_SECONDS < LOCAL_SECONDS
assert BOOK.margin_seconds > SLOT_SECONDS
assert (NOTIFY_FIRST.local_seconds or 0) > LOCAL_NOTICE_SECONDS
assert NOTIFY_PLATFORM.call_seconds > NOTICE_ANSWER_SECONDS
assert NOTICE_ANSWER_SECONDS + RECONNECT_LONGEST_SECONDS + NOTIFY_PLATFORM.longest_retry_seconds < PLATFORM_BACK_SECONDS
assert all(a <= b for a, b in itertools.pairwise(REFUND_LOOKS_SECONDS))
assert LOOK_FIRST_SECONDS < TROUBLE_AFTER_SECONDS < PARK_AFTER_SECONDS


def look_pace_seconds(age_seconds: float, scale: float) -> float:
    """How long to wait before the next look at the carrier, for an order whose last POST is that old (real seconds)."""
    unscaled_age = age_seconds / scale
    return scaled(min(max(unscaled_age * LOOK_SHARE_OF_AGE, LOOK_FIRST_SECONDS), LOOK_LONGEST_SECONDS), scale)


def parked_pace_seconds(age_seconds: float, scale: float) -> float:
    """Likewise for the next look in the book at an order that waits for a person: whenever its age has doubled."""
    return scaled(min(max(age_seconds / scale, LOOK_FIRST_SECONDS), LOOK_PARKED_LONGEST_SECONDS), scale)


def held_pace_seconds(held_seconds: float, scale: float) -> float:
    """Likewise for the next look whether a part is still held, which it has been for so long (real seconds)."""
    unscaled = held_seconds / scale
    return scaled(min(max(unscaled * HELD_SHARE_OF_AGE, HELD_FIRST_SECONDS), HELD_LONGEST_SECONDS), scale)


def notice_pace_seconds(away_seconds: float, scale: float) -> float:
    """How long to wait at most before the next try at a platform that has been away so long (real seconds).

    As long again: a short outage costs little time, and in a long one each notice costs few tries from its first on.
    """
    policy = NOTIFY_PLATFORM
    longest = scaled(policy.longest_retry_seconds, scale)
    return min(max(away_seconds, scaled(policy.first_retry_seconds, scale)), longest)


def refund_pace_seconds(age_seconds: float, scale: float) -> float:
    """How long to wait before the next look at a refund that was sent that long ago (real seconds)."""
    due = 0.0
    for step in REFUND_LOOKS_SECONDS:
        due += step * scale
        if due > age_seconds:
            return max(SHORTEST_SECONDS, due - age_seconds)
    return scaled(REFUND_LOOKS_SECONDS[-1], scale)
