"""The runbook's stories of money that differs, and of money that is given back."""

from datetime import UTC, datetime

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from orders.goodwill import Goodwill
from reconciliation.differences import Difference
from runtime.clock import SystemClock
from tests.console.operator_shell import FREE_SECONDS, OperatorShell, until
from tests.console.stories import LONG_SECONDS, story

DAY = "2026-11-02"


@story("Money differs")
async def money_differs(shell: OperatorShell, command: str) -> None:
    """A sale after a refusal, that somebody closes; each command in a book of its own."""
    deployed = await shell.deployed(f"money: {command}", workers=0)  # `run` closes what the others write
    order = await shell.order(deployed)
    at = datetime.now(UTC)
    difference = Difference(
        id=f"order:{order.order_id}",
        kind="sold_after_refusal",
        source="carrier",
        day=DAY,
        why="The carrier has sold what it had refused.",
        transaction_id=order.payment.transaction_id,
        order_id=order.order_id,
        book_fen=order.amount_fen,
        outside_fen=None,
        state="open",
        put_as="",
        first_seen=at,
        opened_at=at,
        closed_at=None,
        operator="",
        note="",
    )
    book = OrderBook.open(deployed.settings["TOPUP_DATABASE_URL"], FieldCipher(bytes(32)), SystemClock())
    try:
        await book.reconciliation().write([difference])
        done = await shell.run(command, deployed, order, code=None)
        [after] = [one for one in await book.reconciliation().differences(day=DAY) if one.id == difference.id]
    finally:
        await book.close()
    if " resolve " in command:
        assert (done.code, after.state, after.note) == (0, "resolved", "carrier's ticket 4711: taken back"), done
    elif " summary " in command:
        assert done.code == 0, done
        assert "left over" in done.out
    elif " show " in command:
        assert done.code == 0, done
        assert order.order_id in "".join(done.out.split())
    else:
        assert done.code in (0, 1), done  # the sale that the statement doesn't show any more closes itself
        assert "looked at" in done.out


GIVE = 'topup orders goodwill $ORDER --amount-fen 500 --reason "a day without network, ticket 4711"'


@story("Money back after a delivery")
async def goodwill(shell: OperatorShell, command: str) -> None:
    """A part of a delivered order's price, that Ann asks for and Bob confirms."""
    faults = {" --give-up ": [{"kind": "abnormal"}], " retry ": [{"kind": "not_enough", "times": -1}]}
    refund = next((found for words, found in faults.items() if words in command), [])
    deployed = await shell.deployed("slow")
    order = await shell.order(deployed, refund=refund)
    await shell.ended(deployed, order, "delivered")

    async def given() -> Goodwill:
        [one] = await deployed.book.goodwill.of(order.order_id)
        return one

    async def stands(what: str) -> None:
        async def so() -> bool:
            return what in ((await given()).stands, (await given()).refund.attention)

        await until(so, f"the goodwill of {order.order_id} is {what}", FREE_SECONDS)

    give = command if " --amount-fen " in command else GIVE
    assert "Nothing follows yet" in (await shell.run(f"{give} --operator Ann", deployed, order)).said
    assert "is decided" in (await shell.run(f"{give} --operator Bob", deployed, order)).said
    if " show " in command:
        assert "goodwill 1: 500 fen" in (await shell.run(command, deployed, order)).said
    if " --give-up " in command:
        await stands("parked")
        await shell.run(command, deployed, order)
        await stands("given_up")
    else:
        if " retry " in command:
            await stands("refund_held")
            its_run = order.model_copy(update={"order_id": (await given()).name})
            await shell.waits(deployed, its_run, "refund", LONG_SECONDS)
            await shell.lift("wechat", order.payment.transaction_id)
            await shell.run(command, deployed, order)
        await stands("refunded")
    assert (await shell.state(deployed, order)).outcome == "delivered"
