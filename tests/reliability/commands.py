"""The commands that an operator gives, as processes: `temporal …` and `topup …`, exit codes and all."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from devkit.servers import temporal
from orders.identities import workflow_id
from orders.paid_order import PaidOrder
from tests.reliability.deployments import Deployment, NotShown
from tests.reliability.environment import ROOT

COMMAND_SECONDS: Final = 240.0
_few_at_once: Final = asyncio.Semaphore(4)
"""A `topup` command starts an interpreter; many at once would starve the product that is watched."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    text: str


async def temporal_cli(deployed: Deployment, *words: str) -> Said:
    """`temporal …` against the deployment's server."""
    server = ("--address", deployed.env.temporal.address, "--namespace", deployed.env.temporal.namespace)
    return await _run(
        [temporal.find(), *words, *server], {"PATH": os.environ["PATH"], "HOME": str(deployed.env.folder)}
    )


async def topup_cli(deployed: Deployment, *words: str) -> Said:
    """`topup …` with the deployment's settings."""
    return await _run([sys.executable, "-m", "console", *words], deployed.settings)


async def must(said: Said, what: str) -> Said:
    """The command's answer.

    Raises:
        NotShown: it failed.
    """
    if said.code:
        raise NotShown(f"{what} ended with {said.code}: {said.text}")
    return said


def of(order: PaidOrder) -> Sequence[str]:
    """`-w` and the order's workflow ID."""
    return ("-w", workflow_id(order.order_id))


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> Said:
    async with _few_at_once:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
        except TimeoutError:
            process.kill()
            raise NotShown(f"{command[0]} {' '.join(command[1:4])} did not end") from None
    return Said(process.returncode or 0, output.decode(errors="replace").strip())
