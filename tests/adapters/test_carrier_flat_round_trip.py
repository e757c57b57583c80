"""The flat adapter and the simulated carrier, over the wire: two readings of one old interface that must agree."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.carriers.flat.client import DOUBTS, REFUSALS, FlatCarrier
from orders.outcomes import InDoubt, Refused
from simulators.book import verify
from simulators.carrier_flat import MESSAGES, card_sha256
from tests.adapters.loopback import PATIENCE_SECONDS, too_late
from tests.adapters.test_carrier_tmf622 import paid_order
from tests.simulators.processes import SimulatorProcess, start

TOKEN = "carrier-token"


@pytest.fixture(scope="module")
def book_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("carrier") / "carrier.jsonl"


@pytest.fixture(scope="module")
def simulator(book_path: Path) -> Iterator[SimulatorProcess]:
    process = start("carrier", "--book", book_path, "--time-scale", "0.05")
    yield process
    process.stop()


class Card:
    """One car's card: orders on it, faults for it, and the carrier's own account of it."""

    def __init__(self, carrier: FlatCarrier, http: httpx.AsyncClient) -> None:
        self.iccid = "8986" + "".join(secrets.choice("0123456789") for _ in range(16))
        self._carrier = carrier
        self._http = http

    async def order(self, *, package: str = "CT-DATA-10GB-30D") -> Any:
        order = paid_order(iccid=self.iccid).model_copy(update={"package_id": package})
        body = self._carrier.order_body(order, datetime.now(UTC))
        return await self._carrier.submit(body, timeout_seconds=PATIENCE_SECONDS)

    async def fault(self, **fault: object) -> None:
        (await self._http.put(f"/faults/{self.iccid}", json=[fault])).raise_for_status()

    async def asked(self) -> bool:
        book = (await self._http.get("/book")).json()
        return any(entry["data"].get("card_sha256") == card_sha256(self.iccid) for entry in book)

    async def sold(self) -> int:
        return (await self._http.get("/book/summary")).json().get(card_sha256(self.iccid), {}).get("sold", 0)


@pytest.fixture
async def card(simulator: SimulatorProcess) -> AsyncGenerator[Card, None]:
    url = simulator.url("carrier")
    async with (
        FlatCarrier.open(url=url, token=TOKEN) as carrier,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        yield Card(carrier, http)


def test_both_sides_know_the_same_receipt_codes() -> None:
    assert {"00000", *REFUSALS, *DOUBTS} == set(MESSAGES)


@pytest.mark.parametrize("code", [*REFUSALS, *DOUBTS, "54321"])
@pytest.mark.parametrize("sold", [1, 0], ids=["sold", "not sold"])
async def test_a_receipt_code_means_what_the_tables_say_whatever_the_carrier_did(
    card: Card, code: str, sold: int
) -> None:
    await card.fault(kind="receipt", code=code, act=bool(sold))
    said = await card.order()
    assert isinstance(said, Refused if code in REFUSALS else InDoubt)
    assert await card.sold() == sold


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ({"kind": "hang"}, "unanswered"),
        ({"kind": "hang", "act": False}, "unanswered"),
        ({"kind": "reset"}, "unanswered"),
        ({"kind": "error", "status": 502}, "answered"),
        ({"kind": "error", "status": 401}, "answered"),
        ({"kind": "throttle"}, "answered"),
        ({"kind": "malformed", "body": "not_json"}, "answered"),
        ({"kind": "malformed", "body": "no_state"}, "answered"),
        ({"kind": "malformed", "body": "wrong_type"}, "answered"),
        ({"kind": "malformed", "body": "empty"}, "answered"),
        ({"kind": "unknown_state"}, "answered"),
    ],
    ids=str,
)
async def test_an_order_whose_answer_says_nothing_is_doubt(card: Card, fault: dict[str, object], cause: str) -> None:
    await card.fault(**fault)
    acts = fault.get("act", True) and fault["kind"] != "throttle"
    order = card.order()
    said = await (too_late(order, card.sold if acts else card.asked) if fault["kind"] == "hang" else order)
    assert isinstance(said, InDoubt)
    assert said.cause == cause
    assert await card.sold() == int(bool(acts))


async def test_an_order_that_was_given_up_may_be_sold_later(card: Card) -> None:
    await card.fault(kind="delay", seconds=20)
    assert isinstance(await too_late(card.order(), card.asked), InDoubt)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await card.sold() == 0:
            await asyncio.sleep(0.05)


async def test_what_the_carrier_does_not_sell_it_refuses(card: Card) -> None:
    said = await card.order(package="")
    assert isinstance(said, Refused)
    assert said.code == "PACKAGE_NOT_ALLOWED"
    assert await card.sold() == 0


async def test_the_book_names_no_card(card: Card, book_path: Path) -> None:
    await card.order()
    entries = [entry for entry in verify(book_path) if entry.data.get("card_sha256") == card_sha256(card.iccid)]
    assert [entry.kind for entry in entries] == ["flat_post", "flat_sold", "flat_answer"]
    assert entries[2].data["shown"] == "00000"
    assert card.iccid not in str(entries)


@pytest.mark.slow
def test_a_restarted_carrier_remembers_what_it_sold(tmp_path: Path) -> None:
    form = {"iccid": "89860321247550000015", "packageId": "CT-DATA-10GB-30D"}
    accounts: list[object] = []
    for _ in range(2):
        process = start("carrier", "--book", tmp_path / "carrier.jsonl")
        try:
            with httpx.Client(base_url=process.url("carrier"), trust_env=False) as http:
                http.post("/m2m/orderPackage", data=form, headers={"Authorization": f"Bearer {TOKEN}"})
                accounts.append(http.get("/book/summary").json()[card_sha256(form["iccid"])])
        finally:
            process.stop()
    assert accounts == [{"posts": number, "distinct_bodies": 1, "sold": number} for number in (1, 2)]
