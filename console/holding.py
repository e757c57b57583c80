"""What `topup hold` does: holds are set, shown and released in the order book."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from rich.table import Table

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.holds import Holds
from console.display import out, print_json, shown
from console.exits import CommandFailed
from console.settings import HoldSettings
from orders.errors import TopUpError
from orders.holds import Hold, Part
from runtime.clock import SystemClock

MOST: Final = 1000
"""Holds that `--all` shows."""
WITHIN: Final = "Within 12 s nothing leaves any more; what was sent by then is still heard."
"""A worker's knowledge of the holds (1 s), then the longest right to send: 7.5 s of a POST, 10 s of a refund."""


async def hold(
    settings: HoldSettings, part: Part, *, operator: str, note: str, until: datetime | None, as_json: bool
) -> None:
    """Hold the part from now on.

    Raises:
        CommandFailed: the book is away, or takes no such note.
    """
    async with _holds(settings) as holds:
        held = await holds.hold(part, operator=operator, note=note, until=until)
    if as_json:
        print_json(_as_json(held, datetime.now(UTC)))
    else:
        out.print(f"{shown(held.sentence())}. {WITHIN}", soft_wrap=True)


async def show(settings: HoldSettings, *, every: bool, as_json: bool) -> None:
    """Print the holds that are on, or all that there were."""
    now = datetime.now(UTC)
    async with _holds(settings) as holds:
        found = await (holds.newest(limit=MOST) if every else holds.not_released())
    if as_json:
        print_json([_as_json(one, now) for one in found])
        return
    if not found:
        out.print("Nothing was ever held." if every else "Nothing is held.")
        return
    table = Table(
        *("part", "is on", "held at (UTC)", "by", "note", "until (UTC)", "released at (UTC)", "by", "note"),
        box=None,
        pad_edge=False,
    )
    for one in found:
        until, released = _utc(one.until) or "released", _utc(one.released_at)
        cells = (*_start(one, now), until, released, one.released_by, one.released_note)
        table.add_row(*(shown(cell) for cell in cells))
    out.print(table)


async def release(settings: HoldSettings, part: Part, *, operator: str, note: str, as_json: bool) -> None:
    """End every hold of the part.

    Raises:
        CommandFailed: the book is away, or the part is not held.
    """
    async with _holds(settings) as holds:
        ended = await holds.release(part, operator=operator, note=note)
    if not ended:
        raise CommandFailed(f"{part} is not held: see `topup hold show --all`.")
    if as_json:
        print_json([_as_json(one, datetime.now(UTC)) for one in ended])
        return
    for one in ended:
        out.print(f"Released. It was said: {shown(one.sentence())}.", soft_wrap=True)


def _start(one: Hold, now: datetime) -> tuple[object, ...]:
    return one.part, "yes" if one.is_on(now) else "no", _utc(one.held_at), one.held_by, one.note


def _utc(moment: datetime | None) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if moment else ""


def _as_json(one: Hold, now: datetime) -> Mapping[str, Any]:
    moments = ("held_at", "until", "released_at")
    at = {name: None if (moment := getattr(one, name)) is None else moment.isoformat() for name in moments}
    return {**asdict(one), **at, "is_on": one.is_on(now)}


@asynccontextmanager
async def _holds(settings: HoldSettings) -> AsyncGenerator[Holds]:
    assert settings.database_url, "HoldSettings demands it"
    # A hold is no vehicle's data: it needs no key.
    book = OrderBook.open(settings.database_url, FieldCipher(bytes(32)), SystemClock())
    try:
        yield book.holds
    except TopUpError as error:
        raise CommandFailed(str(error)) from error
    finally:
        await book.close()
