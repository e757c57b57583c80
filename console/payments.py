"""`topup payments …`: genuine payments that became no order, each to be ended once by a person."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandFailed, Exit
from console.operators import NeededNote, Operator, word

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from console.settings import PaymentsSettings

app = typer.Typer(
    help="See payments that became no order by themselves, and end each: adopt, refund, or settled elsewhere.",
    epilog="Example: topup payments list",
    no_args_is_help=True,
)

MOST_BYTES = 4096
"""Of a car's description."""
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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
    _run(unmatched.adopt(_settings(), _named(payment), vehicle, package, said, as_json=as_json))


@app.command(epilog="Example: topup payments refund wechat:4200001923202308213518640001 --note 'unknown to the shop'")
def refund(payment: PaymentArgument, *, note: NeededNote = "", operator: Operator = "", as_json: Json = False) -> None:
    """Pay it back in full, without any order at the carrier; given again, it is the same refund.

    With TOPUP_TWO_PERSONS a second operator must give the same command within 1 h, as for adopt and settle.
    """
    from console import unmatched  # noqa: PLC0415 - heavy

    _run(unmatched.refund(_settings(), _named(payment), word(operator, note), as_json=as_json))


@app.command(epilog="Example: topup payments settle wechat:42… --note 'refunded at the merchant platform, no. 4711'")
def settle(payment: PaymentArgument, *, note: NeededNote = "", operator: Operator = "", as_json: Json = False) -> None:
    """Note how it was ended elsewhere; nothing is sent to anybody."""
    from console import unmatched  # noqa: PLC0415 - heavy

    _run(unmatched.settle(_settings(), _named(payment), word(operator, note), as_json=as_json))


def _settings() -> "PaymentsSettings":
    from console.settings import PaymentsSettings, settings_for  # noqa: PLC0415 - heavy

    return settings_for(PaymentsSettings)


def _run(work: "Coroutine[Any, Any, None]") -> None:
    from orders.errors import TopUpError  # noqa: PLC0415 - with the other imports of a command

    try:
        asyncio.run(work)
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
