"""The auditor: what must hold of every paid order, judged by the outside world's books alone.

It imports nothing of the product and never looks into its tables or Temporal. A rule is a function from what the books
hold about one order to sentences; each sentence is a violation. Times are the books' own (`at`, one machine's clock).
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

End = Literal["delivered", "refunded", "either"]
Data = Mapping[str, Any]

REFUSALS = frozenset({"rejected", "failed", "burnt"})
NOTICES_OF: Mapping[str, tuple[str, ...]] = {"delivered": ("delivered",), "refunded": ("failed", "refunded")}
"""Contracts §6: which notices an end has, on every platform."""
CLOCK_SECONDS = 0.5
"""The product counts its waits from before a request left, the books from its arrival: the way between, generously."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a book."""

    seq: int
    at: datetime
    kind: str
    data: Data


@dataclass(frozen=True, slots=True, kw_only=True)
class Paid:
    """One paid order, and what the auditor must know of the circumstances.

    Attributes:
        end: what it must come to; `either` where circumstances decide, and only "exactly one" counts.
        zombies: a process was frozen and thawed: it may send the same bytes late (contracts §4).
        restored: the order book was rolled back under it: what that has lost is found out again, so that a POST after
            an empty `GET` may bear another date, a notice another moment.
        given_up: an operator has recorded the carrier's word on an order that it never ends (contracts §3).
        answered_seconds: from the answer of a POST, how long an empty `GET` proves nothing (the visibility lag).
        unanswered_seconds: likewise from a POST without an answer (longest latency + lag).
        burn_seconds: from the first POST to the earliest burn (completion window + lag).
    """

    order_id: str
    vin: str
    provider: str
    transaction_id: str
    out_trade_no: str
    amount_fen: int
    currency: str
    platforms: tuple[str, ...]
    end: End = "either"
    zombies: bool = False
    restored: bool = False
    given_up: bool = False
    answered_seconds: float = 0.0
    unanswered_seconds: float = 0.0
    burn_seconds: float = 0.0


