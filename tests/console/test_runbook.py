"""Every command of the runbook is run, as it stands there, against an order that is really stuck in that way."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from devkit.servers.mosquitto import Mosquitto
from devkit.servers.temporal import Temporal
from tests.console import (  # noqa: F401 - these tell stories too
    stories,
    stories_flat,
    stories_held,
    stories_kafka,
    stories_money,
    stories_rules,
    stories_two_persons,
)
from tests.console.operator_shell import OperatorShell
from tests.console.runbook import NEVER, Command, commands, mentioned, sections
from tests.reliability.environment import Environment

AT_ONCE = 16
KAFKA_SECTIONS = ("The bridge waits", "Dead letters", "A payment has no order")


@pytest.fixture(scope="module")
async def played(
    request: pytest.FixtureRequest, temporal_server: Temporal, mosquitto: Mosquitto
) -> AsyncIterator[Mapping[Command, "asyncio.Task[None]"]]:
    """The selected commands, side by side: most of a story is waiting."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    wanted = [item.callspec.params["command"] for item in items if item.originalname == test_name]
    env = Environment(temporal_server, mosquitto, None)
    await env.start()
    with_kafka = any(command.section in KAFKA_SECTIONS for command in wanted)
    kafka = request.getfixturevalue("kafka") if with_kafka else None
    shell = OperatorShell(env, await temporal_server.connect(), kafka)
    places = asyncio.Semaphore(AT_ONCE)

    async def play(command: Command) -> None:
        async with places:
            await stories.STORIES[command.section](shell, command.text)

    tasks = {command: asyncio.create_task(play(command)) for command in wanted}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await shell.close()
    await env.close()


@pytest.mark.real
@pytest.mark.long
@pytest.mark.parametrize("command", commands(), ids=str)
async def test_the_command_does_what_the_runbook_says(command: Command, played):
    await played[command]


test_name = test_the_command_does_what_the_runbook_says.__name__


def test_each_section_that_has_commands_has_a_story_that_gets_an_order_stuck():
    assert {command.section for command in commands()} == set(stories.STORIES)


def test_a_command_in_the_text_stands_in_a_block_too_so_that_it_is_run():
    run = [command.text for command in commands()]
    loose = {text for text in mentioned(never=False) if not any(one.startswith(text) for one in run)}
    assert loose == set()


def test_what_must_never_be_done_is_advised_nowhere():
    assert sections()[NEVER].count("|") > 10
    never = mentioned(never=True)
    assert "temporal workflow terminate" in never
    for text in never:
        assert not any(command.text.startswith(text.removesuffix(" …")) for command in commands()), text
