"""`topup payments …`: genuine payments that became no order, each to be ended once by a person."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import typer

from console.exits import CommandFailed, Exit, say
from console.options import Json, NeededNote, Operator, word

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from console.settings import PaymentsSettings
    from console.unmatched import Answer

T = TypeVar("T")

app = typer.Typer(
    help="See payments that became no order by themselves, and end each: adopt, refund, or settled elsewhere.",
    epilog="Example: topup payments list",
    no_args_is_help=True,
)

MOST_BYTES = 4096
"""Of a car's description."""
PaymentsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PROVIDER:TRANSACTION]...", help="As `topup payments list` shows them, such as wechat:42…."
    ),
]
File = Annotated[
    typer.FileText | None, typer.Option("--file", help="Payments, one a line, beside those named; - is standard input.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show which payments it would be.")]
Yes = Annotated[
    int | None,
    typer.Option(
        "--yes", metavar="N", min=0, help="Of several: go on if they are exactly N, the number you looked at."
    ),
]
PaymentArgument = Annotated[
    str, typer.Argument(metavar="PROVIDER:TRANSACTION", help="As `topup payments list` shows it, such as wechat:42….")
]


@app.command("list", epilog="Example: topup payments list --all --json")
def list_payments(
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that have been ended.")] = False,
    as_json: Json = False,
) -> None:
    """List unmatched payments, oldest first; without --all those that somebody must still end."""
    from console import unmatched  # noqa: PLC0415 - heavy

    _run(unmatched.show_list(_settings(), open_only=not every, as_json=as_json))


@app.command(epilog="Example: topup payments show wechat:4200001923202308213518640001")
def show(payment: PaymentArgument, *, as_json: Json = False) -> None:
    """Show one unmatched payment: why it became no order, how it was ended and by whom."""
    from console import unmatched  # noqa: PLC0415 - heavy

    _run(unmatched.show_one(_settings(), _named(payment), as_json=as_json))


@app.command(
    epilog="Example: topup payments adopt wechat:42… --package CT-DATA-10GB-30D --note 'ticket 4711' < vehicle.json"
)
def adopt(
    payment: PaymentArgument,
    *,
    package: Annotated[str, typer.Option(help="The package that was bought.")],
    note: NeededNote = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Make it an order: its paid order goes to Kafka, and from there its way like every other.

    The car comes on standard input, so that no shell history and no process list has it, as JSON:
    {"vin": "…", "iccid": "…", "msisdn": "…"}, without msisdn where the phone number is not known. Given again, it is
    the same order.
    """
    from console import unmatched  # noqa: PLC0415 - heavy

    said = word(operator, note)
    vehicle = _vehicle(sys.stdin.buffer.read(MOST_BYTES + 1))
    _run_one(unmatched.adopt(_settings(), _named(payment), vehicle, package, said), as_json=as_json)


@app.command(epilog="Example: topup payments refund wechat:4200001923202308213518640001 --note 'unknown to the shop'")
def refund(
    payments: PaymentsArgument = None,
    *,
    file: File = None,
    dry_run: DryRun = False,
    yes: Yes = None,
    note: NeededNote = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Pay it back in full, without any order at the carrier; given again, it is the same refund.

    With TOPUP_TWO_PERSONS a second operator must give the same command within 1 h, as for adopt and settle. Of several
    each is decided by itself; exit code 1 where one was not done.
    """
    from console import unmatched  # noqa: PLC0415 - heavy

    _end(unmatched.refund, _chosen(payments, file), word(operator, note), dry_run=dry_run, yes=yes, as_json=as_json)


@app.command(
    epilog="Example: topup payments settle --file done.txt --yes 12 --note 'at the merchant platform, no. 4711'"
)
def settle(
    payments: PaymentsArgument = None,
    *,
    file: File = None,
    dry_run: DryRun = False,
    yes: Yes = None,
    note: NeededNote = "",
    operator: Operator = "",
    as_json: Json = False,
) -> None:
    """Note how it was ended elsewhere; nothing is sent to anybody. Of several each is decided by itself."""
    from console import unmatched  # noqa: PLC0415 - heavy

    _end(unmatched.settle, _chosen(payments, file), word(operator, note), dry_run=dry_run, yes=yes, as_json=as_json)


def _chosen(payments: list[str] | None, file: TextIO | None) -> list[tuple[str, str]]:
    lines = [] if file is None else [line.strip() for line in file]
    named = [_named(one) for one in dict.fromkeys([*(payments or ()), *lines]) if one]
    if not named:
        raise typer.BadParameter("name payments as `topup payments list` shows them, or give a --file of them")
    return named


def _end(
    end: "Callable[[PaymentsSettings, tuple[str, str], Mapping[str, str]], Awaitable[Answer]]",
    payments: list[tuple[str, str]],
    said: dict[str, str],
    *,
    dry_run: bool,
    yes: int | None,
    as_json: bool,
) -> None:
    """End one as ever, or several once their count is confirmed."""
    from console import ending, unmatched  # noqa: PLC0415 - heavy

    settings, count = _settings(), len(payments)
    if dry_run:
        _run(unmatched.show_named(settings, payments, as_json=as_json))
        say(f"It would be {count} of them; nothing was done. Go on with --yes {count}.")
        return
    if yes != count and (yes is not None or count > 1):
        raise CommandFailed(
            f"{count} payments are named: look at them with --dry-run, then confirm the count with --yes {count}. "
            "Nothing was done.",
            code=Exit.WRONG_USAGE,
        )
    if count == 1:
        _run_one(end(settings, payments[0], said), as_json=as_json)
        return
    code = _run(ending.end_each(payments, lambda named: end(settings, named, said), as_json=as_json))
    raise typer.Exit(code)


def _settings() -> "PaymentsSettings":
    from console.settings import PaymentsSettings, settings_for  # noqa: PLC0415 - heavy

    return settings_for(PaymentsSettings)


def _run_one(work: "Awaitable[Answer]", *, as_json: bool) -> None:
    from console import unmatched  # noqa: PLC0415 - heavy

    async def answer() -> None:
        unmatched.print_answer(await work, as_json=as_json)

    _run(answer())


def _run(work: "Coroutine[Any, Any, T]") -> T:
    from orders.errors import TopUpError  # noqa: PLC0415 - with the other imports of a command

    try:
        return asyncio.run(work)
    except TopUpError as error:
        raise CommandFailed(str(error)) from error


def _named(payment: str) -> tuple[str, str]:
    provider, _, transaction_id = payment.partition(":")
    if not provider or not transaction_id:
        raise typer.BadParameter("name the payment as `topup payments list` shows it: PROVIDER:TRANSACTION")
    return provider, transaction_id


def _vehicle(given: bytes) -> dict[str, str]:
    """The car of standard input; nothing of it is ever repeated in a sentence.

    Raises:
        CommandFailed: it is no object of texts; exit code 2.
    """
    from orders.strict_json import NotStrictJson, decode_object  # noqa: PLC0415 - with the other imports of a command

    try:
        members = decode_object(given)
    except NotStrictJson:
        members = {}
    texts = {name: value for name, value in members.items() if isinstance(value, str)}
    if not texts or len(texts) < len(members) or len(given) > MOST_BYTES:
        raise CommandFailed(
            'Give the car on standard input as JSON: {"vin": "…", "iccid": "…", "msisdn": "…"}; msisdn may be absent.',
            code=Exit.WRONG_USAGE,
        )
    return texts
