"""How results are shown: a line each while it runs, tables at the end, or one JSON object."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from bench.rounds import Result

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "serve": ("serve",),
    "worker": ("worker",),
    "bridge": ("bridge",),
    "Temporal": ("Temporal",),
    "its PostgreSQL": ("PostgreSQL (Temporal)",),
    "book's PostgreSQL": ("PostgreSQL (book)",),
    "Kafka": ("Kafka",),
    "MQTT": ("mosquitto cars", "mosquitto legacy"),
    "simulators": ("simulator carrier", "simulator wechat", "simulator alipay", "simulator vehicle"),
}
BOOK: Final = "book's PostgreSQL"
PRODUCT_AND_ENGINE: Final = ("serve", "worker", "bridge", "Temporal", "its PostgreSQL", BOOK)
"""What an order costs whoever runs the product; the rest is the world around it."""
PROCESSES: Final = ("serve", "worker", "bridge")
COMPARED: Final = ("compare", "deployment")
"""Measurements whose rounds go in pairs."""
OURS: Final = "product, engine"
STEADY_FROM: Final = 5_000
"""Memory's slope is taken from this order on: caches and pools are full by then."""


def parameters(options: argparse.Namespace) -> str:
    """The options that decide what was measured."""
    names = ("orders", "pairs", "long", "warm_up", "platforms", "first_pass")
    return ", ".join(f"{name.replace('_', '-')} {getattr(options, name)}" for name in names)


def show_about(about: Mapping[str, str]) -> None:
    """What is measured on."""
    width = max(map(len, about))
    sys.stdout.write("".join(f"{name:<{width}}  {what}\n" for name, what in about.items()) + "\n")
    sys.stdout.flush()


def grouped(cpu: Mapping[str, float]) -> dict[str, float]:
    """CPU milliseconds per order by column of the table, and their sum."""
    columns = {
        name: sum(used for part, used in cpu.items() if part.rstrip(" 0123456789") in parts)
        for name, parts in GROUPS.items()
    }
    ours = sum(columns[name] for name in PRODUCT_AND_ENGINE)
    return columns | {OURS: ours, "all": sum(columns.values())}


def one_line(result: Result) -> str:
    """A result as progress shows it."""
    wrong = f"{len(result.mismatches)} WRONG" if result.mismatches else "every effect right"
    cpu = grouped(result.cpu_ms_per_order)
    return (
        f"{result.variant}: {result.orders} orders in {result.seconds:.1f} s = {result.orders_per_second:.1f}/s; "
        f"{cpu['all']:.1f} CPU ms/order, of it {_processes(cpu)}, Temporal "
        f"{cpu['Temporal'] + cpu['its PostgreSQL']:.1f}, book {cpu[BOOK]:.1f}; others took "
        f"{result.foreign_percent:.0f} % of the cores; {wrong}"
    )


