"""`python -m bench`: what is measured, in which order, and the exit code."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final

from bench import machine, report
from bench.checkouts import ROOT, described, this_checkout, unpacked
from bench.environment import BRIDGE_AND_WORKER, SERVE, Environment, EnvironmentChoices
from bench.growth import grow
from bench.orders import Trouble
from bench.rounds import Result, RoundFailedError, Rounds, Variant
from bench.versions import versions
from devkit.servers.process import PartFailedError, PartMissingError, temporary_folder, watchdog
from runtime.exits import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, exit_now

COMPARE: Final = "compare"
TROUBLE: Final = "trouble"
LONE: Final = "lone"
MEMORY: Final = "memory"
BACKLOG: Final = "backlog"
DEPLOYMENT: Final = "deployment"
GROWTH: Final = "growth"
MEASUREMENTS: Final = (COMPARE, LONE, TROUBLE, MEMORY)
ON_DEMAND: Final = (BACKLOG, DEPLOYMENT, GROWTH)
BACKLOGS: Final = (500, 5_000)
"""Orders that wait at once."""
STORED: Final = (1_000, 100_000, 1_000_000)
"""Settled orders in the book, under the same load."""
LARGEST_ROUND: Final = 200_000
QUIET_SAMPLE_SECONDS: Final = 3.0
QUIET_SHARE: Final = 0.15
"""Everything of ours that idles takes a few percent of two cores."""
LONE_EVERY_SECONDS: Final = 0.5
LONE_ORDERS: Final = 60

LOCAL_FIRST: Final = Variant(name="local first")
REGULAR: Final = Variant(name="all regular", settings={"TOPUP_LOCAL_FIRST": "false"}, module="bench.all_regular")
TROUBLES: Final = (
    Variant(name="5 % lost answers", trouble=Trouble(lost_answers_percent=5)),
    Variant(name="5 % silent carrier", trouble=Trouble(silent_percent=5)),
    Variant(name="5 % refused", trouble=Trouble(refused_percent=5), settings={"TOPUP_TIME_SCALE": "0.05"}),
)
MEMORY_AT: Final = (0, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 50_000, 100_000)

_EXAMPLES: Final = """examples:
  python -m bench                                        all four, about 15 minutes
  python -m bench compare --orders 1000 --pairs 3        this saga and the all-regular one, A B A B A B
  python -m bench compare lone --against HEAD~20         this source and that commit's, A B A B
  python -m bench memory --long 20000 --json > m.json    memory over one long run
  python -m bench compare --temporal-programs DIR        with the real Temporal server on PostgreSQL
  python -m bench deployment --temporal-programs DIR     Temporal with and without its deployment settings, A B A B
  python -m bench compare --setting TOPUP_OTLP_ENDPOINT=http://127.0.0.1:4318 --setting TOPUP_TRACE_RATIO=1
  python -m bench backlog --serve                        500 and 5 000 orders at once: what the last one waits
  python -m bench growth --serve                         with 1 000, 100 000, 1 000 000 settled orders in the book

Exit code 0: measured, and every effect was right. 1: an effect was wrong, or a round did not come to its end.
2: something is missing or misspelt.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures orders/s from Kafka to the end of each order on two cores, with every effect checked in "
        "the simulators' books; CPU time per order; memory of bridge and worker. Loopback only; ends what it starts.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = whole.add_argument
    add(
        "what",
        nargs="*",
        metavar="WHAT",
        help=f"{', '.join(MEASUREMENTS)}, all four where none is named; {', '.join(ON_DEMAND)}",
    )
    add("--orders", type=_count, default=2000, metavar="N", help="orders per round (2000)")
    add("--pairs", type=_count, default=2, metavar="N", help="compare: pairs of rounds, one of each (2)")
    add("--against", metavar="COMMIT", help="compare, lone: with the source of this commit, not with the regular saga")
    add("--serve", action="store_true", help="the product in one process: `topup serve`")
    add("--processes", metavar="LIST", help="the product's processes, such as serve,serve or worker,worker,bridge")
    add(
        "--setting",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="compare: the product with this setting, against it without; repeatable",
    )
    add("--tuned", action="store_true", help="Temporal with the deployment settings, for this source alone")
    add(
        "--kafka", choices=("apache", "embedded"), default="apache", help="apache, or librdkafka's mock broker (apache)"
    )
    add("--long", type=_count, default=20_000, metavar="N", help="memory: orders of the long round (20000)")
    add("--warm-up", type=_count, default=200, metavar="N", help="orders after each worker's start, not measured (200)")
    add("--cores", type=_count, default=2, metavar="N", help="cores that everything is pinned to (2)")
    add("--platforms", type=int, choices=(1, 2), default=1, help="MQTT platforms, each with a broker of its own (1)")
    add("--database", choices=("postgresql", "sqlite"), default="postgresql", help="of the order book (postgresql)")
    add("--temporal", metavar="HOST:PORT", help="a server that runs already: neither pinned nor measured")
    add("--temporal-programs", type=Path, metavar="DIR", help="programs of the real server, see bench/README.md")
    add("--first-pass", type=_count, default=100, metavar="N", help="TOPUP_BRIDGE_MAX_FIRST_PASS, the gate (100)")
    add(
        "--quiet-wait",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait so long at most for others to be quiet (0)",
    )
    add("--books-fsync", action="store_true", help="simulators wait for the disk too")
    add("--json", action="store_true", help="print one JSON object instead of tables")
    return whole


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and end the process."""
    options = parser().parse_args(arguments)
    os.chdir(ROOT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        code = _measure(options)
    except (PartMissingError, machine.TooFewCoresError, UsageError) as error:
        say(f"{error}")
        code = EXIT_CONFIGURATION
    except (PartFailedError, RoundFailedError) as error:
        say(f"failed: {error}")
        code = EXIT_FAILED
    except KeyboardInterrupt:
        say("interrupted; ending what was started")
        code = EXIT_INTERRUPTED
    watchdog.close()
    exit_now(code)


class UsageError(Exception):
    """The command line asks for what can't be done; the text says what to do."""


