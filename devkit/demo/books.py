"""What the outside world has seen, as facts per order: folds over the simulators' books.

Nothing here comes from the product's own tables or from Temporal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from devkit.stack.world import Entry

_REFUSALS = frozenset({"rejected", "failed", "burnt"})


@dataclass(slots=True)
class AtCarrier:
    """One `externalId` at the carrier."""

    posts: int = 0
    bodies: set[str] = field(default_factory=set[str])
    orders: int = 0
    sold: int = 0
    refused_at: str = ""
    """When it was definitely refused or burnt."""


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money that went back, at a provider."""

    refund_no: str
    amount_fen: int
    at: str


@dataclass(slots=True)
class AtProvider:
    """One payment at its provider."""

    paid_fen: int = 0
    out_trade_no: str = ""
    refunds: list[Refunded] = field(default_factory=list[Refunded])
    first_request_at: str = ""


@dataclass(frozen=True, slots=True)
class NoticeSeen:
    """One notice as a vehicle got it from a platform, repeats included. The book keeps no VIN, hence the hashes."""

    platform: str
    order_id: str
    id: str
    type: str
    result: str
    reason: str | None
    amount_fen: int
    topic_sha256: str
    payload_sha256: str


@dataclass(frozen=True, slots=True)
class SentRecord:
    """One record as it went into Kafka."""

    scenario: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    dead_letter: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(slots=True)
class Books:
    """All that was seen so far. The folds take entries in the books' order, each once."""

    carrier: dict[str, AtCarrier] = field(default_factory=dict[str, AtCarrier])
    payments: dict[str, AtProvider] = field(default_factory=dict[str, AtProvider])
    notices: list[NoticeSeen] = field(default_factory=list[NoticeSeen])
    sent: list[SentRecord] = field(default_factory=list[SentRecord])
    dead_letters: list[DeadLetter] = field(default_factory=list[DeadLetter])
    malformed_notices: int = 0

    def read_carrier(self, entries: Iterable[Entry]) -> None:
        """Fold the carrier's book."""
        for entry in entries:
            data = entry["data"]
            if not data.get("external_id"):
                continue
            known = self.carrier.setdefault(data["external_id"], AtCarrier())
            match entry["kind"]:
                case "post":
                    known.posts += 1
                    known.bodies.add(data["body_sha256"])
                case "accepted":
                    known.orders += 1
                case "sold":
                    known.sold += 1
                case kind if kind in _REFUSALS:
                    known.refused_at = known.refused_at or entry["at"]
                case _:
                    pass

    def read_payments(self, entries: Iterable[Entry]) -> None:
        """Fold a payment provider's book."""
        for entry in entries:
            data = entry["data"]
            if not data.get("transaction_id"):
                continue
            known = self.payments.setdefault(data["transaction_id"], AtProvider())
            match entry["kind"]:
                case "paid":
                    known.paid_fen, known.out_trade_no = data["amount_fen"], data["out_trade_no"]
                case "refund":
                    known.first_request_at = known.first_request_at or entry["at"]
                case "refunded":
                    known.refunds.append(Refunded(data["refund_no"], data["amount_fen"], entry["at"]))
                case _:
                    pass

    def read_vehicle(self, entries: Iterable[Entry]) -> None:
        """Fold the vehicles' book."""
        for entry in entries:
            data = entry["data"]
            match entry["kind"]:
                case "notice":
                    self.notices.append(
                        NoticeSeen(
                            platform=data["broker"],
                            order_id=data["order_id"],
                            id=data["id"],
                            type=data["type"],
                            result=data["result"],
                            reason=data["reason"],
                            amount_fen=data["amount_fen"],
                            topic_sha256=data["topic_sha256"],
                            payload_sha256=data["payload_sha256"],
                        )
                    )
                case "malformed":
                    self.malformed_notices += 1
                case _:
                    pass
