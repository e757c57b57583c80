"""What a person sees of a demonstration: lines, a live line of counts on a terminal, and the table at the end."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from devkit.demo.money import Money
from devkit.demo.observing import Counts
from devkit.demo.verdict import Numbers, Row, Verdict
from devkit.stack.local import Address

PLAIN_WIDTH: Final = 150
PLAIN_EACH_SECONDS: Final = 3.0
PAIRS: Final = ("carrier\norders", "refunds", "notices", "dead\nletters")


class Screen:
    """Writes to standard output, or to standard error where that is for a script's JSON."""

    def __init__(self, *, to_stderr: bool) -> None:
        stream = sys.stderr if to_stderr else sys.stdout
        width = None if stream.isatty() else PLAIN_WIDTH  # a pipe has no width: don't fold the table
        self._console = Console(file=stream, highlight=False, width=width)
        self._live: Live | None = None
        self._started = time.monotonic()
        self._next_plain = 0.0

    def say(self, sentence: str) -> None:
        """A line with the seconds since the start."""
        self._console.print(f"[dim]{time.monotonic() - self._started:5.1f} s[/dim]  {escape(sentence)}", soft_wrap=True)

    def title(self, text: str) -> None:
        """A heading."""
        self._console.print(f"\n[bold]{escape(text)}[/bold]", soft_wrap=True)

    def event(self, at: str, order_id: str, what: str) -> None:
        """A line about one order."""
        self._console.print(f"    [dim]{at}[/dim]  {escape(order_id)}  {escape(what)}", soft_wrap=True)

    def addresses(self, addresses: Sequence[Address]) -> None:
        """What runs where."""
        table = Table(box=None, show_header=False, pad_edge=False)
        for address in addresses:
            table.add_row(
                f"[bold]{escape(address.what)}[/bold]", escape(address.where), f"[dim]{escape(address.remark)}[/dim]"
            )
        self._console.print(table)

    def progress(self, counts: Counts, note: str) -> None:
        """Counts: a line that renews itself on a terminal, else a line now and then."""
        line = (
            f"orders {counts.orders}  delivered {counts.delivered}  refunded {counts.refunded}  open {counts.open}  "
            f"notices {counts.notices}  dead letters {counts.dead_letters}"
        )
        if self._console.is_terminal:
            if self._live is None:
                self._live = Live(console=self._console, refresh_per_second=4)
                self._live.start()
            self._live.update(Text.from_markup(f"[bold]{line}[/bold]  [dim]{escape(note)}[/dim]"))
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_EACH_SECONDS
            self.say(f"{line}  {note}")

    def progress_ends(self) -> None:
        """Let the live line stand as it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def verdict(self, verdict: Verdict) -> None:
        """The audited table, then what is wrong, by order."""
        self._console.print(
            "By the books of carrier, payment providers and cars, and by Kafka's dead-letter topic; seen/expected:"
        )
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("scenario", no_wrap=True)
        for name in ("orders", "records", "deliv-\nered", "refund-\ned", *PAIRS):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("")
        for row in verdict.rows:
            table.add_row(row.scenario, *_cells(row), _mark(ok=row.ok))
        table.add_section()
        table.add_row("in all", *_cells(total(verdict)), _mark(ok=verdict.ok))
        self._console.print(table)
        self._wrong(verdict)

    def money(self, money: Money) -> None:
        """The page for finance, beside what the books outside say."""
        self._console.print("The money, by the product's page for finance and by the books of providers and carrier:")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("", no_wrap=True)
        for name in ("payments", "fen", "fen outside"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("")
        for line in money.lines:
            outside = "" if line.outside_fen is None else f"{line.outside_fen:,}"
            table.add_row(line.what, str(line.payments), f"{line.fen:,}", outside, _mark(ok=line.agrees))
        self._console.print(table)
        self._console.print(
            f"{len(money.open)} differences are open, {money.closed} closed themselves; {money.put} payment without a "
            "callback was put to Kafka.",
            soft_wrap=True,
        )

    def _wrong(self, verdict: Verdict) -> None:
        by_order: dict[str, list[str]] = {}
        for scenario, violation in verdict.violations:
            where = " ".join(part for part in (scenario, violation.order_id) if part)
            by_order.setdefault(where, []).append(violation.sentence)
        for where, sentences in by_order.items():
            self._console.print(f"[red]{escape(where)}[/red]: {escape('; '.join(sentences))}", soft_wrap=True)


def total(verdict: Verdict) -> Row:
    """All rows together."""
    whole = Row("in all", violations=[violation for _, violation in verdict.violations])
    for row in verdict.rows:
        whole.orders += row.orders
        whole.records += row.records
        whole.delivered += row.delivered
        whole.refunded += row.refunded
        whole.expected += row.expected
        whole.seen += row.seen
    return whole


def as_json_object(verdict: Verdict, money: Money, expectation: Callable[[str], str]) -> dict[str, Any]:
    """The verdict for a script."""
    whole = total(verdict)
    return {
        "ok": verdict.ok,
        "total": _row_json(whole),
        "scenarios": [_row_json(row) | {"says": expectation(row.scenario)} for row in verdict.rows],
        "money": {
            "agrees": not money.violations,
            "lines": [asdict(line) | {"agrees": line.agrees} for line in money.lines],
            "open_differences": len(money.open),
            "closed_themselves": money.closed,
            "put_to_kafka": money.put,
        },
        "violations": [
            {
                "scenario": scenario,
                "order_id": one.order_id,
                "violation": one.sentence,
                "expectation": expectation(scenario),
            }
            for scenario, one in verdict.violations
        ],
    }


def _mark(*, ok: bool) -> str:
    return "[green]ok[/green]" if ok else "[red]WRONG[/red]"


def _cells(row: Row) -> list[str]:
    def pair(of: Callable[[Numbers], int]) -> str:
        seen, expected = of(row.seen), of(row.expected)
        text = f"{seen}/{expected}"
        return text if seen == expected else f"[red]{text}[/red]"

    return [
        *(str(number) for number in (row.orders, row.records, row.delivered, row.refunded)),
        pair(lambda numbers: numbers.carrier_orders),
        pair(lambda numbers: numbers.refunds),
        pair(lambda numbers: numbers.notices),
        pair(lambda numbers: numbers.dead_letters),
    ]


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "scenario": row.scenario,
        "ok": row.ok,
        "orders": row.orders,
        "records": row.records,
        "delivered": row.delivered,
        "refunded": row.refunded,
        "expected": _numbers_json(row.expected),
        "seen": _numbers_json(row.seen),
    }


def _numbers_json(numbers: Numbers) -> dict[str, int]:
    return {
        "carrier_orders": numbers.carrier_orders,
        "refunds": numbers.refunds,
        "notices": numbers.notices,
        "dead_letters": numbers.dead_letters,
    }
