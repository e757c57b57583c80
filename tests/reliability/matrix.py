"""The whole matrix: every case and every drill by name, and the part of it that continuous integration runs."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from devkit.servers.kafka import Kafka
from devkit.servers.mosquitto import Mosquitto
from tests.reliability import operator_faults
from tests.reliability.audit_trail import audit_trail_drill
from tests.reliability.bridging import POINTS, bridge_drill, incident_drill
from tests.reliability.cancels import CANCELS, cancel_drill
from tests.reliability.cases import STORIES, Case, full, planned
from tests.reliability.chaos import chaos_drill
from tests.reliability.crashing_process import Fault, When
from tests.reliability.forgetting import forgotten_records_drill
from tests.reliability.random_operations import random_operations_drill
from tests.reliability.restoring import restore_drill
from tests.reliability.running import Drill, Runner, Shown
from tests.reliability.states import ENDED, STATES
from tests.reliability.zombies import KINDS, Before, zombie_drill

Job = Callable[[Runner], Awaitable[Shown]]


BRIDGE_NAMES: Final = tuple(f"bridge / {fault} {when} {point}" for point, fault, when in POINTS)
INCIDENT, INCIDENT_AND_KILL = "incident", "incident / kill the worker while the carrier is slow"
ZOMBIES: Final = 25
"""Orders in one frozen worker's operator_faults."""
ZOMBIE_NAMES: Final[Mapping[Before, str]] = {kind: f"zombies / {ZOMBIES} frozen before the {kind}" for kind in KINDS}
RANDOM_ORDERS: Final = 40
RANDOM_OPERATIONS: Final = f"random operations / on {RANDOM_ORDERS} orders"
FEW_RECORDS: Final = 100
TRAILS: Final = {"trail / on SQLite": False, "trail / on PostgreSQL": True}
CHAOS: Final = "chaos / everything is killed and frozen under load"
CHAOS_ORDERS: Final = 400
SHORT_CHAOS: Final = "chaos / everything is killed under load"
SHORT_CHAOS_ORDERS: Final = 60
OLD_RECORDS: Final = "forgotten / {} records again once their histories are gone"
RESTORED: Final = ("restore / on SQLite", "restore / on SQLite, histories deleted")
RESTORED_ON_POSTGRES: Final = ("restore / on PostgreSQL", "restore / on PostgreSQL, histories deleted")
NEVER_STARTED = "sweep / claimed and never started"
FORGOTTEN: Final = ("sweep / deleted once delivered", "sweep / deleted once refunded")


@dataclass(frozen=True, slots=True)
class Parts:
    """What drills need beside the environment."""

    kafka: Kafka | None
    old_platform: Mosquitto | None
    records: int = FEW_RECORDS
    """How many old records come again in the drill of that."""


def _operator_fault_drills() -> Iterator[tuple[str, Drill]]:
    """Each hand in each state; where nobody works on the order then, the sweep and the command take turns."""
    for number, state in enumerate(STATES):
        for hand in operator_faults.OPERATOR_FAULTS:
            if state.unbegun and hand not in ("terminate", "delete", "start", "copy"):
                continue  # there is no task to reset to, and no worker with a bug
            for turn, worker in enumerate(_workers(hand, unbegun=state.unbegun)):
                by: operator_faults.By = "reopen" if (number + turn) % 2 else "sweep"
                who = by if hand in operator_faults.CLOSING else "hand"
                suffix = "" if worker == "alive" else f", worker {worker}"
                yield (
                    f"{who} / {hand} while {state.name}{suffix}",
                    operator_faults.operator_fault_drill(state, hand, worker=worker, by=by),
                )
    for end in ("delivered", "refunded"):
        for hand in ("reset to first", "reset to last", "start", "copy"):
            yield f"hand / {hand} once {end}", operator_faults.settled_drill(end, hand)


def _workers(hand: operator_faults.Hand, *, unbegun: bool) -> Sequence[operator_faults.Worker]:
    if unbegun or hand in operator_faults.BUGS:
        return ("alive",)
    return ("alive", "dead", "frozen") if hand in operator_faults.CLOSING else ("alive", "dead")


def _cancel_drills() -> Iterator[tuple[str, Drill]]:
    for state in (*STATES, *ENDED):
        for how in CANCELS:
            if how == "while the worker is dead" and (state.unbegun or state.closed):
                continue
            yield f"cancel / {how} while {state.name}", cancel_drill(state, how)


def whole(seed: int, parts: Parts) -> dict[str, Job]:
    """All jobs of one seed, the longest first."""
    jobs = {f"{name} / seed {seed}": job for name, job in drills(parts, seed).items()}
    cases = sorted(full(seed), key=lambda case: (case.fault != "stop", case.story.scale))
    return jobs | {case.name: _case_job(case) for case in cases}


