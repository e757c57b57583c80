"""The runbook's stories of alerting rules that no single order raises: many refunds, a part that is away."""

from devkit.servers.process import free_port
from tests.console.operator_shell import OperatorShell, until
from tests.console.stories import REFUSED, story


@story("Many refunds")
async def many_refunds(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, carrier=[REFUSED])
    await shell.ended(deployed, order, "refunded")

    async def seen() -> bool:
        said = (await shell.run(command, deployed, order)).out
        return order.order_id in said and "SIM_SUSPENDED" in said

    await until(seen, f"{command} shows the order and the carrier's code", 20)


@story("A part is away")
async def part_away(shell: OperatorShell, command: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    deployed = await shell.deployed("carrier away", TOPUP_CARRIER_URL=nobody)
    said = (await shell.run(command, deployed, code=None)).out

    assert "carrier" in said
    assert "TOPUP_CARRIER_URL" in said, "what to look at"