def _processes(cpu: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {cpu[name]:.1f}" for name in PROCESSES if cpu[name])


def as_text(results: Sequence[Result]) -> str:
    """The tables."""
    lines = [*_rates(results), "", *_times(results), "", *_cpu(results), "", *_costs(results)]
    lines += _ratios([result for result in results if result.kind in COMPARED])
    for result in results:
        if result.memory:
            lines += ["", *_memory(result)]
    wrong = [sentence for result in results for sentence in result.mismatches]
    lines += ["", f"{len(wrong)} effects were wrong." if wrong else "Every effect of every order was right."]
    return "\n".join(lines)


def as_json(about: Mapping[str, str], results: Sequence[Result]) -> str:
    """Everything, for programs."""
    rounds: list[dict[str, Any]] = []
    for result in results:
        whole = dataclasses.asdict(result)
        whole["orders_per_second"] = result.orders_per_second
        whole["cpu_ms_per_order_by_group"] = grouped(result.cpu_ms_per_order)
        whole["memory_slope_bytes_per_order"] = memory_slopes(result)
        rounds.append(whole)
    compared = [result for result in results if result.kind in COMPARED]
    return json.dumps(
        {"about": about, "rounds": rounds, "ratios": [ratio for _, _, ratio in ratios(compared)]}, indent=2
    )


def ratios(compared: Sequence[Result]) -> list[tuple[Result, Result, float]]:
    """Each two rounds that ran one after the other, with the ratio of their rates."""
    return [
        (first, second, first.orders_per_second / second.orders_per_second)
        for first, second in list(pairwise(compared))[::2]
    ]


def cpu_ratio(first: Result, second: Result, *columns: str) -> float:
    """CPU per order of the first round by that of the second, in these columns."""
    one, other = (grouped(result.cpu_ms_per_order) for result in (first, second))
    wanted = columns or (OURS,)
    return sum(one[name] for name in wanted) / sum(other[name] for name in wanted)


def memory_slopes(result: Result) -> dict[str, float]:
    """Growth of PSS in bytes per order from `STEADY_FROM` on, by least squares; none with fewer than two samples."""
    slopes: dict[str, float] = {}
    for process in _measured(result):
        points = [(at, held[process].pss_kib * 1024) for at, held in result.memory.items() if at >= STEADY_FROM]
        if len(points) > 1:
            mean_x = sum(x for x, _ in points) / len(points)
            mean_y = sum(y for _, y in points) / len(points)
            spread = sum((x - mean_x) ** 2 for x, _ in points)
            slopes[process] = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return slopes


def _rates(results: Sequence[Result]) -> Iterable[str]:
    head = ("round", "orders", "seconds", "orders/s", "first half/s", "cores busy", "by others", "load", "repeats")
    rows = [
        (
            result.variant,
            str(result.orders),
            f"{result.seconds:.1f}",
            f"{result.orders_per_second:.1f}",
            f"{result.orders / 2 / result.half_seconds:.1f}",
            f"{result.busy_percent:.0f} %",
            f"{result.foreign_percent:.0f} %",
            f"{result.load_average:.1f}",
            str(result.repeated_notices),
        )
        for result in results
    ]
    return _table(head, rows)


def _cpu(results: Sequence[Result]) -> Iterable[str]:
    columns = (*(name for name in GROUPS if any(grouped(one.cpu_ms_per_order)[name] for one in results)), OURS, "all")
    rows = [
        (result.variant, *(f"{grouped(result.cpu_ms_per_order)[name]:.1f}" for name in columns)) for result in results
    ]
    return _table(("CPU ms per order", *columns), rows)


def _times(results: Sequence[Result]) -> Iterable[str]:
    rows = [
        (result.variant, f"{result.p50_seconds:.3f}", f"{result.p99_seconds:.3f}", f"{result.spin_ms:.1f}")
        for result in results
    ]
    return _table(("record to last notice, s", "p50", "p99", "spin ms"), rows)


def _costs(results: Sequence[Result]) -> Iterable[str]:
    servers = sorted({name for result in results for name in result.wal_bytes_per_order})
    head = ("per order", "SQL round trips", "history events", "workflow tasks", "eager starts", "Cloud actions")
    rows = [
        (
            result.variant,
            f"{result.round_trips_per_order:.2f}",
            f"{result.history.events:.1f}",
            f"{result.history.workflow_tasks:.1f}",
            f"{result.history.eager:.0%}",
            f"{result.history.actions:.1f}",
            *(
                shown
                for name in servers
                for shown in (
                    f"{result.write_transactions_per_order[name]:.2f}",
                    f"{result.wal_bytes_per_order[name] / 1024:.1f}",
                )
            ),
        )
        for result in results
    ]
    return _table((*head, *(f"{name} {what}" for name in servers for what in ("writes", "WAL KiB"))), rows)


def _ratios(compared: Sequence[Result]) -> Iterable[str]:
    for first, second, ratio in ratios(compared):
        yield (
            f"{first.variant} : {second.variant} = {ratio:.2f} in orders/s; in CPU per order "
            f"{cpu_ratio(first, second):.2f} of product and engine, {cpu_ratio(first, second, 'all'):.2f} of all, "
            f"{cpu_ratio(first, second, *PROCESSES):.2f} of bridge and worker"
        )


def _memory(result: Result) -> Iterable[str]:
    names = _measured(result)
    rows = [
        (
            str(at),
            *(f"{size / 1024:.1f}" for name in names for size in (held[name].rss_kib, held[name].pss_kib)),
        )
        for at, held in result.memory.items()
    ]
    yield from _table(("MiB after orders", *(f"{name} {kind}" for name in names for kind in ("RSS", "PSS"))), rows)
    for process, slope in memory_slopes(result).items():
        yield f"{process}: {slope:+.0f} bytes per order from order {STEADY_FROM} on"


def _measured(result: Result) -> list[str]:
    """The processes whose memory was looked at."""
    return sorted({name for held in result.memory.values() for name in held})


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (head, *rows)
    ]
