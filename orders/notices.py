"""The notice to the vehicle (contracts §6): one CloudEvents 1.0 JSON object, the same bytes on every attempt."""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from orders.identities import NoticeResult, notice_id

CONTENT_TYPE = "application/cloudevents+json"
_CODE = re.compile(r"[A-Z0-9_]{1,64}")


@dataclass(frozen=True, slots=True)
class NoticeState:
    """What became of one notice on one platform: `acknowledged`, `waiting`, `pending`, `not_due` or `given_up`.

    `waiting`: not taken yet; `pending`: likewise, and a person was called for it. A book of an earlier version may hold
    `refused`.
    """

    result: NoticeResult
    platform: str
    state: str
    remark: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice, ready to be published on any platform.

    Attributes:
        vin: for the topic template only; never logged.
    """

    order_id: str
    vin: str
    result: NoticeResult
    payload: bytes

    def topic(self, template: str) -> str:
        """The topic from a template with `{vin}`, `{vin_sha256}` (plain SHA-256, lower-case hex), `{order_id}`."""
        vin_sha256 = hashlib.sha256(self.vin.encode()).hexdigest()
        return (
            template.replace("{vin}", self.vin).replace("{vin_sha256}", vin_sha256).replace("{order_id}", self.order_id)
        )


def reason_code(code: str, fallback: str) -> str:
    """The carrier's code where it may travel in a notice, else `fallback` (contracts §6)."""
    return code if _CODE.fullmatch(code) else fallback


def compose(
    *, order_id: str, vin: str, package_id: str, amount_fen: int, result: NoticeResult, at: datetime, reason: str = ""
) -> Notice:
    """The notice of one outcome. `at` is the moment of the outcome, so that retries send the same bytes."""
    data: dict[str, str | int] = {
        "order_id": order_id,
        "package_id": package_id,
        "result": result,
        "amount_fen": amount_fen,
    }
    if result == "failed":
        data["reason"] = reason
    event = {
        "specversion": "1.0",
        "id": notice_id(order_id, result),
        "source": "/topup",
        "type": f"topup.order.{result}",
        "subject": order_id,
        "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "datacontenttype": "application/json",
        "data": data,
    }
    return Notice(order_id=order_id, vin=vin, result=result, payload=json.dumps(event, separators=(",", ":")).encode())
