"""`topup dlq …`: the records that could not become orders, each to be ended once by a person."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from console.exits import CommandFailed
from console.options import Json, NeededNote, Note, Operator, word

if TYPE_CHECKING:
    from console.letters import Found
    from console.settings import DlqSettings

app = typer.Typer(
    help="See dead letters, and end each: redrive, settled elsewhere, or discarded.",
    epilog="Example: topup dlq list --open",
    no_args_is_help=True,
)

MOST_OF_A_RECORD = 200_000
"""`show --with-value` shows a record of 64 KiB whole, escapes and all."""
Reason = Literal["invalid", "oversize", "conflict"]
PlaceArgument = Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Place in the dead-letter topic.")]
PlacesArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...", help="Which; or give --reason.")
]
MANY_PER_SECOND = 10.0
"""Beside the orders of the day, which must not wait for these."""


@app.command("list", epilog="Example: topup dlq list --open --reason conflict --json")
def list_letters(
    *,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that somebody must still end.")] = False,
    reason: Annotated[Reason | None, typer.Option(help="Only these.")] = None,
    as_json: Json = False,
) -> None:
    """List the dead letters: where each came from, why it could not become an order, and who has ended it."""
    from rich.table import Table  # noqa: PLC0415 - heavy

    from console import letters  # noqa: PLC0415 - heavy
    from console.display import out, print_json, shown  # noqa: PLC0415 - heavy

    found = [
        one
        for one in _or_sentence(lambda: asyncio.run(letters.found(_settings())))
        if reason in (None, one.kept.reason) and (one.is_open or not only_open)
    ]
    if as_json:
        print_json([one.summary() for one in found])
        return
    if not found:
        out.print("No dead letter is open." if only_open else "There is no dead letter.")
        return
    table = Table("place", "reason", "source", "at", "why", "ended", box=None, pad_edge=False)
    for one in found:
        summary = one.summary()
        source = ":".join(str(summary[name]) for name in ("topic", "partition", "offset"))
        ended = f"{one.kept.ending} by {one.kept.ended_by}" if one.kept.ending else summary["proposal"]
        cells = (one.place, one.kept.reason, source, one.kept.dead_at, one.kept.error, ended)
        table.add_row(*(shown(cell) for cell in cells))  # whoever may write the topic wrote them
    out.print(table)


@app.command(epilog="Example: topup dlq show 3:17")
def show(
    place: PlaceArgument,
    *,
    with_value: Annotated[
        bool, typer.Option("--with-value", help="Also key, value and headers, which may hold personal data.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter."""
    from console import letters  # noqa: PLC0415 - heavy
    from console.display import out, print_json, shown  # noqa: PLC0415 - heavy

    one = _at(place)
    details = one.summary()
    if with_value and one.head is not None:
        letter = _or_sentence(lambda: letters.whole(_settings(), one))
        details |= {
            "key": _text(letter.key),
            "value": _text(letter.value),
            "headers": [[name, _text(value)] for name, value in letter.headers],
        }
    if as_json:
        print_json(details)
        return
    for name, value in details.items():
        out.print(f"{name}: {shown(value, MOST_OF_A_RECORD)}", soft_wrap=True)


