"""The runbook's section about two persons: the first one's command proposes, another one's same command confirms."""

from tests.console.operator_shell import OperatorShell
from tests.console.stories import PARTIAL, story


@story("Two persons")
async def two_persons(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("two persons", TOPUP_TWO_PERSONS="true")
    order = await shell.order(deployed, carrier=[PARTIAL])
    before = await shell.stuck(deployed, order, "parked", person=True)
    name = command.startswith("topup")

    said = (await shell.run(command + (" --operator Ann" if name else ""), deployed, order)).said
    assert " proposes " in said
    assert "Nothing follows yet: confirm with the same update by another operator." in said
    same = await shell.state(deployed, order)
    assert (same.carrier_outcome, same.cancel_reason, same.proposal) == (
        before.carrier_outcome,
        before.cancel_reason,
        same.proposal,
    )
    assert same.proposed_by in ("Ann", "YOUR NAME")
    shown = (await shell.run("topup orders show $ORDER", deployed, order)).said
    assert f"{same.proposed_by} proposes {same.proposal} until " in shown

    again = command + " --operator Bob" if name else command.replace("YOUR NAME", "Bob")
    said = (await shell.run(again, deployed, order)).said
    assert "Recorded" in said
    after = await shell.state(deployed, order)
    assert after.confirmed_by == "Bob"
    if same.proposal == "delivered":
        await shell.ended(deployed, order, "delivered")
    else:
        assert after.cancel_reason == "CANCELLED"
