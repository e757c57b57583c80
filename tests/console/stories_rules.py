"""The runbook's stories of alerting rules that no single order raises: many or silent refunds, a part that is away."""

import httpx

from devkit.servers.process import free_port
from tests.console.operator_shell import OperatorShell, until
from tests.console.stories import REFUSED, listed, story


@story("Many refunds")
async def many_refunds(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, carrier=[REFUSED])
    await shell.ended(deployed, order, "refunded")

    async def seen() -> bool:
        said = (await shell.run(command, deployed, order)).out
        return order.order_id in said and "SIM_SUSPENDED" in said

    await until(seen, f"{command} shows the order and the carrier's code", 20)


@story("The refund is silent")
async def refund_silent(shell: OperatorShell, command: str) -> None:
    under_way = {"carrier": [REFUSED], "refund": [{"kind": "processing"}]}
    if " retry " not in command:
        await listed(shell, command, "refunding", **under_way)
        return
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, **under_way)
    await shell.stuck(deployed, order, "refunding", person=False)
    async with httpx.AsyncClient(trust_env=False) as http:  # the provider pays at last
        settled = await http.post(f"{shell.env.url('wechat')}/refunds/R{order.order_id}/settle")
        settled.raise_for_status()
    await shell.run(command, deployed, order, code=None)  # 1 where its notice has closed the run already
    await shell.ended(deployed, order, "refunded")


@story("A part is away")
async def part_away(shell: OperatorShell, command: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    deployed = await shell.deployed("carrier away", TOPUP_CARRIER_URL=nobody)
    said = (await shell.run(command, deployed, code=None)).out

    assert "carrier" in said
    assert "TOPUP_CARRIER_URL" in said, "what to look at"
