# ruff: noqa: INP001 - a script beside the packages, of none
"""Draws the state diagram of docs/architecture.md from `next_step`: `python -m scripts.draw_states` rewrites it there.

Nodes are the kinds of next step. An arrow says that one can follow another, seen in the explorer's walks of both kinds
of carriers without a fault, and of posting and asking with one. The label is the class of event that leads there.
"""

from itertools import groupby
from pathlib import Path
from typing import Final

from tests.orders.exploration.at_most_once import OnePostExploration
from tests.orders.exploration.walk import Exploration

PAGE: Final = Path(__file__).parent.parent / "docs" / "architecture.md"
BEGIN: Final = "<!-- states:begin -->\n"
END: Final = "<!-- states:end -->"
NAMES: Final = {
    "submit": "Submit",
    "query_carrier": "QueryCarrier",
    "cancel_at_carrier": "CancelAtCarrier",
    "ask_person": "AskPerson",
    "start_refund": "StartRefund",
    "send_refund": "SendRefund",
    "query_refund": "QueryRefund",
    "settle": "Settle",
    "done": "Done",
}
ORDER: Final = list(NAMES)


def diagram() -> str:
    """The section between the markers."""
    follows: set[tuple[str, str, str]] = set()
    for walk in (
        Exploration(faults=0),
        Exploration(faults=1, kinds=("place", "query"), ticks=(0, 91)),
        OnePostExploration(faults=0),
    ):
        walk.explore()
        follows |= walk.follows
    arrows = sorted(
        (ORDER.index(before), ORDER.index(after), event) for before, after, event in follows if before != after
    )
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> Submit: claimed"]
    for (before, after), group in groupby(arrows, key=lambda arrow: arrow[:2]):
        events = ", ".join(event for _, _, event in group)
        lines.append(f"    {NAMES[ORDER[before]]} --> {NAMES[ORDER[after]]}: {events}")
    return "\n".join([*lines, "    Done --> [*]", "```", ""])


def page_with(drawn: str) -> str:
    """The page with this diagram in it."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{PAGE} has lost its markers"
    return f"{before}{BEGIN}{drawn}{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(diagram()), "utf-8")
