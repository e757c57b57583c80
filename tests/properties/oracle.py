"""An independent model of the books: what may leave, when, and what must be true at every step and at the end.

It sees the wire from the other side, the bank, the car, and the order's row and audit trail as the database holds
them. It imports nothing of the product: each rule here is written from contracts §3 to §6 and the rules of money.
"""

import contextlib
import contextvars
import json
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

from tests.properties.strategies import LAG_SECONDS, LATENCY_SECONDS

ONE_SALE = "sold at most once"
ONE_REFUND = "refunded at most once, in full"
ONE_END = "never both sold and refunded"
ONE_BODY = "one body on each POST"
ASKED = "a further POST only after an empty GET, within its times"
IN_TIME = "no POST after the date minus the latency"
CLOSED_ROW = "no POST after a cancel, a burn or a refund"
BURN_LATE = "no burn before date + lag once a POST was granted"
REFUSED_TRUE = "no refund without a refusal or burn that is true now"
REFUSED_HEARD = "no refund without a refusal or burn that was heard"
SAME_NUMBER = "same refund number and amount until CLOSED"
DENIED = "what was refused for good is sent again only when asked for"
REOPENED_ASKS = "a reopened run asks before it sends"
SETTLED_QUIET = "nothing leaves for a settled order"
FINAL = "outcomes and ends are immutable"
TRUE_BOOK = "the book's outcomes and ends are true"
CONTRADICTED = "no refund starts on a contradicted row"
FEN = "conservation in fen"
ONE_ROW = "one row per order and payment"
APPEND_ONLY = "the audit trail is append-only"
TRAIL_WHOLE = "the audit trail holds each intent and answer"
NO_PII = "no VIN, ICCID or phone in trail, histories, alerts"
NOTICES = "notices tell the truth, in the same bytes"
IN_ORDER = "a platform hears refunded after failed"
NOT_HELD_UP = "a platform that is away holds no outcome up"
ALL_TOLD = "each platform has its notices at the end"
DUPLICATES = "a record again is a duplicate, a conflict stays out"
SENTENCES = "every update is answered by a sentence"
SOUND = "no workflow task fails, no run is wedged or fails"
ENDS = "everything ends once faults stop"
RULES = (
    ONE_SALE, ONE_REFUND, ONE_END, ONE_BODY, ASKED, IN_TIME, CLOSED_ROW, BURN_LATE, REFUSED_TRUE, REFUSED_HEARD,
    SAME_NUMBER, DENIED, REOPENED_ASKS, SETTLED_QUIET, FINAL, TRUE_BOOK, CONTRADICTED, FEN, ONE_ROW, APPEND_ONLY,
    TRAIL_WHOLE, NO_PII, NOTICES, IN_ORDER, NOT_HELD_UP, ALL_TOLD, DUPLICATES, SENTENCES, SOUND, ENDS,
)  # fmt: skip

REFUSALS = ("rejected", "failed", "cancelled")
_SETTLES_WITHIN_SECONDS = 30.0
_FOR_EVER = (
    "outcome",
    "settled_at",
    "refund_confirmed_at",
    "amount_fen",
    "transaction_id",
    "content_digest",
    "vehicle",
)
"""Columns that are never written again once they hold something."""


@dataclass
class Attempt:
    """Who calls: the run, and the step of the last transaction that this attempt rests on."""

    run_id: str = ""
    reopened: bool = False
    booked_step: int = 0


who: contextvars.ContextVar[Attempt | None] = contextvars.ContextVar("who", default=None)


@contextlib.contextmanager
def grounds_kept() -> Generator[None, None, None]:
    """What the attempt writes within changes nothing of what it rests on."""
    attempt = who.get() or Attempt()
    step = attempt.booked_step
    try:
        yield
    finally:
        attempt.booked_step = step


@dataclass
class Called:
    """One call to the carrier."""

    kind: str
    body: bytes
    at: float
    granted_step: int
    answered_at: float | None = None
    answered_step: int = 0
    empty: bool = False


class Violation(AssertionError):
    """A rule does not hold; the text names it first."""


