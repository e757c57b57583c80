"""`topup reconcile …`: bills, order book and the carrier's statement compared, day by day (contracts §10)."""

import asyncio
import re
from typing import Annotated, Literal

import typer

from console.exits import CommandFailed, Exit
from console.options import Json, NeededNote, Operator, word

app = typer.Typer(
    help="Compare bills, order book and the carrier's statement, and close what differs.",
    epilog="Example: topup reconcile run --day 2026-11-27",
    no_args_is_help=True,
)

Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
NeededDay = Annotated[str, typer.Option("--day", metavar="YYYY-MM-DD", help="A day in China, by the provider's clock.")]
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@app.command(epilog="Example: topup reconcile run --day 2026-11-27 --provider wechat --json")
def run(
    day: NeededDay,
    *,
    provider: Annotated[
        str | None, typer.Option(metavar="wechat|alipay", help="Only this provider's bill, and not the carrier.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Reconcile one day that is over; again as often as you like: a rerun changes nothing that has not changed outside.

    Ends with 0 where no difference is open (`timing` not counted), 1 where one is, 2 where a bill or the statement is
    not there yet or the configuration is wrong.
    """
    from console import reconciling  # noqa: PLC0415 - heavy
    from console.settings import ReconcileSettings, settings_for  # noqa: PLC0415 - heavy

    settings = settings_for(ReconcileSettings)
    raise typer.Exit(asyncio.run(reconciling.run(settings, _checked(day), provider, as_json=as_json)))


@app.command(epilog="Example: topup reconcile show --open --csv")
def show(
    *,
    day: Annotated[str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="Only of this day.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Show the differences that were found: kind, amounts in fen, age, and how each was closed."""
    from console import reconciling  # noqa: PLC0415 - heavy
    from console.settings import DifferencesSettings, settings_for  # noqa: PLC0415 - heavy

    shape = _shape(as_json=as_json, as_csv=as_csv)
    settings = settings_for(DifferencesSettings)
    asyncio.run(reconciling.show(settings, "" if day is None else _checked(day), open_only=open_only, shape=shape))


@app.command(epilog='Example: topup reconcile resolve refund:wechat:RT20230821183406000001 --note "ticket 4711"')
def resolve(
    difference: Annotated[str, typer.Argument(metavar="ID", help="As `topup reconcile show` has it.")],
    *,
    note: NeededNote = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Close a difference with a note. It opens again only if its amount or kind changes.

    With TOPUP_TWO_PERSONS a second operator must give the same command within 1 h, of the same kind and amounts.
    """
    from console import reconciling  # noqa: PLC0415 - heavy
    from console.settings import DifferencesSettings, settings_for  # noqa: PLC0415 - heavy

    said = word(operator, note)
    settings = settings_for(DifferencesSettings)
    asyncio.run(
        reconciling.resolve(settings, difference, operator=said["operator"], note=said["note"], as_json=as_json)
    )


@app.command(epilog="Example: topup reconcile summary --day 2026-11-27")
def summary(day: NeededDay, *, as_json: Json = False, as_csv: Csv = False) -> None:
    """Show where each payment of a day stands now, in fen: what was paid less what it has become is zero."""
    from console import reconciling  # noqa: PLC0415 - heavy
    from console.settings import DifferencesSettings, settings_for  # noqa: PLC0415 - heavy

    shape = _shape(as_json=as_json, as_csv=as_csv)
    asyncio.run(reconciling.summary(settings_for(DifferencesSettings), _checked(day), shape=shape))


def _checked(day: str) -> str:
    from datetime import date  # noqa: PLC0415 - with the other imports of a command

    try:
        if _DAY.fullmatch(day):
            return date.fromisoformat(day).isoformat()
    except ValueError:
        pass
    raise CommandFailed(f"There is no day {day}: give one as --day 2026-11-27.", code=Exit.WRONG_USAGE)


def _shape(*, as_json: bool, as_csv: bool) -> Literal["table", "json", "csv"]:
    if as_json and as_csv:
        raise CommandFailed("Give --json or --csv, not both.", code=Exit.WRONG_USAGE)
    return "json" if as_json else "csv" if as_csv else "table"
