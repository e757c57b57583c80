"""`topup dlq …`: the records that could not become orders, and sending them again."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from console.exits import CommandFailed

if TYPE_CHECKING:
    from adapters.kafka.dead_letters import DeadLetter
    from configuration.processes import DlqSettings

app = typer.Typer(help="See dead letters, and send them again.", epilog="Example: topup dlq list", no_args_is_help=True)

MOST_OF_A_RECORD = 200_000
"""`show --with-value` shows a record of 64 KiB whole, escapes and all."""
Reason = Literal["invalid", "oversize", "conflict"]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PlaceArgument = Annotated[str, typer.Argument(metavar="PARTITION:OFFSET", help="Place in the dead-letter topic.")]


@app.command("list", epilog="Example: topup dlq list --reason conflict --json")
def list_letters(
    *,
    reason: Annotated[Reason | None, typer.Option(help="Only these.")] = None,
    as_json: Json = False,
) -> None:
    """List the dead letters: where each came from and why it could not become an order."""
    from rich.table import Table  # noqa: PLC0415 - heavy

    from console.display import out, print_json, shown  # noqa: PLC0415 - heavy

    letters = [letter for letter in _read(_settings()) if reason in (None, letter.ours("reason"))]
    if as_json:
        print_json([_summary(letter) for letter in letters])
        return
    if not letters:
        out.print("There is no dead letter.")
        return
    table = Table("place", "reason", "source", "at", "why", box=None, pad_edge=False)
    for letter in letters:
        source = ":".join(letter.source)
        cells = (letter.ours("reason"), source, letter.ours("at"), letter.ours("error"))
        table.add_row(_place(letter), *(shown(cell) for cell in cells))  # whoever may write the topic wrote them
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
    from console.display import out, print_json, shown  # noqa: PLC0415 - heavy

    letter = _find(_read(_settings()), place)
    details = _summary(letter)
    if with_value:
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


@app.command(epilog="Example: topup dlq redrive 3:17   or: topup dlq redrive --reason invalid")
def redrive(
    places: Annotated[
        list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...", help="Which; or give --reason.")
    ] = None,
    *,
    reason: Annotated[
        Reason | None, typer.Option(help="All of this reason; of those that hold the same record, one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Send dead letters to the source topic again, as they were; one that is still wrong becomes a new dead letter."""
    from adapters.kafka.dead_letters import distinct  # noqa: PLC0415 - heavy
    from adapters.kafka.dead_letters import redrive as send_again  # noqa: PLC0415 - heavy
    from console.display import out, print_json, shown  # noqa: PLC0415 - heavy

    if bool(places) == bool(reason):
        raise typer.BadParameter(
            "name dead letters (PARTITION:OFFSET, as `topup dlq list` shows them), or give --reason"
        )
    settings = _settings()
    letters = _read(settings)
    chosen = [_find(letters, place) for place in places or ()] or distinct(
        letter for letter in letters if letter.ours("reason") == reason
    )
    count = _or_sentence(lambda: send_again(settings, chosen)) if chosen else 0
    if as_json:
        print_json({"redriven": count})
        return
    for letter in chosen if places else ():
        out.print(f"{_place(letter)} was {shown(':'.join(letter.source))}, {shown(letter.ours('reason'))}")
    out.print(f"{count} dead letters were sent to {settings.kafka_topic} again; they stay in the dead-letter topic.")


def _settings() -> "DlqSettings":
    from console.settings import DlqSettings, settings_for  # noqa: PLC0415 - heavy

    return settings_for(DlqSettings)


def _read(settings: "DlqSettings") -> "list[DeadLetter]":
    from adapters.kafka.dead_letters import read_dead_letters  # noqa: PLC0415 - heavy

    return _or_sentence(lambda: list(read_dead_letters(settings)))


def _or_sentence(work: Callable[[], Any]) -> Any:
    from orders.errors import TopUpError  # noqa: PLC0415 - with the other imports of a command

    try:
        return work()
    except TopUpError as error:
        raise CommandFailed(str(error)) from error


def _find(letters: "list[DeadLetter]", place: str) -> "DeadLetter":
    for letter in letters:
        if _place(letter) == place:
            return letter
    raise CommandFailed(f"There is no dead letter at {place}; `topup dlq list` shows the places, such as 3:17.")


def _place(letter: "DeadLetter") -> str:
    return f"{letter.partition}:{letter.offset}"


def _summary(letter: "DeadLetter") -> dict[str, Any]:
    topic, partition, offset = letter.source
    return {
        "place": _place(letter),
        "reason": letter.ours("reason"),
        "error": letter.ours("error"),
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "at": letter.ours("at"),
        "bytes": len(letter.value or b""),
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")
