"""`topup orders retire-platform`: ends the notices that wait for an MQTT platform that is no more, and says so."""

from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Final

from adapters.order_book.book import OrderBook
from console import acting
from console.connecting import order_book
from console.display import out, print_json
from console.exits import CommandFailed, Exit
from orders.errors import TopUpError
from orders.identities import NoticeResult
from runtime.settings.groups import OrdersAccess

MOST: Final = 10_000
"""Notices in one command; what is left is said, and taken by the next."""


async def retire_platform(
    settings: OrdersAccess, platform: str, *, operator: str, note: str, dry_run: bool, as_json: bool
) -> Exit:
    """Give up each notice that waits for the platform, with a line in its order's trail.

    Raises:
        CommandFailed: the book is away, or nothing waits for a platform of this name.
    """
    async with order_book(settings) as book:
        assert book is not None, "OrdersSettings has checked it"
        try:
            waiting = await book.waiting.notices_for(platform, limit=MOST)
        except TopUpError as error:
            raise CommandFailed(str(error)) from error
        if not waiting:
            raise CommandFailed(f"No notice waits for the platform {platform}: see topup_notices_unpublished.")
        signed = {"platform": platform, "operator": operator, "note": note}
        of: dict[str, list[NoticeResult]] = {
            order_id: [result for _, result in group] for order_id, group in groupby(waiting, key=itemgetter(0))
        }
        if dry_run:
            said = f"{len(waiting)} notices of {len(of)} orders wait for {platform}; they would be given up."
            if as_json:
                print_json({"platform": platform, "notices": len(waiting), "orders": sorted(of)})
            else:
                out.print(said)
            return Exit.OK
        return await acting.act(
            list(of),
            lambda order_id: _give_up(book, order_id, of[order_id], signed),
            one=False,
            as_json=as_json,
        )


async def _give_up(book: OrderBook, order_id: str, results: list[NoticeResult], signed: Mapping[str, str]) -> str:
    platform = signed["platform"]
    try:
        await book.append(order_id, "platform_retired", signed)
        for result in results:
            await book.write_notices(order_id, result, {platform: ("given_up", "The platform was retired.")})
    except TopUpError as error:
        raise CommandFailed(str(error)) from error
    return f"Order {order_id}: {', '.join(results)} is not told to {platform} any more."
