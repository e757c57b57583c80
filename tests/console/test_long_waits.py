"""What waits for long while nobody is called for it: `topup doctor` counts it, `topup orders show` says what to do."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from configuration.processes import DoctorSettings
from console import health, showing, stranded
from console.showing import Found
from orders.paid_order import PaidOrder
from runtime.settings import load
from tests.workflows.conftest import paid_order

KEY = bytes(range(32))
SLOW, REFUNDING, NEW = (paid_order(number) for number in (91_000_001, 91_000_002, 91_000_003))


class Ago:
    """A clock that is late."""

    def __init__(self, late: timedelta) -> None:
        self.late = late

    def now(self) -> datetime:
        return datetime.now(UTC) - self.late


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DoctorSettings:
    """Temporal has an open run of each order, which says that nothing is to be done."""

    async def connected(_settings: Any) -> None:
        return None

    async def listed(*_arguments: Any, **_named: Any) -> list[Any]:
        return [type("Open", (), {"order_id": order.order_id}) for order in (SLOW, REFUNDING, NEW)]

    async def ask_the_run(_settings: Any, found: Found) -> None:
        found.run, found.do_now = "running", "Nothing is to be done."

    for module in (health, showing):
        monkeypatch.setattr(module, "temporal_client", connected)
    monkeypatch.setattr(stranded.runs, "listed", listed)
    monkeypatch.setattr(showing, "_ask_the_run", ask_the_run)
    url, key = f"sqlite:///{tmp_path / 'topup.db'}", base64.b64encode(KEY).decode()
    return load({"TOPUP_DATABASE_URL": url, "TOPUP_PII_KEY": key, "TOPUP_TIME_SCALE": "0.01"}, DoctorSettings)


@pytest.fixture
async def book(settings: DoctorSettings) -> AsyncIterator[OrderBook]:
    """Three orders: one in doubt for two hours, one refunding for two hours, one that came two minutes ago."""
    opened = OrderBook.open(settings.database_url, FieldCipher(KEY), Ago(timedelta(hours=2)))
    await opened.migrate()
    await opened.claim([SLOW, REFUNDING])
    two_hours_ago = Ago(timedelta(hours=2)).now()
    await set_state(opened, SLOW, in_doubt_since=two_hours_ago)
    refused = {"carrier_outcome": "rejected", "carrier_code": "SIM_SUSPENDED", "carrier_outcome_at": two_hours_ago}
    await set_state(opened, REFUNDING, **refused, refund_sequence=1, refund_at=two_hours_ago)
    later = OrderBook.open(settings.database_url, FieldCipher(KEY), Ago(timedelta(minutes=2)))
    await later.claim([NEW])
    yield opened
    await opened.close()
    await later.close()


async def set_state(book: OrderBook, order: PaidOrder, **changes: Any) -> None:
    await book.decide(
        order.order_id, lambda stored: (replace(stored.state, **changes), None), kind="test", detail=lambda _: {}
    )


async def examined(settings: DoctorSettings) -> dict[str, tuple[bool, str]]:
    return {step.part: (step.ok, step.says) for step in await health._order_steps(settings)}


async def test_doctor_names_orders_and_refunds_that_wait_for_long_until_a_person_is_called(
    settings: DoctorSettings, book: OrderBook
):
    found = await examined(settings)
    for part, order in (("orders not settled for long", SLOW), ("refunds not confirmed for long", REFUNDING)):
        ok, says = found[part]
        assert not ok
        assert "There are 1 that have waited for more than 1 h" in says
        assert f"`topup orders show {order.order_id}`" in says

    await set_state(book, SLOW, attention="carrier_silent")
    await set_state(book, REFUNDING, attention="refund_silent")
    found = await examined(settings)
    assert found["orders that need a person"] == (False, "There are 2: see `topup orders list`.")
    for part in ("orders not settled for long", "refunds not confirmed for long"):
        assert found[part] == (True, "There is none.")


async def test_of_a_refund_that_is_not_confirmed_for_long_show_says_what_to_do_and_not_nothing(
    settings: DoctorSettings, book: OrderBook
):
    do_now = (await showing.look(settings, REFUNDING.order_id)).do_now
    assert "Nothing is to be done" not in do_now
    assert f"`R{REFUNDING.order_id}`" in do_now
    assert f"`topup orders retry {REFUNDING.order_id}`" in do_now

    await set_state(book, REFUNDING, refund_at=Ago(timedelta(minutes=50)).now())
    assert (await showing.look(settings, REFUNDING.order_id)).do_now == "Nothing is to be done."
