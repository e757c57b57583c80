"""Where a record came from, as an order's trail tells it: its place in Kafka, and the callback that made it.

"Did it come twice, and who doubled it": two places with one notification are the provider's or the gateway's repeat,
two notifications are two callbacks, one place twice is Kafka's redelivery. Whoever wrote the record
wrote its headers: the trail shows them, and nothing else believes them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

NOTIFICATION_ID_HEADER: Final = "topup-notification-id"
NOTIFIED_AT_HEADER: Final = "topup-notified-at"

_NOTIFICATION_ID: Final = re.compile(r"[0-9A-Za-z_-]{22,64}")
"""Longer than a VIN, an ICCID and a phone number: none of them can stand in the trail in its place."""
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?Z")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One record's. `notification_id`, `notified_at`: "" where the record names none, or nothing of their form."""

    partition: int
    offset: int
    notification_id: str = ""
    notified_at: str = ""

    def detail(self) -> dict[str, Any]:
        """Members of a line in the trail."""
        callback = {"notification_id": self.notification_id, "notified_at": self.notified_at}
        return {"partition": self.partition, "offset": self.offset, **{k: v for k, v in callback.items() if v}}


def arrival_headers(notification_id: str, at: datetime) -> list[tuple[str, bytes]]:
    """What the gateway writes beside a record; no ID where it is of no form to be shown."""
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    named = [(NOTIFICATION_ID_HEADER, notification_id.encode())] if _NOTIFICATION_ID.fullmatch(notification_id) else []
    return [*named, (NOTIFIED_AT_HEADER, moment.encode())]


def arrival_of(partition: int, offset: int, headers: Iterable[tuple[str, bytes | None]]) -> Arrival:
    """The arrival of a record with these headers."""
    found = {name: (value or b"").decode(errors="replace") for name, value in headers}
    return Arrival(
        partition,
        offset,
        _if(_NOTIFICATION_ID, found.get(NOTIFICATION_ID_HEADER, "")),
        _if(_MOMENT, found.get(NOTIFIED_AT_HEADER, "")),
    )


def repeated(arrivals: Sequence[Arrival]) -> dict[str, Any]:
    """One line for several: how many, the first and the last. A flood of repeats makes no flood of lines."""
    first, last = arrivals[0].detail(), arrivals[-1].detail()
    return {"times": len(arrivals), **first, **({"last": last} if len(arrivals) > 1 else {})}


def _if(form: re.Pattern[str], text: str) -> str:
    return text if form.fullmatch(text) else ""
