"""`topup demo`: everything on this machine, the incident and a load with every fault, and an audited end."""

import asyncio
import os
import shutil
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.exits import CommandFailed, Exit

if TYPE_CHECKING:
    from devkit.demo.screen import Screen
    from devkit.demo.show import Options
    from devkit.demo.verdict import Verdict
    from devkit.stack.local import LocalStack

LAST_WORDS_SECONDS = 1.0
TIME_SCALE = 0.1
"""Fast, and still slow enough for a small machine: what it takes itself to do is not scaled with the waits."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog="Example: topup demo --keep   or: topup demo --orders 500 --seed 7 --json")(demo)


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
    """Replay the incident and a mixed load with every fault on this machine, then audit the outside world's books.

    Starts Temporal, Kafka, MQTT, a simulated carrier, payment providers and cars, the worker and the bridge on free
    ports; needs nothing but pip's packages. Ends with exit code 0 only if every order came to what it must come to.
    """
    from devkit.demo.screen import Screen  # noqa: PLC0415 - heavy
    from devkit.demo.show import Options  # noqa: PLC0415 - heavy
    from devkit.stack.choices import Choices  # noqa: PLC0415 - heavy
    from devkit.stack.lifetime import only_one, run  # noqa: PLC0415 - heavy
    from devkit.stack.local import LocalStack  # noqa: PLC0415 - heavy

    screen = Screen(to_stderr=as_json)
    folder = Path(".topup") / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    choices = Choices(
        folder=folder, usual_ports=False, time_scale=time_scale, kafka=kafka, mqtt=mqtt, legacy_platform=True
    )
    options = Options(orders, seed, time_scale)
    stack = LocalStack(choices, os.environ, screen.say)
    with only_one(folder):
        screen.say(
            f"time runs {1 / time_scale:g} times as fast as it would (scale {time_scale:g}): a carrier that takes 40 s "
            f"takes {40 * time_scale:g} s here"
        )
        ok = run(_demonstrate(stack, screen, options, keep=keep, as_json=as_json))
    if ok and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        screen.say(f"logs, databases and the simulators' books stay in {folder}")
    raise typer.Exit(Exit.OK if ok else Exit.NOT_OK)


async def _demonstrate(stack: "LocalStack", screen: "Screen", options: "Options", *, keep: bool, as_json: bool) -> bool:
    from devkit.demo.show import Demonstration  # noqa: PLC0415 - heavy
    from devkit.stack.lifetime import Interrupted, live  # noqa: PLC0415 - heavy

    verdicts: list[Verdict] = []

    async def work() -> int:
        screen.addresses(stack.addresses)
        verdicts.append(await _or_part_failed(stack, Demonstration(stack, screen, options).run()))
        _report(verdicts[0], screen, as_json=as_json)
        if keep:
            screen.say(f"all of it stays up until Ctrl-C; look around: {stack.web_ui}")
            await asyncio.Event().wait()
        return 0

    try:
        await live(stack, work, screen.say)
    except Interrupted:
        if not verdicts:
            raise KeyboardInterrupt from None
    finally:
        screen.progress_ends()
    return verdicts[0].ok


async def _or_part_failed(stack: "LocalStack", running: "Coroutine[Any, Any, Verdict]") -> "Verdict":
    """The demonstration's verdict, unless a part of the stack ends under it."""
    demonstration = asyncio.create_task(running)
    ended = asyncio.create_task(stack.supervisor.ended())
    try:
        await asyncio.wait((demonstration, ended), return_when=asyncio.FIRST_COMPLETED)
        if demonstration.done() and demonstration.exception() is not None:
            await asyncio.wait((ended,), timeout=LAST_WORDS_SECONDS)  # a part that ended says more than who missed it
        if ended.done():
            raise CommandFailed(str(ended.result()))
        return demonstration.result()
    finally:
        for task in (demonstration, ended):
            task.cancel()
        await asyncio.wait((demonstration, ended))


def _report(verdict: "Verdict", screen: "Screen", *, as_json: bool) -> None:
    from console.display import print_json  # noqa: PLC0415 - heavy
    from devkit.demo.screen import as_json as to_json  # noqa: PLC0415 - heavy
    from devkit.demo.show import expectation  # noqa: PLC0415 - heavy

    screen.title("3. The audit")
    screen.verdict(verdict)
    for scenario in dict.fromkeys(scenario for scenario, _ in verdict.violations):
        screen.say(f"expected of {scenario or 'everything'}: {expectation(scenario)}")
    if as_json:
        print_json(to_json(verdict, expectation))
