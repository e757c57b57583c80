"""The TMF622 adapter and the simulated carrier, over the wire: two readings of contracts §4 that must agree."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from adapters.carriers.tmf622.client import Tmf622Carrier
from orders.outcomes import Completed, InDoubt, NotFound, Refused
from orders.paid_order import PaidOrder
from tests.adapters.loopback import PATIENCE_SECONDS
from tests.simulators.processes import SimulatorProcess, start

TOKEN = "carrier-token"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    process = start("carrier", "--book", tmp_path_factory.mktemp("carrier") / "carrier.jsonl", "--time-scale", "0.05")
    yield process
    process.stop()


@pytest.fixture
async def carrier(simulator: SimulatorProcess) -> AsyncGenerator[Tmf622Carrier, None]:
    async with Tmf622Carrier.open(url=simulator.url("carrier"), token=TOKEN) as opened:
        yield opened


@pytest.fixture
def order_id() -> str:
    return f"T{secrets.token_hex(8)}"


class Desk:
    """Orders faults."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def fault(self, order_id: str, **fault: object) -> None:
        (await self._http.put(f"/faults/{order_id}", json=[fault])).raise_for_status()


@pytest.fixture
async def desk(simulator: SimulatorProcess) -> AsyncGenerator[Desk, None]:
    async with httpx.AsyncClient(base_url=simulator.url("carrier"), trust_env=False) as http:
        yield Desk(http)


def body(carrier: Tmf622Carrier, order_id: str, *, in_seconds: float = 300) -> bytes:
    order = PaidOrder.model_validate(
        {
            "schema": "topup.paid-order/1",
            "order_id": order_id,
            "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015", "msisdn": "14400000001"},
            "package_id": "CT-DATA-10GB-30D",
            "amount_fen": 9900,
            "currency": "CNY",
            "payment": {
                "provider": "wechat",
                "merchant_id": "1900000109",
                "out_trade_no": order_id,
                "transaction_id": "4200001923202308213518640001",
                "paid_at": "2023-08-21T18:33:55+08:00",
            },
        }
    )
    return carrier.order_body(order, datetime.now(UTC) + timedelta(seconds=in_seconds))


async def until(
    carrier: Tmf622Carrier, order_id: str, is_right: Callable[[object], bool]
) -> Completed | Refused | InDoubt | NotFound:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_right(said := await carrier.query(order_id, timeout_seconds=PATIENCE_SECONDS)):
            await asyncio.sleep(0.05)
    return said


async def test_another_body_is_a_conflict_and_settles_nothing(carrier: Tmf622Carrier, order_id: str) -> None:
    await carrier.submit(body(carrier, order_id), timeout_seconds=PATIENCE_SECONDS)
    said = await carrier.submit(body(carrier, order_id, in_seconds=301), timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(said, InDoubt)
    assert said.cause == "answered"


async def test_a_delivered_order_can_not_be_burnt(carrier: Tmf622Carrier, order_id: str) -> None:
    await carrier.submit(body(carrier, order_id), timeout_seconds=PATIENCE_SECONDS)
    said = await carrier.cancel(order_id, timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(said, InDoubt)
    assert said.cause == "answered"


async def test_a_passed_date_is_a_definite_refusal(carrier: Tmf622Carrier, order_id: str) -> None:
    said = await carrier.submit(body(carrier, order_id, in_seconds=-60), timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(said, Refused)
    assert said.code == "COMPLETION_DATE_PASSED"


async def test_a_business_refusal_keeps_its_code(carrier: Tmf622Carrier, order_id: str, desk: Desk) -> None:
    await desk.fault(order_id, kind="refuse", code="REAL_NAME_REQUIRED")
    said = await carrier.submit(body(carrier, order_id), timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(said, Refused)
    assert (said.code, said.burnt) == ("REAL_NAME_REQUIRED", False)
    assert said.text


@pytest.mark.parametrize("then", ["completed", "failed", "rejected", "partial"])
async def test_an_order_in_flight_is_doubt_until_it_ends(
    carrier: Tmf622Carrier, order_id: str, desk: Desk, then: str
) -> None:
    """Looked at while it has an hour left, and then another that ends soon."""
    for after_seconds in (86_400, 1):
        serial = f"{order_id}{after_seconds}"
        await desk.fault(serial, kind="async", state="inProgress", then=then, after_seconds=after_seconds)
        taken = await carrier.submit(body(carrier, serial), timeout_seconds=PATIENCE_SECONDS)
        assert isinstance(taken, InDoubt)
        assert taken.cause == "in_flight"
        if after_seconds > 1:
            burning = await carrier.cancel(serial, timeout_seconds=PATIENCE_SECONDS)
            assert isinstance(burning, InDoubt)
    ended = await until(carrier, serial, lambda said: not (isinstance(said, InDoubt) and said.cause == "in_flight"))
    match then:
        case "completed":
            assert isinstance(ended, Completed)
        case "partial":
            assert isinstance(ended, InDoubt)
            assert ended.cause == "partial"
        case _:
            assert isinstance(ended, Refused)


async def test_a_throttled_order_is_doubt_with_its_waiting_time(
    carrier: Tmf622Carrier, order_id: str, desk: Desk
) -> None:
    await desk.fault(order_id, kind="throttle", retry_after_seconds=7)
    said = await carrier.submit(body(carrier, order_id), timeout_seconds=PATIENCE_SECONDS)
    assert isinstance(said, InDoubt)
    assert (said.cause, said.retry_after_seconds) == ("answered", 7)
    assert await carrier.query(order_id, timeout_seconds=PATIENCE_SECONDS) == NotFound()
