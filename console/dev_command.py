"""`topup dev`: the whole product with its surroundings on this machine, until Ctrl-C."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from devkit.demo.screen import Screen
    from devkit.stack.local import LocalStack

TIME_SCALE = 0.1


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: topup dev --orders 12   or: topup dev --kafka 127.0.0.1:9092")(dev)


def dev(
    *,
    orders: Annotated[int, typer.Option(min=0, max=600, help="Sample orders per minute; 0 = none.")] = 6,
    time_scale: Annotated[
        float, typer.Option(min=0.01, max=1, help="Waits for the outside world, times this: 40 s become 4 s at 0.1.")
    ] = TIME_SCALE,
    kafka: Annotated[str, typer.Option(help="embedded, apache, or host:port of one that runs.")] = "embedded",
    mqtt: Annotated[str, typer.Option(help="auto, embedded, or mqtt://host:port of one that runs.")] = "auto",
    database: Annotated[str, typer.Option(help="postgresql://…; default: SQLite in the folder.", metavar="URL")] = "",
    folder: Annotated[Path, typer.Option(help="Where the state stands; kept from start to start.")] = Path(
        ".topup/dev"
    ),
) -> None:
    """Run everything on this machine until Ctrl-C: Temporal, Kafka, MQTT, simulators, bridge and worker.

    Shows what runs where and what happens to orders. Started again, it goes on where it was, as far as the parts keep
    state.
    """
    from devkit.demo.screen import Screen  # noqa: PLC0415 - heavy
    from devkit.stack.choices import Choices  # noqa: PLC0415 - heavy
    from devkit.stack.lifetime import only_one, run  # noqa: PLC0415 - heavy
    from devkit.stack.local import LocalStack  # noqa: PLC0415 - heavy

    screen = Screen(to_stderr=False)
    choices = Choices(
        folder=folder, usual_ports=True, time_scale=time_scale, kafka=kafka, mqtt=mqtt, database_url=database
    )
    with only_one(folder):
        run(_run(LocalStack(choices, os.environ, screen.say), screen, orders))


async def _run(stack: "LocalStack", screen: "Screen", orders_per_minute: int) -> None:
    from devkit.demo.everyday import Everyday  # noqa: PLC0415 - heavy
    from devkit.stack.lifetime import Interrupted, live  # noqa: PLC0415 - heavy

    async def work() -> int:
        screen.addresses(stack.addresses)
        screen.say(f"the settings of this stack for another shell:  . '{stack.folder / 'settings.env'}'")
        screen.say("Ctrl-C ends it")
        await Everyday(stack, screen, orders_per_minute).run()
        return 0

    try:
        await live(stack, work, screen.say)
    except Interrupted:
        screen.say(f"stopped; the state stays in {stack.choices.folder}")
