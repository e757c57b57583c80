"""`python -m tests.reliability [--seeds N] [--full] [--only TEXT] [--json]`: the crash matrix, as a table.

Exit code 0: every rule held in every run. 1: a rule was broken. 2: a part is missing.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from devkit.audit.auditor import Report
from devkit.servers.kafka import Kafka
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.postgres import Postgres
from devkit.servers.process import PartMissingError, Process
from devkit.servers.temporal import Temporal
from tests.reliability.environment import Environment
from tests.reliability.matrix import Job, Parts, representative, whole
from tests.reliability.running import Runner, Shown, judge_whole

PartType = TypeVar("PartType", bound=Process)


def main() -> int:
    """Run, print, judge."""
    options = _parser().parse_args()
    try:
        return asyncio.run(_run(options))
    except PartMissingError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, from --seed on (with --full)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--full", action="store_true", help="every case; else what continuous integration runs")
    parser.add_argument("--only", default="", help="jobs whose name contains this")
    parser.add_argument("--records", type=int, default=500, help="old records that come again (with --full)")
    parser.add_argument("--at-once", type=int, default=4 * (os.cpu_count() or 2), help="jobs side by side")
    parser.add_argument("--json", action="store_true", help="the result as one JSON object on stdout")
    parser.add_argument("--logs", type=Path, help="folder for the processes' logs of jobs that broke a rule")
    return parser


async def _run(options: argparse.Namespace) -> int:
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        temporal, mosquitto = _start(stack, Temporal()), _start(stack, Mosquitto())
        parts = Parts(_start(stack, Kafka()), _start(stack, Mosquitto()), options.records)
        env = Environment(temporal, mosquitto, _start(stack, Postgres()))
        stack.push_async_callback(env.close)
        await env.start()
        runner = Runner(env, await temporal.connect(), at_once=options.at_once)
        jobs: dict[str, Job] = {}
        for seed in range(options.seed, options.seed + options.seeds):
            jobs |= whole(seed, parts) if options.full else representative(parts)
        chosen = {name: job for name, job in jobs.items() if options.only in name}
        if not chosen:
            sys.stderr.write(f"No job's name contains {options.only!r}.\n")
            return 2
        results = await _run_all(runner, chosen, options.logs)
        report = await judge_whole(runner)
    for result in results:
        report.merge(result.report)
    seconds = time.monotonic() - began
    _print(options, results, report, seconds)
    return 1 if report.violations or not results else 0


async def _run_all(runner: Runner, jobs: dict[str, Job], logs: Path | None) -> list[Shown]:
    results: list[Shown] = []
    for coming in asyncio.as_completed([asyncio.ensure_future(job(runner)) for job in jobs.values()]):
        result = await coming
        results.append(result)
        mark = "BROKEN" if result.report.violations else "ok"
        ends = "+".join(sorted(result.ends))
        line = f"{len(results):4}/{len(jobs)} {mark:6} {result.seconds:5.1f} s  {result.name}  [{ends}] {result.remark}"
        sys.stderr.write(line + "\n")
        for violation in result.report.violations:
            sys.stderr.write(f"            {violation.rule}: {violation.sentence} ({violation.order_id})\n")
        if result.logs and logs is not None:
            await asyncio.to_thread(_keep, logs / f"{len(results)}.log", f"{result.name}\n{result.logs}")
    return results


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _print(options: argparse.Namespace, results: list[Shown], report: Report, seconds: float) -> None:
    broken: defaultdict[str, int] = defaultdict(int)
    for violation in report.violations:
        broken[violation.rule] += 1
    ends = Counter("+".join(sorted(result.ends)) for result in results)
    healed = sorted(result.healed_seconds for result in results)
    summary = {
        "jobs": len(results),
        "seconds": round(seconds, 1),
        "ends": dict(ends),
        "longest_heal_seconds": round(healed[-1], 1) if healed else 0,
        "rules": {rule: {"runs": runs, "violations": broken[rule]} for rule, runs in sorted(report.runs.items())},
        "violations": [[one.rule, one.order_id, one.sentence] for one in report.violations],
    }
    if options.json:
        sys.stdout.write(json.dumps(summary, indent=2) + "\n")
        return
    table = Table(title=f"{len(results)} jobs in {seconds:.0f} s; longest from fault to end {healed[-1]:.0f} s")
    for heading in ("rule", "runs", "violations"):
        table.add_column(heading, justify="left" if heading == "rule" else "right")
    for rule, runs in sorted(report.runs.items()):
        table.add_row(rule, str(runs), str(broken[rule]))
    Console().print(table)


def _start(stack: AsyncExitStack, part: PartType) -> PartType:
    stack.callback(part.close)
    return part.start()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # Temporal's SDK may abort or hang at the interpreter's own end (measured)
