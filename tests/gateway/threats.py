"""What the threats of contracts §7 are tested with: a good callback, and what a refused and a stored one get."""

from collections.abc import Sequence

from tests.gateway.providers import Callback, alipay, alipay_form, event, payment, trade, wechat
from tests.gateway.serving import Gateway

AGAIN = {
    "wechat": (
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 35\r\n"
        b'Connection: close\r\n\r\n{"code": "FAIL", "message": "FAIL"}'
    ),
    "alipay": (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n"
        b"Connection: close\r\n\r\nfail"
    ),
}


def good(provider: str = "wechat") -> Callback:
    return wechat(event(payment())) if provider == "wechat" else alipay(alipay_form(trade()))


async def is_refused(gate: Gateway, provider: str, callback: Callback, *, alert: str | None = None) -> None:
    """The constant answer, nothing produced, counted, and an alert or none."""
    before = gate.count(provider, "refused"), len(gate.topic.sent), gate.alerts()
    answer = await gate.post(provider, callback)

    assert answer.raw == AGAIN[provider]
    assert gate.count(provider, "refused") == before[0] + 1
    assert len(gate.topic.sent) == before[1]
    raised = {key: value for key, value in gate.alerts().items() if value != before[2].get(key, 0)}
    assert set(raised) == (set() if alert is None else {(provider, alert)})


async def is_stored(gate: Gateway, provider: str, callback: Callback) -> None:
    answer = await gate.post(provider, callback)

    if provider == "wechat":
        assert (answer.status, answer.body) == (204, b"")
    else:
        assert (answer.status, answer.body) == (200, b"success")


def request_of(callback: Callback, provider: str = "wechat", more: Sequence[str] = ("Connection: close",)) -> bytes:
    headers, body = callback
    lines = [f"POST /callbacks/{provider} HTTP/1.1", "Host: pay.example", *more]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}"]).encode() + b"\r\n\r\n" + body


def bare(status: int) -> bytes:
    phrase = {400: "Bad Request", 408: "Request Timeout", 413: "Request Entity Too Large"}[status]
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