@dataclass(slots=True)
class Seen:
    """What the books hold about one order, each in its own order."""

    paid: Paid
    carrier: list[Entry] = field(default_factory=list[Entry])
    money: list[Entry] = field(default_factory=list[Entry])
    notices: list[Entry] = field(default_factory=list[Entry])

    def __len__(self) -> int:
        """How many entries the books hold about it."""
        return len(self.carrier) + len(self.money) + len(self.notices)

    def at_carrier(self, *kinds: str) -> list[Entry]:
        """Entries of these kinds in the carrier's book."""
        return [entry for entry in self.carrier if entry.kind in kinds]

    def at_provider(self, *kinds: str) -> list[Entry]:
        """Entries of these kinds in the providers' books."""
        return [entry for entry in self.money if entry.kind in kinds]

    @property
    def refused_at(self) -> datetime | None:
        """When the carrier definitely refused or burnt it."""
        return next((entry.at for entry in self.at_carrier(*REFUSALS)), None)

    @property
    def ends(self) -> set[str]:
        """`delivered` and/or `refunded`, as the world has seen it."""
        delivered = {"delivered"} if self.at_carrier("sold") else set[str]()
        return delivered | ({"refunded"} if self.at_provider("refunded") else set())


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule."""

    rule: str
    order_id: str
    sentence: str


@dataclass(slots=True)
class Report:
    """How often each rule was applied, and what it found."""

    runs: Counter[str] = field(default_factory=Counter[str])
    violations: list[Violation] = field(default_factory=list[Violation])

    def add(self, rule: str, order_id: str, sentences: Iterable[str]) -> None:
        """One application of one rule."""
        self.runs[rule] += 1
        self.violations += [Violation(rule, order_id, sentence) for sentence in sentences]

    def merge(self, other: "Report") -> None:
        """Take another report in."""
        self.runs += other.runs
        self.violations += other.violations


Rule = Callable[[Seen], Iterator[str]]


def at_most_one_carrier_order(seen: Seen) -> Iterator[str]:
    """carrier orders ≤ 1."""
    for kind in ("accepted", "sold"):
        count = len(seen.at_carrier(kind))
        if count > 1:
            yield f"the carrier's book has {kind} {count} times"


def at_most_one_refund(seen: Seen) -> Iterator[str]:
    """refunds ≤ 1: money that moved."""
    numbers = [entry.data["refund_no"] for entry in seen.at_provider("refunded")]
    if len(numbers) > 1:
        yield f"money went back {len(numbers)} times: {', '.join(numbers)}"


def refund_is_exact(seen: Seen) -> Iterator[str]:
    """Exact amount, currency and original payment."""
    paid = seen.paid
    wanted = (paid.amount_fen, paid.currency, paid.out_trade_no)
    for entry in seen.at_provider("refunded"):
        got = (entry.data["amount_fen"], entry.data["currency"], entry.data["out_trade_no"])
        if got != wanted:
            yield f"refunded {got} instead of {wanted}"


def exactly_one_end(seen: Seen) -> Iterator[str]:
    """delivered XOR refunded, and the one that it must be."""
    ends = seen.ends
    if len(ends) != 1:
        yield f"it is {' and '.join(sorted(ends)) or 'neither delivered nor refunded'}"
    elif seen.paid.end != "either" and ends != {seen.paid.end}:
        yield f"it is {ends.pop()} instead of {seen.paid.end}"


def refund_after_refusal(seen: Seen) -> Iterator[str]:
    """No refund is asked for before the carrier has definitely refused or burnt the order."""
    refused_at = seen.refused_at
    for entry in seen.at_provider("refund", "refunded"):
        if seen.paid.given_up or (refused_at is not None and refused_at <= entry.at):
            continue
        yield f"{entry.kind} {entry.data['refund_no']} at {entry.at:%T.%f}, the carrier refused at {refused_at}"


def one_body(seen: Seen) -> Iterator[str]:
    """The same bytes under one serial, always."""
    bodies = {entry.data["body_sha256"] for entry in seen.at_carrier("post")}
    if len(bodies) > (2 if seen.paid.restored else 1):
        yield f"{len(bodies)} different bodies were posted"


def asked_between_posts(seen: Seen) -> Iterator[str]:
    """A second POST only after a `GET` that was answered, empty, late enough to prove something (contracts §4)."""
    if seen.paid.zombies:
        return
    answers = {entry.data["to"]: entry for entry in seen.at_carrier("answer")}
    gets, posts = seen.at_carrier("get"), seen.at_carrier("post")
    for earlier, later in itertools.pairwise(posts):
        answer = answers.get(earlier.seq)
        answered = answer is not None and answer.seq < later.seq
        since = answer.at if answer is not None and answered else earlier.at
        wait = seen.paid.answered_seconds if answered else seen.paid.unanswered_seconds
        counts_from = since + timedelta(seconds=wait - CLOCK_SECONDS)
        looks = [get for get in gets if earlier.seq < get.seq and _empty_before(answers.get(get.seq), later)]
        if not looks:
            yield f"POST {later.seq} follows POST {earlier.seq} without an answered, empty GET between"
        elif all(look.at < counts_from for look in looks):
            yield f"POST {later.seq} rests on a GET that came too early to prove anything"


def _empty_before(answer: Entry | None, later: Entry) -> bool:
    if answer is None or answer.seq > later.seq:
        return False
    return answer.data["status"] == 200 and answer.data["shown"] == "empty"


def burnt_late_enough(seen: Seen) -> Iterator[str]:
    """Once a POST arrived, a cancel comes at the earliest at the completion date + visibility lag (contracts §4)."""
    posts = seen.at_carrier("post")
    if not posts or seen.paid.zombies:
        return
    earliest = posts[0].at + timedelta(seconds=seen.paid.burn_seconds - CLOCK_SECONDS)
    for entry in seen.at_carrier("cancel"):
        if posts[0].seq < entry.seq and entry.at < earliest:
            yield f"the serial was burnt {(earliest - entry.at).total_seconds():.2f} s too early"


def nothing_after_a_burn(seen: Seen) -> Iterator[str]:
    """A cancel closes the order to POSTs for ever; a frozen sender's late bytes are refused by the carrier."""
    cancels, posts = seen.at_carrier("cancel"), seen.at_carrier("post")
    if cancels and not seen.paid.zombies and any(post.seq > cancels[0].seq for post in posts):
        yield "a POST was sent after a cancel"


def told_the_car(seen: Seen) -> Iterator[str]:
    """Every order has the notices of its end on every platform, and no others; repeats bear the same bytes."""
    wanted = {(name, result) for end in seen.ends for result in NOTICES_OF[end] for name in seen.paid.platforms}
    there = {(entry.data["broker"], entry.data["result"]) for entry in seen.notices}
    for name, result in sorted(wanted - there):
        yield f"the notice {result} is missing on {name}"
    for name, result in sorted(there - wanted):
        yield f"there is a notice {result} on {name} that must not be"
    if seen.paid.restored:
        return
    payloads: dict[str, set[str]] = defaultdict(set)
    for entry in seen.notices:
        payloads[entry.data["id"]].add(entry.data["payload_sha256"])
    yield from (f"the notice {name} was repeated with other bytes" for name, all_ in payloads.items() if len(all_) > 1)