@dataclass
class Tally:
    """How often each rule was checked, and what broke it, over all examples."""

    checks: Counter[str] = field(default_factory=Counter[str])
    violations: Counter[str] = field(default_factory=Counter[str])

    def add(self, other: "Tally") -> None:
        """Take in what another has counted."""
        self.checks.update(other.checks)
        self.violations.update(other.violations)


class Judge:
    """One order's model. A rule that doesn't hold is noted, and raised by `verdict`.

    Args:
        order_id: of the paid order.
        amount_fen: what was paid.
        secrets: what must stand nowhere.
        start: the moment at which seconds are 0.
        seconds: now.
    """

    slack_seconds = 0.01
    """How far the product's clock and this one may be apart."""

    def __init__(
        self, order_id: str, amount_fen: int, secrets: Sequence[str], start: datetime, seconds: Callable[[], float]
    ) -> None:
        self.order_id = order_id
        self._amount_fen = amount_fen
        self._secrets = [secret.encode() for secret in secrets]
        self._start = start
        self._seconds = seconds
        self.tally = Tally()
        self.broken: list[str] = []
        self.log: list[str] = []
        self._steps = 0
        self.calls: list[Called] = []
        self.asked_by: set[str] = set()
        self.state = ""
        self.sold = 0
        self.broke_its_word = False
        self.heard_refusal = False
        self.given_up = False
        self.bank_fen = 0
        self.by_hand_fen = 0
        self.numbers: list[str] = []
        self.seen_closed: set[str] = set()
        self._cancel_step = 0
        self._refund_step = 0
        self._denied_step = 0
        self._retry_step = 0
        self._retry_given = False
        self._settled_step = 0
        self._settled_at = float("inf")
        self._heard_sold_at = float("inf")
        self.row: dict[str, Any] = {}
        self._trail: list[tuple[Any, ...]] = []
        self.received: dict[tuple[str, str], int] = {}
        self._payloads: dict[str, bytes] = {}
        self.disturbed = False

    # --- judging --------------------------------------------------------------------------------------------------

    def check(self, rule: str, holds: bool, why: str = "") -> None:  # noqa: FBT001 - reads as a sentence
        """Note that a rule was looked at, and whether it holds."""
        self.tally.checks[rule] += 1
        if not holds:
            self.tally.violations[rule] += 1
            self.broken.append(f"{rule}: {why}")
            self.note(f"BROKEN {rule}: {why}")

    def note(self, what: str) -> None:
        """A line of the story, for whoever reads a failure."""
        self.log.append(f"{self._seconds():9.2f} {what}")

    def verdict(self) -> None:
        """Raise what was broken, with the story.

        Raises:
            Violation: a rule does not hold.
        """
        if self.broken:
            raise Violation("\n".join([self.broken[0], *self.broken[1:5], "", *self.log[-150:]]))

    def timestamp(self, seconds: float) -> float:
        """Seconds since the epoch."""
        return self._start.timestamp() + seconds

    def _step(self) -> int:
        self._steps += 1
        return self._steps

    # --- the carrier's side of the wire ---------------------------------------------------------------------------

    def grounds(self) -> Attempt:
        """What the calling attempt rests on, as it stands now."""
        return replace(who.get() or Attempt())

    def carrier_called(self, kind: str, body: bytes, attempt: Attempt) -> Called:
        """A request leaves now, on the `grounds` on which it was decided."""
        called = Called(kind, body, self._seconds(), attempt.booked_step)
        self.note(f"{kind} by {attempt.run_id}")
        if attempt.reopened and kind == "POST":
            self.check(REOPENED_ASKS, attempt.run_id in self.asked_by, "its first call is a POST")
        if kind == "GET":
            self.asked_by.add(attempt.run_id)
        else:
            self._rest_of_a_settled_order(called.granted_step, kind)
        if kind == "POST":
            self._judge_post(called)
        elif kind == "CANCEL":
            self._judge_burn(called)
        self.calls.append(called)
        return called

    def carrier_answered(self, called: Called, status: int, said: Any, *, at: float) -> None:
        """The answer is with the attempt."""
        called.answered_at, called.answered_step = at, self._step()
        called.empty = called.kind == "GET" and status == 200 and said == []
        orders: list[Any] = list(said) if isinstance(said, list) else [said]  # pyright: ignore[reportUnknownArgumentType] - any JSON
        states = [cast("dict[str, Any]", order).get("state") for order in orders if isinstance(order, dict)]
        if status < 300 and any(state in REFUSALS for state in states):
            self.heard_refusal = True
        if status < 300 and "completed" in states:
            self._heard_sold_at = min(self._heard_sold_at, at)
        self.note(f"  {called.kind} -> {status} {states or said}")

    def carrier_stands(self, state: str) -> None:
        """The order's true state at the carrier has changed."""
        self.note(f"the carrier's truth: {state}")
        if state == "completed":
            self.broke_its_word |= self.state in REFUSALS
            self.sold += 1
            self.check(ONE_SALE, self.sold <= 1, f"sold {self.sold} times")
        self.state = state
        self._ends()

    def late(self, said: Any) -> None:
        """A request arrived for which nobody waits any more."""
        self.note(f"a late request arrived: {said}")

    def _judge_post(self, called: Called) -> None:
        posts = [call for call in self.calls if call.kind == "POST"]
        if posts:
            self.check(ONE_BODY, called.body == posts[0].body, "another body than the first POST's")
        self.check(IN_TIME, called.at <= self._due(called.body) - LATENCY_SECONDS + self.slack_seconds, "too late")
        for what, step in (("cancel", self._cancel_step), ("refund", self._refund_step)):
            self.check(CLOSED_ROW, not step or called.granted_step < step, f"granted after the {what}")
        burns = [call for call in self.calls if call.kind == "CANCEL"]
        self.check(CLOSED_ROW, not burns or called.granted_step < burns[0].granted_step, "granted after the burn")
        before = [post for post in posts if post.granted_step < called.granted_step]
        if before:
            last = max(before, key=lambda post: post.granted_step)
            answered = last.answered_at is not None and last.answered_step < called.granted_step
            counts_from = (last.answered_at or 0.0) if answered else last.at + LATENCY_SECONDS
            counts_from += LAG_SECONDS
            asked = [
                get
                for get in self.calls
                if get.empty and get.at >= counts_from - self.slack_seconds and get.answered_step < called.granted_step
            ]
            self.check(ASKED, bool(asked), f"no empty GET was asked after {counts_from:.2f} and answered before it")

    def _judge_burn(self, called: Called) -> None:
        posts = [call for call in self.calls if call.kind == "POST"]
        if posts:
            self.check(BURN_LATE, called.at >= self._due(posts[0].body) + LAG_SECONDS - self.slack_seconds, "too early")

    def _due(self, body: bytes) -> float:
        date = datetime.fromisoformat(json.loads(body)["requestedCompletionDate"])
        return (date - self._start).total_seconds()

    # --- the provider's side --------------------------------------------------------------------------------------

    def refund_called(self, request: Any) -> None:
        """The product is about to send a refund."""
        attempt = who.get() or Attempt()
        number = str(request.refund_number)
        self.note(f"REFUND {number} by {attempt.run_id}")
        self._refund_step = self._refund_step or self._step()
        self._rest_of_a_settled_order(attempt.booked_step, "REFUND")
        knew = 0 < self._denied_step < attempt.booked_step
        again = self._denied_step < self._retry_step < attempt.booked_step
        self.check(DENIED, not knew or again, "nobody has asked for it since the refusal was booked")
        true = self.state in REFUSALS or self.given_up or self.broke_its_word
        self.check(REFUSED_TRUE, true, f"the carrier's truth is {self.state or 'nothing'!r}")
        self.check(REFUSED_HEARD, self.heard_refusal, "no answer of the carrier says so")
        amounts = (request.amount_fen, request.total_fen) == (self._amount_fen, self._amount_fen)
        self.check(SAME_NUMBER, amounts, f"{request.amount_fen} of {request.total_fen} fen")
        known = self.numbers[-1] if self.numbers else ""
        if number not in self.numbers:
            expected = f"R{self.order_id}" + (f"-{len(self.numbers) + 1}" if self.numbers else "")
            closed = not known or known in self.seen_closed
            self.check(SAME_NUMBER, number == expected and closed, f"{number} after {known or 'none'}, not CLOSED")
            self.numbers.append(number)
        else:
            self.check(SAME_NUMBER, True)

    def refund_shown(self, number: str, kind: str) -> None:
        """The provider has answered a query."""
        self.note(f"  REFUND QUERY {number} -> {kind}")
        if kind == "closed":
            self.seen_closed.add(number)

    def paid_back(self, number: str, amount_fen: int) -> None:
        """Money has left for the customer."""
        self.note(f"the bank pays {amount_fen} for {number}")
        self.bank_fen += amount_fen
        self._ends()

    def _judge_payment_by_hand(self, kind: str, detail: Mapping[str, Any]) -> None:
        """An operator pays another way once the book has taken that word, and never twice."""
        taken = kind == "resolve" and detail.get("outcome") == "refunded" and not detail.get("refused")
        if taken and not self.by_hand_fen:
            self.note("an operator pays another way")
            self.by_hand_fen += self._amount_fen
            self._ends()

    def _ends(self) -> None:
        back = self.bank_fen + self.by_hand_fen
        self.check(ONE_REFUND, back in (0, self._amount_fen), f"{back} fen of {self._amount_fen}")
        fair = not (self.sold and back) or self.broke_its_word
        self.check(ONE_END, fair, "sold and refunded")
        given = self.sold * self._amount_fen + back
        self.check(FEN, given <= self._amount_fen or self.broke_its_word, f"{given} fen for {self._amount_fen}")

    def _rest_of_a_settled_order(self, granted_step: int, what: str) -> None:
        late = self._settled_step and granted_step > self._settled_step
        self.check(SETTLED_QUIET, not late, f"{what} of an attempt that found it settled")

    # --- the car and the operators --------------------------------------------------------------------------------

    def notice_received(self, platform: str, result: str, payload: bytes) -> None:
        """A platform has acknowledged a notice."""
        self.note(f"notice {result} on {platform}")
        true = {
            "delivered": self.sold > 0,
            "failed": self.heard_refusal,
            "refunded": bool(self.bank_fen or self.by_hand_fen),
        }[result]
        self.check(NOTICES, true, f"{result} is not true")
        self.check(NOTICES, self._payloads.setdefault(result, payload) == payload, f"{result} has two payloads")
        if result == "failed":
            self.check(NOTICES, bool(self.row["refund_sequence"]), "failed before the refund starts")
        if result == "refunded":
            self.check(IN_ORDER, (platform, "failed") in self.received, platform)
        self.received[(platform, result)] = self.received.get((platform, result), 0) + 1

    def cancel_is_booked(self) -> None:
        """The book has acknowledged a cancel."""
        self._cancel_step = self._cancel_step or self._step()

    def retry_given(self) -> None:
        """An operator asks for another try."""
        self._retry_given = True

    def updated(self, name: str, sentence: str) -> None:
        """An update was answered."""
        self.note(f"{name}: {sentence}")
        self.check(SENTENCES, len(sentence.split()) > 1 and "Traceback" not in sentence, f"{name}: {sentence!r}")

    def seen(self, content: bytes) -> None:
        """Something that others than the product can read."""
        self.check(NO_PII, not any(secret in content for secret in self._secrets), repr(content[:300]))

    # --- the book -------------------------------------------------------------------------------------------------

    def booked(self, row: Mapping[str, Any], rows: int, trail: Sequence[tuple[Any, ...]]) -> None:
        """A transaction has ended: the row, how many there are, the trail's new lines."""
        attempt = who.get()
        step = self._step()
        if attempt is not None:
            attempt.booked_step = step
        before, self.row = self.row, dict(row)
        self.check(ONE_ROW, rows == 1, f"{rows} rows")
        for line in trail:
            self.note(f"    book: {line[2]} {line[3]}")
            self.seen(str(line[3]).encode())
            self._judge_payment_by_hand(str(line[2]), json.loads(line[3]))
        self._trail += trail
        if not before:
            return
        for column in _FOR_EVER:
            same = before[column] in (None, row[column])
            self.check(FINAL, same, f"{column} goes from {before[column]} to {row[column]}")
        was, is_now = before["carrier_outcome"], row["carrier_outcome"]
        stays = was in (None, is_now) or bool(before["contradicted"])
        self.check(FINAL, stays, f"the carrier's outcome goes from {was} to {is_now}")
        ended = before["status"] in ("delivered", "refunded")
        self.check(FINAL, not ended or row["status"] == before["status"], f"{before['status']} to {row['status']}")
        if row["refund_sequence"] and not before["refund_sequence"]:
            self.check(CONTRADICTED, not before["contradicted"], "the carrier had taken its refusal back")
        self._judge_denial(before, row, step)
        if row["cancel_reason"] and not before["cancel_reason"]:
            self.cancel_is_booked()
        if is_now != was:
            refused = self.state in REFUSALS or self.given_up
            true = self.sold > 0 if is_now == "completed" else refused or self.broke_its_word
            self.check(TRUE_BOOK, true, f"{is_now} in the book, the carrier's truth is {self.state or 'nothing'!r}")
        if row["outcome"] != before["outcome"]:
            self._settled_step, self._settled_at = step, self._seconds()
            back = self.bank_fen + self.by_hand_fen
            true = self.sold > 0 if row["outcome"] == "delivered" else back == self._amount_fen
            self.check(TRUE_BOOK, true, f"{row['outcome']} with {self.sold} sold and {back} fen back")

    def _judge_denial(self, before: Mapping[str, Any], row: Mapping[str, Any], step: int) -> None:
        if row["refund_denied_at"] not in (None, before["refund_denied_at"]):
            self._denied_step = step
        if row["refund_sequence"] != before["refund_sequence"]:
            self._denied_step = 0
        if row["retry_requested_at"] != before["retry_requested_at"]:
            self._retry_step = step
            self.check(DENIED, self._retry_given, "a request that nobody has made")

    def platform_held_nothing_up(self, *, undisturbed: bool) -> None:
        """All platforms come back only now: what was heard before must stand in the book."""
        if undisturbed and self._heard_sold_at < self._seconds():
            soon = self._settled_at < self._heard_sold_at + _SETTLES_WITHIN_SECONDS
            self.check(NOT_HELD_UP, soon, "completed was heard, and the order is not delivered")

    def trail_at_the_end(self, trail: Sequence[tuple[Any, ...]]) -> None:
        """The whole trail, read again."""
        self.check(APPEND_ONLY, list(trail) == self._trail, "lines were changed, lost or put in between")
        kinds = Counter(str(line[2]) for line in trail)
        posts = sum(1 for call in self.calls if call.kind == "POST")
        self.check(TRAIL_WHOLE, kinds["post_intent"] >= posts, f"{posts} POSTs, {kinds['post_intent']} intents")
        self.check(TRAIL_WHOLE, kinds["refund_send"] >= len(self.numbers), "a refund without its line")
        self.check(TRAIL_WHOLE, kinds["claimed"] == 1, "claimed once")

    def at_the_end(self, *, settled: bool, platforms: Sequence[str]) -> None:
        """Faults have stopped, and all that could happen has happened."""
        self.check(ENDS, settled, f"still {self.row.get('status')}: {self.row.get('reason')}")
        if not settled:
            return
        back = self.bank_fen + self.by_hand_fen
        given = (self._amount_fen if self.row["outcome"] == "delivered" else 0) + back
        self.check(FEN, given == self._amount_fen or self.broke_its_word, f"{given} fen at the end")
        if not (self.disturbed or self.broke_its_word):
            due = ["delivered"] if self.row["outcome"] == "delivered" else ["failed", "refunded"]
            missing = [f"{one} on {name}" for name in platforms for one in due if (name, one) not in self.received]
            self.check(ALL_TOLD, not missing, f"never told: {missing}")
