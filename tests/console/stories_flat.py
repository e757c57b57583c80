"""The runbook's section about a carrier that can't be asked, told with real processes."""

from tests.console.desk import Desk, until
from tests.console.stories import outcome_of, story
from tests.reliability.lanes import Lane


async def _lane(desk: Desk) -> Lane:
    # Latency + lag and the time that the POST may leave within: 4 s.
    return await desk.lane("flat", scale=0.05, TOPUP_CARRIER_DIALECT="flat")


@story("The carrier can't be asked")
async def flat(desk: Desk, command: str) -> None:
    """The same receipt whether it has sold or not: only a person can find out."""
    outcome = outcome_of(command)
    sold = outcome == "delivered"
    lane = await _lane(desk)
    order = await desk.order(lane, start=False)
    fault = {"kind": "receipt", "code": "11001", "act": sold}
    await desk.world.order_faults("carrier", order.vehicle.iccid, [fault])
    await lane.start(order)
    entry = await desk.stuck(lane, order, "parked", person=True)
    assert "11001" in entry.reason
    assert entry.posts == 1
    if sold:
        await desk.run(command, lane, order)
        await desk.ended(lane, order, "delivered")
        return
    early = await desk.run(command, lane, order, code=None)
    if early.code != 0:
        assert "Too early" in early.said
        assert (await desk.state(lane, order)).fact is None

        async def counts() -> bool:
            return (await desk.run(command, lane, order, code=None)).code == 0

        await until(counts, "the word counts", 30)
    await desk.ended(lane, order, "refunded")
    assert (await desk.state(lane, order)).fact_code == "RESOLVED_BY_OPERATOR"
