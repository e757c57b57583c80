"""What commands print: lines a person reads, or JSON a script reads. Nothing that acts on a terminal gets through."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from orders import shown_text

MOST_OF_A_SENTENCE = 4000
PIPE_WIDTH = 200
"""A pipe has no width, and a script's line must not be folded at 80 characters."""


class _PlainConsole(Console):
    """rich's own colours, and no other control: whatever is printed, it is seen (`orders.shown_text`)."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every renderable's segments pass here, a table's cells too."""
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else shown_text.visible(segment.text)
            yield segment if shown == segment.text else Segment(shown, segment.style)


out = _PlainConsole(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)


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
    print(shown_text.json_text(value, indent=2))


def shown(value: object, most: int = MOST_OF_A_SENTENCE) -> str:
    """Others' words as a part of a line or a cell: no markup, one line, bounded."""
    return escape(shown_text.one_line(value, most))


def print_steps(steps: Sequence[Step], *, as_json: bool) -> None:
    """A line per step."""
    if as_json:
        print_json({"ok": all(step.ok for step in steps), "steps": [asdict(step) for step in steps]})
        return
    width = max((len(step.part) for step in steps), default=0)
    for step in steps:
        mark = "[green]ok  [/green]" if step.ok else "[red]FAIL[/red]"
        says = escape(shown_text.in_lines(step.says, MOST_OF_A_SENTENCE))
        out.print(f"{mark} {escape(step.part):<{width}}  {says}", soft_wrap=True)
