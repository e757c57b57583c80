"""`topup hold …`: keep every call of the orders away from carrier or provider, for maintenance; orders are claimed."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer

from console.exits import CommandFailed, Exit
from console.options import Json, NeededNote, Operator, word

app = typer.Typer(
    help="Keep orders away from carrier or payment provider for a time: they wait, and nothing is decided for them.",
    epilog='Example: topup hold carrier --note "maintenance, ticket 4711" --until 2026-11-29T06:00:00+08:00',
    no_args_is_help=True,
)

Until = Annotated[
    str, typer.Option("--until", metavar="MOMENT", help="When it ends by itself (RFC 3339). Default: when released.")
]


class Part(StrEnum):
    """What can be held; `orders.holds.Part`, for typer."""

    CARRIER = "carrier"
    WECHAT = "wechat"
    ALIPAY = "alipay"


_WHAT: Final = {
    Part.CARRIER: "No order is sent to the carrier, asked about or cancelled there until the hold ends.",
    Part.WECHAT: "No refund is sent to WeChat Pay or asked about there until the hold ends.",
    Part.ALIPAY: "No refund is sent to Alipay or asked about there until the hold ends.",
}


def _command(part: Part) -> Callable[..., None]:
    def hold(*, until: Until = "", note: NeededNote = "", operator: Operator = "", as_json: Json = False) -> None:
        from console import holding  # noqa: PLC0415 - heavy
        from console.settings import HoldSettings, settings_for  # noqa: PLC0415 - heavy

        said, ends = word(operator, note), _moment(until)
        asyncio.run(holding.hold(settings_for(HoldSettings), part.value, **said, until=ends, as_json=as_json))

    return hold


for _part in Part:
    app.command(
        _part.value,
        help=f"{_WHAT[_part]} What is under way is heard; operators' words are written down and followed afterwards.",
        epilog=f'Example: topup hold {_part.value} --note "maintenance, ticket 4711"',
    )(_command(_part))


@app.command(epilog="Example: topup hold show --json")
def show(
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over, newest first.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is held: by whom, why, since when and until when."""
    from console import holding  # noqa: PLC0415 - heavy
    from console.settings import HoldSettings, settings_for  # noqa: PLC0415 - heavy

    asyncio.run(holding.show(settings_for(HoldSettings), every=every, as_json=as_json))


@app.command(epilog='Example: topup hold release carrier --note "maintenance is over, ticket 4711"')
def release(part: Part, *, note: NeededNote = "", operator: Operator = "", as_json: Json = False) -> None:
    """End every hold of a part; orders go on within 5 s, or within a quarter of the hold's length, at most 5 min."""
    from console import holding  # noqa: PLC0415 - heavy
    from console.settings import HoldSettings, settings_for  # noqa: PLC0415 - heavy

    said = word(operator, note)
    asyncio.run(holding.release(settings_for(HoldSettings), part.value, **said, as_json=as_json))


def _moment(text: str) -> datetime | None:
    from runtime import values  # noqa: PLC0415 - heavy

    if not text:
        return None
    try:
        moment = values.moment(text)
    except ValueError as error:
        raise CommandFailed(
            f"--until {error}, for example 2026-11-29T06:00:00+08:00.", code=Exit.WRONG_USAGE
        ) from error
    if moment <= datetime.now(UTC):
        raise CommandFailed("--until is over already: give a moment to come.", code=Exit.WRONG_USAGE)
    return moment
