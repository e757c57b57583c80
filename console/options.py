"""Options that several commands share: who gives a command and why, and how it prints."""

import getpass
from typing import Annotated

import typer

from console.exits import CommandFailed, Exit
from orders.operator_words import why_not_kept

Operator = Annotated[
    str, typer.Option("--operator", help="Who does this; goes into the audit trail. Default: the login name.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Note = Annotated[str, typer.Option("--note", help="Why; goes into the audit trail.")]
NeededNote = Annotated[str, typer.Option("--note", help="Why, with a reference; goes into the audit trail.")]


def word(operator: str, note: str, *, option: str = "--note") -> dict[str, str]:
    """Who and why; `option` is the one that says why.

    Raises:
        CommandFailed: one of them is missing, or can't be kept; exit code 2.
    """
    operator = operator.strip() or _login_name()
    if not operator:
        raise CommandFailed("Say who you are, for example --operator li.", code=Exit.WRONG_USAGE)
    if not note.strip():
        raise CommandFailed(
            f'Say why, with a reference, for example {option} "carrier\'s ticket 4711".', code=Exit.WRONG_USAGE
        )
    note = note.strip()
    if refusal := why_not_kept("operator", operator) or why_not_kept("note", note):
        raise CommandFailed(refusal, code=Exit.WRONG_USAGE)
    return {"operator": operator, "note": note}


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        return ""
