"""The runbook's section about two persons: the first one's command proposes, another one's same command confirms."""

from tests.console.desk import Desk
from tests.console.stories import PARTIAL, story


@story("Two persons")
async def two_persons(desk: Desk, command: str) -> None:
    lane = await desk.lane("two persons", TOPUP_TWO_PERSONS="true")
    order = await desk.order(lane, carrier=[PARTIAL])
    before = await desk.stuck(lane, order, "parked", person=True)
    name = command.startswith("topup")

    said = (await desk.run(command + (" --operator Ann" if name else ""), lane, order)).said
    assert " proposes " in said
    assert "Nothing follows yet: confirm with the same update by another operator." in said
    same = await desk.state(lane, order)
    assert (same.fact, same.cancel_reason, same.proposal) == (before.fact, before.cancel_reason, same.proposal)
    assert same.proposed_by in ("Ann", "YOUR NAME")
    shown = (await desk.run("topup orders show $ORDER", lane, order)).said
    assert f"{same.proposed_by} proposes {same.proposal} until " in shown

    again = command + " --operator Bob" if name else command.replace("YOUR NAME", "Bob")
    said = (await desk.run(again, lane, order)).said
    assert "Recorded" in said
    after = await desk.state(lane, order)
    assert after.confirmed_by == "Bob"
    if same.proposal == "delivered":
        await desk.ended(lane, order, "delivered")
    else:
        assert after.cancel_reason == "CANCELLED"
