"""`topup orders verify`: whether the audit trail is as it was written (`adapters.order_book.audit_trail`)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.order_book.book import OrderBook
from console.connecting import order_book
from console.display import out, print_json, shown
from console.exits import CommandFailed, Exit
from orders.errors import TopUpError
from runtime.settings.groups import OrdersAccess

PAGE_ORDERS = 200


@dataclass(slots=True)
class Verified:
    """What was looked at. `flaws`: by order ID, what is wrong with its trail, as a clause."""

    orders: int = 0
    lines: int = 0
    flaws: dict[str, str] = field(default_factory=dict[str, str])
    digest: str = ""
    """Over all heads: kept elsewhere, it shows later that no trail was written anew up to here."""


async def verify(settings: OrdersAccess, order_ids: Sequence[str], *, as_json: bool) -> Exit:
    """Verify the named orders' trails, or all, and print what was found.

    Raises:
        CommandFailed: the book is away, or has no such order.
    """
    async with order_book(settings) as book:
        assert book is not None, "OrdersSettings has checked it"
        try:
            found = await (_named(book, order_ids) if order_ids else _all(book))
        except TopUpError as error:
            raise CommandFailed(str(error)) from error
    if as_json:
        print_json(
            {"ok": not found.flaws, "orders": found.orders, "lines": found.lines, "digest": found.digest}
            | {"flaws": found.flaws}
        )
    else:
        for order_id, flaw in found.flaws.items():
            out.print(f"{shown(order_id)}: {shown(flaw)}", soft_wrap=True)
        broken = f"{len(found.flaws)} trails are broken" if found.flaws else "each line follows from the one before"
        out.print(f"{found.orders} orders, {found.lines} lines: {broken}. Digest {found.digest}", soft_wrap=True)
    return Exit.NOT_OK if found.flaws else Exit.OK


async def _named(book: OrderBook, order_ids: Sequence[str]) -> Verified:
    found, heads = Verified(), hashlib.sha256()
    for order_id in order_ids:
        read = await book.verify_trails(only=order_id)
        if not read.heads:
            raise CommandFailed(f"The order book has no order {order_id}.")
        _take(found, heads, read.heads, read.lines, read.flaws)
    found.digest = heads.hexdigest()
    return found


async def _all(book: OrderBook) -> Verified:
    found, heads, after = Verified(), hashlib.sha256(), ""
    while (read := await book.verify_trails(after=after, limit=PAGE_ORDERS)).heads:
        _take(found, heads, read.heads, read.lines, read.flaws)
        after = list(read.heads)[-1]
    found.flaws |= dict.fromkeys(await book.orphaned_lines(), "has a trail and no row")
    found.digest = heads.hexdigest()
    return found


def _take(found: Verified, digest: Any, heads: Mapping[str, str], lines: int, flaws: Mapping[str, str]) -> None:
    """`digest` is one of hashlib's, which have no public name."""
    found.orders += len(heads)
    found.lines += lines
    found.flaws |= flaws
    for order_id, head in heads.items():
        digest.update(f"{order_id} {head}\n".encode())
