"""Which line of a simulator's book is worth a line on the screen, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from devkit.audit.books import Entry

_AT_CARRIER: Final = {
    "accepted": "taken in by the carrier",
    "sold": "delivered by the carrier",
    "rejected": "refused by the carrier",
    "failed": "failed at the carrier",
    "burnt": "burnt at the carrier: it will never be delivered",
}
_AT_PROVIDER: Final = {
    "refund_accepted": "refund taken in",
    "refunded": "refunded",
    "abnormal": "refund ABNORMAL: a person must settle it",
    "closed": "refund closed",
}
PROVIDER_NAMES: Final = {"wechat": "WeChat Pay", "alipay": "Alipay"}


def lines(news: Mapping[str, Sequence[Entry]]) -> Iterator[tuple[str, str, str]]:
    """Time (UTC), order and what happened, oldest first."""
    entries = [(simulator, entry) for simulator, entries in news.items() for entry in entries]
    for simulator, entry in sorted(entries, key=lambda pair: (pair[1].at, pair[1].seq)):
        yield from _line(simulator, entry)


def _line(simulator: str, entry: Entry) -> Iterator[tuple[str, str, str]]:
    at, kind, data = f"{entry.at:%H:%M:%S.%f}"[:12], entry.kind, entry.data
    if simulator == "carrier" and kind in _AT_CARRIER:
        code = f" ({data['code']})" if data.get("code") else ""
        yield at, data["external_id"], _AT_CARRIER[kind] + code
    elif simulator in PROVIDER_NAMES and kind in _AT_PROVIDER:
        order_id = data.get("out_trade_no") or str(data.get("refund_no", "")).removeprefix("R")
        yield at, order_id, f"{_AT_PROVIDER[kind]} at {PROVIDER_NAMES[simulator]}, {data['amount_fen']} fen"
    elif simulator in PROVIDER_NAMES and kind == "paid":
        yield at, data["out_trade_no"], f"paid at {PROVIDER_NAMES[simulator]}, {data['amount_fen']} fen"
    elif simulator in PROVIDER_NAMES and kind == "notice":
        about = "callback" if data["about"] == "payment" else f"notice of refund {data['about']}"
        statuses = ", ".join("no answer" if status is None else str(status) for status in data["statuses"])
        faults = f" ({', '.join(data['faults'])})" if data["faults"] else ""
        yield at, data["out_trade_no"], f"{about} of {PROVIDER_NAMES[simulator]}{faults}: answered {statuses}"
    elif simulator == "vehicle" and kind == "notice":
        yield at, data["order_id"], f"car told: {data['result']} (platform {data['broker']})"
