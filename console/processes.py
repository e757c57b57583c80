"""`topup worker | bridge | serve | gateway | codec-server | setup | doctor`: production and what prepares it."""

import asyncio
from typing import Annotated

import typer

from console.exits import Exit

WAIT_SECONDS = 30.0


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command(epilog="Example: TOPUP_DATABASE_URL=sqlite:///topup.db … topup worker")(worker)
    app.command(epilog="Example: TOPUP_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 … topup bridge")(bridge)
    app.command(epilog="Example: TOPUP_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 … topup serve")(serve)
    app.command(epilog="Example: TOPUP_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 … topup gateway")(gateway)
    app.command("codec-server", epilog="Example: TOPUP_CODEC_KEY_FILE=… topup codec-server")(codec_server)
    app.command(epilog="Example: topup setup --wait 60   or: topup setup --process-role topup_process")(setup)
    app.command(epilog="Example: topup doctor --json")(doctor)


def worker() -> None:
    """Run the worker: takes orders to delivered or refunded. Ends on SIGTERM.

    Needs Temporal, the database, the carrier, an MQTT platform and a payment provider (README.md, "Settings").
    """
    from workers.process import main  # noqa: PLC0415 - heavy, and only this command needs it

    main()


def bridge() -> None:
    """Run the bridge: reads paid orders from Kafka and starts their workflows. Ends on SIGTERM.

    Needs Kafka, Temporal and the database (README.md, "Settings").
    """
    from bridge.process import main  # noqa: PLC0415 - heavy, and only this command needs it

    main()


def serve() -> None:
    """Run bridge and worker in one process: for small teams, and one per core where there is more to do. SIGTERM ends.

    Needs what both need (README.md, "Settings"). Beside it may run as many others, workers and bridges as you like.
    """
    from console.serving import main  # noqa: PLC0415 - heavy, and only this command needs it

    main()


def gateway() -> None:
    """Run the gateway: takes payment callbacks and writes paid orders to Kafka. Ends on SIGTERM.

    Needs Kafka, a payment provider, and the attachments' key or the order lookup (README.md, "Settings").
    """
    from gateway.process import main  # noqa: PLC0415 - heavy, and only this command needs it

    main()


def codec_server() -> None:
    """Run the codec server: shows signed-in operators, in Web UI and `temporal` command, what Temporal keeps encrypted.

    Needs the codec's key, and the sign-in proxy's token or the operators' (README.md, "Settings"). Ends on SIGTERM.
    """
    from console.codec_server import main  # noqa: PLC0415 - heavy, and only this command needs it

    main()


def setup(
    *,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for parts that are away.")] = WAIT_SECONDS,
    process_role: Annotated[
        str,
        typer.Option(help="PostgreSQL role of worker and bridge: as the database's owner, give it what they need."),
    ] = "",
    kafka_users: Annotated[
        str,
        typer.Option(
            help="As one who may: give gateway, bridge, worker, operator (…=User:NAME) their rights at Kafka."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Prepare database schema, Temporal namespace, search attributes and schedule, and Kafka topics. Idempotent.

    Leaves what is there as it is, creates what is missing, and ends with exit code 1 naming what it could not reach or
    create.
    """
    from console import preparation  # noqa: PLC0415 - heavy
    from console.display import print_steps  # noqa: PLC0415 - heavy
    from console.settings import SetupSettings, settings_for  # noqa: PLC0415 - heavy

    steps = asyncio.run(preparation.prepare(settings_for(SetupSettings), wait, process_role, kafka_users))
    print_steps(steps, as_json=as_json)
    raise typer.Exit(Exit.OK if all(step.ok for step in steps) else Exit.NOT_OK)


def doctor(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say of each part whether it can be reached with these settings, and what to do where it can't."""
    from console import health  # noqa: PLC0415 - heavy
    from console.display import print_steps  # noqa: PLC0415 - heavy
    from console.settings import DoctorSettings, settings_for  # noqa: PLC0415 - heavy

    steps = asyncio.run(health.examine(settings_for(DoctorSettings)))
    print_steps(steps, as_json=as_json)
    raise typer.Exit(Exit.OK if all(step.ok for step in steps) else Exit.NOT_OK)
