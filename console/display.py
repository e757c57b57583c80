"""What commands print: lines a person reads, or JSON a script reads."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

PIPE_WIDTH = 200
"""A pipe has no width, and a script's line must not be folded at 80 characters."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was checked or prepared.

    Attributes:
        says: one sentence; where `ok` is false it tells what to set or start.
    """

    part: str
    ok: bool
    says: str


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_steps(steps: Sequence[Step], *, as_json: bool) -> None:
    """A line per step."""
    if as_json:
        print_json({"ok": all(step.ok for step in steps), "steps": [asdict(step) for step in steps]})
        return
    width = max((len(step.part) for step in steps), default=0)
    for step in steps:
        mark = "[green]ok  [/green]" if step.ok else "[red]FAIL[/red]"
        out.print(f"{mark} {escape(step.part):<{width}}  {escape(step.says)}", soft_wrap=True)
