"""The runbook's section about a carrier that can't be asked, told with real processes."""

from tests.console.operator_shell import OperatorShell, until
from tests.console.stories import outcome_of, story
from tests.limits import WAIT_SECONDS
from tests.reliability.deployments import Deployment


async def _lane(shell: OperatorShell) -> Deployment:
    # Latency + lag and the time that the POST may leave within: 4 s.
    return await shell.deployed("flat", scale=0.05, TOPUP_CARRIER_DIALECT="flat")


@story("The carrier can't be asked")
async def flat(shell: OperatorShell, command: str) -> None:
    """The same receipt whether it has sold or not: only a person can find out."""
    outcome = outcome_of(command)
    sold = outcome == "delivered"
    deployed = await _lane(shell)
    order = await shell.order(deployed, start=False)
    fault = {"kind": "receipt", "code": "11001", "act": sold}
    await shell.env.order_faults("carrier", order.vehicle.iccid, [fault])
    await deployed.start(order)
    entry = await shell.stuck(deployed, order, "parked", person=True)
    assert "11001" in entry.reason
    assert entry.posts == 1
    if sold:
        await shell.run(command, deployed, order)
        await shell.ended(deployed, order, "delivered")
        return
    early = await shell.run(command, deployed, order, code=None)
    if early.code != 0:
        assert "Too early" in early.said
        assert (await shell.state(deployed, order)).carrier_outcome is None

        async def counts() -> bool:
            return (await shell.run(command, deployed, order, code=None)).code == 0

        await until(counts, "the word counts", WAIT_SECONDS)
    await shell.ended(deployed, order, "refunded")
    assert (await shell.state(deployed, order)).carrier_code == "RESOLVED_BY_OPERATOR"
