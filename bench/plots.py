"""`python -m bench.plots`: the plots of docs/performance.md, from the figures in bench/results.

One SVG for each file of figures: horizontal bars, each made of its parts. A test compares the two.
"""

import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bench.checkouts import ROOT

RESULTS: Final = ROOT / "bench" / "results"
IMAGES: Final = ROOT / "docs" / "images"

WIDTH: Final = 760
LABELS: Final = 250
VALUES: Final = 70
BAR: Final = 18
STEP: Final = 28
TOP: Final = 60
COLOURS: Final = ("#3b6ea5", "#e08a3c", "#6aa84f", "#a05195", "#8c8c8c", "#c94f4f")


def drawn(figures: Mapping[str, Any]) -> str:
    """The SVG of one file's figures; readable on light and dark ground."""
    rows: list[Mapping[str, Any]] = figures["rows"]
    parts = list(dict.fromkeys(part for row in rows for part in row["parts"]))
    height = TOP + STEP * len(rows) + 30
    view = f"0 0 {WIDTH} {height}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}" font-family="sans-serif" font-size="12">',
        f"<title>{html.escape(figures['title'])}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(10, 20, f"{figures['title']} ({figures['unit']})", weight="bold"),
        *(_legend(parts) if len(parts) > 1 else ()),
        *_bars(rows, parts),
        _text(10, height - 10, figures["measured"], colour="#666666"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _bars(rows: list[Mapping[str, Any]], parts: list[str]) -> Iterator[str]:
    longest = max(sum(row["parts"].values()) for row in rows)
    scale = (WIDTH - LABELS - VALUES) / longest
    for number, row in enumerate(rows):
        y, x = TOP + STEP * number, float(LABELS)
        yield _text(LABELS - 8, y + 13, row["label"], anchor="end")
        for part, value in row["parts"].items():
            colour = COLOURS[parts.index(part) % len(COLOURS)]
            yield f'<rect x="{x:.1f}" y="{y}" width="{value * scale:.1f}" height="{BAR}" fill="{colour}"/>'
            x += value * scale
        yield _text(x + 6, y + 13, f"{sum(row['parts'].values()):g}")


def _legend(parts: list[str]) -> Iterator[str]:
    x = 10
    for number, part in enumerate(parts):
        yield f'<rect x="{x}" y="32" width="10" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>'
        yield _text(x + 15, 41, part)
        x += 32 + 7 * len(part)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "", colour: str = "#222222") -> str:
    style = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}"{style}>{html.escape(text)}</text>'


def all_drawn() -> dict[Path, str]:
    """What each image should hold."""
    return {IMAGES / f"{path.stem}.svg": drawn(json.loads(path.read_text())) for path in sorted(RESULTS.glob("*.json"))}


if __name__ == "__main__":
    for image, svg in all_drawn().items():
        image.write_text(svg)
