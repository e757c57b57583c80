"""`topup keys …`: which keys the order book's columns are encrypted under, and their rotation (docs/keys.md)."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from console.exits import CommandFailed, Exit, say
from console.options import Json

if TYPE_CHECKING:
    from adapters.order_book.key_rotation import KeyRotation, KeyUse

T = TypeVar("T")
SHOWN_ORDERS: Final = 10

app = typer.Typer(
    help="See which keys the order book needs, and re-encrypt it under the current one.",
    epilog="Example: topup keys status",
    no_args_is_help=True,
)


@dataclass(slots=True)
class Rotated:
    """What a rotation did, or in a dry run would do."""

    rows: int = 0
    unreadable: list[str] = field(default_factory=list[str])
    """Order IDs whose values no configured key opens."""


@app.command(epilog="Example: topup keys status --json")
def status(*, as_json: Json = False) -> None:
    """Count the rows under each key; exit code 1 while one is needed that isn't configured."""
    from rich.table import Table  # noqa: PLC0415 - heavy

    from console.display import out, print_json  # noqa: PLC0415 - heavy

    uses = _with_rotation(lambda rotation: rotation.in_use())
    if as_json:
        print_json([asdict(use) for use in uses])
    else:
        table = Table("key", "role", "vehicles", "bodies", "digests", box=None, pad_edge=False)
        for use in uses:
            table.add_row(use.key_id, use.role, str(use.vehicles), str(use.bodies), str(use.digests))
        out.print(table)
    for sentence in _advice(uses):
        say(sentence)
    raise typer.Exit(Exit.NOT_OK if any(use.role == "missing" for use in uses) else Exit.OK)


@app.command(epilog="Example: topup keys rotate --dry-run")
def rotate(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only see how many rows it would be.")] = False,
    as_json: Json = False,
) -> None:
    """Re-encrypt everything under TOPUP_PII_KEY, while worker and bridge run; stopped at any moment, it goes on."""
    from console.display import out, print_json  # noqa: PLC0415 - heavy

    rotated = _with_rotation(lambda rotation: _rotate(rotation, dry_run=dry_run))
    if as_json:
        print_json({"dry_run": dry_run, **asdict(rotated)})
    else:
        out.print(f"{rotated.rows} rows {'would be' if dry_run else 'were'} re-encrypted under the current key.")
    if rotated.unreadable:
        shown = ", ".join(rotated.unreadable[:SHOWN_ORDERS])
        raise CommandFailed(
            f"{len(rotated.unreadable)} rows can't be read with the keys that are configured ({shown}): add the missing"
            " key to TOPUP_PII_OLD_KEYS (`topup keys status` names it), then rotate again; they were left as they are."
        )


async def _rotate(rotation: "KeyRotation", *, dry_run: bool) -> Rotated:
    """Batch by batch, with progress on a terminal."""
    from rich.console import Console  # noqa: PLC0415 - heavy
    from rich.progress import Progress  # noqa: PLC0415 - heavy

    rotated, after = Rotated(), ""
    screen = Console(stderr=True)
    with Progress(console=screen, disable=not sys.stderr.isatty(), transient=True) as progress:
        bar = progress.add_task("re-encrypting", total=await rotation.left())
        while after is not None:
            batch = await rotation.run_once(after, dry_run=dry_run)
            rotated.rows += batch.rows
            rotated.unreadable += batch.unreadable
            progress.advance(bar, batch.rows + len(batch.unreadable))
            after = batch.next_after
    return rotated


def _advice(uses: "list[KeyUse]") -> list[str]:
    """What to do next, in sentences."""
    sentences: list[str] = []
    for use in uses:
        rows = use.vehicles + use.bodies
        if use.role == "missing":
            sentences.append(f"Key {use.key_id} is needed and not configured: add it to TOPUP_PII_OLD_KEYS.")
        elif use.role == "old" and rows:
            sentences.append(
                f"Key {use.key_id} is still in use: once every process has the current key, run `topup keys rotate`."
            )
        elif use.role == "old":
            sentences.append(
                f"Nothing is encrypted under key {use.key_id}: it may leave TOPUP_PII_OLD_KEYS, unless it is the next."
            )
    return sentences


def _with_rotation(work: "Callable[[KeyRotation], Awaitable[T]]") -> T:
    from console.connecting import order_book  # noqa: PLC0415 - heavy
    from console.settings import OrdersSettings, settings_for  # noqa: PLC0415 - heavy
    from orders.errors import TopUpError  # noqa: PLC0415 - with the others

    settings = settings_for(OrdersSettings)

    async def connected() -> T:
        async with order_book(settings) as book:
            assert book is not None, "OrdersSettings has checked it"
            return await work(book.key_rotation())

    try:
        return asyncio.run(connected())
    except TopUpError as error:
        raise CommandFailed(str(error)) from error