def notices_are_true(seen: Seen) -> Iterator[str]:
    """A notice comes after what it tells of, to the right car, with the right amount."""
    topic = hashlib.sha256(f"vehicles/{seen.paid.vin}/topup".encode()).hexdigest()
    happened = {
        "delivered": next((entry.at for entry in seen.at_carrier("sold")), None),
        "failed": seen.refused_at,
        "refunded": next((entry.at for entry in seen.at_provider("refunded")), None),
    }
    for entry in seen.notices:
        result, at = entry.data["result"], happened.get(entry.data["result"])
        if not (seen.paid.given_up and result == "failed") and (at is None or at > entry.at):
            yield f"the notice {result} came before it had happened"
        if entry.data["topic_sha256"] != topic:
            yield f"the notice {result} went to another car"
        if entry.data["amount_fen"] != seen.paid.amount_fen:
            yield f"the notice {result} speaks of {entry.data['amount_fen']} fen instead of {seen.paid.amount_fen}"


RULES: Mapping[str, Rule] = {
    "at most one carrier order": at_most_one_carrier_order,
    "at most one refund": at_most_one_refund,
    "refund is exact": refund_is_exact,
    "exactly one end": exactly_one_end,
    "refund only after refusal or burn": refund_after_refusal,
    "one body per serial": one_body,
    "asked between two POSTs": asked_between_posts,
    "burnt late enough": burnt_late_enough,
    "no POST after a burn": nothing_after_a_burn,
    "the car is told": told_the_car,
    "notices are true": notices_are_true,
}
NO_STRANGERS = "no effect without a paid order"
CONSERVED = "paid = delivered + refunded"


@dataclass(slots=True)
class Books:
    """The entries of all books, as they come."""

    carrier: list[Entry] = field(default_factory=list[Entry])
    money: list[Entry] = field(default_factory=list[Entry])
    vehicle: list[Entry] = field(default_factory=list[Entry])

    def seen(self, paid: Sequence[Paid]) -> list[Seen]:
        """What they hold about each of these orders."""
        by_id = {one.order_id: Seen(one) for one in paid}
        by_payment = {one.transaction_id: by_id[one.order_id] for one in paid}
        for entry in self.carrier:
            if (one := by_id.get(entry.data.get("external_id") or "")) is not None:
                one.carrier.append(entry)
        for entry in self.money:
            if (one := by_payment.get(entry.data.get("transaction_id") or "")) is not None:
                one.money.append(entry)
        for entry in self.vehicle:
            if (one := by_id.get(entry.data.get("order_id") or "")) is not None:
                one.notices.append(entry)
        return list(by_id.values())


def audit(paid: Sequence[Paid], books: Books) -> Report:
    """Apply every rule to each of these orders; others in the books are left alone (see `audit_whole`)."""
    report = Report()
    for seen in books.seen(paid):
        for name, rule in RULES.items():
            report.add(name, seen.paid.order_id, rule(seen))
    return report


def audit_whole(paid: Sequence[Paid], books: Books) -> Report:
    """What holds in total, given *all* paid orders of these books: no strangers, and money is conserved."""
    report = Report()
    order_ids, payments = {one.order_id for one in paid}, {one.transaction_id for one in paid}
    effects, asked = ("accepted", "sold"), ("refund", "refunded")
    strangers = {
        *({entry.data["external_id"] for entry in books.carrier if entry.kind in effects} - order_ids),
        *({entry.data["transaction_id"] for entry in books.money if entry.kind in asked} - payments),
        *({str(entry.data.get("order_id")) for entry in books.vehicle if entry.kind == "notice"} - order_ids),
    }
    sentences = [f"{name} was acted on and was never paid" for name in sorted(strangers)]
    malformed = sum(entry.kind == "malformed" for entry in books.vehicle)
    if malformed:
        sentences.append(f"cars could not read {malformed} notices")
    report.add(NO_STRANGERS, "", sentences)
    report.add(CONSERVED, "", _unbalanced(books.seen(paid)))
    return report


def _unbalanced(orders: Sequence[Seen]) -> Iterator[str]:
    came = sum(seen.paid.amount_fen for seen in orders)
    delivered = sum(seen.paid.amount_fen for seen in orders for _ in seen.at_carrier("sold"))
    refunded = sum(entry.data["amount_fen"] for seen in orders for entry in seen.at_provider("refunded"))
    if came != delivered + refunded:
        yield f"{came} fen were paid, {delivered} fen delivered and {refunded} fen refunded"
