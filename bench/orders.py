"""The orders of a round: made from their number, so that a run can be repeated; and their way into Kafka."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kafka import KafkaProducer

from devkit.audit.books import Paid

CURRENCY: Final = "CNY"
PAID_AT: Final = "2023-08-21T18:33:55+08:00"
PACKAGE: Final = "CT-DATA-10GB-30D"
SEND_SECONDS: Final = 60.0
REFUSAL: Final = "SIM_SUSPENDED"
_VIN_PREFIX: Final = "LSGBC5342AG"


@dataclass(frozen=True, slots=True)
class Merchants:
    """Whom the customers paid."""

    wechat: str
    alipay: str


@dataclass(frozen=True, slots=True)
class BenchOrder:
    """One order, what the carrier does with it, and so its only right end."""

    order_id: str
    number: int
    provider: str
    merchant_id: str
    transaction_id: str
    amount_fen: int
    carrier_fault: dict[str, Any] | None
    refused: bool

    @property
    def vin(self) -> str:
        """Its car."""
        return f"{_VIN_PREFIX}{self.number % 1_000_000:06d}"

    def paid(self, platforms: Sequence[str]) -> Paid:
        """The auditor's view of it: one POST, and the one right end."""
        return Paid(
            order_id=self.order_id,
            vin=self.vin,
            provider=self.provider,
            transaction_id=self.transaction_id,
            out_trade_no=self.order_id,
            amount_fen=self.amount_fen,
            currency=CURRENCY,
            platforms=tuple(platforms),
            end="refunded" if self.refused else "delivered",
            reason=REFUSAL if self.refused else "",
            posts=1,
        )

    def record(self) -> bytes:
        """Its Kafka value (contracts §1)."""
        return json.dumps(
            {
                "schema": "topup.paid-order/1",
                "order_id": self.order_id,
                "vehicle": {"vin": self.vin, "iccid": f"8986{self.number:016d}"},
                "package_id": PACKAGE,
                "amount_fen": self.amount_fen,
                "currency": CURRENCY,
                "payment": {
                    "provider": self.provider,
                    "merchant_id": self.merchant_id,
                    "out_trade_no": self.order_id,
                    "transaction_id": self.transaction_id,
                    "paid_at": PAID_AT,
                },
            },
            separators=(",", ":"),
        ).encode()


@dataclass(frozen=True, slots=True)
class Trouble:
    """How many orders of a hundred meet which trouble at the carrier."""

    lost_answers_percent: int = 0
    """The carrier acts, then breaks the connection in the middle of its answer."""
    silent_percent: int = 0
    """The carrier acts and never answers; the connection stays open."""
    refused_percent: int = 0
    """The carrier refuses; the payment goes back."""

    def fault(self, number: int) -> dict[str, Any] | None:
        """The fault of the order with this number, spread evenly."""
        turn = number * 37 % 100  # 37 has no factor in common with 100: every value comes once in a hundred
        if turn < self.lost_answers_percent:
            return {"kind": "reset", "act": True}
        turn -= self.lost_answers_percent
        if turn < self.silent_percent:
            return {"kind": "hang", "act": True}
        turn -= self.silent_percent
        if turn < self.refused_percent:
            return {"kind": "refuse", "code": REFUSAL}
        return None


def make_orders(run: int, first: int, count: int, trouble: Trouble, merchants: Merchants) -> list[BenchOrder]:
    """Orders `first` to `first + count - 1` of a run; half are paid with WeChat Pay, half with Alipay."""
    orders: list[BenchOrder] = []
    for number in range(first, first + count):
        fault = trouble.fault(number)
        wechat = number % 2 == 0
        orders.append(
            BenchOrder(
                order_id=f"B{run:08d}{number:08d}",
                number=number,
                provider="wechat" if wechat else "alipay",
                merchant_id=merchants.wechat if wechat else merchants.alipay,
                transaction_id=f"42{run:08d}{number:08d}",
                amount_fen=100 + number % 9900,
                carrier_fault=fault,
                refused=fault is not None and fault["kind"] == "refuse",
            )
        )
    return orders


def produce(
    bootstrap_servers: str,
    topic: str,
    orders: Sequence[BenchOrder],
    sends: Callable[[float], None],
    *,
    every_seconds: float = 0.0,
    api_version: str | None = None,
) -> None:
    """Send all, as fast as Kafka takes them or at a pace; returns once it has acknowledged every record.

    `sends` is told the moment (seconds since 1970) right before each record is sent.
    """
    records = [(order.order_id.encode(), order.record()) for order in orders]
    options: dict[str, Any] = {"bootstrap_servers": bootstrap_servers, "acks": "all"}
    if api_version:
        options["api_version"] = tuple(int(part) for part in api_version.split("."))
    producer: Any = KafkaProducer(linger_ms=0 if every_seconds else 5, **options)
    futures: list[Any] = []
    try:
        producer.partitions_for(topic)
        for key, value in records:
            sends(time.time())
            futures.append(producer.send(topic, key=key, value=value))
            if every_seconds:
                time.sleep(every_seconds)
        producer.flush(SEND_SECONDS)
        for future in futures:
            future.get(SEND_SECONDS)
    finally:
        producer.close(5)
