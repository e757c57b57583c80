"""Expands scenarios into orders, stray records and faults: a pure function of the seed, so a run can be repeated.

An order becomes one by its payment: the provider tells the gateway, which writes its record. A stray record is one that
somebody writes to the topic beside the gateway.
"""

import json
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from devkit.audit.books import Books, Paid, Seen
from devkit.audit.records import Headers
from devkit.demo.scenarios import INCIDENT, LATE, POISON, Fault, Scenario, scaled_load
from devkit.stack.choices import COMPLETION_SECONDS
from orders.paid_order import SCHEMA
from orders.time_scale import scaled

CURRENCY: Final = "CNY"
LONGEST_LATENCY_SECONDS: Final = 60.0
VISIBILITY_LAG_SECONDS: Final = 15.0
"""Of the carrier, unscaled, as the product's settings have them by default (contracts §4)."""
LARGEST_VALUE_BYTES: Final = 65_536
EARLY: Final = 0.3
"""`Scenario.early` orders come within this first part of the load."""
INCIDENT_ORDER_ID: Final = "T20230821183406000001"
LATE_ORDER_ID: Final = "T20230821205959000002"
STRAY_PAID_AT: Final = "2023-08-21T18:33:55+08:00"
LATE_NUMBER: Final = 9_999_999
GIVEN_BACK: Final = 3
"""Goodwill is the price over this, rounded down: a part, to the fen."""
_PACKAGES: Final = (("CT-DATA-10GB-30D", 9900), ("CT-DATA-2GB-7D", 1990), ("CT-DATA-100GB-365D", 49_900))
_VIN_LETTERS: Final = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"


@dataclass(frozen=True, slots=True)
class Merchant:
    """Where payments of the demonstration were made."""

    wechat: str
    alipay: str


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One order, and what must come of it."""

    order_id: str
    scenario: Scenario
    vin: str
    package_id: str
    amount_fen: int
    provider: str
    transaction_id: str
    merchant_id: str

    @property
    def vehicle(self) -> dict[str, str]:
        """For which car."""
        number = zlib.crc32(self.vin.encode()) % 100_000_000  # so that vehicles differ
        return {"vin": self.vin, "iccid": f"898603212475{number:08d}", "msisdn": f"144{number:08d}"}

    @property
    def goodwill_fen(self) -> int:
        """What two operators give back of it after its delivery."""
        return self.amount_fen // GIVEN_BACK if self.scenario.operator == "goodwill" else 0

    @property
    def at_backend(self) -> dict[str, Any]:
        """The order as the backend has it."""
        return {"vehicle": self.vehicle, "package_id": self.package_id, "amount_fen": self.amount_fen}

    def payment(self, attachment: str | None, notify_url: str | None) -> dict[str, Any]:
        """How the customer pays it (`POST /pay`)."""
        told = {"attach": attachment, "notify_url": notify_url}
        return {
            "amount_fen": self.amount_fen,
            "out_trade_no": self.order_id,
            "transaction_id": self.transaction_id,
            **{name: value for name, value in told.items() if value is not None},
        }

    def paid(self, platforms: Sequence[str], time_scale: float) -> Paid:
        """The auditor's view of it, in a stack whose waits are scaled."""
        scenario, lag = self.scenario, scaled(VISIBILITY_LAG_SECONDS, time_scale)
        return Paid(
            order_id=self.order_id,
            vin=self.vin,
            provider=self.provider,
            transaction_id=self.transaction_id,
            out_trade_no=self.order_id,
            amount_fen=self.amount_fen,
            currency=CURRENCY,
            platforms=tuple(platforms),
            end=scenario.end,
            reason=scenario.reason,
            carrier_orders=scenario.carrier_orders,
            goodwill_fen=self.goodwill_fen,
            answered_seconds=lag,
            unanswered_seconds=scaled(LONGEST_LATENCY_SECONDS, time_scale) + lag,
            burn_seconds=scaled(COMPLETION_SECONDS, time_scale) + lag,
        )

    def seen(self, books: Books) -> Seen:
        """What the books hold about it by now."""
        return books.about(self.paid((), 1.0))


