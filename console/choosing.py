"""Which orders a command acts on: the named ones, or those of a query whose count was looked at and is confirmed."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import typer

from console import runs, tables
from console.exits import CommandFailed, Exit, say
from console.runs import Listed

MOST_ORDERS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the command line says.

    Attributes:
        confirmed: the count that the operator has looked at (`--yes`).
    """

    names: Sequence[str]
    by_search: bool
    """By a query, or all stranded ones: what is hit is known only when it is looked up."""
    dry_run: bool
    confirmed: int | None


def checked(names: Sequence[str] | None, *, by_search: bool, dry_run: bool, confirmed: int | None) -> Choice:
    """The choice, with order IDs out of what was pasted, each once.

    Raises:
        CommandFailed: an ID that can't be one; exit code 2.
        BadParameter: neither orders nor a search, or both.
    """
    if bool(names) == by_search:
        raise typer.BadParameter("name orders, or search for them (see --help): one of the two")
    ids = list(dict.fromkeys(runs.order_id_from(name) for name in names or ()))
    return Choice(names=ids, by_search=by_search, dry_run=dry_run, confirmed=confirmed)


def confirm(choice: Choice, found: Sequence[Listed], count: int, what: str, *, as_json: bool) -> bool:
    """Whether to go on. False: a dry run, or an operator who said no.

    Args:
        choice: what the command line says.
        found: the orders to show; for named ones only those that could be looked up.
        count: how many would be acted on.
        what: what would be sent to them.
        as_json: print JSON, and ask nobody.

    Raises:
        CommandFailed: nobody confirmed the count, or another one was.
    """
    if count > MOST_ORDERS:
        raise CommandFailed(f"More than {MOST_ORDERS} orders match: say more exactly which.", code=Exit.WRONG_USAGE)
    if choice.dry_run:
        tables.print_orders(found, as_json=as_json, none="No such order.")
        if count and not as_json:
            say(f"{what} would be sent to {_orders(count)}; nothing was done. Go on with --yes {count}.")
        return False
    if choice.confirmed is not None:
        if choice.confirmed != count:
            raise CommandFailed(
                f"{_orders(count)} match now, and --yes says {choice.confirmed}: nothing was done. Look again with "
                "--dry-run."
            )
        return True
    if choice.by_search and count:
        return _asked(found, what, as_json=as_json)
    return True


def _asked(found: Sequence[Listed], what: str, *, as_json: bool) -> bool:
    count = len(found)
    if as_json or not sys.stdin.isatty():
        raise CommandFailed(
            f"{_orders(count)} match: look at them with --dry-run, then confirm the count with --yes {count}. "
            "Nothing was done.",
            code=Exit.WRONG_USAGE,
        )
    tables.print_orders(found, as_json=False, none="")
    typed = input(f"Type {count} to send {what} to these {_orders(count)}: ")
    if typed.strip() != str(count):
        say("Nothing was done.")
        return False
    return True


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count} orders"