def drills(parts: Parts, seed: int = 1) -> dict[str, Job]:
    """The drills by name; without Kafka those of the bridge are missing."""
    found: dict[str, Drill] = {}
    if parts.kafka is not None:
        for name, on_postgres in TRAILS.items():
            found[name] = audit_trail_drill(parts.kafka, on_postgres=on_postgres)
        found[CHAOS] = chaos_drill(CHAOS_ORDERS, seed=seed, every_seconds=5)
        found[SHORT_CHAOS] = chaos_drill(SHORT_CHAOS_ORDERS, seed=seed, every_seconds=2, only="kill")
        found[OLD_RECORDS.format(parts.records)] = forgotten_records_drill(parts.kafka, parts.records)
        for names, on_postgres in ((RESTORED, False), (RESTORED_ON_POSTGRES, True)):
            for name, forgets in zip(names, (False, True), strict=True):
                found[name] = restore_drill(parts.kafka, on_postgres=on_postgres, forgets=forgets)
        for name, (point, fault, when) in zip(BRIDGE_NAMES, POINTS, strict=True):
            found[name] = bridge_drill(parts.kafka, point, fault, when)
        if parts.old_platform is not None:
            found[INCIDENT] = incident_drill(parts.kafka, parts.old_platform, kill_worker=False)
            found[INCIDENT_AND_KILL] = incident_drill(parts.kafka, parts.old_platform, kill_worker=True)
    found[NEVER_STARTED] = operator_faults.never_started_drill()
    found |= dict(_operator_fault_drills())
    found |= dict(_cancel_drills())
    found[RANDOM_OPERATIONS] = random_operations_drill(RANDOM_ORDERS, seed=seed)
    found |= {name: zombie_drill(kind, ZOMBIES) for kind, name in ZOMBIE_NAMES.items()}
    found |= {
        FORGOTTEN[0]: operator_faults.forgotten_drill("delivered"),
        FORGOTTEN[1]: operator_faults.forgotten_drill("refunded"),
    }
    return {name: _drill_job(name, drill) for name, drill in found.items()}


def _case_job(case: Case) -> Job:
    return lambda runner: runner.case(case)


def _drill_job(name: str, drill: Drill) -> Job:
    return lambda runner: runner.drill(name, drill)


# --- continuous integration ------------------------------------------------------------------------------------------

_CI_DRILLS: Final = (
    SHORT_CHAOS,
    OLD_RECORDS.format(FEW_RECORDS),
    *TRAILS,
    *(ZOMBIE_NAMES[kind] for kind in ("POST, then burnt", "refund")),
    *RESTORED,
    INCIDENT,
    NEVER_STARTED,
    *FORGOTTEN,
    "sweep / terminate while placing",
    "sweep / delete while parked",
    "sweep / terminate while refunding",
    "sweep / fail while placing",
    "reopen / delete while in doubt",
    "reopen / terminate while burning",
    "reopen / close as cancelled while kept from the provider",
    "reopen / terminate while placing, worker dead",
    "hand / reset to first while in doubt",
    "hand / reset to last while refunding",
    "hand / copy while placing",
    "hand / start while parked",
    "hand / reset to first once refunded",
    "hand / copy once delivered",
    "hand / start once refunded",
    "cancel / three times while not begun",
    "cancel / while the worker is dead while kept from the carrier",
    "cancel / web while placing",
    "cancel / temporal while in doubt",
    "cancel / topup while parked",
    "cancel / three times while refunding",
    "cancel / web while refund held",
    "cancel / temporal while refunded, not told",
    "cancel / topup while delivered",
    "bridge / kill middle book:claim",
    "bridge / kill before temporal:start",
    "bridge / kill after temporal:start",
    "bridge / stop before temporal:start",
    "bridge / lost after temporal:start",
)
_CI_FAULTS: Final[Sequence[tuple[str, str, Fault, When]]] = (
    ("delivered", "carrier:post", "lost", "after"),
    ("delivered", "book:post_intent", "lost", "after"),
    ("delivered", "carrier:post", "term", "middle"),
    ("delivered", "carrier:post", "stop", "before"),
    ("burnt under a zombie", "carrier:post", "stop", "before"),
    ("delivered", "book:post", "stop", "middle"),
    ("refunded by WeChat", "refund:send", "lost", "after"),
    ("refunded by WeChat", "refund:send", "stop", "before"),
    ("refunded by Alipay", "refund:send", "lost", "after"),
    ("refunded by Alipay", "refund:send", "stop", "before"),
    ("burnt", "carrier:cancel", "lost", "after"),
    ("burnt", "carrier:cancel", "stop", "before"),
)


def representative(parts: Parts) -> dict[str, Job]:
    """Each point once with kill -9 (a book's after its commit, a request's in its middle), some of the rest."""
    all_drills = drills(parts)
    jobs = {name: all_drills[name] for name in _CI_DRILLS if name in all_drills}
    return jobs | {case.name: _case_job(case) for case in _ci_cases()}


def representative_names() -> Sequence[str]:
    """Their names, known without any part."""
    return [*_CI_DRILLS, *(case.name for case in _ci_cases())]


def _ci_cases() -> Iterator[Case]:
    seen: set[tuple[str, int, str]] = set()
    by_name = {story.name: story for story in STORIES}
    for name, point, fault, when in _CI_FAULTS:
        yield planned(Case(story=by_name[name], point=point, when=when, fault=fault), seed=1)
    for story in STORIES:
        for point, passings in story.points.items():
            who = story.provider if point.startswith("refund:") else ""  # each provider has an adapter of its own
            for passing in passings:
                if (point, passing, who) not in seen:
                    seen.add((point, passing, who))
                    when: When = "after" if point.startswith("book:") else "middle"
                    yield planned(Case(story=story, point=point, when=when, fault="kill", passing=passing), seed=1)
