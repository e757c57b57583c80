"""`topup`: the one command. Every subcommand imports what it needs when it runs, so that `--help` is quick."""

import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from console import dead_letters, hold, keys, local_commands, orders, payments, processes, reconcile
from console.exits import CommandFailed, Exit, say
from runtime.exits import exit_now, leave_no_core

TRACEBACK_OPTION = "--traceback"

app = typer.Typer(
    name="topup",
    help="Takes each paid order to delivered or refunded, and tells the car. Start with [bold]topup demo[/bold].",
    epilog="Example: topup demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
processes.register(app)
local_commands.register(app)
app.add_typer(orders.app, name="orders")
app.add_typer(hold.app, name="hold")
app.add_typer(payments.app, name="payments")
app.add_typer(dead_letters.app, name="dlq")
app.add_typer(reconcile.app, name="reconcile")
app.add_typer(keys.app, name="keys")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"topup {version('topup')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
    _traceback: Annotated[
        bool, typer.Option(TRACEBACK_OPTION, help="Show the traceback of an unexpected error, for a bug report.")
    ] = False,
) -> None:
    """What all commands share."""


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Raises nothing."""
    try:
        app(list(arguments), prog_name="topup")
    except SystemExit as end:  # typer's own end: done, wrong usage (said already), or a command's code
        return end.code if isinstance(end.code, int) else Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except CommandFailed as failure:
        say(*failure.sentences)
        return failure.code
    except BrokenPipeError:  # `topup orders list | head`: the reader has seen enough
        return Exit.OK
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence, never a traceback
        if TRACEBACK_OPTION in arguments:
            traceback.print_exception(error)
        what = " ".join(str(error).split())[:300] or "no message"
        say(f"an unexpected {type(error).__name__}: {what}. Report what `topup {TRACEBACK_OPTION} …` shows.")
        return Exit.NOT_OK
    return Exit.OK


def main() -> None:
    """The entry point: never returns, and never leaves by the interpreter's own exit (`runtime.exits`)."""
    leave_no_core()
    exit_now(run(sys.argv[1:]))
