"""One push and its forms. Whatever others have said is shown as a line of a chat: no mention, no link, no markup."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from adapters.push.settings import Format
from orders import shown_text
from runtime.redaction import redacted

MOST_BYTES: Final = 2000
"""Of the text: WeCom takes 2048."""
NAMED_ORDERS: Final = 5
"""In the text of a chat, which must fit `MOST_BYTES`; the rest is a number."""
LISTED_ORDERS: Final = 100
"""In the JSON of a webhook; `topup orders list` has all."""
_REASON_CHARACTERS: Final = 150


@dataclass(frozen=True, slots=True)
class Told:
    """An order that needs a person (`attention`), or is freed (`""`)."""

    order_id: str
    attention: str
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """What one push says, of any number of orders."""

    orders: Sequence[Told]

    @property
    def parked(self) -> list[Told]:
        """Those that need a person."""
        return [order for order in self.orders if order.attention]

    @property
    def freed(self) -> list[Told]:
        """Those that need nobody any more."""
        return [order for order in self.orders if not order.attention]

    def text(self) -> str:
        """A few lines for people."""
        lines: list[str] = []
        if parked := self.parked:
            lines.append(f"topup: {_orders(len(parked), 'needs', 'need')} a person (topup orders list)")
            lines += [f"{one.order_id} {one.attention}: {_said(one)}" for one in parked[:NAMED_ORDERS]]
        if freed := self.freed:
            lines.append(f"topup: {_orders(len(freed), 'is', 'are')} freed")
            lines += [f"{one.order_id} {one.status}" for one in freed[:NAMED_ORDERS]]
        return "\n".join(lines).encode()[:MOST_BYTES].decode(errors="ignore")


@dataclass(frozen=True, slots=True)
class Request:
    """What is POSTed."""

    body: bytes
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


def request(message: Message, form: Format, secret: str | None, now: datetime) -> Request:
    """The message in this form, signed where it is signed."""
    text = message.text()
    match form:
        case "json":
            headers = {"authorization": f"Bearer {secret}"} if secret else {}
            return Request(_json(_generic(message, text, now)), headers=headers)
        case "slack":
            return Request(_json({"text": text}))
        case "wecom":
            return Request(_json({"msgtype": "text", "text": {"content": text}}))
        case "dingtalk":
            body = _json({"msgtype": "text", "text": {"content": text}})
            if not secret:
                return Request(body)
            at = str(int(now.timestamp() * 1000))
            sign = _hmac(secret.encode(), f"{at}\n{secret}".encode())
            return Request(body, parameters={"timestamp": at, "sign": sign})
        case "feishu":
            content: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
            if secret:
                at = str(int(now.timestamp()))
                content |= {"timestamp": at, "sign": _hmac(f"{at}\n{secret}".encode(), b"")}
            return Request(_json(content))


def refusal(answer: Mapping[str, object] | None) -> str:
    """Why a chat has refused a message that it answered with HTTP 200, or ""."""
    for member in ("errcode", "code", "StatusCode"):
        if answer is not None and answer.get(member, 0) not in (0, "0"):
            return f"{member} {shown_text.one_line(answer[member], 20)}"
    return ""


def _generic(message: Message, text: str, now: datetime) -> dict[str, Any]:
    return {
        "schema": "topup.push/1",
        "at": now.isoformat(timespec="seconds"),
        "need_person_count": len(message.parked),
        "freed_count": len(message.freed),
        "need_person": [
            {"order_id": one.order_id, "attention": one.attention, "status": one.status, "reason": _said(one)}
            for one in message.parked[:LISTED_ORDERS]
        ],
        "freed": [{"order_id": one.order_id, "status": one.status} for one in message.freed[:LISTED_ORDERS]],
        "text": text,
    }


def _said(order: Told) -> str:
    return shown_text.chat(redacted(order.reason, frozenset({order.order_id})), _REASON_CHARACTERS)


def _orders(count: int, one: str, many: str) -> str:
    return f"1 order {one}" if count == 1 else f"{count} orders {many}"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _hmac(key: bytes, message: bytes) -> str:
    return base64.b64encode(hmac.new(key, message, hashlib.sha256).digest()).decode()
