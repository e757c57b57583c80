"""What carrier, provider and clock are free to do (contracts §3 to §5)."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.orders.exploration.world import Moves, World


def arrives(world: World, kind: str, what: Any, now: datetime) -> Iterator[tuple[str, World, str]]:
    """A request reaches the other side: what happens there, and what it answers."""
    carrier, fresh = world.carrier, world.since == world.tick
    if kind == "refund":
        status = world.provider[what - 1]
        if status == "-":
            yield "the provider refuses the refund", world, "refused"
            status = "processing"
        taken = (*world.provider[: what - 1], status, *world.provider[what:])
        yield "the provider takes it in", world._replace(provider=taken), "processing"
    elif kind == "cancel":
        if carrier == "-":
            yield "the carrier burns the serial", world._replace(carrier="cancelled", since=world.tick), "cancelled"
        else:
            yield "the carrier knows it", world, carrier if carrier in ("rejected", "cancelled") else "409"
            if fresh:
                yield "a node that hasn't seen the POST confirms the burn", world, "cancelled"
    elif carrier != "-":
        same = what == world.body or carrier == "cancelled"
        yield "the carrier knows the serial", world, carrier if same else "409"
    else:
        seen = world._replace(carrier="rejected", body=what, since=world.tick)
        yield "the carrier rejects it", seen, "rejected"
        if now <= datetime.fromisoformat(what.decode()):
            yield "the carrier sells it", seen._replace(carrier="completed", sold=world.sold + 1), "completed"
            yield "the carrier takes it in", seen._replace(carrier="in flight"), "in flight"


def surroundings(world: World, ticks: tuple[int, ...]) -> Moves:
    """What carrier, provider and clock do by themselves."""
    if world.tick + 1 < len(ticks):
        yield f"time passes: {ticks[world.tick + 1]} s", world._replace(tick=world.tick + 1)
    if world.carrier == "in flight":
        yield "the carrier completes it", world._replace(carrier="completed", sold=world.sold + 1)
        yield "the carrier fails it", world._replace(carrier="rejected")
        yield "the carrier forgets about it", world._replace(carrier="hangs")
    for index, status in enumerate(world.provider):
        nexts = {"processing": ("success", "closed", "abnormal"), "abnormal": ("closed",)}.get(status, ())
        for after in nexts:
            if after == "success" or index == 0:
                provider = (*world.provider[:index], after, *world.provider[index + 1 :])
                yield f"refund {index + 1} is {after}", world._replace(provider=provider)
