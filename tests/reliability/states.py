"""Where an order can stand when an operator's hand comes: how it gets there, what ends the trouble, what follows."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, Literal

from devkit.audit.books import End, Paid
from devkit.stack.tcp_proxy import TcpProxy
from orders.paid_order import PaidOrder
from tests.reliability.cases import REFUSED
from tests.reliability.deployments import Deployment, posted
from tests.reliability.environment import PLATFORM
from tests.reliability.running import Runner, Shown, insist_on_update

Away = Literal["", "carrier", "provider", "platform"]
AGAIN: Final = {"operator": "Wang", "note": "the other side is back"}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One such place.

    Attributes:
        reached: whether the order stands there.
        end: what must come of it if nobody cancels it.
        cancelled_end: what must come of it if somebody does (contracts §3).
        cancelled_reason: then the reason in the notice `failed`.
        unbegun: no worker runs yet.
        away: who can't be reached until the hand has come.
        resolve: the operator's word afterwards, where the state waits for one.
        retry: the other side's faults end after the hand, and an operator asks again.
        untold: settled, only the car is not told: no order to reopen, contracts §3.
        closed: the run has ended.
    """

    name: str
    scale: float
    end: End
    reached: Callable[[Deployment, PaidOrder, Paid], Awaitable[bool]]
    cancelled_end: End
    cancelled_reason: str = ""
    carrier: Sequence[Mapping[str, Any]] = ()
    refund: Sequence[Mapping[str, Any]] = ()
    unbegun: bool = False
    away: Away = ""
    resolve: bool = False
    retry: bool = False
    untold: bool = False
    closed: bool = False


@dataclass(slots=True)
class Scene:
    """One order brought to its state on a deployment of its own."""

    runner: Runner
    state: State
    deployed: Deployment
    order: PaidOrder
    paid: Paid
    proxy: TcpProxy | None

    async def relieve(self) -> None:
        """End the trouble: who was away is back, an operator gives his word."""
        if self.proxy is not None:
            self.proxy.open()
        if self.state.resolve:
            await self._resolve()
        if self.state.retry:
            await self.runner.env.control.lift_faults("wechat", self.order.payment.transaction_id)
            await insist_on_update(self.deployed, self.order, "retry_now", AGAIN)

    async def _resolve(self) -> None:
        books = await self.runner.env.refresh()
        reference = books.about(self.paid).at_carrier("accepted")[0].data["id"]
        word = {"operator": "Wang", "note": f"Carrier says no: {reference}", "outcome": "not_delivered"}
        await insist_on_update(self.deployed, self.order, "resolve", word)


async def set_scene(runner: Runner, result: Shown, stack: AsyncExitStack, state: State, **circumstances: Any) -> Scene:
    """A deployment and an order with the state's faults; nothing runs yet."""
    proxy, changes = _proxy(runner, state.away)
    if proxy is not None:
        stack.callback(proxy.close)
    deployed = runner.deployed(result.name, stack, scale=state.scale, **changes)
    known: dict[str, Any] = {"end": state.end, "given_up": state.resolve}
    order, paid = await runner.order(deployed, "wechat", **(known | circumstances))
    await runner.env.order_faults("carrier", order.order_id, state.carrier)
    await runner.env.order_faults("wechat", order.payment.transaction_id, state.refund)
    return Scene(runner, state, deployed, order, paid, proxy)


def _proxy(runner: Runner, away: Away) -> tuple[TcpProxy | None, dict[str, str]]:
    env = runner.env
    match away:
        case "":
            return None, {}
        case "carrier":
            proxy = TcpProxy(env.url("carrier"))
            return proxy, {"TOPUP_CARRIER_URL": proxy.url}
        case "provider":
            proxy = TcpProxy(env.url("wechat"))
            return proxy, {"TOPUP_WECHAT_URL": proxy.url}
        case "platform":
            proxy = TcpProxy(env.mosquitto.url)
            return proxy, {"TOPUP_MQTT_BROKERS": json.dumps([{"name": PLATFORM, "url": proxy.url}])}


# --- whether the order stands there ----------------------------------------------------------------------------------


async def _at_once(_lane: Deployment, _order: PaidOrder, _paid: Paid) -> bool:
    return True


def _event(*kinds: str) -> Callable[[Deployment, PaidOrder, Paid], Awaitable[bool]]:
    async def reached(deployed: Deployment, order: PaidOrder, _: Paid) -> bool:
        return any(event.kind in kinds for event in await deployed.book.events(order.order_id))

    return reached


def _at_the_carrier(kind: str) -> Callable[[Deployment, PaidOrder, Paid], Awaitable[bool]]:
    async def reached(deployed: Deployment, order: PaidOrder, _: Paid) -> bool:
        return posted(await deployed.env.refresh(at_most_every_seconds=0.1), order, kind)

    return reached


