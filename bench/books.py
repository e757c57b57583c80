"""What the simulators' books hold of each order, read from the files themselves while a round runs.

Asking the simulators over HTTP would cost CPU on the pinned cores; a file costs them nothing. The moments are the
books' own, so that no poll's delay is in a measured time.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bench.orders import BenchOrder
from simulators.book import verify

DELIVERED: Final = ("delivered",)
REFUNDED: Final = ("failed", "refunded")
BOOKS: Final = ("carrier", "wechat", "alipay", "vehicle")


@dataclass(slots=True)
class Seen:
    """One order as the outside world has it."""

    posts: int = 0
    sold: int = 0
    refused: int = 0
    refunds_fen: list[int] = field(default_factory=list[int])
    notices: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])
    """Notice IDs by platform and result, repeats included."""
    first_at: str = ""
    last_at: str = ""
    """RFC 3339 with microseconds: text that sorts."""


class Tail:
    """The new whole lines of one growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def entries(self) -> Iterator[Mapping[str, Any]]:
        """What came since the last look."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield json.loads(line)


class Books:
    """All books of one stand, folded per order."""

    def __init__(self, folder: Path, platforms: Sequence[str]) -> None:
        self.seen: dict[str, Seen] = {}
        self.unexplained: list[str] = []
        """Effects and requests that are wrong whatever the orders are."""
        self._folder = folder
        self._platforms = platforms
        self._tails = {name: Tail(folder / f"{name}.jsonl") for name in BOOKS}

    def look(self) -> None:
        """Fold what is new."""
        for entry in self._tails["carrier"].entries():
            self._carrier(entry)
        for name in ("wechat", "alipay"):
            for entry in self._tails[name].entries():
                self._provider(name, entry)
        for entry in self._tails["vehicle"].entries():
            self._vehicle(entry)

    def terminal(self, order: BenchOrder) -> bool:
        """Whether the order has come to its end, and every platform was told."""
        seen = self.seen.get(order.order_id)
        if seen is None:
            return False
        results = REFUNDED if order.refused else DELIVERED
        money = seen.refunds_fen if order.refused else seen.sold
        return bool(money) and all((name, result) in seen.notices for name in self._platforms for result in results)

    def ended_at(self, order: BenchOrder) -> float:
        """The moment of its last effect, in seconds since 1970."""
        return datetime.fromisoformat(self.seen[order.order_id].last_at).timestamp()

    def mismatches(self, orders: Sequence[BenchOrder]) -> list[str]:
        """Every order whose effects are not exactly the right ones, in words."""
        found = list(self.unexplained)
        for order in orders:
            found += [f"{order.order_id}: {what}" for what in self._wrong(order)]
        return found

    def repeated_notices(self, orders: Sequence[BenchOrder]) -> int:
        """Notices that came more than once with the same ID, which QoS 1 allows and cars drop."""
        return sum(len(ids) - 1 for order in orders for ids in self.seen[order.order_id].notices.values())

    def strangers(self, known: set[str]) -> list[str]:
        """Orders in the books that nobody has paid for."""
        return [f"{order_id}: effects of an order that was never produced" for order_id in self.seen.keys() - known]

    def verify_chains(self) -> None:
        """Check each book's hash chain; raises `simulators.book.BookTamperedError`."""
        for name in BOOKS:
            path = self._folder / f"{name}.jsonl"
            if path.exists():
                verify(path)

    def _wrong(self, order: BenchOrder) -> Iterator[str]:
        seen = self.seen.get(order.order_id, Seen())
        if seen.posts != 1:
            yield f"{seen.posts} POSTs at the carrier instead of 1"
        if seen.sold != (0 if order.refused else 1):
            yield f"sold {seen.sold} times"
        if seen.refused != (1 if order.refused else 0):
            yield f"refused {seen.refused} times"
        if seen.refunds_fen != ([order.amount_fen] if order.refused else []):
            yield f"refunds of {seen.refunds_fen} fen"
        results = REFUNDED if order.refused else DELIVERED
        right = {(name, result): f"{order.order_id}:{result}" for name in self._platforms for result in results}
        if seen.notices.keys() != right.keys():
            yield f"notices {sorted(seen.notices)} instead of {sorted(right)}"
        for key, ids in seen.notices.items():
            if set(ids) != {right.get(key, "")}:
                yield f"notice IDs {sorted(set(ids))} on {key}"

    def _of(self, order_id: str, at: str) -> Seen:
        seen = self.seen.setdefault(order_id, Seen())
        seen.first_at = seen.first_at or at
        seen.last_at = max(seen.last_at, at)
        return seen

    def _carrier(self, entry: Mapping[str, Any]) -> None:
        kind, order_id = entry["kind"], entry["data"].get("external_id")
        match kind:
            case "post":
                self._of(order_id, entry["at"]).posts += 1
            case "sold":
                self._of(order_id, entry["at"]).sold += 1
            case "rejected" | "failed" | "burnt":
                self._of(order_id, entry["at"]).refused += 1
            case "invalid" | "unauthorized" | "partial" | "burnt_blind":
                self.unexplained.append(f"the carrier booked `{kind}`: {entry['data']}")
            case _:
                pass

    def _provider(self, name: str, entry: Mapping[str, Any]) -> None:
        kind, data = entry["kind"], entry["data"]
        match kind:
            case "refunded":
                self._of(data["out_trade_no"], entry["at"]).refunds_fen.append(data["amount_fen"])
            case "invalid" | "sign_error" | "abnormal" | "closed":
                self.unexplained.append(f"{name} booked `{kind}`: {data}")
            case _:
                pass

    def _vehicle(self, entry: Mapping[str, Any]) -> None:
        data = entry["data"]
        if entry["kind"] == "notice":
            key = (data["broker"], data["result"])
            self._of(data["order_id"], entry["at"]).notices.setdefault(key, []).append(data["id"])
        elif entry["kind"] == "malformed":
            self.unexplained.append("a car got a message that is no notice")
