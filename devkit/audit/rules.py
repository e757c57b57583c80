"""The rules: what must hold of every paid order. A rule is a function from what the books hold to sentences.

Each sentence is a violation. Times are the books' own (`at`, one machine's clock).
"""

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from devkit.audit.books import Entry, Seen

CLOCK_SECONDS: Final = 0.5
"""The product counts its waits from before a request left, the books from its arrival: the way between, generously."""

FORGERIES: Final = frozenset({"wrong_signature", "unsigned", "old_key", "probe", "tampered_amount"})
"""What a simulated provider, or somebody on the way, does to a callback that must not be believed then."""

Rule = Callable[[Seen], Iterator[str]]


def at_most_one_carrier_order(seen: Seen) -> Iterator[str]:
    """Carrier orders ≤ 1."""
    for kind in ("accepted", "sold"):
        count = len(seen.at_carrier(kind))
        if count > 1:
            yield f"the carrier's book has {kind} {count} times"


def as_many_as_expected(seen: Seen) -> Iterator[str]:
    """So many carrier orders and POSTs as the circumstances allow, where that is known."""
    for what, kind, expected in (("orders", "accepted", seen.paid.carrier_orders), ("POSTs", "post", seen.paid.posts)):
        count = len(seen.at_carrier(kind))
        if expected is not None and count != expected:
            yield f"the carrier has {count} {what} instead of {expected}"


def at_most_one_refund(seen: Seen) -> Iterator[str]:
    """Refunds ≤ 1: money that moved."""
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
    """Delivered XOR refunded, and the one that it must be."""
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


def goodwill_after_delivery(seen: Seen) -> Iterator[str]:
    """What is given back is asked for after the delivery alone, each number once, together at most what was paid."""
    sold_at = next((entry.at for entry in seen.at_carrier("sold")), None)
    for entry in seen.given_back("refund", "refunded"):
        if sold_at is None or entry.at < sold_at:
            yield f"{entry.kind} {entry.data['refund_no']} at {entry.at:%T.%f}, the carrier sold at {sold_at}"
    moved = [(entry.data["refund_no"], entry.data["amount_fen"]) for entry in seen.given_back("refunded")]
    if len({number for number, _ in moved}) < len(moved):
        yield f"money was given back twice under one number: {', '.join(number for number, _ in moved)}"
    if (fen := sum(amount for _, amount in moved)) > seen.paid.amount_fen:
        yield f"{fen} fen were given back of {seen.paid.amount_fen}"


def goodwill_is_exact(seen: Seen) -> Iterator[str]:
    """So much was given back as two persons have decided, where that is known."""
    given, wanted = sum(entry.data["amount_fen"] for entry in seen.given_back("refunded")), seen.paid.goodwill_fen
    if wanted is not None and given != wanted:
        yield f"{given} fen were given back after the delivery instead of {wanted}"


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
    return answer.data["status"] == HTTPStatus.OK and answer.data["shown"] == "empty"


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
    wanted, there = seen.to_be_told, seen.told
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
    """A notice comes after what it tells of, to the right car, under its own name, with the right amount and reason."""
    topic = hashlib.sha256(f"vehicles/{seen.paid.vin}/topup".encode()).hexdigest()
    happened = {
        "delivered": next((entry.at for entry in seen.at_carrier("sold")), None),
        "failed": seen.refused_at,
        "refunded": next((entry.at for entry in seen.at_provider("refunded")), None),
    }
    for entry in seen.notices:
        data, result = entry.data, entry.data["result"]
        at = happened.get(result)
        if not (seen.paid.given_up and result == "failed") and (at is None or at > entry.at):
            yield f"the notice {result} came before it had happened"
        if data["topic_sha256"] != topic:
            yield f"the notice {result} went to another car"
        if (data["id"], data["type"]) != (f"{seen.paid.order_id}:{result}", f"topup.order.{result}"):
            yield f"the notice {result} bears the id {data['id']} and the type {data['type']}"
        if data["amount_fen"] != seen.paid.amount_fen:
            yield f"the notice {result} speaks of {data['amount_fen']} fen instead of {seen.paid.amount_fen}"
        yield from _reason(seen, result, data["reason"])


def _reason(seen: Seen, result: str, reason: str | None) -> Iterator[str]:
    if result != "failed":
        wanted = None
    elif seen.paid.reason is None:  # not known beforehand; some reason it must be
        wanted = reason or "a reason"
    else:
        wanted = seen.paid.reason
    if reason != wanted:
        yield f"the notice {result} gives the reason {reason} instead of {wanted}"


def heard_by_callback(seen: Seen) -> Iterator[str]:
    """What a provider tells of a payment is stored in the end, and never what somebody has forged (contracts §7)."""
    told = [entry for entry in seen.at_provider("notice") if entry.data["about"] == "payment"]
    if told and not any(entry.data["stored"] for entry in told):
        yield f"its callback was not stored in {len(told)} attempts"
    for entry in told:
        if entry.data["stored"] and not FORGERIES.isdisjoint(entry.data["faults"]):
            yield f"a forged callback was stored ({', '.join(entry.data['faults'])})"


RULES: Final[Mapping[str, Rule]] = {
    "at most one carrier order": at_most_one_carrier_order,
    "as many as expected": as_many_as_expected,
    "at most one refund": at_most_one_refund,
    "refund is exact": refund_is_exact,
    "exactly one end": exactly_one_end,
    "refund only after refusal or burn": refund_after_refusal,
    "goodwill only after delivery": goodwill_after_delivery,
    "goodwill is exact": goodwill_is_exact,
    "one body per serial": one_body,
    "asked between two POSTs": asked_between_posts,
    "burnt late enough": burnt_late_enough,
    "no POST after a burn": nothing_after_a_burn,
    "the car is told": told_the_car,
    "notices are true": notices_are_true,
    "heard of by callback": heard_by_callback,
}