@app.command(epilog="Example: topup dlq redrive 3:17   or: topup dlq redrive --reason invalid --note 'bridge mended'")
def redrive(
    places: PlacesArgument = None,
    *,
    reason: Annotated[
        Reason | None, typer.Option(help="All open ones of this reason; of those that hold the same record, one.")
    ] = None,
    per_second: Annotated[float, typer.Option(min=0.01, max=1000, help="At most so many.")] = MANY_PER_SECOND,
    note: Note = "asked by hand",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Send dead letters to the topic they came from again, as they were; each is ended once Kafka has it.

    One that is still wrong becomes a new dead letter, open again; one whose order was accepted meanwhile is a
    duplicate. With TOPUP_TWO_PERSONS a second operator must give the same command within 1 h, unless a key of
    TOPUP_RECORD_KEY proves the record.
    """
    from console import letters  # noqa: PLC0415 - heavy
    from console.display import out, print_json, shown  # noqa: PLC0415 - heavy

    said = word(operator, note)
    if bool(places) == bool(reason):
        raise typer.BadParameter(
            "name dead letters (PARTITION:OFFSET, as `topup dlq list` shows them), or give --reason"
        )
    settings = _settings()
    found = _or_sentence(lambda: asyncio.run(letters.found(settings)))
    chosen = [_pick(found, place) for place in places or ()] or [
        one for one in found if one.kept.reason == reason and one.is_open
    ]
    count, proposals = _or_sentence(lambda: asyncio.run(letters.redrive(settings, chosen, per_second, said)))
    if as_json:
        print_json({"redriven": count, "proposed": len(proposals), "proposal": proposals[0] if proposals else ""})
        return
    if proposals:
        waits = f"{proposals[0]}. {len(proposals)} wait: another operator must give it too."
        out.print(shown(waits), soft_wrap=True)
        if not count:
            return
    for one in chosen if places and not proposals else ():
        source = one.kept.source
        says = f"{one.place} was {source.topic}:{source.partition}:{source.offset}, {one.kept.reason}"
        out.print(shown(says))
    out.print(f"{count} dead letters were sent again; they stay in the dead-letter topic.")


@app.command(epilog="Example: topup dlq settle 3:17 --note 'refunded at the merchant platform, no. 4711'")
def settle(place: PlaceArgument, *, note: NeededNote = "", operator: Operator = "", as_json: Json = False) -> None:
    """Note that its payment was ended elsewhere: refunded by hand, or delivered by another order.

    With TOPUP_TWO_PERSONS a second operator must give the same command within 1 h, as for discard.
    """
    _end(place, "settled", word(operator, note), as_json=as_json)


@app.command(epilog="Example: topup dlq discard 3:17 --note 'a test of the shop, no payment behind it'")
def discard(place: PlaceArgument, *, note: NeededNote = "", operator: Operator = "", as_json: Json = False) -> None:
    """Note that no payment is behind it."""
    _end(place, "discarded", word(operator, note), as_json=as_json)


def _end(place: str, ending: Literal["settled", "discarded"], said: dict[str, str], *, as_json: bool) -> None:
    from console import letters  # noqa: PLC0415 - heavy
    from console.display import out, print_json, shown  # noqa: PLC0415 - heavy

    one = _at(place)
    refusal, proposal = _or_sentence(lambda: asyncio.run(letters.end(_settings(), one, ending, said)))
    if refusal:
        raise CommandFailed(refusal)
    if as_json:
        print_json({"place": place, "ended": "" if proposal else ending, "proposal": proposal})
    elif proposal:
        out.print(shown(f"{proposal}. Nothing follows yet: another operator must give it too."), soft_wrap=True)
    else:
        out.print(f"{place} is {ending}; it stays in the dead-letter topic.")


def _settings() -> "DlqSettings":
    from console.settings import DlqSettings, settings_for  # noqa: PLC0415 - heavy

    return settings_for(DlqSettings)


def _at(place: str) -> "Found":
    from console import letters  # noqa: PLC0415 - heavy

    return _pick(_or_sentence(lambda: asyncio.run(letters.found(_settings()))), place)


def _pick(found: "list[Found]", place: str) -> "Found":
    for one in found:
        if place in one.places:
            return one
    raise CommandFailed(f"There is no dead letter at {place}; `topup dlq list` shows the places, such as 3:17.")


def _or_sentence(work: Callable[[], Any]) -> Any:
    from orders.errors import TopUpError  # noqa: PLC0415 - with the other imports of a command

    try:
        return work()
    except TopUpError as error:
        raise CommandFailed(str(error)) from error


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
