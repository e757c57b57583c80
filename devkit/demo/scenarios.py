"""What the demonstration lives through, as data: each scenario's faults, records, and what must come of each order.

Faults are what the simulators take over HTTP (`simulators/README.md`); seconds in them are unscaled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Fault = Mapping[str, Any]
End = Literal["delivered", "refunded"]
Payer = Literal["wechat", "alipay", "both"]
Hand = Literal["", "balance", "abnormal", "adopt", "goodwill"]
"""What an operator must do: top up the merchant's balance; settle an ABNORMAL refund and say so to the order; adopt an
unmatched payment; give a part of the price back after the delivery, together with another."""
Proof = Literal["attachment", "lookup", "nothing"]
"""How the gateway finds out what a payment bought: by what the payment carries, by asking the order backend, not."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of trouble (or none).

    Attributes:
        says: what happens and what must come of it, for a newcomer.
        orders: how many in the standard load.
        end: what every order of it must come to.
        carrier: faults at the carrier, per order.
        refund: faults of the payment provider's refund, per payment.
        notice: faults of the payment's callback, attempt by attempt.
        backend: faults of the order backend, per order.
        proof: how the gateway learns what was bought.
        conflicts: records with other content under the same order ID, per order; each becomes a dead letter.
        stolen: records of another order ID with the same payment, per order; each becomes a dead letter.
        carrier_orders: what the carrier may have taken in, per order.
        reason: `data.reason` of the notice `failed`.
        operator: what a person must do.
        early: comes among the first of the load, because its waits are the longest.
    """

    name: str
    says: str
    orders: int
    end: End
    carrier: Sequence[Fault] = ()
    refund: Sequence[Fault] = ()
    payer: Payer = "both"
    notice: Sequence[Fault] = ()
    backend: Sequence[Fault] = ()
    proof: Proof = "attachment"
    conflicts: int = 0
    stolen: int = 0
    carrier_orders: int = 1
    reason: str = ""
    operator: Hand = ""
    early: bool = False


REFUSED: Fault = {"kind": "refuse", "code": "SIM_SUSPENDED"}

INCIDENT = Scenario(
    "incident",
    "the callback comes three times, the carrier takes 40 s and fails, the old MQTT platform hangs",
    orders=1,
    end="refunded",
    carrier=({"kind": "delay", "seconds": 40}, {"kind": "failed"}),
    payer="wechat",
    notice=({"kind": "repeat", "count": 3},),
    reason="FAILED",
)

LOAD: tuple[Scenario, ...] = (
    Scenario("plain", "nothing goes wrong", 31, "delivered"),
    Scenario(
        "goodwill", "delivered, and two operators give a third of the price back", 1, "delivered", operator="goodwill",
        early=True,
    ),
    Scenario(
        "callback twice", "each callback comes twice at once", 6, "delivered", notice=({"kind": "repeat", "count": 2},)
    ),
    Scenario(
        "callback ten times", "each callback comes ten times at once", 4, "delivered",
        notice=({"kind": "repeat", "count": 10},),
    ),
    Scenario(
        "callback's answer lost", "the gateway's answer is lost twice, so the callback comes three times", 4,
        "delivered", payer="wechat", notice=({"kind": "hang", "target": "notice", "times": 2},),
    ),
    Scenario(
        "callback late", "the callback comes 60 s late, after those of later payments", 4, "delivered",
        notice=({"kind": "delay", "target": "notice", "seconds": 60},), early=True,
    ),
    Scenario(
        "callback forged", "a callback with a wrong signature, then one without any; the right one comes last", 4,
        "delivered", payer="wechat",
        notice=({"kind": "wrong_signature", "target": "notice"}, {"kind": "unsigned", "target": "notice"}),
    ),
    Scenario(
        "callback forged, Alipay", "a callback with a wrong signature, the right one 4 min later", 2, "delivered",
        payer="alipay", notice=({"kind": "wrong_signature", "target": "notice"},), early=True,
    ),
    Scenario(
        "callback of an old key", "a callback by a key that is known no more, and a probe; then the right one", 2,
        "delivered", payer="wechat", notice=({"kind": "old_key"}, {"kind": "probe"}),
    ),
    Scenario(
        "callback tampered with", "somebody on the way has changed the amount; the right one comes again", 2,
        "delivered", payer="wechat", notice=({"kind": "tampered_amount", "amount_fen": 1},),
    ),
    Scenario(
        "asked for", "the payment carries no attachment: the order backend says what was bought", 6, "delivered",
        proof="lookup",
    ),
    Scenario(
        "asked for in vain", "the order backend fails at first: the provider is made to send again", 2, "delivered",
        payer="wechat", proof="lookup", backend=({"kind": "error", "status": 503},),
    ),
    Scenario(
        "unmatched", "nobody knows what a genuine payment was for, until an operator adopts it", 2, "delivered",
        proof="nothing", operator="adopt", early=True,
    ),
    Scenario(
        "conflict", "a second record with another amount is set aside, the first stands", 4, "delivered", conflicts=1
    ),
    Scenario("payment used twice", "a second order with the same payment is set aside", 2, "delivered", stolen=1),
    Scenario("slow", "the carrier takes 40 s", 10, "delivered", ({"kind": "delay", "seconds": 40},)),
    Scenario("answer lost", "the carrier acts and never answers", 10, "delivered", ({"kind": "hang"},)),
    Scenario("acts, answers 500", "the carrier acts, then says 500", 10, "delivered", ({"kind": "error"},)),
    Scenario(
        "only answers 500", "the carrier says 500 and has done nothing", 10, "delivered",
        ({"kind": "error", "act": False},),
    ),
    Scenario("answer cut off", "the connection breaks amid the answer", 8, "delivered", ({"kind": "reset"},)),
    Scenario("malformed", "the carrier acts, its answer is not JSON", 6, "delivered", ({"kind": "malformed"},)),
    Scenario("unknown state", "the carrier answers a state nobody knows", 6, "delivered", ({"kind": "unknown_state"},)),
    Scenario(
        "throttled", "429 with Retry-After, nothing done", 8, "delivered",
        ({"kind": "throttle", "retry_after_seconds": 1},),
    ),
    Scenario(
        "seen late", "the answer is lost, and queries see the order 10 s later", 8, "delivered",
        ({"kind": "hang"}, {"kind": "query_lag", "seconds": 10}),
    ),
    Scenario(
        "completed later", "taken in, completed 20 s later", 10, "delivered",
        ({"kind": "async", "state": "inProgress", "then": "completed", "after_seconds": 20},),
    ),
    Scenario(
        "failed later", "taken in, failed 20 s later", 6, "refunded",
        ({"kind": "async", "then": "failed", "after_seconds": 20},), reason="FAILED", early=True,
    ),
    Scenario("refused", "the carrier refuses: SIM suspended", 16, "refunded", (REFUSED,), reason="SIM_SUSPENDED"),
    Scenario(
        "never reached", "the carrier never acts nor answers; its serial is burnt", 4, "refunded",
        ({"kind": "hang", "act": False, "times": -1},), carrier_orders=0, reason="NOT_FOUND_AND_BURNT",
        early=True,
    ),
    Scenario(
        "refund takes long", "the provider works on the refund for 2 min", 6, "refunded", (REFUSED,),
        ({"kind": "processing", "seconds": 120},), reason="SIM_SUSPENDED", early=True,
    ),
    Scenario(
        "refund answer lost", "the provider refunds and never answers", 6, "refunded", (REFUSED,), ({"kind": "hang"},),
        reason="SIM_SUSPENDED",
    ),
    Scenario(
        "refund answered 500", "the provider refunds, then says 500", 6, "refunded", (REFUSED,), ({"kind": "error"},),
        reason="SIM_SUSPENDED",
    ),
    Scenario(
        "refund badly signed", "the provider's answer bears a wrong signature", 4, "refunded", (REFUSED,),
        ({"kind": "wrong_signature"},), reason="SIM_SUSPENDED",
    ),
    Scenario(
        "refund closed", "WeChat Pay closes the refund; a second number follows", 2, "refunded", (REFUSED,),
        ({"kind": "closed"},), payer="wechat", reason="SIM_SUSPENDED",
    ),
    Scenario(
        "no money seen yet", "Alipay takes the refund in without saying that money moved", 2, "refunded", (REFUSED,),
        ({"kind": "fund_change_n"},), payer="alipay", reason="SIM_SUSPENDED",
    ),
    Scenario(
        "balance too low", "the merchant's balance is too low until an operator tops it up", 4, "refunded", (REFUSED,),
        ({"kind": "not_enough", "times": -1},), reason="SIM_SUSPENDED", operator="balance", early=True,
    ),
    Scenario(
        "refund abnormal", "WeChat Pay says ABNORMAL; an operator settles it there and says so", 3, "refunded",
        (REFUSED,), ({"kind": "abnormal"},), payer="wechat", reason="SIM_SUSPENDED", operator="abnormal", early=True,
    ),
)  # fmt: skip

LATE = Scenario(
    "no callback",
    "the callback never came: reconciliation finds the payment in the bill, and its attachment says what was bought",
    orders=1,
    end="delivered",
    payer="wechat",
)
"""The last order: nobody hears of it before the day is reconciled."""

POISON: Mapping[str, str] = {
    "not JSON": "invalid",
    "another schema": "invalid",
    "amount as a float": "invalid",
    "amount 0": "invalid",
    "no vehicle": "invalid",
    "member null": "invalid",
    "duplicate key": "invalid",
    "NaN in an unknown member": "invalid",
    "byte order mark": "invalid",
    "not UTF-8": "invalid",
    "key of another order": "invalid",
    "depth 9": "invalid",
    "tombstone": "invalid",
    "over 64 KiB": "oversize",
}
"""Records that can never become an order, and the reason their dead letter must give (contracts §1, §2)."""


def scaled_load(total: int) -> tuple[tuple[Scenario, int], ...]:
    """The load's scenarios with their numbers of orders for about `total` orders in all; at least one of each."""
    standard = sum(scenario.orders for scenario in LOAD)
    return tuple((scenario, max(1, round(scenario.orders * total / standard))) for scenario in LOAD)
