"""The runbook's story of a part that is held: an order waits untouched, and goes its way after the release."""

from tests.console.operator_shell import OperatorShell
from tests.console.stories import story

HOLD = "topup hold carrier --note 'maintenance, ticket 1'"
RELEASE = "topup hold release carrier --note 'over, ticket 1'"


@story("Carrier or provider is held")
async def held(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed(f"held {command}")  # whose worker has not looked at the holds yet
    said = await shell.run(command if command.startswith("topup hold carrier") else HOLD, deployed)
    assert "carrier is held" in said.out
    order = await shell.order(deployed)
    await shell.waits(deployed, order, "telecom", 1.0)
    assert await shell.events(deployed, order, "post_intent") == []
    assert (await shell.state(deployed, order)).completion_date is None

    if command == "topup hold show":
        assert "maintenance, ticket 1" in (await shell.run(command, deployed)).out
    said = await shell.run(command if command.startswith("topup hold release") else RELEASE, deployed)
    assert "Released" in said.out
    await shell.ended(deployed, order, "delivered")