@dataclass(frozen=True, slots=True)
class StrayRecord:
    """One record that is written beside the gateway.

    Attributes:
        goes_with: the order whose record it follows, on the same partition; "" = by its key.
        dead_letter: the reason its dead letter must give.
    """

    scenario: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    goes_with: str
    dead_letter: str


Turn = PlannedOrder | StrayRecord


@dataclass(frozen=True, slots=True)
class Plan:
    """A run's input: payments and stray records, in the order in which they come."""

    turns: tuple[Turn, ...]

    @property
    def orders(self) -> tuple[PlannedOrder, ...]:
        """The payments that are made."""
        return tuple(turn for turn in self.turns if isinstance(turn, PlannedOrder))

    @property
    def strays(self) -> tuple[StrayRecord, ...]:
        """What is written beside the gateway."""
        return tuple(turn for turn in self.turns if isinstance(turn, StrayRecord))

    @property
    def carrier_faults(self) -> dict[str, list[Fault]]:
        """Faults by order ID."""
        return {order.order_id: list(order.scenario.carrier) for order in self.orders if order.scenario.carrier}

    @property
    def backend_faults(self) -> dict[str, list[Fault]]:
        """Faults by order ID."""
        return {order.order_id: list(order.scenario.backend) for order in self.orders if order.scenario.backend}

    def payment_faults(self, provider: str) -> dict[str, list[Fault]]:
        """Faults by transaction ID, of callbacks and refunds."""
        return {
            order.transaction_id: [*order.scenario.notice, *order.scenario.refund]
            for order in self.orders
            if order.provider == provider and (order.scenario.notice or order.scenario.refund)
        }

    @property
    def placed(self) -> dict[str, dict[str, Any]]:
        """The orders that the backend knows."""
        return {order.order_id: order.at_backend for order in self.orders if order.scenario.proof != "nothing"}


def plan_incident(seed: int, merchant: Merchant) -> Plan:
    """The incident: one order."""
    return _Planner(seed, merchant).incident()


def plan_late(seed: int, merchant: Merchant) -> Plan:
    """The payment whose callback never comes."""
    return _Planner(seed, merchant).late()


def plan_load(seed: int, total: int, merchant: Merchant) -> Plan:
    """The mixed load: about `total` orders in random order, each order before its stray records, and poison."""
    return _Planner(seed, merchant).load(total)


def plan_sample(scenario: Scenario, order_id: str, seed: int, merchant: Merchant) -> Plan:
    """One order of a scenario under an order ID of its own; its payment and vehicle derive from the seed."""
    return _Planner(seed, merchant).sample(scenario, order_id)


