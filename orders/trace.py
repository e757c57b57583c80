"""An order's trace: its trail in the order book, told as spans. Pure (docs/adr/0009-traces-from-the-trail.md).

The trace ID derives from the order ID, so that log lines and trace share it without a header that somebody could forge.
Whoever tells the same line of the trail again tells the same span again.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol

from orders.identities import workflow_id

Service = Literal["gateway", "bridge", "worker"]
Kind = Literal["internal", "server", "client", "consumer"]

MOST_LINES: Final = 500
"""Of an order that has waited for weeks, the first and the last of this many are told."""
CALLBACK_AT_MOST_BEFORE: Final = timedelta(days=60)
"""A header that anybody who writes the topic may have written moves the trace's beginning no farther than this."""
ANSWERS: Final = {
    "post": "post_intent",
    "post_not_sent": "post_intent",
    "burn": "burn_intent",
    "refund_answer": "refund_send",
}
"""Line → the line of what it answers: one span from there to here."""
_ASKING: Final = frozenset({*ANSWERS, "query", "refund_query"})
_OF_THE_BRIDGE: Final = frozenset({"claimed", "duplicate", "conflict"})
_GRANTED: Final = {"post_intent": "post", "burn_intent": "burn", "refund_send": "leaves"}
_TROUBLE: Final = frozenset({"refused", "burnt", "in_doubt", "denied", "held", "closed"})
_TOLD: Final = (
    "partition", "offset", "notification_id", "times", "post", "says", "code", "cause", "refund_number", "leaves",
    "authorized", "in_time", "outcome", "closed", "calls_for",
)  # fmt: skip
"""Members of a trail's line that a span has: none that a person has written, none that quotes anybody."""

Value = str | int | bool


class Line(Protocol):
    """One line of the trail."""

    @property
    def at(self) -> datetime:
        """When, aware."""
        ...

    @property
    def kind(self) -> str:
        """What."""
        ...

    @property
    def detail(self) -> Mapping[str, Any]:
        """How."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """One span, closed. IDs in hexadecimal; `parent_id` "" for the order's own."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: Service
    kind: Kind
    begin: datetime
    end: datetime
    failed: bool
    attributes: Mapping[str, Value] = field(default_factory=dict[str, Value])


def trace_id(order_id: str) -> str:
    """The trace ID of an order: half of the SHA-256 of its workflow ID, 32 hexadecimal digits."""
    return hashlib.sha256(workflow_id(order_id).encode()).hexdigest()[:32]


def is_sampled(order_id: str, ratio: float) -> bool:
    """Whether this order is among the share of all that is kept though nothing was wrong; the same everywhere."""
    return int(trace_id(order_id)[-8:], 16) < ratio * 2**32


def spans(order_id: str, trail: Sequence[Line]) -> list[Span]:
    """What has happened to an order so far; the span of the whole order only once it has its end."""
    told = _Telling(order_id)
    kept = trail if len(trail) <= MOST_LINES else [*trail[: MOST_LINES // 2], *trail[-MOST_LINES // 2 :]]
    first_number = {id(line): number for number, line in enumerate(trail)}
    for line in kept:
        told.add(first_number[id(line)], line)
    return told.spans()


class _Telling:
    def __init__(self, order_id: str) -> None:
        self._order_id = order_id
        self._trace_id = trace_id(order_id)
        self._root_id = self._span_id("order", 0)
        self._spans: list[Span] = []
        self._asked: dict[str, datetime] = {}
        self._unanswered: dict[str, Span] = {}
        self._begin: datetime | None = None
        self._waits_since: datetime | None = None
        self._end: tuple[datetime, str] | None = None

    def spans(self) -> list[Span]:
        found = [*self._spans, *self._unanswered.values()]
        if self._end is not None and self._begin is not None:
            at, outcome = self._end
            root = self._span("order", 0, self._begin, at, {"outcome": outcome}, failed=outcome != "delivered")
            found.append(root)
        return sorted(found, key=lambda span: (span.begin, span.end))

    def add(self, number: int, line: Line) -> None:
        if line.kind == "claimed":
            self._claimed(number, line)
            return
        if self._waits_since is not None and line.kind not in _OF_THE_BRIDGE:
            self._spans.append(self._span("start", 0, self._waits_since, line.at, {}, service="bridge"))
            self._waits_since = None
        if self._begin is None:
            self._begin = line.at
        begin = line.at
        if (asked := ANSWERS.get(line.kind)) is not None:
            begin = min(self._asked.pop(asked, line.at), line.at)
            self._unanswered.pop(asked, None)
        span = self._span(
            line.kind,
            number,
            begin,
            line.at,
            _attributes(line),
            service="bridge" if line.kind in _OF_THE_BRIDGE else "worker",
            kind="client" if line.kind in _ASKING else "internal",
            failed=_is_trouble(line),
        )
        if (granted := _GRANTED.get(line.kind)) is not None and line.detail.get(granted):
            if (lost := self._unanswered.pop(line.kind, None)) is not None:  # the one before was never answered
                self._spans.append(lost)
            self._asked[line.kind] = line.at
            self._unanswered[line.kind] = span
        else:
            self._spans.append(span)
        outcome = line.detail.get("outcome") if line.kind == "settle" else None
        if self._end is None and isinstance(outcome, str) and outcome:
            self._end = line.at, outcome

    def _claimed(self, number: int, line: Line) -> None:
        said = _attributes(line)
        notified = _moment(line.detail.get("notified_at"))
        if notified is not None and line.at - CALLBACK_AT_MOST_BEFORE < notified:
            notified = min(notified, line.at)  # clocks differ
            self._spans.append(self._span("callback", 0, notified, notified, said, service="gateway", kind="server"))
        else:
            notified = line.at
        self._spans.append(self._span("record", number, notified, line.at, said, service="bridge", kind="consumer"))
        self._begin, self._waits_since = notified, line.at

    def _span(
        self,
        name: str,
        number: int,
        begin: datetime,
        end: datetime,
        attributes: Mapping[str, Value],
        *,
        service: Service = "worker",
        kind: Kind = "internal",
        failed: bool = False,
    ) -> Span:
        span_id = self._span_id(name, number)
        parent_id = "" if name == "order" else self._root_id
        named = {"topup.order_id": self._order_id, **{f"topup.{key}": value for key, value in attributes.items()}}
        return Span(self._trace_id, span_id, parent_id, name, service, kind, begin, end, failed, named)

    def _span_id(self, name: str, number: int) -> str:
        return hashlib.sha256(f"{self._trace_id}:{name}:{number}".encode()).hexdigest()[:16]


def _attributes(line: Line) -> dict[str, Value]:
    found: dict[str, Value] = {
        name: value for name in _TOLD if isinstance(value := line.detail.get(name), str | int) and value != ""
    }
    if line.kind.startswith("notice_"):
        found |= {f"platform.{name}": state for name, state in line.detail.items() if isinstance(state, str)}
    return found


def _is_trouble(line: Line) -> bool:
    return bool(line.detail.get("calls_for")) or line.detail.get("says") in _TROUBLE or line.kind == "conflict"


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
