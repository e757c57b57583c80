"""Sends spans; whatever becomes of them, an order hears nothing of it.

JSON of OTLP 1.x: field names in lowerCamelCase, IDs in hexadecimal, enumerations as numbers, 64-bit integers as text.
A test reads it by the protocol's own definitions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final

import httpx

from adapters import http
from adapters.otlp.settings import Tracing
from orders.trace import Kind, Span, Value
from runtime.redaction import redacted

SEND_SECONDS: Final = 10.0
WHOM: Final = "the collector of TOPUP_OTLP_ENDPOINT"
AGAIN: Final = frozenset({429, 502, 503, 504})
"""What OTLP says to try again; all else is final."""
NOT_LET_IN: Final = frozenset({401, 403})
KINDS: Final[Mapping[Kind, int]] = {"internal": 1, "server": 2, "client": 3, "consumer": 5}
OURS: Final = frozenset(
    {
        "service.name",
        "service.namespace",
        *(
            f"topup.{name}"
            for name in ("order_id", "notification_id", "says", "cause", "refund_number", "outcome", "calls_for")
        ),
    }
)
"""Texts that are identities or words of ours; every other one is redacted, which is most of what a span costs."""
_ERROR: Final = 2
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of spans. `why`: a sentence where they were not taken; `again`: another try may do."""

    why: str = ""
    again: bool = False


class OtlpClient:
    """The configured collector."""

    def __init__(self, client: httpx.AsyncClient, settings: Tracing, *, send_seconds: float = SEND_SECONDS) -> None:
        assert settings.otlp_endpoint is not None, "whoever traces has an address"
        self._http = client
        self._url = f"{settings.otlp_endpoint}/v1/traces"
        self._headers = {**settings.otlp_headers, "content-type": "application/json"}
        self._send_seconds = send_seconds
        self._health = http.EndpointHealth()

    async def send(self, spans: Sequence[Span]) -> Sent:
        """Offer them in one request, without retries. Raises nothing for what the collector does."""
        post = httpx.Request("POST", self._url, headers=self._headers, content=encoded(spans))
        reply = await http.send(self._http, post, whom=WHOM, timeout_seconds=self._send_seconds, health=self._health)
        if isinstance(reply, http.NoResponse):
            return Sent(_sentence(reply.why), again=True)
        if not reply.is_success:
            hint = " See TOPUP_OTLP_HEADERS." if reply.status in NOT_LET_IN else ""
            return Sent(_sentence(f"{WHOM} answered HTTP {reply.status}.{hint}"), again=reply.status in AGAIN)
        partial = http.as_object((http.json_object(reply.body) or {}).get("partialSuccess")) or {}
        refused = str(partial.get("rejectedSpans") or "0")
        return Sent() if refused == "0" else Sent(_sentence(f"{WHOM} refused some of the spans."))


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def encoded(spans: Sequence[Span]) -> bytes:
    """The body of one request."""
    by_service = groupby(sorted(spans, key=lambda span: span.service), key=lambda span: span.service)
    resources = [
        {
            "resource": {"attributes": _attributes({"service.name": f"topup-{name}", "service.namespace": "topup"})},
            "scopeSpans": [{"scope": {"name": "topup"}, "spans": [_span(span) for span in group]}],
        }
        for name, group in by_service
    ]
    return json.dumps({"resourceSpans": resources}, separators=(",", ":")).encode()


def _span(span: Span) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "name": span.name,
        "kind": KINDS[span.kind],
        "startTimeUnixNano": _nanoseconds(span.begin),
        "endTimeUnixNano": _nanoseconds(span.end),
        "attributes": _attributes(span.attributes),
    }
    if span.parent_id:
        made["parentSpanId"] = span.parent_id
    if span.failed:
        made["status"] = {"code": _ERROR}
    return made


def _attributes(named: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(name, value)} for name, value in named.items()]


def _value(name: str, value: Value) -> dict[str, str | bool]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case str():
            return {"stringValue": value if name in OURS else redacted(value)}


def _nanoseconds(moment: datetime) -> str:
    return str((moment - _EPOCH) // timedelta(microseconds=1) * 1000)