def _status(status: str) -> Callable[[Deployment, PaidOrder, Paid], Awaitable[bool]]:
    async def reached(deployed: Deployment, order: PaidOrder, _: Paid) -> bool:
        return (await deployed.book.read(order.order_id)).state.status == status

    return reached


async def _refund_under_way(deployed: Deployment, _: PaidOrder, paid: Paid) -> bool:
    books = await deployed.env.refresh(at_most_every_seconds=0.1)
    return bool(books.about(paid).at_provider("refund_accepted"))


async def _needs_operator(deployed: Deployment, order: PaidOrder, _: Paid) -> bool:
    return (await deployed.book.read(order.order_id)).state.needs_operator


async def _settled(deployed: Deployment, order: PaidOrder, _: Paid) -> bool:
    return (await deployed.book.read(order.order_id)).state.outcome is not None


async def _ended(deployed: Deployment, order: PaidOrder, _: Paid) -> bool:
    await deployed.result(order)
    return True


STATES: Final[Sequence[State]] = (
    State(
        name="not begun",
        scale=0.05,
        end="delivered",
        unbegun=True,
        reached=_at_once,
        cancelled_end="refunded",
        cancelled_reason="CANCELLED",
    ),
    State(
        name="kept from the carrier",
        scale=0.05,
        end="delivered",
        away="carrier",
        reached=_event("post_not_sent"),
        cancelled_end="refunded",
        cancelled_reason="CANCELLED",
    ),
    State(
        name="placing",
        scale=0.3,
        end="delivered",
        reached=_at_the_carrier("post"),
        carrier=({"kind": "delay", "seconds": 4},),
        cancelled_end="delivered",
    ),
    State(
        name="in doubt",
        scale=0.05,
        end="refunded",
        reached=_status("in_doubt"),
        carrier=({"kind": "error", "act": False, "times": -1},),
        cancelled_end="refunded",
        cancelled_reason="CANCELLED",
    ),
    State(
        name="in doubt and sold",
        scale=0.1,
        end="delivered",
        reached=_status("in_doubt"),
        carrier=({"kind": "error"}, {"kind": "hang", "target": "get"}),
        cancelled_end="delivered",
    ),
    State(
        name="burning",
        scale=0.02,
        end="refunded",
        reached=_at_the_carrier("cancel"),
        carrier=(
            {"kind": "error", "act": False, "times": -1},
            {"kind": "delay", "target": "cancel", "seconds": 0.8, "when": "after"},
        ),
        cancelled_end="refunded",
        cancelled_reason="NOT_FOUND_AND_BURNT",
    ),
    State(
        name="parked",
        scale=0.05,
        end="refunded",
        reached=_status("parked"),
        carrier=({"kind": "async", "then": "partial", "after_seconds": 0.1},),
        resolve=True,
        cancelled_end="refunded",
        cancelled_reason="RESOLVED_BY_OPERATOR",
    ),
    State(
        name="kept from the provider",
        scale=0.05,
        end="refunded",
        away="provider",
        reached=_event("refund_send"),
        carrier=(REFUSED,),
        cancelled_end="refunded",
        cancelled_reason="SIM_SUSPENDED",
    ),
    State(
        name="refunding",
        scale=0.05,
        end="refunded",
        reached=_refund_under_way,
        carrier=(REFUSED,),
        refund=({"kind": "processing", "seconds": 5},),
        cancelled_end="refunded",
        cancelled_reason="SIM_SUSPENDED",
    ),
    State(
        name="refund held",
        scale=0.02,
        end="refunded",
        reached=_needs_operator,
        carrier=(REFUSED,),
        refund=({"kind": "not_enough", "times": -1},),
        retry=True,
        cancelled_end="refunded",
        cancelled_reason="SIM_SUSPENDED",
    ),
    State(
        name="delivered, not told",
        scale=0.05,
        end="delivered",
        away="platform",
        reached=_settled,
        untold=True,
        cancelled_end="delivered",
    ),
    State(
        name="refunded, not told",
        scale=0.05,
        end="refunded",
        away="platform",
        reached=_settled,
        untold=True,
        carrier=(REFUSED,),
        cancelled_end="refunded",
        cancelled_reason="SIM_SUSPENDED",
    ),
)
ENDED: Final[Sequence[State]] = (
    State(name="delivered", scale=0.05, end="delivered", reached=_ended, closed=True, cancelled_end="delivered"),
    State(
        name="refunded",
        scale=0.05,
        end="refunded",
        reached=_ended,
        closed=True,
        carrier=(REFUSED,),
        cancelled_end="refunded",
        cancelled_reason="SIM_SUSPENDED",
    ),
)
