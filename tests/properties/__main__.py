"""`python -m tests.properties`: long runs, with progress. Exit code 1: a rule broke, or a mutant was not caught."""

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.properties.mutants import MUTANTS
from tests.properties.oracle import RULES, Tally
from tests.properties.search import Found, search

CHUNK = 500
"""Plans per draw: what Hypothesis remembers of those it drew is dropped with it."""


def main() -> int:
    """Run what was asked for, print a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.properties", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="plans to play (default 1000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same plans (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after that long")
    parser.add_argument("--mutants", action="store_true", help="play wrong products, each until it is caught")
    parser.add_argument("--server", action="store_true", help="on the real Temporal server")
    options = parser.parse_args()
    logging.disable(logging.ERROR)  # attempts fail here by the thousand
    until = time.monotonic() + options.minutes * 60
    if options.mutants:
        return _mutants(options.examples, options.seed, options.jobs)
    if options.server:
        from tests.properties.real import play_many  # noqa: PLC0415 - needs a server

        return _report(play_many(options.seed, options.examples, until))
    return _report(_played(options.seed, options.examples, options.jobs, until))


def _played(seed: int, examples: int, jobs: int, until: float) -> Iterator[Found]:
    chunks = [(seed * 1_000_000 + start, min(CHUNK, examples - start)) for start in range(0, examples, CHUNK)]
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_chunk, number, count, until) for number, count in chunks]
        for one in as_completed(waiting):
            yield one.result()


def _chunk(number: int, count: int, until: float) -> Found:
    if time.monotonic() > until:
        return Found()
    found = search(number, count, until=until)
    found.seed = number
    return found


def _report(played: Iterator[Found]) -> int:
    tally, examples, broken, began = Tally(), 0, list[Found](), time.monotonic()
    for found in played:
        tally.add(found.tally)
        examples += found.examples
        if found.plan is not None:
            broken.append(found)
            sys.stdout.write(f"\n--- seed {found.seed}, example {found.examples}\n{found}\n")
        sys.stdout.write(f"{examples} examples, {len(broken)} broken, {time.monotonic() - began:.0f} s\n")
        sys.stdout.flush()
    sys.stdout.write("\n| rule | checks | violations |\n|---|---|---|\n")
    for rule in RULES:
        sys.stdout.write(f"| {rule} | {tally.checks[rule]} | {tally.violations[rule]} |\n")
    return int(bool(broken))


def _until_caught(name: str, seed: int, examples: int) -> tuple[str, int, Found, bool]:
    mutant = MUTANTS[name]
    with mutant.made():
        found = search(seed, examples)
    return name, seed, found, any(broken.startswith(mutant.rules) for broken in found.broken)


def _mutants(examples: int, seed: int, jobs: int) -> int:
    missed = 0
    sys.stdout.write("| mutant | examples until caught | by |\n|---|---|---|\n")
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [pool.submit(_until_caught, name, seed, examples) for name in MUTANTS]
        for one in waiting:
            name, _, found, caught = one.result()
            missed += not caught
            by = found.broken[0].partition(":")[0] if found.broken else "-"
            sys.stdout.write(f"| {name} | {found.examples if caught else 'MISSED'} | {by} |\n")
            sys.stdout.flush()
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
