"""What `topup dev` and `topup demo` do once their options are read."""

import asyncio
import os
import shutil
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console.display import print_json
from console.exits import CommandFailed
from devkit.demo.everyday import Everyday
from devkit.demo.screen import Screen, as_json_object
from devkit.demo.show import Demonstration, Options, Outcome, expectation
from devkit.stack.choices import Choices
from devkit.stack.lifetime import Interrupted, live, only_one, run
from devkit.stack.local import LocalStack
from runtime.settings import PREFIX

LAST_WORDS_SECONDS = 1.0


def dev(*, orders: int, time_scale: float, kafka: str, mqtt: str, database_url: str, folder: Path) -> None:
    """Run a local stack until Ctrl-C, with so many sample orders per minute.

    Raises:
        CommandFailed: it can't be started, or a part ended that can't simply be started again.
    """
    screen = Screen(to_stderr=False)
    choices = Choices(
        folder=folder,
        usual_ports=True,
        time_scale=time_scale,
        kafka=kafka,
        mqtt=mqtt,
        database_url=database_url,
        one_process=True,
        asked={name: value for name, value in os.environ.items() if name.startswith(PREFIX) and value},
    )
    with only_one(folder):
        run(_until_interrupted(LocalStack(choices, os.environ, screen.say), screen, orders))


def demo(*, orders: int, seed: int, time_scale: float, kafka: str, mqtt: str, keep: bool, as_json: bool) -> bool:
    """Run the demonstration; whether its audit found all as it must be.

    Raises:
        CommandFailed: it can't be started, or a part ended under it.
        KeyboardInterrupt: it was told to stop before its end.
    """
    screen = Screen(to_stderr=as_json)
    folder = Path(".topup") / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}-{os.getpid()}"
    choices = Choices(
        folder=folder, usual_ports=False, time_scale=time_scale, kafka=kafka, mqtt=mqtt, legacy_platform=True
    )
    stack = LocalStack(choices, os.environ, screen.say)
    with only_one(folder):
        screen.say(
            f"time runs {1 / time_scale:g} times as fast as it would (scale {time_scale:g}): a carrier that takes 40 s "
            f"takes {40 * time_scale:g} s here"
        )
        ok = run(_demonstrate(stack, screen, Options(orders, seed, time_scale), keep=keep, as_json=as_json))
    if ok and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        screen.say(f"logs, databases and the simulators' books stay in {folder}")
    return ok


async def _until_interrupted(stack: LocalStack, screen: Screen, orders_per_minute: int) -> None:
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


async def _demonstrate(stack: LocalStack, screen: Screen, options: Options, *, keep: bool, as_json: bool) -> bool:
    outcomes: list[Outcome] = []

    async def work() -> int:
        screen.addresses(stack.addresses)
        outcomes.append(await _or_part_failed(stack, Demonstration(stack, screen, options).run()))
        _report(outcomes[0], screen, as_json=as_json)
        if keep:
            screen.say(f"all of it stays up until Ctrl-C; look around: {stack.web_ui}")
            await asyncio.Event().wait()
        return 0

    try:
        await live(stack, work, screen.say)
    except Interrupted:
        if not outcomes:
            raise KeyboardInterrupt from None
    finally:
        screen.progress_ends()
    return outcomes[0].verdict.ok


async def _or_part_failed(stack: LocalStack, running: Coroutine[Any, Any, Outcome]) -> Outcome:
    """What the demonstration came to, unless a part of the stack ends under it."""
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


def _report(outcome: Outcome, screen: Screen, *, as_json: bool) -> None:
    verdict = outcome.verdict
    screen.title("4. The audit")
    screen.verdict(verdict)
    screen.money(outcome.money)
    for scenario in dict.fromkeys(scenario for scenario, _ in verdict.violations):
        screen.say(f"expected of {scenario or 'everything'}: {expectation(scenario)}")
    if as_json:
        print_json(as_json_object(verdict, outcome.money, expectation))
