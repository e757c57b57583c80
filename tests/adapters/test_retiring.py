"""Retiring an MQTT platform ends what waits for it, with who and why in each order's trail, and nothing else."""

import asyncio
import json
from typing import Any

import pytest

from adapters.order_book.book import OrderBook
from console import retiring
from console.exits import CommandFailed
from tests.adapters.book_process import paid_order
from tests.limits import WAIT_SECONDS


async def test_what_waits_for_a_retired_platform_is_given_up_and_all_else_stands(
    book: OrderBook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Opened:
        async def __aenter__(self) -> OrderBook:
            return book

        async def __aexit__(self, *_: object) -> None:
            return None

    monkeypatch.setattr(retiring, "order_book", lambda _: Opened())
    settings: Any = None
    await book.claim([paid_order(f"T0000{number}") for number in range(3)])
    await book.write_notices("T00000", "failed", {"old": ("waiting", ""), "new": ("acknowledged", "")})
    await book.write_notices("T00000", "refunded", {"old": ("pending", "refused"), "new": ("waiting", "")})
    await book.write_notices("T00001", "delivered", {"old": ("acknowledged", "")})
    said = {"operator": "li", "note": "switched off"}

    await retiring.retire_platform(settings, "old", **said, dry_run=True, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"platform": "old", "notices": 2, "orders": ["T00000"]}
    assert (await book.waiting.look()).unpublished == {"old": 2, "new": 1}

    await retiring.retire_platform(settings, "old", **said, dry_run=False, as_json=False)

    assert (await book.waiting.look()).unpublished == {"new": 1}
    states = {(one.result, one.platform): one.state for one in await book.notices("T00000")}
    assert states["failed", "old"] == states["refunded", "old"] == "given_up"
    assert states["failed", "new"] == "acknowledged"
    assert [one.state for one in await book.notices("T00001")] == ["acknowledged"]
    retired = [event.detail for event in await book.events("T00000") if event.kind == "platform_retired"]
    assert retired == [{"platform": "old", **said}]
    assert (await book.verify_trails()).flaws == {}
    with pytest.raises(CommandFailed, match="No notice waits"):
        await asyncio.wait_for(
            retiring.retire_platform(settings, "old", **said, dry_run=False, as_json=False), WAIT_SECONDS
        )