def say(sentence: str) -> None:
    """One line of progress, on stderr."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {sentence}\n")
    sys.stderr.flush()


def _wanted(options: argparse.Namespace) -> list[str]:
    """What to measure.

    Raises:
        UsageError: it can't be, as it is asked for.
    """
    wanted: list[str] = options.what or list(MEASUREMENTS)
    if unknown := [word for word in wanted if word not in (*MEASUREMENTS, *ON_DEMAND)]:
        known = ", ".join((*MEASUREMENTS, *ON_DEMAND))
        raise UsageError(f"{unknown[0]!r} is no measurement: name {known}, or none for the first four.")
    if (options.tuned or DEPLOYMENT in wanted) and not options.temporal_programs:
        raise UsageError("The deployment settings are the real server's: name its programs by --temporal-programs.")
    if unknown := [word for word in _processes(options) if word not in (*BRIDGE_AND_WORKER, *SERVE)]:
        raise UsageError(f"{unknown[0]!r} is no process of the product: name worker, bridge or serve.")
    if GROWTH in wanted and options.database == "sqlite":
        raise UsageError("An SQLite book is not filled: leave --database sqlite out, or growth.")
    if options.setting and options.against:
        raise UsageError("Give --setting or --against, not both: two things differ in one comparison.")
    if options.temporal and options.temporal_programs:
        raise UsageError("Give --temporal or --temporal-programs, not both: one server is measured.")
    return wanted


def _measure(options: argparse.Namespace) -> int:
    wanted = _wanted(options)
    cores = machine.choose_cores(options.cores)
    against = (unpacked(options.against, temporary_folder("bench-against")),) if options.against else ()
    choices = EnvironmentChoices(
        cores=cores,
        platforms=options.platforms,
        temporal_address=options.temporal,
        temporal_programs=options.temporal_programs,
        database=options.database,
        books_fsync=options.books_fsync,
        first_pass=options.first_pass,
        embedded_kafka=options.kafka == "embedded",
        against=against,
    )
    for other in against:
        if other.lock != this_checkout().lock:
            say(f"warning: {other.name} locks other packages, and runs with those of this checkout")
    os.sched_setaffinity(0, machine.driver_cores(cores))
    environment = Environment(choices)
    about = {"source": described(), **machine.describe(cores, environment.folder), **versions(choices)}
    about["parameters"] = report.parameters(options)
    if not options.json:
        report.show_about(about)
    say("starting Kafka, databases, Temporal, MQTT and the outside world")
    results: list[Result] = []
    try:
        with environment:
            asyncio.run(_Session(environment, options, results).run(wanted))
    finally:  # what was measured is worth seeing, whatever came after it
        if results:
            text = report.as_json(about, results) if options.json else report.as_text(results)
            sys.stdout.write(text + "\n")
    return EXIT_FAILED if any(result.mismatches for result in results) else EXIT_OK


class _Session:
    """The rounds of one call, in their order.

    Args:
        results: where each round's goes, those with failed checks among them.
    """

    def __init__(self, environment: Environment, options: argparse.Namespace, results: list[Result]) -> None:
        self._environment = environment
        self._options = options
        self._rounds = Rounds(environment, say)
        self._results = results
        self._stored = 0

    async def run(self, wanted: Sequence[str]) -> None:
        """Run all."""
        stored = iter(STORED)
        for variant, count, kind in self._planned(wanted):
            if kind == GROWTH:
                await self._fill(next(stored))
            if kind == LONE:
                await self._round(variant, count, kind, every_seconds=LONE_EVERY_SECONDS)
            else:
                await self._round(variant, count, kind, memory_at=MEMORY_AT if kind == MEMORY else ())
        say("checking the books' hash chains")
        self._rounds.verify_books()

    async def _fill(self, stored: int) -> None:
        """The book with so many settled orders."""
        settings = self._environment.place(this_checkout()).settings
        say(f"{GROWTH}: filling the book up to {stored} orders")
        await grow(settings["TOPUP_DATABASE_URL"], settings["TOPUP_PII_KEY"], first=self._stored, orders=stored)
        self._stored = stored

    def _planned(self, wanted: Sequence[str]) -> Iterator[tuple[Variant, int, str]]:
        """Each round: with what, how many orders, for which measurement."""
        options = self._options
        first, second = self._compared()
        each = (first, second) if options.against else (first,)
        trouble = [replace(variant, processes=first.processes) for variant in TROUBLES]
        tuned, plain = replace(first, name="tuned", tuned=True), replace(first, name="plain", tuned=False)
        rounds: Mapping[str, Iterable[tuple[Variant, int]]] = {
            COMPARE: [(variant, options.orders) for variant in (first, second) * options.pairs],
            DEPLOYMENT: [(variant, options.orders) for variant in (tuned, plain) * options.pairs],
            GROWTH: [(replace(first, name=f"{stored} stored"), options.orders) for stored in STORED],
            BACKLOG: [(replace(one, name=f"{one.name}, {count}"), count) for count in BACKLOGS for one in each],
            LONE: [(variant, LONE_ORDERS) for variant in each],
            TROUBLE: [(variant, options.orders) for variant in trouble],
            MEMORY: [(first, options.long)],
        }
        for kind, planned in rounds.items():
            if kind in wanted:
                yield from ((variant, count, kind) for variant, count in planned)

    def _compared(self) -> tuple[Variant, Variant]:
        """This checkout's saga, and what it is compared with."""
        processes, tuned = _processes(self._options), self._options.tuned
        if self._options.setting:
            without = Variant(name="without", processes=processes, tuned=tuned)
            return replace(without, name="with settings", settings=dict(self._options.setting)), without
        if not self._options.against:
            return replace(LOCAL_FIRST, processes=processes, tuned=tuned), REGULAR
        this, other = self._environment.checkouts
        return (
            Variant(name=this.name, processes=processes, tuned=tuned),
            Variant(name=other.name, checkout=other),
        )

    async def _round(
        self,
        variant: Variant,
        count: int,
        kind: str,
        *,
        memory_at: Sequence[int] = (),
        every_seconds: float = 0.0,
    ) -> None:
        say(f"{kind}: {variant.name}: starting {' and '.join(variant.processes)}")
        self._environment.tune_temporal(tuned=variant.tuned)
        self._environment.start_product(variant.checkout, variant.processes, variant.settings, variant.module)
        if strays := self._environment.strays():
            say(f"warning: not pinned: {', '.join(strays[:5])}")
        await self._quiet()
        if not memory_at:
            await self._checked(variant, self._options.warm_up, f"{variant.name}, warm-up")
        result = await self._checked(variant, count, variant.name, memory_at=memory_at, every_seconds=every_seconds)
        result.kind = kind
        self._results.append(result)
        say(report.one_line(result))
        self._environment.stop_product()

    async def _quiet(self) -> None:
        """Wait until others leave the pinned cores alone, as long as the caller allows."""
        cores, deadline = self._environment.choices.cores, time.monotonic() + self._options.quiet_wait
        while time.monotonic() < deadline:
            before = machine.busy_seconds(cores)
            await asyncio.sleep(QUIET_SAMPLE_SECONDS)
            if (machine.busy_seconds(cores) - before) / (QUIET_SAMPLE_SECONDS * len(cores)) < QUIET_SHARE:
                return

    async def _checked(
        self,
        variant: Variant,
        count: int,
        label: str,
        *,
        memory_at: Sequence[int] = (),
        every_seconds: float = 0.0,
    ) -> Result:
        result = await self._rounds.run(variant, count, memory_at=memory_at, label=label, every_seconds=every_seconds)
        for sentence in result.mismatches[:10]:
            say(f"WRONG: {sentence}")
        return result


def _processes(options: argparse.Namespace) -> tuple[str, ...]:
    """The product's processes, by their commands."""
    if options.processes:
        return tuple(options.processes.split(","))
    return SERVE if options.serve else BRIDGE_AND_WORKER


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= LARGEST_ROUND:
        raise argparse.ArgumentTypeError(f"is 1 to {LARGEST_ROUND}")
    return value


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("is NAME=VALUE")
    return name, value


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