class _Planner:
    def __init__(self, seed: int, merchant: Merchant) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a repeatable plan, no key
        self._merchant = merchant
        self._made = 0

    def incident(self) -> Plan:
        return Plan((self._order(INCIDENT, INCIDENT_ORDER_ID, 0),))

    def late(self) -> Plan:
        return Plan((self._order(LATE, LATE_ORDER_ID, LATE_NUMBER),))

    def sample(self, scenario: Scenario, order_id: str) -> Plan:
        self._made = self._random.randrange(10_000_000)
        return Plan((replace(self._order(scenario), order_id=order_id),))

    def load(self, total: int) -> Plan:
        turns: list[tuple[float, Turn]] = []
        for record in self._poison():
            turns += self._turns((record,), last=1.0)
        for scenario, count in scaled_load(total):
            for _ in range(count):
                order = self._order(scenario)
                turns += self._turns((order, *self._strays(order)), last=EARLY if scenario.early else 1.0)
        return Plan(tuple(turn for _, turn in sorted(turns, key=lambda turn: turn[0])))

    def _turns(self, turns: Sequence[Turn], *, last: float) -> list[tuple[float, Turn]]:
        """Random moments between 0 and `last` for what keeps its order."""
        moments = sorted(self._random.uniform(0, last) for _ in turns)
        return list(zip(moments, turns, strict=True))

    def _order(self, scenario: Scenario, order_id: str = "", number: int | None = None) -> PlannedOrder:
        self._made += 1
        payers = ("wechat", "alipay") if scenario.payer == "both" else (scenario.payer,)
        provider = payers[self._made % len(payers)]
        package_id, amount_fen = self._random.choice(_PACKAGES)
        wechat = provider == "wechat"
        number = self._made if number is None else number
        return PlannedOrder(
            order_id=order_id or f"T20230821190000{number:06d}",
            scenario=scenario,
            vin="LSG" + "".join(self._random.choices(_VIN_LETTERS, k=8)) + f"{number % 1_000_000:06d}",
            package_id=package_id,
            amount_fen=amount_fen,
            provider=provider,
            transaction_id=f"42000019232023082132{number:08d}" if wechat else f"2023082122001{number:015d}",
            merchant_id=self._merchant.wechat if wechat else self._merchant.alipay,
        )

    def _content(self, order: PlannedOrder) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "order_id": order.order_id,
            "vehicle": order.vehicle,
            "package_id": order.package_id,
            "amount_fen": order.amount_fen,
            "currency": CURRENCY,
            "payment": {
                "provider": order.provider,
                "merchant_id": order.merchant_id,
                "out_trade_no": order.order_id,
                "transaction_id": order.transaction_id,
                "paid_at": STRAY_PAID_AT,
            },
        }

    def _strays(self, order: PlannedOrder) -> Iterator[StrayRecord]:
        """Records of somebody who has the key and writes beside the gateway."""
        scenario, order_id, content = order.scenario, order.order_id, self._content(order)
        for _ in range(scenario.conflicts):
            other = content | {"amount_fen": order.amount_fen + 1}
            yield self._aside(scenario.name, order_id, other, order_id)
        for _ in range(scenario.stolen):
            other = content | {"order_id": order_id.replace("T", "U")}
            yield self._aside(scenario.name, other["order_id"], other, order_id)

    @staticmethod
    def _aside(scenario: str, key: str, content: dict[str, Any], goes_with: str) -> StrayRecord:
        return StrayRecord(
            scenario, key.encode(), json.dumps(content).encode(), (("source", b"demo"),), goes_with, "conflict"
        )

    def _poison(self) -> Iterator[StrayRecord]:
        for number, (name, reason) in enumerate(POISON.items(), start=900_001):
            order = PlannedOrder(
                f"P20230821190000{number}", INCIDENT, f"LSGBC5342AG{number}", "CT-DATA-10GB-30D", 9900, "wechat",
                f"42000019232023082133{number:08d}", self._merchant.wechat,
            )  # fmt: skip
            content = self._content(order) | {"vehicle": {"vin": order.vin, "iccid": "89860321247550000015"}}
            key = order.order_id.encode()
            value = _POISONED[name](content)
            # A header that came twice and one that carries no text must reach the dead letter as they are.
            headers = (("twice", b"1"), ("twice", b"2"), ("bytes", b"\xff\x00"))
            yield StrayRecord(
                "poison", b"T-another" if name == "key of another order" else key, value, headers, "", reason
            )


def _text(content: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(content | changes).encode()


def _nested(depth: int) -> Any:
    return {} if depth == 0 else {"deeper": _nested(depth - 1)}


_POISONED: Final[dict[str, Callable[[dict[str, Any]], bytes | None]]] = {
    "not JSON": lambda _: b"order_id=T20230821190000900001",
    "another schema": lambda content: _text(content, schema="topup.paid-order/2"),
    "amount as a float": lambda content: _text(content, amount_fen=99.0),
    "amount 0": lambda content: _text(content, amount_fen=0),
    "no vehicle": lambda content: _text({name: content[name] for name in content if name != "vehicle"}),
    "member null": lambda content: _text(content, vehicle=content["vehicle"] | {"msisdn": None}),
    "duplicate key": lambda content: _text(content)[:-1] + b', "package_id": "CT-DATA-2GB-7D"}',
    "NaN in an unknown member": lambda content: _text(content, extra=float("nan")),
    "byte order mark": lambda content: b"\xef\xbb\xbf" + _text(content),
    "not UTF-8": lambda content: _text(content, note="#").replace(b"#", b"\xff"),
    "key of another order": _text,
    "depth 9": lambda content: _text(content, extra=_nested(8)),
    "tombstone": lambda _: None,
    "over 64 KiB": lambda content: _text(content, extra="x" * LARGEST_VALUE_BYTES),
}
assert set(_POISONED) == set(POISON), "every kind of poison has its expected reason"
