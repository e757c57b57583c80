"""`topup dev` and `topup demo`: everything on this machine. They run from a checkout, which alone holds simulators."""

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from console.exits import CommandFailed, Exit

TIME_SCALE = 0.1
"""Fast, and still slow enough for a small machine: what it takes itself to do is not scaled with the waits."""


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="Example: topup dev --orders 12   or: topup dev --kafka 127.0.0.1:9092")(dev)
    app.command(epilog="Example: topup demo --keep   or: topup demo --orders 500 --seed 7 --json")(demo)


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
    """Run everything on this machine until Ctrl-C: Temporal, Kafka, MQTT, simulators, gateway, bridge and worker.

    Shows what runs where and what happens to orders. Started again, it goes on where it was, as far as the parts keep
    state.

    TOPUP_* settings of your shell reach the product where this stack has none of its own for them, as in
    TOPUP_TRACE_RATIO=1 TOPUP_OTLP_ENDPOINT=http://127.0.0.1:4318 topup dev; it says which it took and which it did not.
    """
    _require_a_checkout("dev")
    from devkit.demo import commands  # noqa: PLC0415 - not in the deployed package

    commands.dev(orders=orders, time_scale=time_scale, kafka=kafka, mqtt=mqtt, database_url=database, folder=folder)


def demo(
    *,
    orders: Annotated[int, typer.Option(min=1, max=5000, help="About so many orders in the mixed load.")] = 221,
    seed: Annotated[int, typer.Option(help="The same seed makes the same load.")] = 1,
    time_scale: Annotated[
        float, typer.Option(min=0.01, max=1, help="Waits for the outside world, times this: 40 s become 4 s at 0.1.")
    ] = TIME_SCALE,
    kafka: Annotated[str, typer.Option(help="embedded, apache, or host:port of an empty one.")] = "embedded",
    mqtt: Annotated[str, typer.Option(help="auto (mosquitto where it is installed) or embedded.")] = "auto",
    keep: Annotated[bool, typer.Option("--keep", help="Leave all running at the end, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON; what happens goes to stderr.")
    ] = False,
) -> None:
    """Replay the incident and a mixed load with every fault on this machine, from the payment to books that agree.

    Starts Temporal, Kafka, MQTT, a simulated carrier, payment providers, order backend and cars, gateway, bridge and
    worker on free ports; needs nothing but pip's packages. Ends with exit code 0 only if every order came to what it
    must come to, and bills, order book and statement agree with the outside world's own books to the fen.
    """
    _require_a_checkout("demo")
    from devkit.demo import commands  # noqa: PLC0415 - not in the deployed package

    ok = commands.demo(
        orders=orders, seed=seed, time_scale=time_scale, kafka=kafka, mqtt=mqtt, keep=keep, as_json=as_json
    )
    raise typer.Exit(Exit.OK if ok else Exit.NOT_OK)


def _require_a_checkout(command: str) -> None:
    if importlib.util.find_spec("devkit") is None:
        raise CommandFailed(
            f"`topup {command}` needs the simulators, which the deployed package does not hold: get the source and run "
            f"`make {command}` in its folder.",
            code=Exit.WRONG_USAGE,
        )
