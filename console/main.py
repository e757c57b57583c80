"""`topup`: the one command. Every subcommand imports what it needs when it runs, so that `--help` is quick."""

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import click
import typer

from console import dead_letters, demo_command, orders, processes, stack_command
from console.exits import CommandFailed, Exit, say
from runtime.exits import exit_now

app = typer.Typer(
    name="topup",
    help="Takes each paid order to delivered or refunded, and tells the car. Start with [bold]topup demo[/bold].",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
processes.register(app)
stack_command.register(app)
demo_command.register(app)
app.add_typer(orders.app, name="orders")
app.add_typer(dead_letters.app, name="dlq")


@app.callback()
def root(
    context: typer.Context,
    *,
    show_traceback: Annotated[
        bool, typer.Option("--traceback", help="Show the traceback of an unexpected error, for a bug report.")
    ] = False,
) -> None:
    """What all commands share."""
    context.obj = {"traceback": show_traceback}


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code. Raises nothing."""
    try:
        result = app(list(arguments), standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        error.show()
        return Exit.WRONG_USAGE
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except CommandFailed as failure:
        say(*failure.sentences)
        return failure.code
    except BrokenPipeError:  # `topup orders list | head`: the reader has seen enough
        return Exit.OK
    except Exception as error:  # noqa: BLE001 - the last resort: a sentence, never a traceback
        return _unexpected(error, arguments)
    return result if isinstance(result, int) else Exit.OK


def main() -> None:
    """The entry point: never returns, and never leaves by the interpreter's own exit (`runtime.exits`)."""
    exit_now(run(sys.argv[1:]))


def _unexpected(error: Exception, arguments: Sequence[str]) -> int:
    faults = getattr(
        error, "faults", None
    )  # runtime.settings.SettingsError, not imported for the sake of a quick start
    if isinstance(faults, tuple):
        say(*(str(fault) for fault in faults))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return Exit.WRONG_USAGE
    if "--traceback" in arguments:
        traceback.print_exception(error)
    else:
        what = " ".join(str(error).split())[:300] or "no message"
        say(f"an unexpected {type(error).__name__}: {what}. Run `topup --traceback …` again and report what it shows.")
    return Exit.NOT_OK
